"""What every cell trains: a classifier of 75 weights, in the form that every framework takes."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.conformance.cells import Cell
from tests.problems import split

Batch = dict[str, Tensor]

STEPS, STOP = 3, 2
"""How many steps a cell trains, and after which one a resumed cell is stopped."""

SEED, EXAMPLES, FEATURES, CLASSES = 3, 16, 5, 3
LEARNING_RATE, MOMENTUM, MAX_NORM = 0.5, 0.9, 0.3
GAIN = 4.0
"""Between noise on the embedding and the activation: it makes noise of the methods' size matter."""
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Classifier(nn.Module):
    """Two layers; called with a batch's entries by name it returns loss and logits, as models of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(FEATURES, 8)
        self.head = nn.Linear(8, CLASSES)

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.head(torch.tanh(GAIN * self.embedding(x)))
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


def dtype_of(precision: str) -> torch.dtype:
    """Of the weights: autocast is for float32; without it float64 tells rounding from errors."""
    return torch.float64 if precision == "full" else torch.float32


def make_model(precision: str, seed: int = 7) -> Classifier:
    """The same weights for the same seed, whatever the precision."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Classifier()
        with torch.no_grad():
            for param in model.parameters():
                param.copy_(0.7 * torch.randn(param.shape))
            model.embedding.weight /= GAIN
    return model.to(dtype_of(precision))


def make_optimizer(method: str, model: nn.Module) -> torch.optim.Optimizer:
    """Adam for the method that is called so, and for all others momentum SGD."""
    optimizer, options = base_optimizer(method)
    return optimizer(model.parameters(), **options)


def base_optimizer(method: str) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    if method == "Adam":
        return torch.optim.Adam, {"lr": 0.1 * LEARNING_RATE}
    return torch.optim.SGD, {"lr": LEARNING_RATE, "momentum": MOMENTUM}


def make_scaler(precision: str) -> torch.amp.GradScaler | None:
    return torch.amp.GradScaler("cpu", init_scale=2.0**10) if precision == "fp16" else None


def whole_batches(precision: str) -> list[Batch]:
    """One batch per step, for all processes together."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        return [
            {
                "x": torch.randn(EXAMPLES, FEATURES).to(dtype_of(precision)),
                "labels": torch.randint(CLASSES, (EXAMPLES,)),
            }
            for _ in range(STEPS)
        ]


def parts(cell: Cell, rank: int) -> list[list[Batch]]:
    """A process's micro-batches, step by step: consecutive parts of each whole batch."""
    count = cell.micro_batches
    return [
        split(batch, cell.processes * count)[rank * count : (rank + 1) * count]
        for batch in whole_batches(cell.precision)
    ]


def examples_in_turn(cell: Cell) -> list[Batch]:
    """The examples in an order in which loaders that deal batches to processes in turn give each process its parts."""
    everyone = [parts(cell, rank) for rank in range(cell.processes)]
    return [
        {name: values[row] for name, values in everyone[rank][step][index].items()}
        for step in range(STEPS)
        for index in range(cell.micro_batches)
        for rank in range(cell.processes)
        for row in range(rows_of(cell))
    ]


def rows_of(cell: Cell) -> int:
    """How many examples a micro-batch has."""
    return EXAMPLES // (cell.processes * cell.micro_batches)
