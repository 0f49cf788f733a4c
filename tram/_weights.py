"""Lists of parameters: found, copied, swapped and moved in place, never by replacing their storage."""

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def trainable(model: nn.Module) -> dict[str, Tensor]:
    """Every trainable parameter once, by its first name in the unwrapped model: a tied weight is one parameter."""
    return {name: param for name, param in _unwrapped(model).named_parameters() if param.requires_grad}


def refuse_unfit(params: dict[str, Tensor]) -> None:
    """Raise ValueError for parameters that an ascent cannot move: complex ones, and those of 8 bits."""
    for name, param in params.items():
        if param.dtype not in (*_HALF, torch.float32, torch.float64):
            raise ValueError(
                f"{name} is of {param.dtype}, which this method cannot perturb: keep it in float16, bfloat16, float32 "
                "or float64, or freeze it"
            )


def refuse_shared_memory(params: dict[str, Tensor]) -> None:
    """Raise ValueError for two parameters in one memory, which would be moved, exchanged and put back twice."""
    seen: dict[tuple[int, int], str] = {}
    for name, param in params.items():
        held = local(param)
        if held.numel() == 0:
            continue
        # Not its address: fake tensors and those of the meta device have none.
        address = (held.untyped_storage()._cdata, int(held.storage_offset()))
        if address in seen:
            raise ValueError(
                f"{name} and {seen[address]} are two parameters in one memory, which would both be perturbed: tie them "
                "as one, as in model.head.weight = model.embedding.weight, without .data"
            )
        seen[address] = name


def warn_of_rounding(params: dict[str, Tensor]) -> None:
    """Warn of parameters whose last bit is large: what is less than half of it is rounded away when added."""
    halves = [name for name, param in params.items() if param.dtype in _HALF]
    if halves:
        warnings.warn(
            f"{halves[0]} and {len(halves) - 1} more are of {params[halves[0]].dtype}, which rounds away small steps, "
            "as epsilon and those of an average are: keep weights in float32, as by model.float(), and let "
            "torch.autocast or FSDP's mixed precision cast them",
            stacklevel=2,
        )


_HALF = (torch.float16, torch.bfloat16)


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
    """The values of two lists exchanged, and back on leaving, by way of temporary memory: on a CPU as much as its cache
    holds, elsewhere as large as the largest tensor or as an eighth of all.

    That is allocated before anything moves: running out of memory leaves every value where it was. So does an
    interrupt, between whatever copies it comes.
    """
    lots = _lots(left, right)
    there = _Copies(lots)
    back: _Copies | None = None

    def undo() -> None:
        nonlocal back
        back = back or _Copies(there.finish_the_lot_under_way()[::-1])
        back.make()

    try:
        there.make()
        yield
    finally:
        try:
            undo()
        except BaseException:
            undo()  # what an interrupt left of it
            raise


_Lot = tuple[list[Tensor], list[Tensor], list[Tensor]]
"""Tensors of both lists, and as much temporary memory, which the next lot uses again."""

_CACHED_ELEMENTS = 1 << 17
"""As many as the cache of a CPU holds of both sides and what is between them."""


@torch.no_grad()
def _lots(left: Sequence[Tensor], right: Sequence[Tensor]) -> list[_Lot]:
    """Each tensor by itself, a large one in parts, or at most some twenty lots for each device and dtype, however many
    tensors there are."""
    groups: dict[tuple[torch.device, torch.dtype], list[tuple[Tensor, Tensor]]] = defaultdict(list)
    for pair in zip(left, right, strict=True):
        groups[pair[0].device, pair[0].dtype].append(pair)
    lots: list[_Lot] = []
    for (device, dtype), group in groups.items():
        alone = _is_for_one_by_one(device)
        pairs = [rows for pair in group for rows in _at_a_time(*pair)] if alone else group
        sizes = [one.numel() for one, _ in pairs]
        scratch = torch.empty(max(max(sizes), 0 if alone else sum(sizes) // 8), device=device, dtype=dtype)
        begin = len(scratch)
        for pair, size in zip(pairs, sizes, strict=True):
            if alone or begin == len(scratch) or begin + size > len(scratch):
                lots.append(([], [], []))
                begin = 0
            held = scratch[begin : begin + size].view(pair[0].shape)
            for part, tensor in zip(lots[-1], (*pair, held), strict=True):
                part.append(tensor)
            begin += size
    return lots


def _is_for_one_by_one(device: torch.device) -> bool:
    """A CPU, whose cache may hold one tensor: elsewhere it is kernels that cost, and one may copy many tensors."""
    return device.type == "cpu"


def _at_a_time(left: Tensor, right: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(in_parts(left, _CACHED_ELEMENTS), in_parts(right, _CACHED_ELEMENTS), strict=True)


def in_parts(tensor: Tensor, elements: int) -> Sequence[Tensor]:
    """Views of some of its rows each, of at most so many elements unless one row has more."""
    if tensor.numel() <= elements:
        return (tensor,)
    return tensor.split(max(1, elements * len(tensor) // tensor.numel()))


class _Copies:
    """The copies that exchange the sides of lots, three for each, and which of them is being made.

    To make the last of them again changes nothing, so that after an interrupt one may go on with it.
    """

    def __init__(self, lots: Sequence[_Lot]) -> None:
        self._lots = lots
        self._copies = [copy for left, right, held in lots for copy in ((held, left), (left, right), (right, held))]
        self._present = 0

    @torch.no_grad()
    def make(self, end: int | None = None) -> None:
        """Make those before `end`, from the present one on."""
        end = len(self._copies) if end is None else end
        for index in range(self._present, end):
            self._present = index
            torch._foreach_copy_(*self._copies[index])
        self._present = end

    def finish_the_lot_under_way(self) -> Sequence[_Lot]:
        """Exchange all of a lot of which something was; return the lots that are exchanged."""
        exchanged = -(-self._present // 3)
        self.make(3 * exchanged)
        return self._lots[:exchanged]


def alike(params: list[Tensor], grads: list[Tensor]) -> list[list[int]]:
    """Indices of tensors that share device and dtypes, as one foreach operation needs them."""
    groups: dict[tuple[torch.device, torch.dtype, torch.dtype], list[int]] = defaultdict(list)
    for index, (param, grad) in enumerate(zip(params, grads, strict=True)):
        groups[param.device, param.dtype, grad.dtype].append(index)
    return list(groups.values())
