"""Tiny problems with known answers, small enough to differentiate by hand or to run a thousand times."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Problem:
    model: nn.Module
    forward: Callable[[Batch], tuple[Any, ...]]
    batches: list[Batch]
    input_module: nn.Module


class Classifier(nn.Module):
    """Three layers; `norm` and `dropout` make it a harder customer."""

    def __init__(self, dropout: float = 0.0, norm: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Linear(5, 8)
        self.norm = nn.BatchNorm1d(8) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(torch.tanh(self.norm(self.embedding(x)))))


class LanguageModel(nn.Module):
    """A bag-of-the-past model whose head is tied to its embedding, as GPT-2's is."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.mix = nn.Linear(6, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        past = self.embedding(tokens).cumsum(1)
        return self.head(torch.tanh(self.mix(past)))


def classification(
    dropout: float = 0.0, norm: bool = False, batches: int = 12, examples: int = 16, dtype: torch.dtype = torch.float64
) -> Problem:
    torch.manual_seed(7)
    model = Classifier(dropout, norm).to(dtype)
    data = [{"x": torch.randn(examples, 5, dtype=dtype), "y": torch.randint(3, (examples,))} for _ in range(batches)]

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        logits = model(batch["x"])
        return F.cross_entropy(logits, batch["y"]), logits

    return Problem(model, forward, data, model.embedding)


def language_modelling(batches: int = 12) -> Problem:
    torch.manual_seed(8)
    model = LanguageModel().double()
    data = [{"tokens": torch.randint(11, (4, 7))} for _ in range(batches)]

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        logits = model(batch["tokens"])[:, :-1]
        return F.cross_entropy(logits.flatten(0, 1), batch["tokens"][:, 1:].flatten()), logits

    return Problem(model, forward, data, model.embedding)


def split(batch: Batch, parts: int) -> list[Batch]:
    """The batch as micro-batches of equal size."""
    pieces = {name: tensor.chunk(parts) for name, tensor in batch.items()}
    return [{name: tensors[index] for name, tensors in pieces.items()} for index in range(parts)]


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: param.detach().clone() for name, param in model.named_parameters()}


def same_bits(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
