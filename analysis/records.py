"""Load: a folder of records becomes `Results`, and a tidy frame of all its numbers."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.probes.record import ProbeRecord
from benchmarks.record import Record
from benchmarks.tree import read_tree

PUBLISHED = "published"
"""The suite that the folder of the paper's numbers stands for: tables of text, and no record."""


class ResultsError(Exception):
    """A results folder from which nothing can be made; the message says what to do."""


@dataclass(frozen=True)
class Results:
    """One suite's valid records, those of probes too, and a line on each file that is left out because it is none."""

    suite: str
    records: tuple[Record, ...]
    left_out: tuple[str, ...]
    probes: tuple[ProbeRecord, ...] = ()


def load(folder: Path) -> Results:
    """The results below `folder`, a suite's folder. Raises ResultsError where there is no suite to be had."""
    if not folder.is_dir():
        raise ResultsError(f"no folder {folder}: {_nearest(folder)}`make reproduce` makes results.")
    if folder.resolve().name == PUBLISHED and any(folder.glob("table_*.tsv")):
        return Results(PUBLISHED, (), ())
    tree = read_tree(folder)
    suites = sorted({record.suite for record in tree.records} | {record.suite for record in tree.probes})
    if len(suites) > 1:
        raise ResultsError(
            f"{folder} holds the suites {', '.join(suites)}: name one, as --results {folder / suites[0]}"
        )
    if not suites and not tree.problems:
        raise ResultsError(f"no records below {folder}. Run `make reproduce` first, or name a suite's folder.")
    return Results(suites[0] if suites else folder.name, tree.records, tree.problems, tree.probes)


def metric_frame(records: Iterable[Record | ProbeRecord]) -> pd.DataFrame:
    """One row per number: benchmark, method, seed, split, metric, domain, value."""
    rows = [
        (record.benchmark, record.method, record.seed, *key.split("/"), value)
        for record in records
        for key, value in record.metrics.items()
    ]
    return pd.DataFrame(rows, columns=["benchmark", "method", "seed", "split", "metric", "domain", "value"])


def _nearest(folder: Path) -> str:
    if not folder.parent.is_dir():
        return ""
    siblings = [path.name for path in folder.parent.iterdir() if path.is_dir()]
    near = difflib.get_close_matches(folder.name, siblings, n=1)
    return f"did you mean {folder.parent / near[0]}? " if near else ""
