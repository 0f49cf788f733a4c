"""Methods in the paper's order."""

import re
from collections.abc import Iterable

from benchmarks.registry import PASSES, ZERO_SHOT

_POSITION = {name: position for position, name in enumerate((ZERO_SHOT, *PASSES))}


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The names in the paper's order, the model before training first; a method with settings stands behind its own,
    by name, numbers by size; those that the paper has not come last, by name."""
    return tuple(sorted(set(names), key=_key))


def _key(name: str) -> tuple[int, list[float | str]]:
    base, _, settings = name.partition("@")
    if base not in _POSITION:
        return len(_POSITION), [name]
    parts = re.split(r"(?<==)(\d[\d.e-]*)", settings)  # text and number in turn, so that like meets like
    return _POSITION[base], [float(part) if index % 2 else part for index, part in enumerate(parts)]
