"""Curves: what every step of a run said, from the file beside its record, thinned to what a figure can show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from analysis.figures.errors import NothingToDrawError
from benchmarks.record import Record

POINTS = 200
"""Steps that are read of a longer curve, evenly spaced, its first and last among them: a panel is 400 pixels wide."""

SMOOTH_POINTS = 40

_STEPS = TypeAdapter(list[dict[str, float]])

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

    Raises NothingToDrawError, naming the file, where it holds something else.
    """
    path = record.run.path(root).with_suffix(".metrics.jsonl")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    if not lines:
        return None
    places = np.unique(np.linspace(0, len(lines) - 1, min(len(lines), POINTS)).round().astype(int))
    try:
        steps = _STEPS.validate_json(f"[{','.join(lines[place] for place in places)}]")
    except ValidationError as error:
        wrong = error.errors()[0]["msg"]
        raise NothingToDrawError(
            f"{path} is not a curve ({wrong}); delete it and its record, and run it again"
        ) from error
    names = dict.fromkeys(name for step in steps for name in step)
    return {name: np.array([step.get(name, np.nan) for step in steps], dtype=float) for name in names}


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
    """By method and seed, the curves that there are of these runs of one benchmark."""
    found: dict[str, dict[int, Curve]] = {}
    for record in records if root else ():
        assert root is not None
        curve = read_curve(record, root)
        if curve is not None:
            found.setdefault(record.method, {})[record.seed] = curve
    return found
