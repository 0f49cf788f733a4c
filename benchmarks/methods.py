"""From a method's name to its fields: what `tram.TRAM` takes, and how its bound moves during training."""

from dataclasses import dataclass, replace
from typing import cast

from benchmarks.bound import BOUNDS, Bound
from benchmarks.registry import ZERO_SHOT
from benchmarks.variants import MOVING, UnknownMethodError, parse
from tram import L2, METHODS, MMD, Ascent, ForwardKL, Method, NoisyInput, PastWeights, Renyi, ReverseKL, SymmetricKL
from tram.divergences import Divergence, Reduction
from tram.geometry import Adaptive, Fisher
from tram.methods import TrustRegion
from tram.references import Dropout

DIVERGENCES: dict[str, Divergence] = {
    "kl": ForwardKL(),
    "reverse-kl": ReverseKL(),
    "symmetric-kl": SymmetricKL(),
    "renyi": Renyi(),
    "l2": L2(),
    "mmd": MMD(),
}


LARGEST_RADIUS = 0.5
"""What a moving maximum is a share of: the radius of ASAM, which section 3 of the paper has in mind as a cap."""


@dataclass(frozen=True)
class Resolved:
    """A method, and what moves the scale and the maximum of its trust region during training, if anything does."""

    method: Method
    scale: Bound | None = None
    maximum: Bound | None = None


def resolve(name: str) -> Resolved:
    """The method of that name. Raises UnknownMethodError for a setting that the method does not have."""
    variant = parse(name)
    if variant.base == ZERO_SHOT:
        if variant.settings:
            raise UnknownMethodError(f"{name}: {ZERO_SHOT} does not train and has no settings")
        return Resolved(Method())
    resolved = Resolved(METHODS[variant.base])
    for setting, value in variant.settings.items():
        try:
            changed = _set(resolved, setting, value)
        except ValueError as error:
            raise UnknownMethodError(f"{name}: {error}") from error
        if changed is None:
            raise UnknownMethodError(f"{name}: {variant.base} has no {setting} that could be {value}")
        resolved = changed
    return resolved


def _set(resolved: Resolved, setting: str, value: str) -> Resolved | None:
    """With the setting changed; None where there is no such thing to change."""
    if value not in MOVING:
        method = _changed(resolved.method, setting, value)
        return None if method is None else replace(resolved, method=method)
    if not resolved.method.distance_is_radius:
        return None
    if setting == "scale":
        return replace(resolved, scale=BOUNDS[value])
    method = _changed(resolved.method, "maximum", str(LARGEST_RADIUS))
    return None if method is None else replace(resolved, method=method, maximum=BOUNDS[value])


def _changed(method: Method, setting: str, value: str) -> Method | None:
    if setting == "penalty":
        # A penalty of 0, or one where there was none, would change the passes that the method makes.
        return replace(method, penalty=float(value)) if method.penalty > 0 and float(value) > 0 else None
    if setting in ("rho", "eta") or (setting in ("std", "relative") and method.sees_noise_first):
        ascent = None if method.ascent is None else _changed_ascent(method.ascent, setting, value)
        return None if ascent is None else replace(method, ascent=ascent)
    region = None if method.trust_region is None else _changed_region(method.trust_region, setting, value)
    return None if region is None else replace(method, trust_region=region)


def _changed_ascent(ascent: Ascent, setting: str, value: str) -> Ascent | None:
    match setting, ascent.geometry:
        case "rho", _ if ascent.radius != "d":
            return replace(ascent, radius=float(value))
        case "eta", Adaptive() | Fisher() as geometry:
            return replace(ascent, geometry=replace(geometry, eta=float(value)))
        case "std", _:
            return replace(ascent, noise_std=float(value))
        case "relative", _:
            return replace(ascent, noise_relative=value == "true")
    return None


def _changed_region(region: TrustRegion, setting: str, value: str) -> TrustRegion | None:
    match setting, region.reference:
        case "divergence", _:
            return replace(region, divergence=DIVERGENCES[value])
        case "reduction", _:
            return replace(region, reduction=cast(Reduction, value))
        case "scale", _:
            return replace(region, scale=float(value))
        case "floor", _:
            return replace(region, floor=float(value))
        case "maximum", _:
            return replace(region, maximum=float(value))
        case "dropout", PastWeights() | NoisyInput() as reference:
            return replace(region, reference=replace(reference, dropout=cast(Dropout, value)))
        case "decay", PastWeights() as reference:
            return replace(region, reference=replace(reference, decay=float(value)))
        case "std", NoisyInput() as reference:
            return replace(region, reference=replace(reference, std=float(value)))
        case "relative", NoisyInput() as reference:
            return replace(region, reference=replace(reference, relative=value == "true"))
    return None
