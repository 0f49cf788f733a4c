"""Which digits of a difference of scores are good."""

DECIMALS = 12
"""The rest is rounding error."""
NOTHING_LEFT = 1e-9
"""A difference below this is rounding error and no more: scores are multiples of one over the number of examples."""


def measured(number: float) -> float:
    """The number, or 0 where rounding is all that there is of it."""
    return 0.0 if abs(number) < NOTHING_LEFT else number
