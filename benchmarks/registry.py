"""Every benchmark by its name, every method with its passes. Nothing here imports a model or reads a file."""

from benchmarks import paper_rows
from benchmarks.mini import rows as mini_rows
from benchmarks.row import Benchmark

BENCHMARKS: dict[str, Benchmark] = {row.name: row for row in (*mini_rows.ROWS, *paper_rows.ROWS)}

PASSES: dict[str, tuple[int, int]] = {
    "SGD": (1, 1),
    "Adam": (1, 1),
    "SAM": (2, 2),
    "ASAM": (2, 2),
    "FSAM": (2, 2),
    "TRPO": (2, 1),
    "R3F": (2, 1),
    "MESA": (2, 1),
    "ASAM+TRPO": (3, 2),
    "ASAM+R3F": (4, 2),
    "ASAM+MESA": (3, 2),
    "TRAM-prev": (3, 2),
    "TRAM-pre": (3, 2),
    "TRAM-x": (3, 2),
    "TRAM-Fisher": (2, 2),
    "TRAM-x-MMD": (3, 2),
    "TRAM-x-L2": (3, 2),
}
"""Forward and backward passes by method: the names and numbers of `tram.METHODS`, which takes torch to read. A test
holds the two together."""

PLAIN = ("SGD", "Adam")
"""The methods that only name a base optimizer: a benchmark runs the one that it trains with."""

ZERO_SHOT = "zero-shot"
"""The model before training, as a run of no steps: for benchmarks whose model needs no new head."""


def methods_of(benchmark: Benchmark) -> tuple[str, ...]:
    """Every method but the plain one of the other base optimizer."""
    return tuple(name for name in PASSES if name not in PLAIN or name == benchmark.recipe.base_optimizer)
