"""The geometry of the ascent step: which direction raises the loss most within a ball of radius r.

Every geometry is one formula, epsilon = r * dual / sqrt(<g, dual>), and one `dual` of the gradient g:

    Euclidean (SAM)          dual = g
    Adaptive (ASAM, Eq. 2)   dual = theta^2 g
    Fisher (FSAM, Eq. 8)     dual = g / (1 + eta f),  f = g^2

epsilon maximises <g, epsilon> on the sphere of radius r in the geometry's own metric, in which its norm is exactly r.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tram._checks import as_floats, is_number


@dataclass(frozen=True)
class Euclidean:
    """The ball |epsilon|_2 <= r of SAM (Foret et al., 2021)."""


@dataclass(frozen=True)
class Adaptive:
    """The ball |epsilon / (|theta| + eta)|_2 <= r of ASAM (Kwon et al., 2021; Eqs. 2 and 7 of the paper have eta = 0).

    `scale_vectors=False` leaves parameters of one dimension or less (biases, norms) Euclidean, as the code of ASAM's
    authors does with biases; it goes by names, and scales the weights of norms. With eta = 0, a parameter that is
    exactly zero is never perturbed.
    """

    eta: float = 0.0
    scale_vectors: bool = True

    def __post_init__(self) -> None:
        if not is_number(self.eta) or self.eta < 0:
            raise ValueError(f"Adaptive needs eta >= 0: {self.eta}")
        as_floats(self, "eta")


@dataclass(frozen=True)
class Fisher:
    """The ball <epsilon, (1 + eta f) epsilon> <= r^2 of Fisher SAM (Kim et al., 2022), f = g^2 the diagonal Fisher
    information of the batch (Eqs. 8 and 9)."""

    eta: float = 0.1

    def __post_init__(self) -> None:
        if not is_number(self.eta) or self.eta < 0:
            raise ValueError(f"Fisher needs eta >= 0: {self.eta}")
        as_floats(self, "eta")


@dataclass(frozen=True)
class Released:
    """What the TRAM authors' published code does instead of Eq. 7: the gradient's direction is lost.

    epsilon = r * theta^2 / (| |theta| g |_2 + 1e-12), or r / (|g|_2 + 1e-12) where not `adaptive`: the same for g and
    for -g. Kept so that the difference can be measured, not for use.
    """

    adaptive: bool = True


Geometry = Euclidean | Adaptive | Fisher | Released


def dual_and_norms(
    geometry: Geometry, params: list[Tensor], grads: list[Tensor], fisher: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """The dual of the gradient, and a norm of each tensor whose squares add up to <g, dual>.

    The lists hold tensors of equal shapes, on one device and of one dtype; `fisher` holds the gradient whose square
    is f, mostly `grads` itself. The tensors of `grads` may be overwritten.
    """
    if isinstance(geometry, Euclidean):
        return grads, norms_of(grads)
    if isinstance(geometry, Adaptive):
        scales = _adaptive_scales(geometry, params)
        torch._foreach_mul_(grads, scales)
        norms = norms_of(grads)
        torch._foreach_mul_(grads, scales)
        return grads, norms
    if isinstance(geometry, Fisher):
        metric = list(torch._foreach_mul(fisher, fisher))
        torch._foreach_mul_(metric, geometry.eta)
        torch._foreach_add_(metric, 1.0)
        # <g, g / m> = |g / sqrt(m)|^2 is a sum of squares: never negative, whatever the rounding.
        norms = norms_of(list(torch._foreach_div(grads, torch._foreach_sqrt(metric))))
        torch._foreach_div_(grads, metric)
        return grads, norms
    if geometry.adaptive:
        torch._foreach_mul_(grads, params)
        return list(torch._foreach_mul(params, params)), norms_of(grads)
    return [torch.ones_like(param) for param in params], norms_of(grads)


def _adaptive_scales(geometry: Adaptive, params: list[Tensor]) -> list[Tensor]:
    """|theta| + eta, or theta itself where its sign cannot matter: it only ever enters squared."""
    if geometry.eta == 0 and geometry.scale_vectors:
        return params
    scales = list(torch._foreach_abs(params))
    torch._foreach_add_(scales, geometry.eta)
    if not geometry.scale_vectors:
        scales = [scale if scale.dim() > 1 else torch.ones_like(scale) for scale in scales]
    return scales


def norms_of(tensors: list[Tensor]) -> list[Tensor]:
    """The Euclidean norm of each tensor, in float32 at least."""
    dtype = torch.promote_types(tensors[0].dtype, torch.float32)
    return list(torch._foreach_norm(tensors, 2, dtype=dtype))
