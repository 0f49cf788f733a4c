"""Lists of parameters: found, copied, swapped and moved in place, never by replacing their storage."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def trainable(model: nn.Module) -> dict[str, Tensor]:
    """Every trainable parameter once, by its first name: a tied weight is one parameter."""
    return {name: param for name, param in model.named_parameters() if param.requires_grad}


def copies(params: Sequence[Tensor]) -> list[Tensor]:
    return [param.detach().clone() for param in params]


@torch.no_grad()
def swap_(left: Sequence[Tensor], right: Sequence[Tensor]) -> None:
    """Exchange the values of two lists, with one tensor's worth of temporary memory."""
    for one, other in zip(left, right, strict=True):
        held = one.clone()
        one.copy_(other)
        other.copy_(held)


def alike(params: list[Tensor], grads: list[Tensor]) -> list[list[int]]:
    """Indices of tensors that share device and dtypes, as one foreach operation needs them."""
    groups: dict[tuple[torch.device, torch.dtype, torch.dtype], list[int]] = defaultdict(list)
    for index, (param, grad) in enumerate(zip(params, grads, strict=True)):
        groups[param.device, param.dtype, grad.dtype].append(index)
    return list(groups.values())
