"""The paper's grouping of methods into sections of a table."""

from collections.abc import Callable, Iterable

from analysis.cells import Row
from analysis.methods import in_order
from benchmarks.registry import PLAIN, ZERO_SHOT

COMBINATIONS = ("ASAM+TRPO", "ASAM+R3F", "ASAM+MESA")

_SECTIONS = {
    "Baselines": (ZERO_SHOT, *PLAIN),
    "Sharpness-aware": ("SAM", "ASAM", "FSAM"),
    "Trust region": ("TRPO", "R3F", "MESA"),
    "Combinations": COMBINATIONS,
    "TRAM": ("TRAM-prev", "TRAM-pre", "TRAM-x", "TRAM-Fisher", "TRAM-x-MMD", "TRAM-x-L2"),
}
_OTHER = "Others"


def base_of(method: str) -> str:
    """The method without its settings: `TRAM-x@std=0.03` is TRAM-x."""
    return method.partition("@")[0]


def section_of(method: str) -> str:
    """The section of the method, or of the one that it is with other settings."""
    return next((name for name, bases in _SECTIONS.items() if base_of(method) in bases), _OTHER)


def sectioned(methods: Iterable[str], row: Callable[[str], Row]) -> tuple[tuple[str, ...], tuple[tuple[Row, ...], ...]]:
    """The headings and the sections of a table with a row per method, in the paper's order."""
    sections: dict[str, list[Row]] = {}
    for method in in_order(methods):
        sections.setdefault(section_of(method), []).append(row(method))
    ordered = [name for name in (*_SECTIONS, _OTHER) if name in sections]
    return tuple(ordered), tuple(tuple(sections[name]) for name in ordered)


def trained(method: str) -> bool:
    """Whether it is a method, and not the model before training."""
    return base_of(method) != ZERO_SHOT


def is_combination(method: str) -> bool:
    return base_of(method) in COMBINATIONS
