"""Which examples make which batch: a function of seed and step alone, so that a run can be taken up anywhere."""

import os
from collections.abc import Iterator
from itertools import tee
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.processes import Processes
from benchmarks.task import Batch, Task

LOADERS = 8
"""Loader processes for one GPU, at most. On a CPU the loop loads by itself: another process would take its core."""
PREFETCHED = 4


def batch_items(examples: int, batch_size: int, steps: int, seed: int, first: int = 0) -> Iterator[list[int]]:
    """The items of the batches of steps `first` to `steps` - 1: a permutation of all examples per epoch.

    Item `epoch * examples + index` is the example `index` as that epoch has it. The last short batch of an epoch is
    dropped.
    """
    if examples < batch_size:
        raise ValueError(f"{examples} training examples do not fill a batch of {batch_size}: lower batch_size")
    generator = torch.Generator().manual_seed(seed)
    per_epoch = examples // batch_size
    for epoch in range(-(-steps // per_epoch)):
        order = torch.randperm(examples, generator=generator)
        begin = epoch * per_epoch
        for step in range(max(begin, first), min(begin + per_epoch, steps)):
            start = (step - begin) * batch_size
            yield (epoch * examples + order[start : start + batch_size]).tolist()


def training_batches(
    task: Task,
    data: Dataset[Any],
    items: Iterator[list[int]],
    processes: Processes,
    device: torch.device,
    loaders: int | None = None,
) -> Iterator[tuple[list[int], Batch]]:
    """This process's share of every batch, every `processes.count`-th item of it, with the indices of its examples."""
    examples = len(cast(Any, data))
    shares, asked = tee(share[processes.rank :: processes.count] for share in items)
    order = asked if task.augmented else ([item % examples for item in share] for share in asked)
    loader = DataLoader(data, batch_sampler=order, collate_fn=task.collate, **loading(device, loaders))
    for share, batch in zip(shares, loader, strict=True):
        yield [item % examples for item in share], batch


def loading(device: torch.device, loaders: int | None = None) -> dict[str, Any]:
    """Options of a DataLoader that keeps `device` busy."""
    if loaders is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        loaders = min(LOADERS, cores) if device.type == "cuda" else 0
    return {
        "num_workers": loaders,
        "prefetch_factor": PREFETCHED if loaders else None,
        "pin_memory": device.type == "cuda",
        # Without a generator of its own a loader draws from the global one, which dropout uses.
        "generator": torch.Generator(),
    }


def micro_batches(batch: Batch, count: int) -> list[Batch]:
    """`batch` cut along its first dimension into `count` equal parts."""
    examples = len(next(iter(batch.values())))
    if examples % count:
        raise ValueError(f"a batch of {examples} does not divide into {count} micro-batches")
    pieces = [tensor.split(examples // count) for tensor in batch.values()]
    return [dict(zip(batch, tensors, strict=True)) for tensors in zip(*pieces, strict=True)]


def moved(batch: Batch, device: torch.device) -> Batch:
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
