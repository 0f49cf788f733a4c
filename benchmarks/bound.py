"""A trust region's scale or maximum that moves during training, by the clock or by the validation set."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scheduled:
    """From `start` to `end` times its value, in a straight line over the steps of training."""

    start: float
    end: float

    def factor(self, step: int, steps: int, validation: Sequence[float]) -> float:
        """What the value is multiplied by at `step`, counted from 1."""
        return self.start + (self.end - self.start) * (step - 1) / max(1, steps - 1)


@dataclass(frozen=True)
class ByValidation:
    """Widened by a factor whenever the validation nll is the lowest so far, and narrowed whenever it is not.

    That is the classic rule for the radius of a trust region, with the validation set as the judge of the model.
    """

    widen: float = 1.5
    narrow: float = 0.5
    least: float = 1e-3
    most: float = 1e3

    def factor(self, step: int, steps: int, validation: Sequence[float]) -> float:
        """What the value is multiplied by after the validation nlls so far."""
        factor = 1.0
        for count, nll in enumerate(validation):
            better = nll < min(validation[:count], default=float("inf"))
            factor = min(self.most, max(self.least, factor * (self.widen if better else self.narrow)))
        return factor


Bound = Scheduled | ByValidation

# From a hundredth, not from 0: a scale is positive.
BOUNDS: dict[str, Bound] = {"rise": Scheduled(0.01, 1.0), "fall": Scheduled(1.0, 0.01), "validation": ByValidation()}
