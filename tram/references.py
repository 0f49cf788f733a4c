"""What the current model is compared with: itself at past weights, or itself on noisy input."""

from dataclasses import dataclass
from typing import Literal

from tram._checks import as_floats, is_number, one_of

Dropout = Literal["off", "fresh", "shared"]
Distribution = Literal["normal", "uniform"]


@dataclass(frozen=True)
class PastWeights:
    """The model at weights it had before: reference <- lerp(reference, theta, 1 - decay), before each update.

    decay 0 is theta_{t-1}, the previous iterate (Eq. 4); 1 is theta_0, the weights at the first step; 0.999 is the
    moving average of past weights that MESA uses. `dropout` of the reference's forward: `off`; `fresh`, an independent
    mask; `shared`, the mask of the forward that it is compared with.
    """

    decay: float = 0.0
    dropout: Dropout = "off"

    def __post_init__(self) -> None:
        one_of("PastWeights", "dropout", self.dropout, Dropout)
        if not is_number(self.decay) or not 0 <= self.decay <= 1:
            raise ValueError(f"PastWeights needs a decay between 0 (previous step) and 1 (first step): {self.decay}")
        as_floats(self, "decay")


@dataclass(frozen=True)
class NoisyInput:
    """The model on x + z, where z is added to the output of the model's input module, fresh at every step (Eq. 5).

    z ~ Normal(0, std^2), or Uniform(-std, std) where `distribution` says so. `relative` gives std in units of the
    standard deviation of what z is added to, over the whole batch. `dropout` as for `PastWeights`.
    """

    std: float = 0.1
    relative: bool = False
    distribution: Distribution = "normal"
    dropout: Dropout = "fresh"

    def __post_init__(self) -> None:
        one_of("NoisyInput", "dropout", self.dropout, Dropout)
        one_of("NoisyInput", "distribution", self.distribution, Distribution)
        if not is_number(self.std) or self.std < 0:
            raise ValueError(f"NoisyInput needs std >= 0: {self.std}")
        as_floats(self, "std")


Reference = PastWeights | NoisyInput
