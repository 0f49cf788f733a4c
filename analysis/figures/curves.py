"""Curves: what every step of a run said, from the file beside its record, thinned to what a figure can show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.curve import read_steps
from benchmarks.record import Record, RecordError

SMOOTH_POINTS = 40

Curve = dict[str, NDArray[np.float64]]
"""By the name of the scalar, and `step`; NaN where a step does not have it."""


@dataclass(frozen=True)
class Band:
    """A scalar of one method over training: its median over seeds, and between which values the seeds lie."""

    step: NDArray[np.float64]
    median: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    seeds: int


def read_curve(record: Record, root: Path) -> Curve | None:
    """The run's curve, in the file beside its record below `root`; None where there is no such file or it is empty.

    Raises RecordError, naming the file, where it holds something else.
    """
    steps = read_steps(record.run.path(root))
    names = dict.fromkeys(name for step in steps for name in step)
    curve = {name: np.array([step.get(name) for step in steps], dtype=float) for name in names}
    return curve or None


def smoothed(curve: Curve) -> Curve:
    """Means over as many neighbouring steps as leave about SMOOTH_POINTS points, each at its middle step."""
    width = max(1, len(curve["step"]) // SMOOTH_POINTS)
    starts = np.arange(0, len(curve["step"]), width)
    return {
        name: np.add.reduceat(values, starts) / np.diff(np.append(starts, len(values)))
        for name, values in curve.items()
    }


def band(curves: Iterable[Curve], name: str) -> Band | None:
    """The scalar's median and range over the curves, step by step; None where none of them has it.

    Curves that stop early count as far as they go.
    """
    known = [(curve["step"], curve[name]) for curve in curves if name in curve]
    if not known:
        return None
    steps = np.unique(np.concatenate([step for step, _ in known]))
    values = np.full((len(known), len(steps)), np.nan)
    for row, (step, scalar) in zip(values, known, strict=True):
        row[np.searchsorted(steps, step)] = scalar
    some = ~np.isnan(values).all(axis=0)
    steps, values = steps[some], values[:, some]
    return Band(steps, np.nanmedian(values, axis=0), np.nanmin(values, axis=0), np.nanmax(values, axis=0), len(known))


def read_curves(records: Sequence[Record], root: Path | None) -> dict[str, dict[int, Curve]]:
    """By method and seed, the curves that there are of these runs of one benchmark.

    A file that is no curve is none: whoever loaded the records has named it.
    """
    found: dict[str, dict[int, Curve]] = {}
    for record in records if root else ():
        assert root is not None
        try:
            curve = read_curve(record, root)
        except RecordError:
            continue
        if curve is not None:
            found.setdefault(record.method, {})[record.seed] = curve
    return found
