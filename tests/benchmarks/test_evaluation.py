"""Scores against numpy on cases made by hand."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.evaluation import Score, evaluate, evaluation_mode, score
from benchmarks.task import Batch, Outputs, Task, TensorExamples

LOGITS = np.array([[2.0, 0.0, -1.0], [0.0, 3.0, 0.0], [1.0, 1.5, 0.0], [0.0, 0.0, 4.0], [5.0, 0.0, 0.0]])
LABELS = np.array([0, 1, 0, 2, 1])


class Recited(nn.Module):
    """Returns what its input holds: the logits are known."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(3)

    def forward(self, logits: Tensor) -> Tensor:
        assert not any(module.training for module in self.modules())
        assert not torch.is_grad_enabled()
        return self.dropout(self.scale * logits)


def classify(model: nn.Module, batch: Batch) -> Outputs:
    logits = model(batch["logits"])
    return F.cross_entropy(logits, batch["labels"]), logits


def predict_tokens(model: nn.Module, batch: Batch) -> Outputs:
    """Mean over the tokens of the batch that count, as a language model with padding has it."""
    logits, mask = model(batch["logits"]), batch["mask"]
    rows = F.cross_entropy(logits.flatten(0, 1), batch["targets"].flatten(), reduction="none").view(mask.shape)
    return (rows * mask).sum() / mask.sum(), logits, mask


def examples(**tensors: np.ndarray[Any, Any]) -> TensorExamples:
    return TensorExamples({name: torch.from_numpy(value) for name, value in tensors.items()})


def task(test: Mapping[str, TensorExamples], forward: Any = classify) -> Task:
    first = next(iter(test.values()))
    return Task(model=Recited(), forward=forward, train=first, validation=first, test=test)


def row_nll(logits: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return -np.log(np.take_along_axis(probabilities, labels[..., None], -1)[..., 0])


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 100])
def test_nll_and_accuracy_are_means_over_examples_not_over_batches(batch_size: int) -> None:
    data = examples(logits=LOGITS, labels=LABELS)
    found = score(task({"a": data}), data, batch_size)
    assert found.nll == pytest.approx(row_nll(LOGITS, LABELS).mean(), rel=1e-12)
    assert found.accuracy == 60.0


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_perplexity_is_over_the_predictions_that_count(batch_size: int) -> None:
    generator = np.random.default_rng(0)
    logits, targets = generator.normal(size=(4, 6, 5)), generator.integers(5, size=(4, 6))
    mask = np.arange(6) < np.array([6, 1, 3, 5])[:, None]
    found = score(
        task({"a": examples(logits=logits, targets=targets, mask=mask)}, predict_tokens),
        examples(logits=logits, targets=targets, mask=mask),
        batch_size,
    )
    nll = row_nll(logits, targets)[mask].mean()
    assert found.nll == pytest.approx(nll, rel=1e-12)
    assert found.perplexity == pytest.approx(np.exp(nll), rel=1e-12)
    assert found.accuracy is None


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary() -> None:
    uniform = examples(
        logits=np.zeros((2, 3, 50)), targets=np.ones((2, 3), dtype=int), mask=np.ones((2, 3), dtype=bool)
    )
    assert score(task({"a": uniform}, predict_tokens), uniform, 2).perplexity == pytest.approx(50)


def test_a_batch_without_predictions_adds_nothing() -> None:
    logits, targets = np.zeros((2, 3, 4)), np.zeros((2, 3), dtype=int)
    half = examples(logits=logits, targets=targets, mask=np.array([[True] * 3, [False] * 3]))
    assert score(task({"a": half}, predict_tokens), half, 1).nll == pytest.approx(math.log(4))
    none = examples(logits=logits, targets=targets, mask=np.zeros((2, 3), dtype=bool))
    with pytest.raises(ValueError, match="makes no prediction"):
        score(task({"a": none}, predict_tokens), none, 1)


def test_perplexity_beyond_floats_is_infinite() -> None:
    assert Score(800.0, None).perplexity == math.inf
    assert Score(math.nan, None).perplexity == math.inf
    assert Score(1.0, None).perplexity == math.e


def test_metrics_are_keyed_by_split_metric_and_domain() -> None:
    reports: list[tuple[str, int, int]] = []
    wrong = examples(logits=LOGITS, labels=(LABELS + 1) % 3)
    domains = {"home": examples(logits=LOGITS, labels=LABELS), "away": wrong}
    metrics = evaluate(task(domains), "accuracy", 2, lambda *report: reports.append(report))
    assert {key: value for key, value in metrics.items() if "nll" not in key} == {
        "validation/accuracy/home": 60.0,
        "test/accuracy/home": 60.0,
        "test/accuracy/away": 20.0,
    }
    assert metrics["test/nll/away"] == pytest.approx(row_nll(LOGITS, (LABELS + 1) % 3).mean())
    assert reports == [("evaluate", 1, 3), ("evaluate", 2, 3), ("evaluate", 3, 3)]


def test_accuracy_without_labels_is_refused() -> None:
    tokens = examples(logits=np.zeros((2, 3, 4)), targets=np.zeros((2, 3), dtype=int), mask=np.ones((2, 3), dtype=bool))
    with pytest.raises(ValueError, match="domain 'a' have none"):
        evaluate(task({"a": tokens}, predict_tokens), "accuracy", 2, lambda *report: None)


def test_modes_and_random_numbers_are_as_before() -> None:
    model = Recited()
    model.train()
    model.norm.eval()
    state = torch.get_rng_state()
    data = examples(logits=LOGITS, labels=LABELS)
    score(Task(model=model, forward=classify, train=data, validation=data, test={"a": data}), data, 2)
    assert [module.training for module in (model, model.dropout, model.norm)] == [True, True, False]
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(RuntimeError, match="stop"), evaluation_mode(model):
        raise RuntimeError("stop")
    assert model.dropout.training
