"""Why a run left no record among the results: by a note of whoever launched it, or because its file is left out."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

RunKey = tuple[str, str, int]
"""Benchmark, method and seed."""

OfMethods = Mapping[tuple[str, str], Mapping[int, str]]
"""By benchmark and method: by seed, in order, what became of the run."""

ProbeKey = tuple[str, str, int, str]
"""Benchmark, method, seed and probe."""

LEFT_OUT = "left out"
"""What became of a run whose file is no valid record; the reason follows after a colon."""

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


def of_methods(failures: Mapping[RunKey, str]) -> OfMethods:
    """The same by method, which is how cells ask for them."""
    grouped: dict[tuple[str, str], dict[int, str]] = {}
    for (benchmark, method, seed), why in sorted(failures.items()):
        grouped.setdefault((benchmark, method), {})[seed] = why
    return grouped


def of_method(failures: OfMethods, benchmark: str, method: str, there: Collection[int] = ()) -> dict[int, str]:
    """By seed, what became of the method's runs, but for the seeds that are there after all."""
    return {seed: why for seed, why in failures.get((benchmark, method), {}).items() if seed not in there}


def in_a_word(reasons: Iterable[str]) -> str:
    """What stands for all of them in a cell of its own: `failed at step 40`, `left out`; empty for none."""
    return min((why.partition(":")[0] for why in reasons), default="")


def in_brief(reasons: Iterable[str]) -> str:
    """The same beside a number of seeds: `failed at step 40`, `2 files left out`; empty for none."""
    reasons = tuple(reasons)
    files = sum(why.startswith(LEFT_OUT) for why in reasons)
    others = in_a_word(why for why in reasons if not why.startswith(LEFT_OUT))
    told = f"{files} {'file' if files == 1 else 'files'} {LEFT_OUT}" if files else ""
    return "; ".join(filter(None, (others, told)))


def at_length(method: str, reasons: Mapping[int, str]) -> list[str]:
    """A phrase on each seed: `SAM seed 2 left out: not readable as JSON`."""
    return [f"{method} seed {seed} {why}" for seed, why in reasons.items()]
