"""The time that a step spends in its passes and in the base optimizer's update, taken within the step itself.

A step and its passes timed alone are seconds apart, in which a shared machine's speed may change by a tenth. Taken
within one step, what is left beside them is known as well as it can be timed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.performance.models import Work


class Within:
    """Adds up the processor's seconds of forwards, of `Tensor.backward` and of Adam's `step`, while `watched`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.process_time() - started

        return call

    def work(self, work: Work) -> Work:
        """The same, its forward timed."""
        return replace(work, forward=self.timed(work.forward))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Backward passes and updates are timed within, from zero."""
        self.seconds = 0.0
        with (
            patch.object(torch.Tensor, "backward", self.timed(torch.Tensor.backward)),
            patch.object(torch.optim.Adam, "step", self.timed(torch.optim.Adam.step)),
        ):
            yield
