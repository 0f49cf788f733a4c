"""Load: a folder of records becomes `Results`."""

import re
import shlex
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from analysis.failures import LEFT_OUT, ProbeKey, RunKey
from benchmarks.probes.record import ProbeRecord
from benchmarks.record import Record
from benchmarks.tree import Tree, read_tree
from benchmarks.variants import near

DEFAULT = Path("results")
"""Where commands that run something have their results, if nobody says otherwise."""
PUBLISHED = "published"
"""The suite that the folder of the paper's numbers stands for: tables of text, and no record."""

_PLACE = re.compile(r"([^/]+)/([^/]+)/seed-(\d+)(?:/([^/]+))?\.json$")
"""Of a record in its folder: benchmark, method, seed and, if it is one of a probe, that."""


class ResultsError(Exception):
    """A results folder from which nothing can be made; the message says what to do."""


@dataclass(frozen=True)
class Results:
    """One suite's valid records, those of probes too, and a line on each file that is left out because it is none."""

    suite: str
    records: tuple[Record, ...]
    left_out: tuple[str, ...]
    probes: tuple[ProbeRecord, ...] = ()
    lost: Mapping[RunKey, str] = field(default_factory=dict)
    """The runs that have no record here because their file is left out, and why."""
    lost_probes: Mapping[ProbeKey, str] = field(default_factory=dict)
    """The same of probes."""
    alike: tuple[str, ...] = ()
    """A phrase on the seeds of each method that have every number in common, as `mini-m2d2 SAM seeds 1, 3`, and on
    methods that have, as `mini-m2d2 SAM and ASAM in every seed`."""
    root: Path | None = None
    """The folder of suites that they were loaded from."""

    @property
    def option(self) -> str:
        """What tells a command that makes more of them where they are; empty where it looks by itself."""
        if self.root is None or self.root.resolve() == DEFAULT.resolve():
            return ""
        return f" --results {shlex.quote(str(self.root))}"

    @property
    def doubt(self) -> str | None:
        """One line on all of them, which are counted all the same; None where there are none."""
        if not self.alike:
            return None
        return (
            f"the same numbers to the last digit: {'; '.join(self.alike)}. A seed was not used, or a record is a copy "
            "under another name: intervals and tests take them for runs of their own."
        )

    def remarks(self, benchmarks: Collection[str] = ()) -> tuple[str, ...]:
        """What is to be read beside the numbers of these benchmarks, all if none is named: what is in doubt, and of
        what nothing is there because its files are left out."""
        there = {record.benchmark for record in self.records}
        lost = Counter(benchmark for benchmark, _, _ in self.lost if not benchmarks or benchmark in benchmarks)
        return (
            *([f"{self.doubt[0].upper()}{self.doubt[1:]}"] if self.doubt else []),
            *(
                f"Nothing of {benchmark}: all its records are left out ({count} {'file' if count == 1 else 'files'})."
                for benchmark, count in lost.items()
                if benchmark not in there
            ),
        )


def load(folder: Path, with_curves: bool = True) -> Results:
    """The results below `folder`, a suite's folder. Raises ResultsError where there is no suite to be had.

    A bad curve is named only with `with_curves`: whatever uses no curve need not look through them.
    """
    if folder.is_file():
        raise ResultsError(f"{folder} is a file: name the folder of a suite's records.")
    if not folder.is_dir():
        raise ResultsError(f"no folder {folder}: {_nearest(folder)}`make reproduce` makes results.")
    if folder.resolve().name == PUBLISHED and any(folder.glob("table_*.tsv")):
        return Results(PUBLISHED, (), ())
    tree = read_tree(folder, with_curves=with_curves)
    suites = sorted({record.suite for record in tree.records} | {record.suite for record in tree.probes})
    if len(suites) > 1:
        raise ResultsError(
            f"{folder} holds the suites {', '.join(suites)}: name one, as --results {folder / suites[0]}"
        )
    if not suites and not tree.problems:
        raise ResultsError(f"no records below {folder}. Run `make reproduce` first, or name a suite's folder.")
    suite = suites[0] if suites else folder.name
    root = tree.root or _root(folder, suite)
    return Results(suite, tree.records, tree.problems, tree.probes, *_lost(tree, folder), _alike(tree), root)


def from_there(text: str, folder: Path) -> str:
    """`text` with the paths below `folder` as they are from there: the same wherever the tree lies."""
    for name in {f"{folder.resolve()}/", f"{folder}/"} - {"./"}:
        text = text.removeprefix(name).replace(f" {name}", " ")
    return text


def _lost(tree: Tree, folder: Path) -> tuple[dict[RunKey, str], dict[ProbeKey, str]]:
    """By the path of each file that is left out, the first sentence on it; what has a valid copy is not lost."""
    runs: dict[RunKey, str] = {}
    probes: dict[ProbeKey, str] = {}
    for path, problem in tree.wrong.items():
        why = f"{LEFT_OUT}: {from_there(problem.partition('. ')[0], folder)}"
        if found := _PLACE.search(path.as_posix()):
            benchmark, method, seed, probe = found.groups()
            if probe:
                probes[benchmark, method, int(seed), probe] = why
            else:
                runs[benchmark, method, int(seed)] = why
    there = {(record.benchmark, record.method, record.seed) for record in tree.records}
    probed = {(record.benchmark, record.method, record.seed, record.probe) for record in tree.probes}
    return (
        {run: why for run, why in runs.items() if run not in there},
        {probe: why for probe, why in probes.items() if probe not in probed},
    )


def _root(folder: Path, suite: str) -> Path:
    """Without records of runs, the folder of suites that `folder` is, or else lies in."""
    if folder.name == suite:
        return folder.parent
    return folder.resolve().parent if folder.resolve().name == suite else folder


def _alike(tree: Tree) -> tuple[str, ...]:
    groups = ((*paths[0].parts[-3:-1], [path.stem.removeprefix("seed-") for path in paths]) for paths in tree.alike)
    seeds = (f"{benchmark} {method} seeds {', '.join(seeds)}" for benchmark, method, seeds in groups)
    names = dict.fromkeys((paths[0].parts[-3], tuple(path.parts[-2] for path in paths)) for paths in tree.twins)
    methods = (f"{benchmark} {' and '.join(methods)} in every seed" for benchmark, methods in names)
    return (*seeds, *methods)


def _nearest(folder: Path) -> str:
    siblings = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
    name = near(folder.name, siblings)
    return f"did you mean {folder.parent / name}? " if name else ""
