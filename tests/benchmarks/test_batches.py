"""Which examples each process is given, and what an augmented set is asked for."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset, default_collate

from benchmarks.batches import batch_items, training_batches
from benchmarks.processes import Processes
from tests.benchmarks.tiny_tasks import points

CPU = torch.device("cpu")


class Asked(Dataset[Any]):
    """Gives the number that it is asked for."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, item: int) -> dict[str, int]:
        return {"item": item}


def seen(augmented: bool, processes: Processes, loaders: int = 0) -> tuple[list[list[int]], list[list[int]]]:
    """The indices and the items of five batches of two of six examples: two epochs, all but a batch."""
    task = replace(points(0), train=Asked(), collate=default_collate, augmented=augmented)
    items = batch_items(6, 2, 5, seed=1)
    batches = list(training_batches(task, task.train, items, processes, CPU, loaders))
    return [indices for indices, _ in batches], [batch["item"].tolist() for _, batch in batches]


@pytest.mark.parametrize("loaders", [0, 2])
def test_an_augmented_set_is_told_the_epoch_and_another_only_the_example(loaders: int) -> None:
    indices, items = seen(augmented=False, processes=Processes(), loaders=loaders)
    assert items == indices
    again, numbered = seen(augmented=True, processes=Processes(), loaders=loaders)
    assert again == indices
    epochs = [0, 0, 0, 1, 1]
    assert numbered == [[6 * epoch + index for index in batch] for epoch, batch in zip(epochs, indices, strict=True)]


def test_processes_share_every_batch_and_no_example_is_seen_twice() -> None:
    whole, _ = seen(augmented=False, processes=Processes())
    parts = [seen(augmented=False, processes=Processes(rank, 2))[1] for rank in range(2)]
    for batch, first, second in zip(whole, *parts, strict=True):
        assert (len(first), len(second)) == (1, 1)
        assert sorted(first + second) == sorted(batch)
