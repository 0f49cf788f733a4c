"""Which examples a probe looks at, in batches, and the loss over them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from benchmarks.batches import loading, moved
from benchmarks.task import Batch, Task

ZERO_SHOT_AVERAGE = "ZS Avg"
"""The domain, in metrics and surfaces, of the mean over all domains that training has not seen."""


def evenly(examples: Dataset[Any], count: int | None) -> Dataset[Any]:
    """`count` examples at equal distances, all if there are no more or `count` is None: sets may be sorted."""
    there = len(cast(Any, examples))
    if count is None or count >= there:
        return examples
    return Subset(examples, [index * there // count for index in range(count)])


def test_sets(task: Task, count: int | None) -> dict[str, Dataset[Any]]:
    """Of every domain's test set `count` examples; the training domain comes first."""
    return {domain: evenly(examples, count) for domain, examples in task.test.items()}


@dataclass(frozen=True)
class Batches:
    """All of `examples` in order, on the model's device, as often as they are asked for; the last may be short."""

    task: Task
    examples: Dataset[Any]
    batch_size: int

    def __iter__(self) -> Iterator[Batch]:
        device = next(self.task.model.parameters()).device
        loader = DataLoader(self.examples, self.batch_size, collate_fn=self.task.collate, **loading(device, None))
        return (moved(batch, device) for batch in loader)


def held(task: Task, sets: Mapping[str, Dataset[Any]], batch_size: int) -> dict[str, list[Batch]]:
    """The batches of every set, kept on the model's device: for what goes over them many times."""
    return {name: list(Batches(task, examples, batch_size)) for name, examples in sets.items()}


def loss_and_count(task: Task, batch: Batch) -> tuple[Tensor, Tensor]:
    """The mean nll over the predictions of a batch, and their number."""
    loss, logits, *mask = task.forward(task.model, batch)
    count = mask[0].sum() if mask else torch.tensor(logits[..., 0].numel(), device=loss.device)
    return loss, count


@torch.no_grad()
def mean_nll(task: Task, of: Iterable[Batch]) -> float:
    """Over all predictions of the batches, in nats, added up in float64; NaN or infinite where it is."""
    pairs = [loss_and_count(task, batch) for batch in of]
    losses = torch.stack([loss for loss, _ in pairs]).double()
    counts = torch.stack([count for _, count in pairs]).double()
    return float((losses * counts)[counts > 0].sum() / counts.sum())


def with_zero_shot_average(losses: Mapping[str, float]) -> dict[str, float]:
    """`losses` by domain, the training domain's first, and the mean of the others where there are any."""
    _, *unseen = losses.values()
    return dict(losses) | ({ZERO_SHOT_AVERAGE: sum(unseen) / len(unseen)} if unseen else {})
