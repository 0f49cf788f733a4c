"""The training loop against loops written out by hand, closed forms and counts."""

import math
from collections import Counter
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import training
from benchmarks.batches import batch_items, micro_batches
from benchmarks.errors import NonFiniteError
from benchmarks.evaluation import Score
from benchmarks.execution import Execution
from benchmarks.methods import Resolved
from benchmarks.row import Recipe
from benchmarks.task import Batch, Outputs, Task
from benchmarks.training import Training, lr_factor, train
from tests.benchmarks.tiny_rows import RECIPE
from tests.benchmarks.tiny_tasks import EXPLODES_AT, explodes, forward, points
from tram import METHODS, Adaptive, Ascent, Fisher, Method, NoisyInput, TrustRegion

METHOD_NAMES = list(METHODS)


def silent(step: str, done: int, total: int) -> None:
    pass


def trained(
    recipe: Recipe = RECIPE, method: Method | str = "SGD", seed: int = 3, task: Task | None = None
) -> tuple[Task, Training]:
    task = task or points(seed)
    resolved = Resolved(METHODS[method] if isinstance(method, str) else method)
    return task, train(task, recipe, resolved, seed, silent)


# --------------------------------------------------------------------------------------------------- order of the data


def test_every_epoch_visits_every_example_once() -> None:
    batches = list(batch_items(examples=12, batch_size=4, steps=9, seed=0))
    for epoch in range(3):
        assert Counter(chain(*batches[3 * epoch : 3 * epoch + 3])) == Counter(range(12 * epoch, 12 * epoch + 12))
    assert batches[:3] != [[item - 12 for item in batch] for batch in batches[3:6]]


def test_the_short_last_batch_of_an_epoch_is_dropped() -> None:
    batches = list(batch_items(examples=11, batch_size=4, steps=5, seed=0))
    assert [len(batch) for batch in batches] == [4] * 5
    for epoch in (batches[:2], batches[2:4]):
        assert max(Counter(chain(*epoch)).values()) == 1


def test_the_order_depends_on_the_seed_alone() -> None:
    first = list(batch_items(12, 4, 6, seed=5))
    torch.rand(17)
    assert list(batch_items(12, 4, 6, seed=5)) == first
    assert list(batch_items(12, 4, 3, seed=5)) == first[:3]
    assert list(batch_items(12, 4, 6, seed=6)) != first
    assert list(batch_items(12, 4, 6, seed=5, first=4)) == first[4:]


def test_too_few_examples_for_one_batch_are_named() -> None:
    with pytest.raises(ValueError, match="3 training examples do not fill a batch of 4"):
        next(batch_items(3, 4, 1, seed=0))


def test_micro_batches_hold_the_batch_in_order() -> None:
    batch = {"x": torch.arange(12).reshape(6, 2), "y": torch.arange(6)}
    pieces = micro_batches(batch, 3)
    assert [piece["y"].tolist() for piece in pieces] == [[0, 1], [2, 3], [4, 5]]
    assert torch.equal(torch.cat([piece["x"] for piece in pieces]), batch["x"])
    with pytest.raises(ValueError, match="6 does not divide into 4"):
        micro_batches(batch, 4)


# ------------------------------------------------------------------------------------------------------- learning rate


def test_schedules_follow_their_closed_forms() -> None:
    linear = Recipe("Adam", lr=1.0, steps=10, batch_size=1, schedule="linear", warmup_steps=4)
    expected = [1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0]
    assert [lr_factor(linear, step) for step in range(11)] == pytest.approx(expected, abs=1e-15)
    cosine = Recipe("SGD", lr=1.0, steps=6, batch_size=1, schedule="cosine")
    expected = [1, (1 + math.sqrt(3) / 2) / 2, 3 / 4, 1 / 2, 1 / 4, (1 - math.sqrt(3) / 2) / 2, 0]
    assert [lr_factor(cosine, step) for step in range(7)] == pytest.approx(expected, abs=1e-15)


# ------------------------------------------------------------------------------------------------------------ the loop


def by_hand(recipe: Recipe, seed: int) -> tuple[nn.Module, list[float]]:
    """The plain training loop, written without anything of `benchmarks.training`."""
    task = points(seed)
    model, data = task.model, task.train.tensors
    if recipe.base_optimizer == "SGD":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, weight_decay=0.01)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=0.01)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model.train()
    losses: list[float] = []
    while len(losses) < recipe.steps:
        order = torch.randperm(44, generator=generator)
        for batch in order.split(8)[:5]:
            step = len(losses)
            if step == recipe.steps:
                break
            factor = (step + 1) / 4 if step < 3 else 1 - (step - 3) / (recipe.steps - 3)
            optimizer.param_groups[0]["lr"] = recipe.lr * factor
            loss = F.cross_entropy(model(data["points"][batch]), data["labels"][batch])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.3)
            optimizer.step()
            losses.append(loss.item())
    return model, losses


@pytest.mark.parametrize(("base_optimizer", "method"), [("SGD", "SGD"), ("Adam", "Adam")])
def test_the_baseline_is_the_plain_loop_bit_for_bit(base_optimizer: Any, method: str) -> None:
    recipe = replace(
        RECIPE, base_optimizer=base_optimizer, schedule="linear", warmup_steps=3, weight_decay=0.01, clip=0.3, lr=0.05
    )
    task, result = trained(recipe, method)
    model, losses = by_hand(recipe, seed=3)
    assert result.curves["loss"] == losses
    for ours, theirs in zip(task.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert result.selected_step == 12


def test_no_clipping_where_the_recipe_has_none() -> None:
    """One step of plain SGD is lr times the gradient, which clipping to 0.3 would have shortened."""
    recipe = replace(RECIPE, steps=1, clip=None, lr=1.0, batch_size=44)
    task = points(0, dropout=0.0)
    before = [param.detach().clone() for param in task.model.parameters()]
    loss, _ = forward(task.model, task.train.tensors)
    grads = torch.autograd.grad(10 * loss, list(task.model.parameters()))
    scaled = replace(task, forward=lambda model, batch: (10 * forward(model, batch)[0], forward(model, batch)[1]))
    trained(recipe, task=scaled)
    assert math.sqrt(sum(float(grad.square().sum()) for grad in grads)) > 1
    for param, start, grad in zip(task.model.parameters(), before, grads, strict=True):
        torch.testing.assert_close(param.detach(), start - grad)


def test_training_turns_dropout_on_whatever_mode_the_model_came_in() -> None:
    """Models of the hub come in evaluation mode."""
    evaluating = points(3)
    evaluating.model.eval()
    assert trained(task=evaluating)[1].curves == trained(task=points(3))[1].curves


@pytest.mark.parametrize("method", ["SGD", "ASAM", "TRAM-prev"])
def test_micro_batches_train_as_one_batch(method: str) -> None:
    def double_task() -> Task:
        task = points(0, dropout=0.0)
        data = {
            name: value.double() if value.is_floating_point() else value for name, value in task.train.tensors.items()
        }
        return replace(task, model=task.model.double(), train=replace(task.train, tensors=data))

    whole, _ = trained(RECIPE, method, task=double_task())
    parts, _ = trained(replace(RECIPE, micro_batches=4), method, task=double_task())
    for ours, theirs in zip(parts.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_methods_of_a_seed_are_paired(method: str) -> None:
    """The same initial head, the same batches, and the same random numbers for dropout."""

    def seen(method: str) -> tuple[list[list[float]], torch.Tensor, float]:
        task, batches = points(3), []

        def remembering(model: nn.Module, batch: Batch) -> Outputs:
            batches.append(batch["points"].flatten().tolist())
            return forward(model, batch)

        _, result = trained(RECIPE, method, task=replace(task, forward=remembering))
        distinct = [batch for index, batch in enumerate(batches) if index == 0 or batch != batches[index - 1]]
        return distinct, torch.get_rng_state(), result.curves["loss"][0]

    batches, random_state, first_loss = seen(method)
    plain_batches, plain_state, plain_loss = seen("SGD")
    assert len(batches) == RECIPE.steps
    assert batches == plain_batches
    assert torch.equal(random_state, plain_state)
    if METHODS[method].ascent is None or METHODS[method].ascent.noise_std == 0:
        assert first_loss == plain_loss


def test_the_same_seed_gives_the_same_bits_whatever_ran_before() -> None:
    first, result = trained(method="TRAM-x")
    trained(method="MESA", seed=8)
    second, again = trained(method="TRAM-x")
    assert result.curves == again.curves
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))
    assert trained(method="TRAM-x", seed=4)[1].curves != result.curves


# ---------------------------------------------------------------------------------------------------- what is measured


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_passes_are_those_of_the_method(method: str) -> None:
    _, result = trained(RECIPE, method)
    assert result.passes == METHODS[method].passes
    assert trained(replace(RECIPE, micro_batches=2), method)[1].passes == METHODS[method].passes


def test_passes_of_algorithm_two_to_the_letter() -> None:
    method = Method(ascent=Ascent(Fisher(), radius=0.1, noise_std=0.1, fisher_gradient="separate"))
    assert trained(method=method)[1].passes == (3, 3)


def test_passes_are_counted_not_copied() -> None:
    def twice(model: nn.Module, batch: Batch) -> Outputs:
        forward(model, batch)
        return forward(model, batch)

    assert trained(method="SAM", task=replace(points(0), forward=twice))[1].passes == (4, 2)


def test_curves_hold_what_the_method_has() -> None:
    def names(method: str) -> set[str]:
        curves = trained(method=method)[1].curves
        assert {len(values) for values in curves.values()} == {12}
        return set(curves)

    assert names("SGD") == {"loss"}
    assert names("SAM") == {"loss", "radius", "perturbation_norm"}
    assert names("TRPO") == {"loss", "distance"}
    assert names("TRAM-x") == {"loss", "distance", "radius", "perturbation_norm"}


def test_per_step_values_are_those_of_their_step() -> None:
    """SAM's perturbation has norm rho at every step; TRAM-prev's distance is 0 at the first step only."""
    _, sam = trained(method="SAM")
    assert sam.curves["radius"] == pytest.approx([0.05] * 12)
    assert sam.curves["perturbation_norm"] == pytest.approx([0.05] * 12, rel=1e-5)
    assert sam.degenerate_steps == 0
    _, prev = trained(method="TRAM-prev", task=points(0, dropout=0.0))
    assert [value == 0 for value in prev.curves["distance"]] == [True] + [False] * 11
    assert prev.curves["radius"] == prev.curves["distance"]
    assert len(set(prev.curves["distance"])) == 12
    assert prev.degenerate_steps == 1


def test_steps_do_not_wait_for_the_device() -> None:
    class Reads(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.count += func is torch.ops.aten._local_scalar_dense.default
            return func(*args, **(kwargs or {}))

    method = Method(TrustRegion(NoisyInput()), penalty=0.1, ascent=Ascent(Adaptive(), radius="d"))
    counts = []
    for steps in (10, 40):
        with Reads() as reads:
            trained(replace(RECIPE, steps=steps), method)
        counts.append(reads.count)
    assert counts[0] == counts[1]


def test_progress_is_reported_for_every_step() -> None:
    reports: list[tuple[str, int, int]] = []
    train(points(0), RECIPE, Resolved(METHODS["SGD"]), 0, lambda *report: reports.append(report))
    assert reports == [("train", step, 12) for step in range(1, 13)]


# ----------------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("check_every", [2, 5, 50])
def test_the_first_loss_that_is_not_finite_is_named(monkeypatch: pytest.MonkeyPatch, check_every: int) -> None:
    monkeypatch.setattr(training, "CHECK_EVERY", check_every)
    with pytest.raises(NonFiniteError, match=rf"the loss is nan at step {EXPLODES_AT}$"):
        trained(task=explodes(0))


def test_an_infinite_loss_is_named() -> None:
    def infinite(model: nn.Module, batch: Batch) -> Outputs:
        loss, logits = forward(model, batch)
        return loss + math.inf, logits

    with pytest.raises(NonFiniteError, match=r"the loss is inf at step 1$"):
        trained(task=replace(points(0), forward=infinite))


def test_a_lost_run_stops_at_the_next_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECK_EVERY", 5)
    reports: list[int] = []
    with pytest.raises(NonFiniteError):
        train(
            explodes(0),
            replace(RECIPE, steps=1000),
            Resolved(METHODS["SGD"]),
            0,
            lambda step, done, total: reports.append(done),
        )
    assert max(reports) < 10


# ----------------------------------------------------------------------------------------------------------- selection


def test_the_weights_of_the_lowest_validation_nll_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = {3: 1.5, 6: 0.5, 9: 0.5, 10: 2.0}
    weights: dict[int, list[torch.Tensor]] = {}

    def score(task: Task, examples: Any, batch_size: int, execution: Execution) -> Score:
        assert examples is task.validation
        step = list(scripted)[len(weights)]
        weights[step] = [param.detach().clone() for param in task.model.parameters()]
        return Score(scripted[step], None)

    monkeypatch.setattr(training, "score", score)
    task, result = trained(replace(RECIPE, steps=10, evaluation_every=3, selection="validation"))
    assert result.validation_nll == scripted
    assert result.selected_step == 6
    assert all(torch.equal(a, b) for a, b in zip(task.model.parameters(), weights[6], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(task.model.parameters(), weights[10], strict=True))


def test_evaluating_on_the_way_changes_no_bit() -> None:
    plain, result = trained(method="TRAM-x")
    watched, watched_result = trained(replace(RECIPE, evaluation_every=5), "TRAM-x")
    assert sorted(watched_result.validation_nll) == [5, 10, 12]
    assert watched_result.curves == result.curves
    assert all(torch.equal(a, b) for a, b in zip(plain.model.parameters(), watched.model.parameters(), strict=True))


def test_selection_by_validation_needs_evaluations() -> None:
    with pytest.raises(ValueError, match="needs evaluation_every"):
        trained(replace(RECIPE, selection="validation"))


def test_zero_steps_leave_the_model_as_it_was() -> None:
    """Zero-shot rows are runs of zero steps."""
    task, result = trained(replace(RECIPE, steps=0))
    assert all(torch.equal(a, b) for a, b in zip(task.model.parameters(), points(3).model.parameters(), strict=True))
    assert result.curves == {}
    assert result.passes == (0, 0)
