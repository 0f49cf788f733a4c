"""epsilon-sharpness: how far the loss rises within a small box around the weights (Keskar et al. 2017, Eq. 11)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch
from torch import Tensor

from benchmarks.probes.examples import Batches, loss_and_count, mean_nll, test_sets
from benchmarks.probes.probe import Measured, Work, restored
from benchmarks.probes.trained import Trained
from benchmarks.task import Batch, Task

Box = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Sharpness:
    """100 (L1 - L0) / (1 + L0): L0 the loss at the weights w, L1 after one pass of projected gradient ascent.

    The ascent takes a step of `lr` along the sum of the gradients of `accumulation` batches of `batch_size`, and puts
    every weight back into its box, |w' - w| <= epsilon (|w| + 1), or epsilon |w + 1| for the box `connectivity`, in
    which a weight of -1 cannot move. `dropout` is on in the ascent only. `leftover`: whether the last batches make a
    step though they are fewer than `accumulation`. Of every domain `examples` are taken, `blocks` where they are blocks
    of text, all if None.
    """

    epsilon: float = 1e-5
    lr: float = 8e-5
    batch_size: int = 32
    accumulation: int = 4
    box: Literal["keskar", "connectivity"] = "keskar"
    dropout: bool = False
    leftover: bool = True
    examples: int | None = None
    blocks: int | None = None
    seed: int = 0

    def measure(self, model: Trained, work: Work) -> Measured:
        metrics: dict[str, float] = {}
        sets = test_sets(model.task, self.examples if model.row.metric == "accuracy" else self.blocks)
        for done, (domain, examples) in enumerate(sets.items()):
            work.report("sharpness", done, len(sets))
            climbed = Batches(model.task, examples, self.batch_size)
            sharpness, at_edge = self.of(model.task, climbed, Batches(model.task, examples, model.batch_size))
            metrics[f"test/sharpness/{domain}"] = sharpness
            metrics[f"test/weights-at-edge/{domain}"] = at_edge
        return Measured(metrics)

    def of(self, task: Task, climbed: Iterable[Batch], scored: Iterable[Batch]) -> tuple[float, float]:
        """The sharpness, and the percentage of weights that the ascent brought to the edge of their box.

        The ascent goes through `climbed`, and the losses are over `scored`: the same examples in batches that need no
        gradient. The model is left as it was.
        """
        with restored(task.model):
            before = mean_nll(task, scored)
            at_edge = self._ascend(task, climbed)
            after = mean_nll(task, scored)
        return 100 * (after - before) / (1 + before), at_edge

    def _ascend(self, task: Task, data: Iterable[Batch]) -> float:
        params = [param for param in task.model.parameters() if param.requires_grad]
        boxes = [self._box(param.detach()) for param in params]
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            task.model.train(self.dropout)
            for group in grouped(data, self.accumulation):
                if len(group) == self.accumulation or self.leftover:
                    step(task, group, params, boxes, self.lr)
        task.model.eval()
        edges = sum(
            int(((param <= low) | (param >= high)).sum()) for param, (low, high) in zip(params, boxes, strict=True)
        )
        return 100 * edges / sum(param.numel() for param in params)

    def _box(self, weight: Tensor) -> Box:
        half = self.epsilon * (weight.abs() + 1 if self.box == "keskar" else (weight + 1).abs())
        return weight - half, weight + half


def grouped(data: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of `size` batches, the last of what is left."""
    iterator = iter(data)
    while group := list(islice(iterator, size)):
        yield group


def step(task: Task, group: list[Batch], params: list[torch.nn.Parameter], boxes: list[Box], lr: float) -> None:
    """w <- the point of the box next to w + lr (the sum of the gradients of the mean losses of `group`)."""
    sums = [torch.zeros_like(param) for param in params]
    for batch in group:
        loss, _ = loss_and_count(task, batch)
        gradients = torch.autograd.grad(loss, params, allow_unused=True)
        for total, gradient in zip(sums, gradients, strict=True):
            if gradient is not None:
                total += gradient
    with torch.no_grad():
        for param, total, (low, high) in zip(params, sums, boxes, strict=True):
            param.add_(total, alpha=lr).clamp_(low, high)
