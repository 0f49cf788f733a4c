"""Tasks with known answers, made in no time."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.row import Benchmark
from benchmarks.task import Batch, Outputs, Report, Task, TensorExamples

EXPLODES_AT = 7


class Points(nn.Module):
    """Points of the plane, embedded, dropped out, classified."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Linear(2, 8)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8, 3)

    def forward(self, points: Tensor) -> Tensor:
        return self.head(self.dropout(torch.tanh(self.embedding(points))))


def examples(count: int, seed: int, shift: float = 0.0) -> TensorExamples:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (count,), generator=generator)
    centres = torch.tensor([[0.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    points = centres[labels] + 0.5 * torch.randn(count, 2, generator=generator) + shift
    return TensorExamples({"points": points, "labels": labels})


def forward(model: nn.Module, batch: Batch) -> Outputs:
    logits = model(batch["points"])
    return F.cross_entropy(logits, batch["labels"]), logits


def prepare(row: Benchmark, report: Report) -> None:
    report("prepare", 1, 1)


def prepare_broken(row: Benchmark, report: Report) -> None:
    raise FileNotFoundError("the data of this family are not there")


def points(seed: int, dropout: float = 0.1) -> Task:
    torch.manual_seed(seed)
    model = Points(dropout)
    return Task(
        model=model,
        forward=forward,
        train=examples(44, seed=1),
        validation=examples(17, seed=2),
        test={"home": examples(33, seed=3), "away": examples(21, seed=4, shift=0.5)},
        input_module=model.embedding,
        revisions={"points": "1"},
    )


unprepared = points


def explodes(seed: int) -> Task:
    """The loss is NaN at step 7 and after."""
    task, steps = points(seed), 0

    def explode(model: nn.Module, batch: Batch) -> Outputs:
        nonlocal steps
        loss, logits = forward(model, batch)
        steps += model.training
        return (loss * float("nan") if steps >= EXPLODES_AT else loss), logits

    return replace(task, forward=explode)


def slow(seed: int) -> Task:
    """Takes its time where TINY_PAUSE says so, and then shows by a file that it has begun to train."""
    pause, sign, calls = float(os.environ.get("TINY_PAUSE", "0")), os.environ.get("TINY_SIGN"), 0

    def wait(model: nn.Module, batch: Batch) -> Outputs:
        nonlocal calls
        calls += 1
        if sign and calls == 10:
            Path(sign).touch()
        time.sleep(pause)
        return forward(model, batch)

    return replace(points(seed), forward=wait)


def still(seed: int) -> Task:
    """Nothing in it is random but the data's order."""
    task, pause = points(seed, dropout=0.0), float(os.environ.get("TINY_PAUSE", "0"))

    def wait(model: nn.Module, batch: Batch) -> Outputs:
        time.sleep(pause)
        return forward(model, batch)

    return replace(task, forward=wait)


def dies(seed: int) -> Task:
    """Is killed as if the memory were full."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def task(row: Benchmark, seed: int) -> Task:
    """The function above that the row is named after."""
    made = {
        "points": points,
        "unprepared": unprepared,
        "explodes": explodes,
        "slow": slow,
        "long": slow,
        "still": still,
        "dies": dies,
    }
    return made[row.name.removeprefix("tiny-")](seed)
