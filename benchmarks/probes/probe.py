"""What a probe is: frozen settings that measure a trained model."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from benchmarks.checkpoint import set_weights, weights
from benchmarks.errors import NonFiniteError
from benchmarks.evaluation import evaluation_mode
from benchmarks.probes.parts import Part
from benchmarks.probes.record import Surface
from benchmarks.probes.trained import Trained
from benchmarks.task import Report, silent


@dataclass(frozen=True)
class Work:
    """Where the record will be, which part of the work is to be done, and whom to tell how far it is."""

    path: Path
    part: Part = Part()
    report: Report = silent


@dataclass(frozen=True)
class Measured:
    """What a record gets from its probe; `resolved` is what its settings came to on this model."""

    metrics: Mapping[str, float]
    surface: Surface | None = None
    resolved: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    """Of all parts of the work together; None where there is one."""


class Probe(Protocol):
    def measure(self, model: Trained, work: Work) -> Measured | None:
        """None where other parts of the work are still to be done."""


@contextmanager
def restored(model: nn.Module) -> Iterator[None]:
    """In evaluation mode; afterwards every weight, buffer and mode is what it was, bit for bit, whatever happened."""
    before = weights(model)
    try:
        with evaluation_mode(model):
            yield
    finally:
        set_weights(model, before)


def refuse_non_finite(metrics: Mapping[str, float], run: object) -> None:
    """Raise NonFiniteError for the first value that is NaN or infinite."""
    for key, value in metrics.items():
        if not abs(value) < float("inf"):
            raise NonFiniteError(f"{run}: {key} is {value}, and no record is left")
