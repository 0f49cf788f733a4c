"""Sharpness against the closed forms of linear and quadratic losses in a box."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.probes.examples import Batches
from benchmarks.probes.probe import Work
from benchmarks.probes.sharpness import Sharpness, grouped
from benchmarks.task import Batch, Outputs, Task, TensorExamples
from tests.benchmarks.probes.problems import Weights, task_of, trained

W = torch.tensor([0.5, -1.0, 2.0, -3.0], dtype=torch.float64)
SLOPE = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
HESSIAN = torch.diag(torch.tensor([2.0, 1.0, 0.5, 4.0], dtype=torch.float64))
WORK = Work(Path("never-written.json"))


def linear(model: nn.Module) -> Tensor:
    return SLOPE @ model.get_parameter("w") + 10


def quadratic(model: nn.Module) -> Tensor:
    w = model.get_parameter("w")
    return w @ HESSIAN @ w / 2


def of(task: Task, probe: Sharpness, batch_size: int = 2) -> tuple[float, float]:
    examples = task.test["home"]
    return probe.of(task, Batches(task, examples, probe.batch_size), Batches(task, examples, batch_size))


def test_a_linear_loss_rises_to_the_corner_of_the_box() -> None:
    task = task_of(Weights(w=W), linear, {"home": 6})
    rise = 1e-3 * (SLOPE.abs() * (W.abs() + 1)).sum()
    expected = float(100 * rise / (1 + SLOPE @ W + 10))
    found, at_edge = of(task, Sharpness(epsilon=1e-3, lr=1.0, batch_size=2))
    assert found == pytest.approx(expected, rel=1e-9)
    assert at_edge == 100


def test_the_box_of_the_cited_code_is_narrow_below_zero() -> None:
    task = task_of(Weights(w=W), linear, {"home": 6})
    rise = 1e-3 * (SLOPE.abs() * (W + 1).abs()).sum()
    found, _ = of(task, Sharpness(epsilon=1e-3, lr=1.0, batch_size=2, box="connectivity"))
    assert found == pytest.approx(float(100 * rise / (1 + SLOPE @ W + 10)), rel=1e-9)
    assert rise == pytest.approx(1e-3 * (1.5 * 1 + 0 * 2 + 3 * 0.5 + 2 * 3))


def test_one_step_on_a_quadratic_that_stays_inside_the_box() -> None:
    """w + lr k A w, with k gradients added up: L1 = w'(1 + lr k A) A (1 + lr k A) w / 2."""
    task = task_of(Weights(w=W), quadratic, {"home": 6})
    lr, accumulated = 1e-3, 3
    moved = W + lr * accumulated * HESSIAN @ W
    before, after = W @ HESSIAN @ W / 2, moved @ HESSIAN @ moved / 2
    found, at_edge = of(task, Sharpness(epsilon=1.0, lr=lr, batch_size=2, accumulation=accumulated))
    assert found == pytest.approx(float(100 * (after - before) / (1 + before)), rel=1e-9)
    assert at_edge == 0


def test_only_weights_whose_gradient_is_large_reach_the_edge() -> None:
    """One step of lr 1 moves weight i by |slope_i|, in a box of (|w_i| + 1) / 2: one of the four does not get there."""
    task = task_of(Weights(w=W), linear, {"home": 2})
    found, at_edge = of(task, Sharpness(epsilon=0.5, lr=1.0, batch_size=2))
    moved = torch.minimum(SLOPE.abs(), 0.5 * (W.abs() + 1))
    assert found == pytest.approx(float(100 * (SLOPE.abs() * moved).sum() / (1 + SLOPE @ W + 10)))
    assert at_edge == 75


@pytest.mark.parametrize(("leftover", "batches"), [(True, 5), (False, 4)])
def test_batches_left_over_make_a_step_or_not(leftover: bool, batches: int) -> None:
    task = task_of(Weights(w=W), linear, {"home": 9})
    probe = Sharpness(epsilon=10.0, lr=1e-3, batch_size=2, accumulation=2, leftover=leftover)
    rise = 1e-3 * batches * SLOPE @ SLOPE
    found, _ = of(task, probe)
    assert found == pytest.approx(float(100 * rise / (1 + SLOPE @ W + 10)), rel=1e-9)


def test_every_domain_has_its_own_number_and_the_weights_come_back() -> None:
    model = Weights(w=W)
    task = task_of(model, linear, {"home": 6, "away": 4})
    metrics = Sharpness(epsilon=1e-3, lr=1.0, batch_size=2).measure(trained(task), WORK).metrics
    rise, loss = 1e-3 * (SLOPE.abs() * (W.abs() + 1)).sum(), SLOPE @ W + 10
    assert metrics["test/sharpness/home"] == pytest.approx(float(100 * rise / (1 + loss)))
    assert metrics["test/sharpness/away"] == pytest.approx(float(100 * 3 * rise / (1 + 3 * loss)))
    assert torch.equal(model.get_parameter("w"), W)


def test_frozen_weights_do_not_move() -> None:
    model = Weights(w=W, frozen=W)
    model.get_parameter("frozen").requires_grad_(False)
    task = task_of(model, lambda model: linear(model) + model.get_parameter("frozen").sum(), {"home": 6})
    rise, loss = 1e-3 * (SLOPE.abs() * (W.abs() + 1)).sum(), SLOPE @ W + 10 + W.sum()
    assert of(task, Sharpness(epsilon=1e-3, lr=1.0))[0] == pytest.approx(float(100 * rise / (1 + loss)))


class Watched(nn.Module):
    """Notes whether it was in training mode, when it was asked with and without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(W.clone())
        self.dropout = nn.Dropout(0.5)
        self.seen: list[tuple[bool, bool]] = []

    def forward(self, scale: Tensor) -> Tensor:
        self.seen.append((torch.is_grad_enabled(), self.training))
        return scale.mean() * (self.dropout(self.w) @ SLOPE) + 10


def watched() -> tuple[Watched, Task]:
    model = Watched()
    examples = TensorExamples({"scale": torch.ones(8, dtype=torch.float64)})

    def forward(model: nn.Module, batch: Batch) -> Outputs:
        return model(batch["scale"]), torch.zeros(len(batch["scale"]), 2)

    return model, Task(model, forward, examples, None, {"home": examples})


@pytest.mark.parametrize("dropout", [False, True])
def test_dropout_is_on_in_the_ascent_alone_and_only_if_asked_for(dropout: bool) -> None:
    model, task = watched()
    state = torch.get_rng_state()
    of(task, Sharpness(batch_size=2, dropout=dropout), batch_size=4)
    assert model.seen == [(False, False)] * 2 + [(True, dropout)] * 4 + [(False, False)] * 2
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_the_same_seed_gives_the_same_bits_under_dropout() -> None:
    probe = Sharpness(batch_size=2, dropout=True, epsilon=0.1, lr=1e-2)
    first, again, other = (of(watched()[1], replace(probe, seed=seed)) for seed in (0, 0, 1))
    assert first == again != other


def test_weights_come_back_when_the_ascent_fails() -> None:
    model = Weights(w=W)

    def fails(model: nn.Module) -> Tensor:
        if not torch.equal(model.get_parameter("w"), W):
            raise FloatingPointError
        return linear(model)

    task = task_of(model, fails, {"home": 6})
    with pytest.raises(FloatingPointError):
        of(task, Sharpness(batch_size=2, accumulation=1))
    assert torch.equal(model.get_parameter("w"), W)
    assert model.training


def test_batches_are_grouped_in_order_with_what_is_left_at_the_end() -> None:
    def batches() -> Iterator[Batch]:
        yield from ({"x": torch.tensor(i)} for i in range(5))

    assert [[int(batch["x"]) for batch in group] for group in grouped(batches(), 2)] == [[0, 1], [2, 3], [4]]
