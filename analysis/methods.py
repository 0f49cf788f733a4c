"""Methods in the paper's order."""

from collections.abc import Iterable

from benchmarks.registry import PASSES

_POSITION = {name: position for position, name in enumerate(PASSES)}


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The names in the paper's order; those that the paper has not come last, by name."""
    return tuple(sorted(set(names), key=lambda name: (_POSITION.get(name, len(_POSITION)), name)))
