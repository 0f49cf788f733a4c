"""The ascent: theta <- theta + epsilon over lists of tensors, decided wholly on the device."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from tram._weights import alike
from tram.geometry import Geometry, dual_and_square_norm


class Ascended(NamedTuple):
    """What an ascent did: scalars on the device of the first parameter."""

    gradient_norm: Tensor
    perturbation_norm: Tensor
    degenerate: Tensor


@torch.no_grad()
def ascend_(
    geometry: Geometry,
    params: list[Tensor],
    grads: list[Tensor],
    fisher: list[Tensor],
    radius: Tensor,
    sum_over_shards: Callable[[Tensor], Tensor] = lambda total: total,
) -> Ascended:
    """Move `params` by epsilon = radius * dual / sqrt(<g, dual>), one norm over all of them.

    epsilon is 0 where the radius or the norm is 0 or not finite. `grads` are overwritten; `fisher` holds the gradients
    whose squares are the Fisher information, `grads` itself unless they have a pass of their own. Where the tensors are
    shards, `sum_over_shards` makes a sum over them one over the whole tensors.
    """
    device = params[0].device
    groups = alike(params, grads)
    duals: list[list[Tensor]] = []
    squares: list[Tensor] = []
    for group in groups:
        dual, square = dual_and_square_norm(geometry, _pick(params, group), _pick(grads, group), _pick(fisher, group))
        duals.append(dual)
        squares.append(square.to(device))
    norm = sum_over_shards(torch.stack(squares).sum()).sqrt()
    radius = radius.to(device)
    sound = radius.isfinite() & norm.isfinite() & (radius > 0) & (norm > 0)
    lengths: list[Tensor] = []
    for group, epsilon in zip(groups, duals, strict=True):
        torch._foreach_mul_(epsilon, (radius / norm).to(epsilon[0].device))
        for tensor in epsilon:
            # Filled, not multiplied by 0: a gradient that is not finite must not reach the weights.
            tensor.masked_fill_(~sound.to(tensor.device), 0.0)
        torch._foreach_add_(_pick(params, group), epsilon)
        lengths += [length.to(device) for length in _norms(epsilon)]
    return Ascended(norm, sum_over_shards(torch.stack(lengths).square().sum()).sqrt(), ~sound)


def _pick(tensors: list[Tensor], indices: list[int]) -> list[Tensor]:
    return [tensors[index] for index in indices]


def _norms(tensors: list[Tensor]) -> list[Tensor]:
    return list(torch._foreach_norm(tensors, 2, dtype=torch.promote_types(tensors[0].dtype, torch.float32)))
