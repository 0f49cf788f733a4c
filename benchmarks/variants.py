"""Methods by name, with settings changed: `TRAM-x@std=0.03`, `TRAM-prev@decay=0.99@maximum=0.5`.

The name of a row of `tram.METHODS`, then settings, each after an `@`, which neither shells nor file systems take amiss.
Nothing here imports torch; whether a method has a setting is found out by `benchmarks.methods`, which does.
"""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.registry import PASSES, PLAIN, ZERO_SHOT
from benchmarks.row import Benchmark

NUMBER = "number"
MOVING = ("rise", "fall", "validation")

SETTINGS: dict[str, tuple[str, ...]] = {
    "std": (NUMBER,),
    "relative": ("true", "false"),
    "decay": (NUMBER,),
    "dropout": ("off", "fresh", "shared"),
    "divergence": ("kl", "reverse-kl", "symmetric-kl", "renyi", "l2", "mmd"),
    "reduction": ("batchmean", "sequence", "released"),
    "scale": (NUMBER, *MOVING),
    "floor": (NUMBER,),
    "maximum": (NUMBER, *MOVING),
    "rho": (NUMBER,),
    "eta": (NUMBER,),
    "penalty": (NUMBER,),
}
"""What can be set, and to what. A scale or a maximum set to a word moves during training: `benchmarks.bound`."""


class UnknownMethodError(ValueError):
    """A name that is not that of a method; the message tells the nearest one."""


@dataclass(frozen=True)
class Variant:
    """A row of `tram.METHODS` by its name, and what is set otherwise."""

    base: str
    settings: Mapping[str, str] = field(default_factory=dict)


def parse(name: str) -> Variant:
    """The variant of that name. Raises UnknownMethodError for a name that is none."""
    base, *parts = name.split("@")
    names = (*PASSES, ZERO_SHOT)
    if base not in names:
        raise UnknownMethodError(f"no method {base!r}; the nearest is {nearest(base, names)!r}")
    settings: dict[str, str] = {}
    for part in parts:
        setting, _, value = part.partition("=")
        if setting not in SETTINGS:
            raise UnknownMethodError(f"{name}: no setting {setting!r}; the nearest is {nearest(setting, SETTINGS)!r}")
        if value == NUMBER or (value not in SETTINGS[setting] and not _is_a_number_here(setting, value)):
            raise UnknownMethodError(f"{name}: {setting} is {_spoken(SETTINGS[setting])}, not {value!r}")
        if setting in settings:
            raise UnknownMethodError(f"{name}: {setting} is set twice")
        settings[setting] = value
    return Variant(base, settings)


def is_own(name: str) -> bool:
    """Whether no row here has the method, with settings or without: one that somebody made of the library's parts."""
    return name.partition("@")[0] not in (*PASSES, ZERO_SHOT)


def passes_of(name: str) -> tuple[int, int]:
    """Forward and backward passes of a step; no setting changes them."""
    base = parse(name).base
    return (0, 0) if base == ZERO_SHOT else PASSES[base]


def runs_on(name: str, benchmark: Benchmark) -> bool:
    """Whether the benchmark has the method: of the plain ones its own, and zero-shot if it needs no new head."""
    base = parse(name).base
    if base == ZERO_SHOT:
        return benchmark.zero_shot_name is not None
    return base not in PLAIN or base == benchmark.recipe.base_optimizer


_SIMILAR = 0.7
"""Twice the letters in common over all letters: above what names with the same first part, as `mini-`, owe to it."""


def near(word: str, words: Iterable[str]) -> str | None:
    """The most similar of the words, for whoever mistyped one; None where none is similar."""
    by_lower = {item.lower(): item for item in words}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=_SIMILAR)
    return by_lower[found[0]] if found else None


def nearest(word: str, words: Iterable[str]) -> str:
    """The most similar of the words, however little that is."""
    by_lower = {item.lower(): item for item in words}
    return by_lower[difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.0)[0]]


def _is_a_number_here(setting: str, value: str) -> bool:
    """One way to write each number, as `0.03`, so that no run has two names."""
    try:
        return NUMBER in SETTINGS[setting] and value == f"{float(value):g}" and math.isfinite(float(value))
    except ValueError:
        return False


def _spoken(choices: tuple[str, ...]) -> str:
    return " or ".join("a number (as 0.1 or 1e-05)" if choice == NUMBER else choice for choice in choices)
