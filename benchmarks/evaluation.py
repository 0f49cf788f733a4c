"""Scoring a model on whole sets of examples: nll in nats, accuracy in percent, perplexity."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.batches import loading, moved
from benchmarks.execution import Execution
from benchmarks.row import Metric
from benchmarks.task import Batch, Report, Task


@dataclass(frozen=True)
class Score:
    """Over all predictions of a set: their mean negative log-likelihood, and percent correct where there are labels."""

    nll: float
    accuracy: float | None

    @property
    def perplexity(self) -> float:
        """exp(nll), infinite where a float cannot hold it."""
        return math.exp(self.nll) if self.nll < math.log(torch.finfo(torch.float64).max) else math.inf


def evaluate(
    task: Task, metric: Metric, batch_size: int, report: Report, execution: Execution = Execution()
) -> dict[str, float]:
    """Score the model on the validation set and on every domain's test set.

    Returns metrics keyed `split/metric/domain`, `nll` and `metric` for each.
    """
    train_domain = next(iter(task.test))
    sets = [("validation", train_domain, task.validation)] if task.validation is not None else []
    sets += [("test", domain, examples) for domain, examples in task.test.items()]
    metrics: dict[str, float] = {}
    for done, (split, domain, examples) in enumerate(sets, start=1):
        found = score(task, examples, batch_size, execution)
        metrics[f"{split}/nll/{domain}"] = found.nll
        if metric == "perplexity":
            metrics[f"{split}/perplexity/{domain}"] = found.perplexity
        elif found.accuracy is not None:
            metrics[f"{split}/accuracy/{domain}"] = found.accuracy
        else:
            raise ValueError(f"accuracy needs batches with labels, and those of domain {domain!r} have none")
        report("evaluate", done, len(sets))
    return metrics


@torch.no_grad()
def score(task: Task, examples: Dataset[Any], batch_size: int, execution: Execution = Execution()) -> Score:
    """Score `task.model` on all of `examples`, in evaluation mode; modes and random numbers stay as they were."""
    device = next(task.model.parameters()).device
    losses: list[Tensor] = []
    predictions: list[Tensor | int] = []
    correct: list[Tensor] = []
    with evaluation_mode(task.model):
        for batch, counted in _shared_batches(task, examples, batch_size, execution, device):
            loss, logits, *mask = task.forward(task.model, batch)
            losses.append(loss)
            predictions.append((mask[0].sum() if mask else logits[..., 0].numel()) * counted)
            if "labels" in batch and batch["labels"].shape == logits.shape[:-1]:
                correct.append((logits.argmax(-1) == batch["labels"]).sum() * counted)
    counts = [int(count) for count in predictions]
    # A batch without predictions has no mean: NaN times 0 would not be 0.
    total = math.fsum(float(loss) * count for loss, count in zip(losses, counts, strict=True) if count)
    hits = sum(int(found) for found in correct)
    total, predicted, hits = _summed(execution, total, sum(counts), hits)
    if not predicted:
        raise ValueError("there is nothing to score: the set makes no prediction")
    return Score(total / predicted, 100 * hits / predicted if correct else None)


def _shared_batches(
    task: Task, examples: Dataset[Any], batch_size: int, execution: Execution, device: torch.device
) -> Iterator[tuple[Batch, int]]:
    """This process's batches of `examples`, each with 1, or 0 for one that only keeps the processes in step.

    Every process gets equally many: the forward of a sharded model takes all of them.
    """
    rank, processes = execution.processes.rank, execution.processes.count
    size = len(cast(Any, examples))
    starts = list(range(0, size, batch_size))
    mine = [(start, 1) for start in starts[rank::processes]]
    mine += [(starts[0], 0)] * (-(-len(starts) // processes) - len(mine))
    order = [list(range(start, min(start + batch_size, size))) for start, _ in mine]
    loader = DataLoader(examples, batch_sampler=order, collate_fn=task.collate, **loading(device, execution.loaders))
    for batch, (_, counts) in zip(loader, mine, strict=True):
        yield moved(batch, device), counts


def _summed(execution: Execution, total: float, predicted: int, hits: int) -> tuple[float, int, int]:
    if not execution.processes.are_many:
        return total, predicted, hits
    sums = torch.tensor([total, predicted, hits], dtype=torch.float64)
    dist.all_reduce(sums)
    return float(sums[0]), int(sums[1]), int(sums[2])


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode; afterwards each is back in the mode that it had."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
