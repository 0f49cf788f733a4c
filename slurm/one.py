"""`python -m slurm.one SUBMISSION TASK POSITION`: one run, in this process or in each of those of a step.

Ends with 0 when the record is there, with `STOPPED` when a signal asked for it and a checkpoint is left, with 1 when it
failed. Tells how far it is by the ledger's beat, which also says why it failed.
"""

import faulthandler
import os
import pkgutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from benchmarks.errors import RunError
from benchmarks.execution import Execution
from benchmarks.processes import processes
from benchmarks.record import RecordError, Run
from benchmarks.stopping import STOPPED, StoppedError
from slurm.ledger import Beat, Ledger, Submission, read_submission

BEAT_SECONDS = 5.0
ORPHAN_SECONDS = 1.0


def main() -> int:
    submission = read_submission(Path(sys.argv[1]))
    run = submission.runs(int(sys.argv[2]))[int(sys.argv[3])]
    faulthandler.enable()
    for number in (signal.SIGTERM, signal.SIGUSR1):
        # Before and after training there is nothing to save: `benchmarks.stopping` answers them in between.
        signal.signal(number, lambda number, frame: os._exit(STOPPED))
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    execution = execution_of(submission)
    heart = Heart(Ledger(Path(submission.results), submission.suite), run, speaks=execution.processes.is_first)
    try:
        heart("load", 0, 1)
        perform(submission, run, execution, heart)
    except StoppedError as error:
        print(f"{run}: {error}.", file=sys.stderr)
        return STOPPED
    except (RunError, RecordError) as error:
        heart.fail(str(error))
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        heart.fail(f"{type(error).__name__}: {error}")
        raise
    return 0


def execution_of(submission: Submission) -> Execution:
    need = submission.need
    return Execution(
        processes=processes(need.parallel),
        micro_batches=need.micro_batches,
        precision=need.precision,
        loaders=need.loaders,
    )


def perform(submission: Submission, run: Run, execution: Execution, report: Callable[[str, int, int], None]) -> None:
    """Make the record."""
    # torch takes seconds to load: a beat comes before it.
    execute = pkgutil.resolve_name("benchmarks.run:execute")
    execute(run, Path(submission.results), execution, report)


class Heart:
    """A report that writes the ledger's beat, at the start and the end of each stage and now and then in between."""

    def __init__(self, ledger: Ledger, run: Run, speaks: bool = True) -> None:
        self._ledger = ledger
        self._run = run
        self._speaks = speaks
        self._last = Beat("", 0, 1, 0.0, 0, 0.0)

    def __call__(self, stage: str, done: int, total: int) -> None:
        now, last = time.time(), self._last
        if stage == last.stage and done != total and now - last.told < BEAT_SECONDS:
            return
        same = stage == last.stage
        self._tell(Beat(stage, done, total, last.began if same else now, last.first if same else done, now))

    def fail(self, error: str) -> None:
        last = self._last
        self._tell(
            Beat(last.stage, last.step, last.steps, last.began, last.first, time.time(), " ".join(error.split()))
        )

    def _tell(self, beat: Beat) -> None:
        self._last = beat
        if self._speaks:
            # A disk that is full for a moment is no reason to lose the run.
            with suppress(OSError):
                self._ledger.set_beat(self._run, beat)


def _end_with_parent(parent: int) -> None:
    """Nobody would hear of this process, or stop it, once the one that watches it is gone."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
