"""SAM and ASAM of another library give the same weights, where that library is right: one batch, one process."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.problems import Batch, Problem, classification, language_modelling, same_bits, weights
from tram import TRAM, Adaptive, Ascent, Euclidean, Method

SAM: Any = pytest.importorskip("pytorch_optimizer").SAM


def by_the_other(problem: Problem, base: type[torch.optim.Optimizer], adaptive: bool, **options: Any) -> None:
    optimizer = SAM(problem.model.parameters(), base, rho=0.3, adaptive=adaptive, **options)
    for batch in problem.batches:

        def closure(batch: Batch = batch) -> Tensor:
            optimizer.zero_grad()
            loss: Tensor = problem.forward(batch)[0]
            loss.backward()
            return loss

        closure()
        optimizer.step(closure)


def by_ours(problem: Problem, base: type[torch.optim.Optimizer], adaptive: bool, **options: Any) -> None:
    method = Method(ascent=Ascent(Adaptive() if adaptive else Euclidean(), radius=0.3))
    tram, optimizer = TRAM(problem.model, method), base(problem.model.parameters(), **options)
    for batch in problem.batches:
        tram.backward(problem.forward, batch)
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("adaptive", [False, True], ids=["SAM", "ASAM"])
@pytest.mark.parametrize("make", [classification, language_modelling], ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    ("base", "options"),
    [(torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}), (torch.optim.AdamW, {"lr": 0.01})],
    ids=["SGD", "AdamW"],
)
def test_the_weights_are_those_of_pytorch_optimizer(make: Any, base: Any, options: Any, adaptive: bool) -> None:
    ours, theirs = make(), make()
    by_ours(ours, base, adaptive, **options)
    by_the_other(theirs, base, adaptive, **options)
    expected = weights(theirs.model)
    for name, value in weights(ours.model).items():
        # That library sums the norm up in single precision.
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-7)


# ------------------------------------------------------------------------ where the page says that it is right or wrong


def closure_over(problem: Problem, optimizer: Any, batches: list[Batch], factor: float = 1.0) -> Any:
    """The mean of the batches, differentiated, as that library asks for: once before the step and once within it."""

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.stack([problem.forward(batch)[0] for batch in batches]).mean() * factor
        loss.backward()
        return loss

    closure()
    return closure


def test_it_resumes_exactly() -> None:
    straight, resumed = classification(), classification()
    whole = SAM(straight.model.parameters(), torch.optim.SGD, rho=0.3, lr=0.1, momentum=0.9)
    for batch in straight.batches[:3]:
        whole.step(closure_over(straight, whole, [batch]))
    resumed.model.load_state_dict(straight.model.state_dict())
    again = SAM(resumed.model.parameters(), torch.optim.SGD, rho=0.3, lr=0.1, momentum=0.9)
    again.load_state_dict(copy.deepcopy(whole.state_dict()))
    for batch in straight.batches[3:]:
        whole.step(closure_over(straight, whole, [batch]))
        again.step(closure_over(resumed, again, [batch]))
    assert same_bits(weights(resumed.model), weights(straight.model))


def test_its_update_is_multiplied_by_the_grad_scalers_scale() -> None:
    moved = []
    for scale in (1.0, 1024.0):
        problem = classification(dtype=torch.float32)
        before = weights(problem.model)
        optimizer = SAM(problem.model.parameters(), torch.optim.SGD, rho=0.05, lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        closure = closure_over(problem, optimizer, problem.batches[:1], scaler.scale(torch.ones(())).item())
        scaler.step(optimizer, closure)
        moved.append(max(float((value - before[name]).abs().max()) for name, value in weights(problem.model).items()))
    assert moved[1] / moved[0] == pytest.approx(1024, rel=1e-3)


def test_an_overflow_in_its_first_pass_is_the_end_of_the_weights() -> None:
    problem = classification()
    optimizer = SAM(problem.model.parameters(), torch.optim.SGD, rho=0.3, lr=0.1)
    closure = closure_over(problem, optimizer, problem.batches[:1])
    next(iter(problem.model.parameters())).grad.fill_(torch.inf)
    optimizer.step(closure)
    assert all(value.isnan().all() for value in weights(problem.model).values())


def test_its_second_pass_of_an_accumulation_is_over_the_last_micro_batch_alone() -> None:
    """The usual loop: gradients add up over micro-batches, and the last one's closure is the step's."""
    problem, batches = classification(), classification().batches[:2]
    optimizer = SAM(problem.model.parameters(), torch.optim.SGD, rho=0.3, lr=0.1)
    before = weights(problem.model)
    for batch in batches:
        (problem.forward(batch)[0] / 2).backward()
    grads = {name: param.grad.clone() for name, param in problem.model.named_parameters()}
    optimizer.step(lambda: (problem.forward(batches[-1])[0] / 2).backward())
    norm = torch.stack([grad.norm() for grad in grads.values()]).norm()
    ascended = classification()
    with torch.no_grad():
        for name, param in ascended.model.named_parameters():
            param.add_(0.3 / norm * grads[name])
    (ascended.forward(batches[-1])[0] / 2).backward()
    for name, param in ascended.model.named_parameters():
        torch.testing.assert_close(weights(problem.model)[name], before[name] - 0.1 * param.grad, rtol=1e-6, atol=1e-7)


def test_it_restores_a_parameter_that_one_pass_does_not_use() -> None:
    problem = classification()
    optimizer = SAM(problem.model.parameters(), torch.optim.SGD, rho=0.3, lr=0.0)
    before = weights(problem.model)
    closure = closure_over(problem, optimizer, problem.batches[:1])

    def without_the_first() -> None:
        closure()
        next(iter(problem.model.parameters())).grad = None

    optimizer.step(without_the_first)
    assert same_bits(weights(problem.model), before)
