"""Many tests at once: what is left of each p when all of them could have been lucky."""

from collections.abc import Sequence

from analysis.statistics.interval import checked


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction, in the order given: the k-th smallest of m times m - k + 1, never below the one before it.

    Rejecting those below 0.05 is wrong about any true hypothesis at all with probability 0.05 at most, however the
    tests depend on each other. Raises ValueError for a p that is NaN or outside [0, 1].
    """
    if not p_values:
        return []
    if not all(0 <= p <= 1 for p in checked(p_values)):
        raise ValueError("a p is outside [0, 1]")
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = largest
    return corrected
