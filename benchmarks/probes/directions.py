"""Weights as points of a line or a plane: theta = origin + a direction + b other direction."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.errors import RunError

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Affine:
    """A line or a plane through `origin`. Directions are float64, and only of tensors that hold real numbers."""

    origin: Weights
    directions: tuple[Weights, ...]

    def at(self, place: Sequence[float]) -> Weights:
        """The weights at these coordinates, rounded once, to the dtype of the origin."""
        return {name: self._at(name, tensor, place) for name, tensor in self.origin.items()}

    def _at(self, name: str, tensor: Tensor, place: Sequence[float]) -> Tensor:
        moved = tensor.double()
        for coordinate, direction in zip(place, self.directions, strict=True):
            if name in direction:
                moved = moved + coordinate * direction[name]
        return moved.to(tensor.dtype) if tensor.is_floating_point() else tensor


def difference(end: Weights, start: Weights) -> Weights:
    """end - start, in float64; running statistics too, but not counters."""
    return {name: tensor.double() - start[name].double() for name, tensor in end.items() if tensor.is_floating_point()}


def inner(one: Weights, other: Weights) -> float:
    return float(torch.stack([(one[name] * other[name]).sum() for name in one]).sum())


def plane_through(origin: Weights, one: Weights, other: Weights) -> tuple[Affine, tuple[float, float]]:
    """The plane of three solutions, with an orthogonal basis of two directions of equal length, and where `other` is.

    The first direction leads from `origin` to `one`, which is at (1, 0). Raises RunError if the three are on a line.
    """
    first = difference(one, origin)
    way = difference(other, origin)
    length = inner(first, first) ** 0.5
    along = inner(way, first) / length**2 if length else 0.0
    rest = {name: way[name] - along * first[name] for name in way}
    height = inner(rest, rest) ** 0.5
    if not length or height < 1e-6 * length:
        raise RunError("the three solutions lie on one line, and there is no plane through them")
    second = {name: part * (length / height) for name, part in rest.items()}
    return Affine(origin, (first, second)), (along, height / length)


def filter_normalised(weights: Weights, parameters: Sequence[str], seed: int) -> Weights:
    """A random direction, every filter of which is as long as that filter of the weights (Li et al. 2018).

    A filter is what one index of the first dimension has: a row of a matrix, a kernel of a convolution, an embedding.
    Biases and the weights of normalisations do not move. The same seed draws the same numbers for all models of one
    architecture.
    """
    generator = torch.Generator().manual_seed(seed)
    direction = {}
    for name in parameters:
        weight = weights[name].double()
        drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(weight.device)
        if weight.dim() > 1:
            lengths, wanted = _filter_norms(drawn), _filter_norms(weight)
            direction[name] = drawn * (wanted / lengths)
    return direction


def _filter_norms(tensor: Tensor) -> Tensor:
    return tensor.flatten(1).norm(dim=1).view(-1, *[1] * (tensor.dim() - 1))
