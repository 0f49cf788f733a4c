"""Scoring a model on whole sets of examples: nll in nats, accuracy in percent, perplexity."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.registry import Metric
from benchmarks.task import Report, Task


@dataclass(frozen=True)
class Score:
    """Over all predictions of a set: their mean negative log-likelihood, and percent correct where there are labels."""

    nll: float
    accuracy: float | None

    @property
    def perplexity(self) -> float:
        """exp(nll), infinite where a float cannot hold it."""
        return math.exp(self.nll) if self.nll < math.log(torch.finfo(torch.float64).max) else math.inf


def evaluate(task: Task, metric: Metric, batch_size: int, report: Report) -> dict[str, float]:
    """Score the model on the validation set and on every domain's test set.

    Returns metrics keyed `split/metric/domain`, `nll` and `metric` for each.
    """
    train_domain = next(iter(task.test))
    sets = [("validation", train_domain, task.validation), *(("test", *item) for item in task.test.items())]
    metrics: dict[str, float] = {}
    for done, (split, domain, examples) in enumerate(sets, start=1):
        found = score(task, examples, batch_size)
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
def score(task: Task, examples: Dataset[Any], batch_size: int) -> Score:
    """Score `task.model` on all of `examples`, in evaluation mode; modes and random numbers stay as they were."""
    device = next(task.model.parameters()).device
    losses: list[Tensor] = []
    predictions: list[Tensor | int] = []
    correct: list[Tensor] = []
    loader = DataLoader(examples, batch_size=batch_size, collate_fn=task.collate, generator=torch.Generator())
    with evaluation_mode(task.model):
        for batch in loader:
            batch = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
            loss, logits, *mask = task.forward(task.model, batch)
            losses.append(loss)
            predictions.append(mask[0].sum() if mask else logits[..., 0].numel())
            if "labels" in batch and batch["labels"].shape == logits.shape[:-1]:
                correct.append((logits.argmax(-1) == batch["labels"]).sum())
    counts = [int(count) for count in predictions]
    if not sum(counts):
        raise ValueError("there is nothing to score: the set makes no prediction")
    # A batch without predictions has no mean: NaN times 0 would not be 0.
    total = math.fsum(float(loss) * count for loss, count in zip(losses, counts, strict=True) if count)
    accuracy = 100 * sum(int(found) for found in correct) / sum(counts) if correct else None
    return Score(total / sum(counts), accuracy)


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
