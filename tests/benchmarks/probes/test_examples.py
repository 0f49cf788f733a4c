"""Which examples are looked at, and the loss over them."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from benchmarks.evaluation import score
from benchmarks.probes.examples import Batches, evenly, mean_nll, with_zero_shot_average
from benchmarks.task import Batch, Outputs, TensorExamples
from tests.benchmarks import tiny_tasks


def numbers(examples: Dataset[dict[str, torch.Tensor]]) -> list[int]:
    return [int(examples[index]["x"]) for index in range(len(examples))]  # type: ignore[arg-type]


def test_examples_are_taken_from_the_beginning_to_the_end() -> None:
    ten = TensorExamples({"x": torch.arange(10)})
    assert numbers(evenly(ten, 4)) == [0, 2, 5, 7]
    assert numbers(evenly(ten, 1)) == [0]
    for everything in (None, 10, 11):
        assert evenly(ten, everything) is ten


@pytest.mark.parametrize("batch_size", [1, 4, 33, 100])
def test_the_loss_is_the_score_of_a_run_whatever_the_batches(batch_size: int) -> None:
    task = tiny_tasks.points(seed=0, dropout=0.0)
    examples = task.test["home"]
    found = mean_nll(task, Batches(task, examples, batch_size))
    assert found == pytest.approx(score(task, examples, 128).nll, rel=1e-6)


def test_a_batch_without_predictions_counts_nothing() -> None:
    """Its mean is NaN; the others weigh as much as they predict."""
    task = tiny_tasks.points(seed=0)

    def forward(model: nn.Module, batch: Batch) -> Outputs:
        mask = batch["labels"] != 0
        return batch["labels"][mask].double().mean(), torch.zeros(len(mask), 3), mask

    examples = TensorExamples({"labels": torch.tensor([0, 0, 1, 0, 2, 2])})
    masked = replace(task, forward=forward, test={"home": examples})
    assert mean_nll(masked, Batches(masked, examples, 2)) == pytest.approx(5 / 3)


def test_the_average_is_over_the_domains_that_training_has_not_seen() -> None:
    losses = {"home": 10.0, "near": 1.0, "far": 4.0}
    assert with_zero_shot_average(losses) == losses | {"ZS Avg": 2.5}
    assert with_zero_shot_average({"home": 1.0}) == {"home": 1.0}
