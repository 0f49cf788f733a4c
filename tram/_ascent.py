"""The ascent: theta <- theta + epsilon over lists of tensors, decided wholly on the device."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from tram._weights import alike
from tram.geometry import Euclidean, Geometry, dual_and_square_norm, square_norm


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
    lengths: list[Tensor] = []
    for group in groups:
        dual, square = dual_and_square_norm(geometry, _pick(params, group), _pick(grads, group), _pick(fisher, group))
        duals.append(dual)
        squares.append(square.to(device))
        # The Euclidean dual is the gradient, whose length is known.
        lengths.append(squares[-1] if isinstance(geometry, Euclidean) else square_norm(dual).to(device))
    norm = sum_over_shards(torch.stack(squares).sum()).sqrt()
    length = norm if isinstance(geometry, Euclidean) else sum_over_shards(torch.stack(lengths).sum()).sqrt()
    radius = radius.to(device)
    sound = radius.isfinite() & norm.isfinite() & (radius > 0) & (norm > 0)
    scale = radius / norm
    for group, dual in zip(groups, duals, strict=True):
        _add_(_pick(params, group), dual, scale.to(dual[0].device), sound.to(dual[0].device))
    return Ascended(norm, torch.where(sound, scale * length, 0.0), ~sound)


def _add_(params: list[Tensor], epsilon: list[Tensor], scale: Tensor, sound: Tensor) -> None:
    """params += scale * epsilon where `sound`, else nothing; `epsilon` is overwritten.

    A gradient that is not finite must not reach the weights, and 0 times it is not 0: but 0 times its bits is.
    """
    bits = _BITS[epsilon[0].element_size()]
    kept = sound.to(bits)
    for part in _parts(params):
        torch._foreach_mul_([epsilon[index].view(bits) for index in part], kept)
        torch._foreach_mul_([epsilon[index] for index in part], torch.where(sound, scale, 0.0))
        torch._foreach_add_([params[index] for index in part], [epsilon[index] for index in part])


_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def _parts(tensors: list[Tensor]) -> list[range]:
    """What to go through at a time: all tensors with one kernel on a GPU; on a CPU one, which its cache may hold."""
    if tensors[0].device.type != "cpu":
        return [range(len(tensors))]
    return [range(index, index + 1) for index in range(len(tensors))]


def _pick(tensors: list[Tensor], indices: list[int]) -> list[Tensor]:
    return [tensors[index] for index in indices]
