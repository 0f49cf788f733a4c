"""The methods' names in the paper's order; spelled out here because `tram.methods` imports torch."""

from collections.abc import Iterable

from benchmarks.registry import Benchmark

METHODS = (
    "SGD",
    "Adam",
    "SAM",
    "ASAM",
    "FSAM",
    "TRPO",
    "R3F",
    "MESA",
    "ASAM+TRPO",
    "ASAM+R3F",
    "ASAM+MESA",
    "TRAM-prev",
    "TRAM-pre",
    "TRAM-x",
    "TRAM-Fisher",
    "TRAM-x-MMD",
    "TRAM-x-L2",
)
_BASELINES = ("SGD", "Adam")


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The names in the paper's order; those that the paper has not come last, by name."""
    return tuple(sorted(set(names), key=lambda name: (_position(name), name)))


def expected(benchmark: Benchmark) -> tuple[str, ...]:
    """The methods that a full table of `benchmark` has: every one, but of the baselines only its own."""
    baseline = benchmark.recipe.base_optimizer
    return tuple(name for name in METHODS if name == baseline or name not in _BASELINES)


def _position(name: str) -> int:
    return METHODS.index(name) if name in METHODS else len(METHODS)
