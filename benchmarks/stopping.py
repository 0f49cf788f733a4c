"""A polite end: signals that ask a run to stop after its present step, with a checkpoint."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from benchmarks.errors import RunError

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""From a scheduler before it kills (either of the first two), and from Ctrl-C."""

STOPPED = 75
"""Exit code of a run that was asked to stop and can go on later: the system's word for `try again`."""


class StoppedError(RunError):
    """A run that was asked to stop, and has left a checkpoint to go on from; `by` names the signal, if it came here."""

    def __init__(self, message: str, by: str | None = None) -> None:
        super().__init__(message)
        self.by = by


class StopRequest:
    """Whether the run was asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.by: str | None = None

    def __bool__(self) -> bool:
        return self.by is not None

    def ask(self, number: int, frame: FrameType | None) -> None:
        """The first signal is remembered; a second Ctrl-C does not wait for the step to end."""
        if self.by is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.by = signal.Signals(number).name


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Signals are remembered as long as the context lasts; handlers are put back afterwards.

    Only the main thread of a process can have handlers: elsewhere nothing is ever asked.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.ask) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
