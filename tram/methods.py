"""A method is a point in a small space: a trust region that measures d, a penalty on d, an ascent of some radius.

    Method(trust_region, penalty, ascent)
      trust_region   reference in {PastWeights, NoisyInput} x divergence     -> produces d
      penalty        lambda: adds lambda d to the loss                       (one consumer of d)
      ascent         geometry x radius in {a number rho, "d"}                (the other)

`METHODS` holds the paper's methods as rows, under the names of its tables and in their order.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from tram._checks import as_floats, instance_of, is_number, one_of
from tram.divergences import L2, MMD, Divergence, ForwardKL, Reduction
from tram.geometry import Adaptive, Euclidean, Fisher, Geometry
from tram.references import NoisyInput, PastWeights, Reference

FisherGradient = Literal["shared", "separate"]


@dataclass(frozen=True)
class TrustRegion:
    """How the distance d between the reference's predictions and the current ones is measured.

    d = scale * divergence(reference, current), reduced over the batch (see `tram.divergences.distance`), in nats for
    the KL divergences. As a radius, d is clamped to [floor, maximum] (section 3 of the paper allows capping it at rho).
    """

    reference: Reference
    divergence: Divergence = ForwardKL()
    reduction: Reduction = "batchmean"
    scale: float = 1.0
    floor: float = 0.0
    maximum: float | None = None

    def __post_init__(self) -> None:
        instance_of("TrustRegion", "reference", self.reference, Reference)
        instance_of("TrustRegion", "divergence", self.divergence, Divergence)
        one_of("TrustRegion", "reduction", self.reduction, Reduction)
        if isinstance(self.divergence, MMD) and self.reduction == "sequence":
            raise ValueError("MMD compares sets of rows and has no sum over a sequence: use reduction='batchmean'")
        if not is_number(self.scale) or self.scale <= 0:
            raise ValueError(f"TrustRegion needs scale > 0: {self.scale}")
        if not is_number(self.floor) or self.floor < 0:
            raise ValueError(f"TrustRegion needs floor >= 0: {self.floor}")
        if self.maximum is not None and not (is_number(self.maximum) and self.maximum >= self.floor):
            raise ValueError(f"TrustRegion needs maximum to be None or a number >= floor, {self.floor}: {self.maximum}")
        as_floats(self, "scale", "floor", "maximum")


@dataclass(frozen=True)
class Ascent:
    """Where the descent gradient is taken: at theta + epsilon, epsilon of this radius in this geometry.

    `radius` is the number rho, or "d" for the trust region's distance. `noise_std` > 0 lets the ascent see x + z,
    z ~ Normal(0, noise_std^2) on the output of the input module, in units of its standard deviation where
    `noise_relative` says so: TRAM-Fisher. With `fisher_gradient="shared"` one noisy pass supplies both the gradient
    and the Fisher information (2 forward, 2 backward); with "separate" the gradient is taken at x and only the Fisher
    information at x + z, Algorithm 2 of the paper to the letter (3 and 3).
    """

    geometry: Geometry
    radius: float | Literal["d"]
    noise_std: float = 0.0
    noise_relative: bool = False
    fisher_gradient: FisherGradient = "shared"

    def __post_init__(self) -> None:
        instance_of("Ascent", "geometry", self.geometry, Geometry)
        one_of("Ascent", "fisher_gradient", self.fisher_gradient, FisherGradient)
        if self.radius != "d" and not (is_number(self.radius) and self.radius >= 0):
            raise ValueError(f'Ascent needs a radius >= 0, or "d": {self.radius!r}')
        if not is_number(self.noise_std) or self.noise_std < 0:
            raise ValueError(f"Ascent needs noise_std >= 0: {self.noise_std}")
        if self.fisher_gradient == "separate" and not (isinstance(self.geometry, Fisher) and self.noise_std > 0):
            raise ValueError('fisher_gradient="separate" needs the Fisher geometry and noise_std > 0')
        as_floats(self, "radius", "noise_std")


class Passes(NamedTuple):
    """Forward and backward passes over one batch, counted as in Tables 1 and 2 of the paper."""

    forward: int
    backward: int


@dataclass(frozen=True)
class Method:
    """A gradient estimator: `Method()` is the plain gradient of the loss.

    A trust region is present if and only if something consumes its d: a penalty > 0 (lambda), or an ascent whose
    radius is "d".
    """

    trust_region: TrustRegion | None = None
    penalty: float = 0.0
    ascent: Ascent | None = None

    def __post_init__(self) -> None:
        instance_of("Method", "trust_region", self.trust_region, TrustRegion | None)
        instance_of("Method", "ascent", self.ascent, Ascent | None)
        if not is_number(self.penalty) or self.penalty < 0:
            raise ValueError(f"Method needs penalty >= 0: {self.penalty}")
        as_floats(self, "penalty")
        consumed = self.penalty > 0 or self.distance_is_radius
        if consumed and self.trust_region is None:
            raise ValueError('a penalty or the radius "d" needs a trust_region that measures d')
        if self.trust_region is not None and not consumed:
            raise ValueError('nothing consumes the trust_region\'s d: give a penalty > 0 or an ascent of radius "d"')

        if self.sees_noise_first and self.trust_region is not None:
            raise ValueError(
                "an ascent that sees x + z has no clean logits for the trust_region to compare: "
                'leave one out, or use fisher_gradient="separate"'
            )

    @property
    def sees_noise_first(self) -> bool:
        """Whether the first pass itself sees x + z."""
        return self.ascent is not None and self.ascent.noise_std > 0 and self.ascent.fisher_gradient == "shared"

    @property
    def distance_is_radius(self) -> bool:
        return self.ascent is not None and self.ascent.radius == "d"

    @property
    def needs_input_module(self) -> bool:
        """Whether noise is added to the output of the model's input module."""
        noisy_reference = self.trust_region is not None and isinstance(self.trust_region.reference, NoisyInput)
        return noisy_reference or (self.ascent is not None and self.ascent.noise_std > 0)

    @property
    def passes(self) -> Passes:
        """What one batch costs.

        A reference at past weights is one forward without gradient, kept for the second pass. A noisy reference is one
        forward, made again at the perturbed weights where a penalty needs it there.
        """
        loss_passes = 1 if self.ascent is None else 2
        forward = backward = loss_passes
        if self.trust_region is not None:
            again = isinstance(self.trust_region.reference, NoisyInput) and self.penalty > 0
            forward += loss_passes if again else 1
        if self.ascent is not None and self.ascent.fisher_gradient == "separate":
            forward, backward = forward + 1, backward + 1
        return Passes(forward, backward)


_ASAM = Ascent(Adaptive(), radius=0.5)
_TRPO = TrustRegion(PastWeights(decay=0.0))
_MESA = TrustRegion(PastWeights(decay=0.999))
_R3F = TrustRegion(NoisyInput(std=0.1))
_PRE_TRAINED = TrustRegion(PastWeights(decay=1.0))
_BY_DISTANCE = Ascent(Adaptive(), radius="d")

METHODS: dict[str, Method] = {
    "SGD": Method(),
    "Adam": Method(),
    "SAM": Method(ascent=Ascent(Euclidean(), radius=0.05)),
    "ASAM": Method(ascent=_ASAM),
    "FSAM": Method(ascent=Ascent(Fisher(eta=0.1), radius=0.1)),
    "TRPO": Method(_TRPO, penalty=0.1),
    "R3F": Method(_R3F, penalty=0.1),
    "MESA": Method(_MESA, penalty=0.1),
    "ASAM+TRPO": Method(_TRPO, penalty=0.1, ascent=_ASAM),
    "ASAM+R3F": Method(_R3F, penalty=0.1, ascent=_ASAM),
    "ASAM+MESA": Method(_MESA, penalty=0.1, ascent=_ASAM),
    "TRAM-prev": Method(_TRPO, ascent=_BY_DISTANCE),
    "TRAM-pre": Method(_PRE_TRAINED, ascent=_BY_DISTANCE),
    "TRAM-x": Method(_R3F, ascent=_BY_DISTANCE),
    "TRAM-Fisher": Method(ascent=Ascent(Fisher(eta=0.1), radius=0.1, noise_std=0.1)),
    "TRAM-x-MMD": Method(replace(_R3F, divergence=MMD()), ascent=_BY_DISTANCE),
    "TRAM-x-L2": Method(replace(_R3F, divergence=L2()), ascent=_BY_DISTANCE),
}
"""A method that is named after ASAM or TRAM ascends in the adaptive geometry, theta^2 g, but TRAM-Fisher in Fisher's.
For the Euclidean one: Method(METHODS["TRAM-prev"].trust_region, ascent=Ascent(Euclidean(), "d"))."""
