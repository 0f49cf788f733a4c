"""The contract between a benchmark and the training loop: a model, its forward, and examples for every domain."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

Batch = dict[str, Tensor]

Outputs = tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor]
"""(loss, logits) or (loss, logits, mask): logits (..., classes); mask, of the shape of logits without the classes, is
True where a prediction counts; loss is the mean negative log-likelihood, in nats, over the predictions that count."""

Forward = Callable[[nn.Module, Batch], Outputs]

Report = Callable[[str, int, int], None]
"""report(stage, done, total): called by long work to tell how far it is."""


def silent(stage: str, done: int, total: int) -> None:
    """The report of work that nobody watches."""


@dataclass(frozen=True)
class TensorExamples(Dataset[Any]):
    """Examples held in memory: every tensor's first dimension counts the examples."""

    tensors: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, index: int) -> Batch:
        return {name: tensor[index] for name, tensor in self.tensors.items()}

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """One gather per field makes the whole batch: `collate` has nothing left to do."""
        chosen = torch.as_tensor(indices)
        return {name: tensor[chosen] for name, tensor in self.tensors.items()}


def already_batched(batch: Batch) -> Batch:
    return batch


@dataclass(frozen=True)
class Task:
    """A benchmark made concrete for one seed.

    `test` maps each domain, as the tables print it, to its examples; the training domain comes first.
    Classification batches carry `labels` (examples,), language-model batches `input_ids` (blocks, tokens).
    `sequence` maps further domains to the examples that are trained on after `train`, one domain after the other.
    `validation` is None where there is no such set; selection then cannot use it. Where `augmented`, `train` is asked
    for item `epoch * len(train) + index`, so that it can change the example anew in every epoch, as a function of that
    number alone. `revisions` names, for the record, what the data and the model were made from (versions, checksums).
    """

    model: nn.Module
    forward: Forward
    train: Dataset[Any]
    validation: Dataset[Any] | None
    test: Mapping[str, Dataset[Any]]
    sequence: Mapping[str, Dataset[Any]] = field(default_factory=dict)
    input_module: nn.Module | None = None
    collate: Callable[[Any], Batch] = already_batched
    augmented: bool = False
    revisions: Mapping[str, str] = field(default_factory=dict)
