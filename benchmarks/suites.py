"""Which runs belong together: suites as rows of data. Nothing here imports torch, so that looking is fast."""

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.record import Run
from benchmarks.registry import BENCHMARKS, PASSES, PLAIN, methods_of


@dataclass(frozen=True)
class Selection:
    """Methods and seeds; a benchmark runs those of the methods that it has."""

    methods: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Suite:
    """Benchmarks, and what is run of them by default and in full."""

    name: str
    title: str
    benchmarks: tuple[str, ...]
    quick: Selection
    full: Selection


_ROWS = (
    Suite(
        name="mini",
        title="the paper's three settings in miniature, on a laptop",
        benchmarks=tuple(name for name, row in BENCHMARKS.items() if row.family.startswith("mini-")),
        quick=Selection((*PLAIN, "SAM", "ASAM", "R3F", "TRAM-prev", "TRAM-x"), seeds=(0,)),
        full=Selection(tuple(PASSES), seeds=(0, 1, 2, 3, 4)),
    ),
)

SUITES: dict[str, Suite] = {row.name: row for row in _ROWS}


def runs_of(suite: str, benchmarks: Iterable[str], selection: Selection) -> list[Run]:
    """The runs of `selection` on `benchmarks`, in the order of the tables."""
    return [
        Run(suite, name, method, seed)
        for name in benchmarks
        for method in methods_of(BENCHMARKS[name])
        if method in selection.methods
        for seed in selection.seeds
    ]


def expected_cost(run: Run) -> float:
    """What a run takes, in plain forward passes over a batch: a backward pass costs about two forward passes."""
    forward, backward = PASSES[run.method]
    return BENCHMARKS[run.benchmark].recipe.steps * (forward + 2 * backward)
