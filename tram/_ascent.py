"""The ascent: theta <- theta + epsilon over lists of tensors, decided wholly on the device."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from tram._weights import alike, in_parts
from tram.geometry import Euclidean, Geometry, dual_and_norms, norms_of


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
    moves: list[tuple[list[Tensor], list[Tensor]]] = []
    squares: list[Tensor] = []
    lengths: list[Tensor] = []
    for group in alike(params, grads):
        norms: list[Tensor] = []
        norms_of_dual: list[Tensor] = []
        for part in _parts(*([tensors[index] for index in group] for tensors in (params, grads, fisher))):
            dual, found = dual_and_norms(geometry, *part)
            moves.append((part[0], dual))
            norms += found
            # The Euclidean dual is the gradient, whose norms are known.
            norms_of_dual += found if isinstance(geometry, Euclidean) else norms_of(dual)
        squares.append(_sum_of_squares(norms).to(device))
        lengths.append(_sum_of_squares(norms_of_dual).to(device))
    norm = sum_over_shards(torch.stack(squares).sum()).sqrt()
    length = norm if isinstance(geometry, Euclidean) else sum_over_shards(torch.stack(lengths).sum()).sqrt()
    radius = radius.to(device)
    sound = radius.isfinite() & norm.isfinite() & (radius > 0) & (norm > 0)
    scale = torch.where(sound, radius / norm, 0.0)
    for moved, dual in moves:
        _add_(moved, dual, scale.to(dual[0].device), sound.to(dual[0].device))
    return Ascended(norm, torch.where(sound, scale * length, 0.0), ~sound)


def _sum_of_squares(norms: list[Tensor]) -> Tensor:
    return torch.stack(norms).square().sum()


def _add_(params: list[Tensor], epsilon: list[Tensor], scale: Tensor, sound: Tensor) -> None:
    """params += scale * epsilon where `sound`, else nothing; `epsilon` is overwritten.

    A gradient that is not finite must not reach the weights, and 0 times it is not 0: but 0 times its bits is.
    """
    bits = _BITS[epsilon[0].element_size()]
    torch._foreach_mul_([tensor.view(bits) for tensor in epsilon], sound.to(bits))
    torch._foreach_mul_(epsilon, scale)
    torch._foreach_add_(params, epsilon)


_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}

_CACHED_ELEMENTS = 1 << 19
"""Of a weight, its gradient and what is made of them, as many as the cache of a CPU holds.

The norm of a larger tensor is put together of its pieces', which rounds otherwise: another number, other last bits.
"""


def _parts(*lists: list[Tensor]) -> Iterator[list[list[Tensor]]]:
    """What to go through at a time: all tensors with one kernel on a GPU, some of them or some rows of one on a CPU."""
    if lists[0][0].device.type != "cpu":
        yield list(lists)
        return
    part: list[list[Tensor]] = [[] for _ in lists]
    elements = 0
    for tensors in zip(*lists, strict=True):
        for pieces in zip(*(in_parts(tensor, _CACHED_ELEMENTS) for tensor in tensors), strict=True):
            if part[0] and elements + pieces[0].numel() > _CACHED_ELEMENTS:
                yield part
                part, elements = [[] for _ in lists], 0
            for members, piece in zip(part, pieces, strict=True):
                members.append(piece)
            elements += pieces[0].numel()
    yield part
