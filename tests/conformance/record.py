"""What `results/conformance.json` holds: its origin, how the cells of each group ended, and the largest difference."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from tests.conformance.cells import CELLS, Cell
from tests.conformance.check import TOLERANCE
from tests.conformance.origin import ROOT
from tests.conformance.rules import FAILED, NOT_RUNNABLE, PASSED, REFUSED
from tests.conformance.run import Verdicts

STORED = ROOT / "results" / "conformance.json"
GROUPED_BY = ("way", "precision", "layout", "micro_batches")
OUTCOMES = (PASSED, REFUSED, NOT_RUNNABLE, FAILED)


def group_of(cell: Cell) -> tuple[Any, ...]:
    """All methods, clipping or not, straight or resumed."""
    return tuple(getattr(cell, axis) for axis in GROUPED_BY)


def record(verdicts: Verdicts, origin: dict[str, Any]) -> dict[str, Any]:
    """`origin` is that of `origin.origin()`. Raises ValueError unless every cell has a verdict."""
    missing = sorted(set(range(len(CELLS))) - set(verdicts))
    if missing:
        raise ValueError(f"{len(missing)} cells have no verdict, the first of them: {CELLS[missing[0]]}")
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number in sorted(verdicts):
        groups.setdefault(group_of(CELLS[number]), []).append(number)
    return {
        **origin,
        "tolerance": TOLERANCE,
        "groups": [
            {**dict(zip(GROUPED_BY, key, strict=True)), **_summary([verdicts[number] for number in numbers])}
            for key, numbers in groups.items()
        ],
        "failed": {
            str(CELLS[n]): _last_line(verdicts[n].why) for n in sorted(verdicts) if verdicts[n].outcome == FAILED
        },
    }


def _summary(verdicts: list[Any]) -> dict[str, Any]:
    counts = Counter(verdict.outcome for verdict in verdicts)
    differences = [verdict.difference for verdict in verdicts if verdict.outcome == PASSED]
    if any(math.isnan(difference) for difference in differences):
        raise ValueError("a cell passed with a difference of NaN")
    largest = {"largest_difference": float(f"{max(differences):.1e}")} if differences else {}
    return {**{outcome: counts[outcome] for outcome in OUTCOMES if counts[outcome]}, **largest}


def _last_line(why: str | None) -> str:
    return (why or "").strip().splitlines()[-1] if why else ""


def write(path: Path, content: dict[str, Any]) -> None:
    """One line per group, written whole or not at all."""
    lines = ",\n".join(f"    {json.dumps(group)}" for group in content["groups"])
    rest = {key: value for key, value in content.items() if key != "groups"}
    text = json.dumps(rest, indent=2)[:-2] + f',\n  "groups": [\n{lines}\n  ]\n}}\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
