"""A small selection of cells in which every pair of values of two axes occurs."""

from itertools import combinations, product

from tests.conformance.cells import AXES, CELLS, Cell
from tests.conformance.rules import RULES, rule_of

PAIRS = {
    pair: 1 << index
    for index, pair in enumerate(
        (one, value, other, another)
        for one, other in combinations(AXES, 2)
        for value, another in product(AXES[one], AXES[other])
    )
}
"""A bit for every pair of values on two axes."""


def pairs_of(cell: Cell) -> int:
    """The bits of the pairs that the cell has."""
    return sum(PAIRS[one, getattr(cell, one), other, getattr(cell, other)] for one, other in combinations(AXES, 2))


def covering() -> list[int]:
    """Numbers of cells: one for every pair of values, one that has to pass if there is any, and one for every rule."""
    rules = [rule_of(cell) for cell in CELLS]
    chosen = _covering([n for n, rule in enumerate(rules) if rule is None], sum(PAIRS.values()))
    chosen += [rules.index(rule) for rule in RULES]
    missing = sum(PAIRS.values())
    for number in chosen:
        missing &= ~pairs_of(CELLS[number])
    return sorted(chosen + _covering(list(range(len(CELLS))), missing))


def _covering(candidates: list[int], missing: int) -> list[int]:
    """Greedy: each time the first of the candidates with the most pairs that are missing still, while any has one."""
    chosen = []
    pairs = {number: pairs_of(CELLS[number]) for number in candidates}
    while pairs := {number: left for number, bits in pairs.items() if (left := bits & missing)}:
        best = max(pairs, key=lambda number: pairs[number].bit_count())
        missing &= ~pairs[best]
        chosen.append(best)
    return chosen
