"""Lists of parameters: found, copied, swapped and moved in place, never by replacing their storage."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def trainable(model: nn.Module) -> dict[str, Tensor]:
    """Every trainable parameter once, by its first name in the unwrapped model: a tied weight is one parameter."""
    return {name: param for name, param in _unwrapped(model).named_parameters() if param.requires_grad}


def _unwrapped(model: nn.Module) -> nn.Module:
    """The model without data parallelism and torch.compile, which would prefix the names of parameters."""
    if isinstance(model, DistributedDataParallel | nn.DataParallel):
        return _unwrapped(model.module)
    inner = getattr(model, "_orig_mod", None)
    return _unwrapped(inner) if isinstance(inner, nn.Module) else model


@torch.no_grad()
def local(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor: its shard of a DTensor, in place, or else the tensor, dense."""
    if hasattr(tensor, "to_local"):
        tensor = tensor.to_local()
    return tensor.to_dense() if tensor.is_sparse else tensor


def copies(params: Sequence[Tensor]) -> list[Tensor]:
    return [param.detach().clone() for param in params]


@torch.no_grad()
def non_finite(grads: list[Tensor]) -> Tensor:
    """1 if any of these is not finite, else 0, on the device of the first: by GradScaler's own test."""
    founds: list[Tensor] = []
    for group in alike(grads, grads):
        members = [grads[index] for index in group]
        device = members[0].device
        found, one = torch.zeros(1, device=device), torch.ones(1, device=device)
        torch._amp_foreach_non_finite_check_and_unscale_(members, found, one)
        founds.append(found.to(grads[0].device))
    return torch.stack(founds).amax() if founds else torch.zeros(())


@contextmanager
def swapped(left: Sequence[Tensor], right: Sequence[Tensor]) -> Iterator[None]:
    """The values of two lists exchanged, and back on leaving, with the largest tensor's worth of temporary memory.

    That is allocated before anything moves: running out of memory leaves every value where it was.
    """
    sizes: dict[tuple[torch.device, torch.dtype], int] = defaultdict(int)
    for tensor in left:
        sizes[tensor.device, tensor.dtype] = max(sizes[tensor.device, tensor.dtype], tensor.numel())
    scratch = {key: torch.empty(size, device=key[0], dtype=key[1]) for key, size in sizes.items()}
    exchanged = 0
    try:
        for one, other in zip(left, right, strict=True):
            _exchange(one, other, scratch)
            exchanged += 1
        yield
    finally:
        for one, other in list(zip(left, right, strict=True))[:exchanged]:
            _exchange(one, other, scratch)


@torch.no_grad()
def _exchange(one: Tensor, other: Tensor, scratch: dict[tuple[torch.device, torch.dtype], Tensor]) -> None:
    held = scratch[one.device, one.dtype][: one.numel()].view(one.shape)
    held.copy_(one)
    one.copy_(other)
    other.copy_(held)


def alike(params: list[Tensor], grads: list[Tensor]) -> list[list[int]]:
    """Indices of tensors that share device and dtypes, as one foreach operation needs them."""
    groups: dict[tuple[torch.device, torch.dtype, torch.dtype], list[int]] = defaultdict(list)
    for index, (param, grad) in enumerate(zip(params, grads, strict=True)):
        groups[param.device, param.dtype, grad.dtype].append(index)
    return list(groups.values())
