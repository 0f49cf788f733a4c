"""Why a run left no record, where whoever launched it left a note of that."""

import json
from collections.abc import Mapping
from pathlib import Path

RunKey = tuple[str, str, int]
"""Benchmark, method and seed."""

_TOLD = ("failed", "timed out", "stopped")


def read_failures(folder: Path) -> dict[RunKey, str]:
    """What became of runs by the notes below a suite's folder, `.slurm/runs/<benchmark>/<method>/<seed>.note`.

    A note that cannot be read says nothing: the run's record, or its absence, decides.
    """
    failures = {}
    for path in sorted(folder.glob(".slurm/runs/*/*/*.note")):
        try:
            note = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(note, Mapping) and note.get("outcome") in _TOLD and path.stem.isdecimal():
            step = note.get("step")
            where = f" at step {step}" if isinstance(step, int) else ""
            failures[path.parts[-3], path.parts[-2], int(path.stem)] = f"{note['outcome']}{where}"
    return failures
