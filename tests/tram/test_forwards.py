"""What the caller's forward may do from one pass to the next, and what is told."""

import random
import sys
from collections import UserDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.problems import Batch, Problem, classification, same_bits, split, weights
from tests.tram.naive import Naive
from tests.tram.several import EVERY_METHOD
from tram import METHODS, TRAM, Ascent, Euclidean, Method, NoisyInput, PastWeights, TRAMOptimizer, TrustRegion

SEVERAL = [name for name, method in EVERY_METHOD.items() if method.passes.forward > 1]


def make(problem: Problem, method: str | Method, **options: Any) -> TRAM:
    method = EVERY_METHOD[method] if isinstance(method, str) else method
    return TRAM(problem.model, method, input_module=problem.input_module, **options)


# -------------------------------------------------------------------------------- random numbers of Python and of NumPy


def drawn() -> tuple[float, float]:
    """The next number of Python's generator and of NumPy's."""
    return random.random(), float(np.random.rand())


def seed_everything() -> None:
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)


def draws_of_a_step(method: str | Method) -> tuple[list[tuple[bool, bool, tuple[float, float]]], tuple[float, float]]:
    """What each forward of a step over two micro-batches drew, whether for a gradient and at which weights; and what
    is drawn after it."""
    problem = classification()
    tram, parts, draws = make(problem, method), split(problem.batches[0], 2), []

    def forward(batch: Batch) -> tuple[Any, ...]:
        draws.append((torch.is_grad_enabled(), tram._perturbed, drawn()))
        if tram._perturbed:
            drawn()  # a second pass may draw more than the first
        return problem.forward(batch)

    seed_everything()
    tram.backward(forward, *parts)
    return draws, drawn()


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_other_random_numbers_are_those_of_an_ordinary_step_too(method: str) -> None:
    seed_everything()
    ordinary = [drawn() for _ in range(3)]
    draws, after = draws_of_a_step(method)
    assert after == ordinary[2]
    kind = EVERY_METHOD[method]
    for perturbed in (False, True) if kind.ascent is not None else (False,):
        # A noisy branch of the penalty draws anew, as dropout does in it.
        graded = [draw for with_gradient, at, draw in draws if with_gradient and at == perturbed]
        assert [draw for draw in ordinary[:2] if draw in graded] == ordinary[:2]
        if kind.trust_region is None and method != "TRAM-Fisher, separate":
            assert graded == ordinary[:2]


@pytest.mark.parametrize("dropout", ["off", "shared", "fresh"])
def test_a_reference_draws_as_its_dropout_does(dropout: Any) -> None:
    region = TrustRegion(NoisyInput(dropout=dropout))
    draws, _ = draws_of_a_step(Method(region, ascent=Ascent(Euclidean(), "d")))
    seed_everything()
    ordinary = [drawn() for _ in range(2)]
    references = [draw for with_gradient, _, draw in draws if not with_gradient]
    assert (references == ordinary) == (dropout != "fresh")
    assert len({*references}) == 2
    if dropout == "fresh":
        assert not {number for pair in references for number in pair} & {number for pair in ordinary for number in pair}


def test_a_program_without_numpy_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "numpy.random")
    problem = classification(dropout=0.5)
    random.seed(5)
    expected = random.random()
    random.seed(5)
    make(problem, "TRAM-x").backward(problem.forward, problem.batches[0])
    assert random.random() == expected


# -------------------------------------------------------------------------------------------- an exception in some pass


@pytest.mark.parametrize("method", SEVERAL)
def test_an_exception_leaves_random_numbers_and_statistics_as_an_ordinary_step_would(method: str) -> None:
    """Before the first pass nothing has happened, and from its forward on what one forward does."""
    kind = EVERY_METHOD[method]
    past_reference = kind.trust_region is not None and isinstance(kind.trust_region.reference, PastWeights)
    before_first_pass = 1 if past_reference or method == "TRAM-Fisher, separate" else 0
    for fatal in range(1, kind.passes.forward + 1):
        problem, plain = (classification(dropout=0.3, norm=True) for _ in range(2))
        tram = make(problem, kind)
        state = outside(problem)
        calls = 0

        def failing(batch: Batch, problem: Problem = problem, tram: TRAM = tram, fatal: int = fatal) -> tuple[Any, ...]:
            nonlocal calls
            calls += 1
            drawn()
            outputs = problem.forward(batch)
            if tram._perturbed:  # more than in the first pass
                drawn()
                torch.rand(3)
            if calls == fatal:
                raise torch.OutOfMemoryError("simulated")
            return outputs

        seed_everything()
        with pytest.raises(torch.OutOfMemoryError):
            tram.backward(failing, problem.batches[0])
        found = (*generators(), outside(problem))

        seed_everything()
        if fatal > before_first_pass:
            drawn()
            plain.forward(plain.batches[0])
            state = outside(plain)
        expected = (*generators(), state)
        if method == "TRAM-Fisher" and fatal > before_first_pass:
            # Its statistics are of noisy input; they have moved once.
            assert problem.model.norm.num_batches_tracked == 1  # type: ignore[union-attr]
            found, expected = found[:-1], expected[:-1]
        for one, other in zip(found, expected, strict=True):
            assert same_bits(one, other) if isinstance(one, dict) else repr(one) == repr(other), fatal


def generators() -> tuple[Any, ...]:
    return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]


def outside(problem: Problem) -> dict[str, Tensor]:
    """Weights and statistics."""
    return {name: value.detach().clone() for name, value in problem.model.state_dict().items()}


# ------------------------------------------------------------------------------------------------------ a changed batch


def scales_in_place(batch: dict[str, Any]) -> None:
    batch["x"].mul_(2)


def replaces(batch: dict[str, Any]) -> None:
    batch["x"] = batch["x"] * 2


def pops(batch: dict[str, Any]) -> None:
    batch.pop("note")


def adds(batch: dict[str, Any]) -> None:
    batch["seen"] = True


def changes_what_is_inside(batch: dict[str, Any]) -> None:
    batch["more"][1][0].zero_()


CHANGES: list[tuple[Callable[[Any], None], str]] = [
    (scales_in_place, r"batch\['x'\] is not what it was: forward\(batch\) changed it.*dict\(batch\).*clone\(\)"),
    (replaces, r"batch\['x'\] .*changed it"),
    (pops, r"batch\['note'\] .*took it out"),
    (adds, r"batch\['seen'\] .*put it in"),
    (changes_what_is_inside, r"batch\['more'\]\[1\]\[0\] .*changed it"),
]


@pytest.mark.parametrize("kind", [dict, UserDict], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(("change", "told"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_a_forward_that_changes_its_batch_is_told_what(change: Callable[[Any], None], told: str, kind: type) -> None:
    """The next pass would see another batch."""
    for method in ("SAM", "TRPO", "R3F", "TRAM-prev", "TRAM-Fisher, separate"):
        problem = classification()
        before = weights(problem.model)

        def forward(batch: Any, problem: Problem = problem) -> tuple[Tensor, Tensor]:
            outputs = problem.forward(batch)
            change(batch)
            return outputs

        batch = kind({**problem.batches[0], "note": "a", "more": (1, [torch.ones(2)])})
        with pytest.raises(ValueError, match=told):
            make(problem, method).backward(forward, batch)
        assert same_bits(weights(problem.model), before)


def test_batches_of_other_kinds_are_watched_as_far_as_they_are_known() -> None:
    problem = classification()
    x, y = problem.batches[0]["x"], problem.batches[0]["y"]

    def halving(batch: Any) -> tuple[Tensor, Tensor]:
        outputs = problem.forward({"x": batch[0], "y": batch[1]})
        batch[0].div_(2)
        return outputs

    for batch in ((x.clone(), y), [x.clone(), y]):
        with pytest.raises(ValueError, match=r"batch\[0\] is not what it was"):
            make(problem, "SAM").backward(halving, batch)
        problem.model.zero_grad()

    def in_place(batch: Tensor) -> tuple[Tensor, Tensor]:
        outputs = problem.forward({"x": batch, "y": y})
        batch.add_(1)
        return outputs

    with pytest.raises(ValueError, match=r"^batch is not what it was"):
        make(problem, "SAM").backward(in_place, x.clone())
    with torch.inference_mode():
        unversioned = x.clone()
    problem.model.zero_grad()
    problem.input_module.requires_grad_(False)
    make(problem, "SAM").backward(lambda batch: problem.forward({"x": batch.clone(), "y": y}), unversioned)


def test_what_changes_nothing_for_the_next_pass_is_allowed() -> None:
    found = []
    for moves in (False, True):
        problem = classification()

        def forward(batch: Any, problem: Problem = problem, moves: bool = moves) -> tuple[Tensor, Tensor]:
            if moves:  # on one device .to() is the tensor itself, and a copy's own keys are nobody's
                batch["x"] = batch["x"].to("cpu")
                batch = dict(batch)
                batch.pop("note")
            return problem.forward(batch)

        make(problem, "TRAM-prev").backward(forward, {**problem.batches[0], "note": "a"})
        found.append({name: torch.as_tensor(param.grad) for name, param in problem.model.named_parameters()})
    assert same_bits(*found)


def test_a_batch_that_the_forward_moves_to_its_device_is_the_same() -> None:
    problem = classification()

    def forward(batch: Any) -> tuple[Tensor, Tensor]:
        if batch["x"].device.type == "meta":
            batch["x"] = problem.batches[0]["x"]
        return problem.forward(batch)

    make(problem, "SAM").backward(forward, {**problem.batches[0], "x": torch.empty(16, 5, device="meta")})


def test_a_method_of_one_forward_leaves_its_batch_to_its_owner() -> None:
    problem = classification()

    def forward(batch: Any) -> tuple[Tensor, Tensor]:
        scales_in_place(batch)
        return problem.forward(batch)

    make(problem, "SGD").backward(forward, problem.batches[0])


# ---------------------------------------------------------------------------------------------- a loss without gradient


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_loss_without_a_gradient_is_told(method: str) -> None:
    problem = classification()
    before, message = (
        weights(problem.model),
        r"has no gradient: return it as.*detach\(\).*outside of torch\.no_grad\(\)",
    )

    def detached(batch: Batch) -> tuple[Tensor, Tensor]:
        loss, logits = problem.forward(batch)
        return loss.detach(), logits

    def undifferentiated(batch: Batch) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return problem.forward(batch)

    for forward in (detached, undifferentiated):
        with pytest.raises(ValueError, match=message):
            make(problem, method).backward(forward, problem.batches[0])
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode, pytest.raises(ValueError, match=message):
            make(problem, method).backward(problem.forward, problem.batches[0])
    if method in METHODS:
        facade = TRAMOptimizer(problem.model, method, torch.optim.SGD, input_module=problem.input_module, lr=0.1)
        with pytest.raises(ValueError, match=message):
            facade.step(lambda: undifferentiated(problem.batches[0]))
        facade.step(lambda: problem.forward(problem.batches[0]))
    else:
        assert same_bits(weights(problem.model), before)


def test_a_loss_without_a_gradient_at_the_perturbed_weights_is_told() -> None:
    problem = classification()
    tram, before = make(problem, "SAM"), weights(problem.model)

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        loss, logits = problem.forward(batch)
        return loss.detach() if tram._perturbed else loss, logits

    with pytest.raises(ValueError, match="has no gradient"):
        tram.backward(forward, problem.batches[0])
    assert same_bits(weights(problem.model), before)


# --------------------------------------------------------------------------------------------------- state of the model


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_state_that_is_no_running_statistic_moves_at_every_pass(method: str) -> None:
    """As the page says, lest somebody take it for held back."""
    problem = classification()
    problem.model.register_buffer("forwards", torch.zeros(()))

    def forward(batch: Batch) -> tuple[Any, ...]:
        problem.model.forwards += 1  # type: ignore[assignment, operator]
        return problem.forward(batch)

    make(problem, method).backward(forward, problem.batches[0])
    assert problem.model.forwards == EVERY_METHOD[method].passes.forward


@pytest.mark.parametrize("method", ["ASAM+MESA", "TRAM-prev"])
def test_training_in_evaluation_mode(method: str) -> None:
    """As adapters are trained over frozen statistics: no dropout, and BatchNorm by its running statistics."""
    problem, plain = classification(dropout=0.5, norm=True), classification(dropout=0.5, norm=True)
    for model in (problem.model, plain.model):
        model.eval()
    naive = Naive(
        method,
        plain.model,
        plain.input_module,
        lambda logits, batch: F.cross_entropy(logits, batch["y"]),
        inputs_of=lambda batch: batch["x"],
        cut=lambda logits: logits,
        z=torch.zeros_like,
    )
    expected, tram = naive.run(plain.batches), make(problem, method)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1, momentum=0.9)
    for batch in problem.batches:
        tram.backward(problem.forward, batch)
        optimizer.step()
        optimizer.zero_grad()
        assert not any(module.training for module in problem.model.modules())
    for name, value in weights(problem.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-11)
    assert problem.model.norm.num_batches_tracked == 0  # type: ignore[union-attr]
