"""Which parameters a step trains: all of the model's and no others, in a precision that holds small steps."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.checkpoint import checkpoint

from tests.problems import Batch, Problem, classification, language_modelling, same_bits, weights
from tests.tram.several import EVERY_METHOD
from tram import TRAM, Adaptive, Euclidean, Method
from tram._ascent import ascend_
from tram.geometry import Geometry


def make(problem: Problem, method: str | Method, **options: Any) -> TRAM:
    method = EVERY_METHOD[method] if isinstance(method, str) else method
    return TRAM(problem.model, method, input_module=problem.input_module, **options)


# ----------------------------------------------------------------------------------------- parameters outside the model


def with_head(problem: Problem, head: nn.Module) -> Callable[[Batch], tuple[Tensor, Tensor]]:
    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        logits = head(problem.model(batch["x"]))
        return F.cross_entropy(logits, batch["y"]), logits

    return forward


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_parameter_outside_the_model_is_told_where_it_would_get_both_passes_gradients(method: str) -> None:
    problem, head = classification(), nn.Linear(3, 3, bias=False).double()
    tram, forward = make(problem, method), with_head(problem, head)
    if EVERY_METHOD[method].ascent is None:
        tram.backward(forward, problem.batches[0])
        expected = torch.autograd.grad(forward(problem.batches[0])[0], head.weight)[0]
        if EVERY_METHOD[method].penalty == 0:
            torch.testing.assert_close(head.weight.grad, expected)
        return
    with pytest.raises(ValueError, match=r"of shape \(3, 3\) that is not in TRAM's model.*nn\.ModuleList"):
        tram.backward(forward, problem.batches[0])
    assert head.weight.grad is None


def test_a_module_that_holds_both_is_the_way_out_and_freezing_the_other() -> None:
    problem, head = classification(), nn.Linear(3, 3).double()
    both = nn.ModuleList([problem.model, head])
    joint = nn.Sequential(classification().model, nn.Linear(3, 3).double())
    joint.load_state_dict(both.state_dict())
    TRAM(both, "ASAM").backward(with_head(problem, head), problem.batches[0])
    expected = Problem(joint, lambda batch: (F.cross_entropy(joint(batch["x"]), batch["y"]), None), [], joint[0])
    TRAM(joint, "ASAM").backward(expected.forward, problem.batches[0])
    for one, other in zip(both.parameters(), joint.parameters(), strict=True):
        assert torch.equal(torch.as_tensor(one.grad), torch.as_tensor(other.grad))
    problem, frozen = classification(), nn.Linear(3, 3).double().requires_grad_(False)
    make(problem, "SAM").backward(with_head(problem, frozen), problem.batches[0])


def test_ways_to_call_a_model_that_hold_no_stranger() -> None:
    """A compiled graph, recomputed layers, weights made of others, and an input that requires a gradient."""
    problem = classification()
    compiled = torch.compile(problem.model, backend="aot_eager")
    recomputed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 4)), nn.Linear(4, 3)).double()
    calls: list[tuple[nn.Module, Callable[[Tensor], Tensor]]] = [
        (problem.model, compiled),
        (problem.model, lambda x: checkpoint(problem.model, x, use_reentrant=False)),
        (recomputed, recomputed),
        (problem.model, lambda x: problem.model(x.clone().requires_grad_())),
        (problem.model, lambda x: torch.func.functional_call(problem.model, dict(problem.model.named_parameters()), x)),
    ]
    for model, call in calls:
        model.zero_grad()

        def forward(batch: Batch, call: Callable[[Tensor], Tensor] = call) -> tuple[Tensor, Tensor]:
            logits = call(batch["x"])
            return F.cross_entropy(logits, batch["y"]), logits

        TRAM(model, "SAM").backward(forward, problem.batches[0])


def test_the_graph_is_looked_at_once() -> None:
    """In the first step's first micro-batch: a walk over the graph costs time."""
    problem, head = classification(), nn.Linear(3, 3).double()
    tram = make(problem, "SAM")
    tram.backward(problem.forward, problem.batches[0])
    problem.model.zero_grad()
    tram.backward(with_head(problem, head), problem.batches[0])
    assert head.weight.grad is not None


# ------------------------------------------------------------------------------------------------ two in one memory


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_two_parameters_in_one_memory_are_told_how_to_be_one(method: str) -> None:
    """They would be exchanged, moved and restored twice."""
    problem = language_modelling()
    model: Any = problem.model
    model.head.weight = nn.Parameter(torch.empty(0))
    model.head.weight.data = model.embedding.weight.data
    before = weights(model)
    tram = make(problem, method)
    harmless = method in ("SGD", "Adam", "R3F")
    told = r"head\.weight and embedding\.weight are two parameters in one memory.*tie them as one"
    with nullcontext() if harmless else pytest.raises(ValueError, match=told):
        tram.backward(problem.forward, problem.batches[0])
    assert same_bits(weights(model), before)
    model.zero_grad()
    model.head.weight = model.embedding.weight
    make(problem, method).backward(problem.forward, problem.batches[0])


def test_empty_parameters_share_no_memory() -> None:
    problem = classification()
    problem.model.empty, problem.model.other = (nn.Parameter(torch.empty(0)) for _ in range(2))
    make(problem, "TRAM-pre").backward(problem.forward, problem.batches[0])


# ------------------------------------------------------------------------------------------ what the ascent cannot move


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64])
def test_weights_that_cannot_be_perturbed_are_named(dtype: torch.dtype) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plain = nn.Parameter(torch.ones(3))
            self.odd = nn.Parameter(torch.ones(3).to(dtype))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.plain * self.odd.to(torch.complex64).abs()

    model = Scaled()
    with pytest.raises(ValueError, match=f"odd is of {dtype}, which this method cannot perturb.*freeze it"):
        TRAM(model, "SAM").backward(lambda batch: (model(batch).sum(), None), torch.ones(3))
    model.odd.requires_grad_(False)
    TRAM(model, "SAM").backward(lambda batch: (model(batch).sum(), None), torch.ones(3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", EVERY_METHOD)
def test_weights_that_round_small_steps_away_are_warned_of(method: str, dtype: torch.dtype) -> None:
    problem = classification(dtype=torch.float32)
    problem.input_module.to(dtype)

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        logits = problem.model.head(problem.input_module(batch["x"].to(dtype)).float())  # type: ignore[operator]
        return F.cross_entropy(logits, batch["y"]), logits

    told = f"embedding.weight and 1 more are of {dtype}, which rounds away .*weights in float32"
    harmless = method in ("SGD", "Adam", "TRPO", "R3F")
    with nullcontext() if harmless else pytest.warns(UserWarning, match=told):
        make(problem, method).backward(forward, problem.batches[0])


@pytest.mark.parametrize(
    ("geometry", "radius", "moved"), [(Euclidean(), 0.05, 0.47), (Adaptive(), 0.5, 0.002), (Adaptive(), 0.05, 0.0)]
)
def test_what_is_rounded_away_is_as_the_page_says(geometry: Geometry, radius: float, moved: float) -> None:
    """Of a million weights of bfloat16 few are moved; where float32 weights are cast to it, the mean is epsilon."""
    torch.manual_seed(0)
    weights, gradient = 0.02 * torch.randn(10**6), torch.randn(10**6)

    def epsilon(held: Tensor, seen_in: torch.dtype) -> Tensor:
        after, consumed = [held.clone()], [gradient.to(held.dtype)]
        ascend_(geometry, after, consumed, consumed, torch.tensor(radius))
        return after[0].to(seen_in).double() - held.to(seen_in).double()

    rounded = epsilon(weights.bfloat16(), torch.bfloat16)
    assert (rounded != 0).double().mean().item() == pytest.approx(moved, abs=0.005 if moved > 0.1 else 0.0005)
    exact, cast = epsilon(weights.double(), torch.float64), epsilon(weights, torch.bfloat16)
    assert float(cast @ exact / exact.norm() ** 2) == pytest.approx(1, abs=0.1)


def test_an_optimizer_within_the_backward_pass_is_told() -> None:
    """It clears the gradients that the ascent needs."""
    problem = classification()
    for param in problem.model.parameters():
        param.register_post_accumulate_grad_hook(lambda param: setattr(param, "grad", None))
    with pytest.raises(RuntimeError, match=r"no parameter has a gradient after the first pass.*let no hook"):
        make(problem, "SAM").backward(problem.forward, problem.batches[0])


def test_a_parameter_that_the_optimizer_does_not_hold_is_told() -> None:
    problem = classification()
    optimizer, tram = torch.optim.SGD(problem.model.head.parameters(), lr=0.1), make(problem, "SAM")  # type: ignore[union-attr]
    tram.backward(problem.forward, problem.batches[0])
    optimizer.step()
    optimizer.zero_grad()
    with pytest.raises(
        ValueError, match=r"embedding\.weight and 1 more.*freeze parameters that the optimizer does not"
    ):
        tram.backward(problem.forward, problem.batches[0])


# ------------------------------------------------------------------------------------------ in the course of a training


@pytest.mark.parametrize("method", ["ASAM", "TRAM-x"])
def test_an_average_of_weights_beside_the_training(method: str) -> None:
    """torch's own wrapper for averages sees the weights between steps, and copies a model that is as it was made."""
    problem = classification(norm=True)
    tram, optimizer = make(problem, method), torch.optim.SGD(problem.model.parameters(), lr=0.1)
    average = AveragedModel(problem.model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    expected = weights(problem.model)
    for step, batch in enumerate(problem.batches):
        tram.backward(problem.forward, batch)
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(problem.model)
        now = weights(problem.model)
        expected = now if step == 0 else {name: 0.9 * expected[name] + 0.1 * now[name] for name in now}
    for name, value in weights(average.module).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-12, atol=1e-14)
    assert [type(module) for module in average.module.modules()] == [type(module) for module in problem.model.modules()]


def test_gradients_that_are_zeroed_and_not_dropped_are_told() -> None:
    problem = classification()
    optimizer, tram = torch.optim.SGD(problem.model.parameters(), lr=0.1), make(problem, "SAM")
    tram.backward(problem.forward, problem.batches[0])
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    with pytest.raises(ValueError, match=r"left over.*set_to_none=True, its default"):
        tram.backward(problem.forward, problem.batches[1])


def test_parameters_that_come_in_between_are_told() -> None:
    for come in ("unfrozen", "added", "replaced"):
        problem = classification()
        model: Any = problem.model
        model.embedding.requires_grad_(come != "unfrozen")
        tram = make(problem, "TRAM-pre")
        tram.backward(problem.forward, problem.batches[0])
        model.zero_grad()
        if come == "unfrozen":
            model.embedding.requires_grad_(True)
        elif come == "added":
            model.another = nn.Linear(2, 2)
        else:
            model.head.weight = nn.Parameter(model.head.weight.detach().clone())
        with pytest.raises(ValueError, match="have changed since the first step: make a new TRAM"):
            tram.backward(problem.forward, problem.batches[1])
