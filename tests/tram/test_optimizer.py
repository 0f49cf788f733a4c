"""The facade is `TRAM` and a base optimizer, and nothing more."""

import copy
import warnings
from typing import Any

import pytest
import torch

from tests.problems import classification, same_bits, weights
from tram import METHODS, TRAM, Ascent, Fisher, Method, TRAMOptimizer


@pytest.mark.parametrize("name", METHODS)
def test_the_facade_equals_the_estimator_with_its_base_optimizer(name: str) -> None:
    problem = classification(dropout=0.2)
    torch.manual_seed(1)
    tram = TRAM(problem.model, name, input_module=problem.input_module)
    base = torch.optim.AdamW(problem.model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.ExponentialLR(base, 0.9)
    expected_losses = []
    for batch in problem.batches:
        expected_losses.append(tram.backward(problem.forward, batch))
        base.step()
        base.zero_grad()
        schedule.step()
    expected = weights(problem.model)

    problem = classification(dropout=0.2)
    torch.manual_seed(1)
    optimizer = TRAMOptimizer(problem.model, name, torch.optim.AdamW, input_module=problem.input_module, lr=0.01)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the scheduler must see that the optimizer stepped
        for batch, expected_loss in zip(problem.batches, expected_losses, strict=True):
            loss, logits = optimizer.step(lambda batch=batch: problem.forward(batch))
            schedule.step()
            assert torch.equal(loss, expected_loss)
            assert logits.shape == (16, 3)
            assert not logits.requires_grad
    assert same_bits(weights(problem.model), expected)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * 0.9**12)


@pytest.mark.parametrize("name", ["ASAM", "TRAM-prev", "ASAM+MESA"])
def test_momentum_and_reference_survive_a_checkpoint(name: str) -> None:
    problem = classification()
    optimizer = TRAMOptimizer(problem.model, name, torch.optim.Adam, lr=0.05)
    for batch in problem.batches[:5]:
        optimizer.step(lambda batch=batch: problem.forward(batch))
    state, model_state = copy.deepcopy(optimizer.state_dict()), copy.deepcopy(problem.model.state_dict())
    for batch in problem.batches[5:]:
        optimizer.step(lambda batch=batch: problem.forward(batch))
    expected = weights(problem.model)

    problem = classification()
    problem.model.load_state_dict(model_state)
    optimizer = TRAMOptimizer(problem.model, name, torch.optim.Adam, lr=0.05)
    optimizer.load_state_dict(state)
    for batch in problem.batches[5:]:
        optimizer.step(lambda batch=batch: problem.forward(batch))
    assert same_bits(weights(problem.model), expected)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step(lambda: problem.forward(problem.batches[0]))
    assert same_bits(weights(problem.model), expected)


def test_a_missing_closure_is_explained() -> None:
    problem = classification()
    with pytest.raises(ValueError, match=r"\(loss, logits\)"):
        TRAMOptimizer(problem.model, "SAM", torch.optim.SGD, lr=0.1).step()


@pytest.mark.parametrize("returns", ["loss", "tuple"])
@pytest.mark.parametrize("name", METHODS)
def test_a_closure_that_runs_backward_is_refused_and_nothing_has_moved(name: str, returns: str) -> None:
    """As other libraries want it, and as Lightning's automatic optimisation and GradScaler's users hand it over."""
    problem = classification()
    optimizer = TRAMOptimizer(problem.model, name, torch.optim.SGD, input_module=problem.input_module, lr=0.1)
    before = weights(problem.model)

    def closure() -> Any:
        optimizer.zero_grad()
        loss, logits = problem.forward(problem.batches[0])
        loss.backward(retain_graph=True)
        return loss if returns == "loss" else (loss, logits)

    with pytest.raises(TypeError, match=r"forward pass alone and returns \(loss, logits\).*Lightning.*TRAM\.backward"):
        optimizer.step(closure)
    assert same_bits(weights(problem.model), before)
    assert all(param.grad is None for param in problem.model.parameters())
    optimizer.step(lambda: problem.forward(problem.batches[0]))
    assert optimizer.tram.steps == 1


def test_an_error_of_the_closures_own_stays_what_it_is() -> None:
    problem = classification()

    def closure() -> Any:
        raise RuntimeError("out of luck")

    for name in ("SAM", "TRPO"):
        with pytest.raises(RuntimeError, match="out of luck"):
            TRAMOptimizer(problem.model, name, torch.optim.SGD, lr=0.1).step(closure)


def test_gradients_from_before_are_told_and_not_thrown_away() -> None:
    problem = classification()
    optimizer = TRAMOptimizer(problem.model, "SAM", torch.optim.SGD, lr=0.1)
    problem.forward(problem.batches[0])[0].backward()
    with pytest.raises(ValueError, match=r"left over.*TRAM\.backward\(forward, \*micro_batches\)"):
        optimizer.step(lambda: problem.forward(problem.batches[1]))
    assert problem.model.head.weight.grad is not None
    optimizer.zero_grad()
    optimizer.step(lambda: problem.forward(problem.batches[1]))


def test_clipping_in_a_hook_of_the_base_optimizer() -> None:
    problem, plain = classification(), classification()
    optimizer = TRAMOptimizer(problem.model, "SAM", torch.optim.SGD, lr=0.1)

    def clip(*_: Any) -> None:
        torch.nn.utils.clip_grad_norm_(problem.model.parameters(), 0.1)

    optimizer.base_optimizer.register_step_pre_hook(clip)
    tram, base = TRAM(plain.model, "SAM"), torch.optim.SGD(plain.model.parameters(), lr=0.1)
    for batch in problem.batches:
        optimizer.step(lambda batch=batch: problem.forward(batch))
        tram.backward(plain.forward, batch)
        torch.nn.utils.clip_grad_norm_(plain.model.parameters(), 0.1)
        base.step()
        base.zero_grad()
    assert same_bits(weights(problem.model), weights(plain.model))


def test_a_grad_scaler_is_refused_wherever_it_comes_from() -> None:
    """Never a step with gradients that are still multiplied by the scale."""
    problem = classification(dtype=torch.float32)
    scaler = torch.amp.GradScaler("cpu")
    with pytest.raises(TypeError, match=r"TRAM\(model, method, scaler=scaler\)"):
        TRAMOptimizer(problem.model, "SAM", torch.optim.SGD, lr=0.1, scaler=scaler)
    optimizer = TRAMOptimizer(problem.model, "SAM", torch.optim.SGD, lr=0.1)
    before = weights(problem.model)

    def closure() -> Any:
        loss, logits = problem.forward(problem.batches[0])
        scaler.scale(loss).backward(retain_graph=True)
        return loss, logits

    closure()
    with pytest.raises(ValueError, match="left over"):
        scaler.step(optimizer, closure)
    optimizer.zero_grad()
    with pytest.raises(TypeError, match="forward pass alone"):
        optimizer.step(closure)
    assert same_bits(weights(problem.model), before)


def test_each_replica_may_ascend_by_itself() -> None:
    assert TRAMOptimizer(classification().model, "SAM", torch.optim.SGD, sync="local", lr=0.1).tram.sync == "local"


def test_the_returned_logits_are_clean_where_the_fisher_information_has_a_pass_of_its_own() -> None:
    problem = classification()
    method = Method(ascent=Ascent(Fisher(), 0.1, noise_std=0.5, fisher_gradient="separate"))
    expected = problem.forward(problem.batches[0])[1].detach()
    optimizer = TRAMOptimizer(problem.model, method, torch.optim.SGD, input_module=problem.input_module, lr=0.1)
    assert torch.equal(optimizer.step(lambda: problem.forward(problem.batches[0]))[1], expected)


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (
            lambda p: TRAM(p.model.parameters(), "SAM"),
            r"TRAM takes the model, as in TRAM\(model, 'SAM'\), not generator",
        ),
        (
            lambda p: TRAMOptimizer(p.model.parameters(), "SAM", torch.optim.SGD, lr=0.1),
            "TRAMOptimizer takes the model, not generator",
        ),
        (
            lambda p: TRAMOptimizer(p.model, "SAM", torch.optim.SGD, rho=0.05, lr=0.1),
            r"SGD takes no rho.*Method\(ascent=Ascent\(Euclidean\(\), radius=0\.05\)\)",
        ),
        (
            lambda p: TRAMOptimizer(p.model, "SAM", torch.optim.SGD(p.model.parameters(), lr=0.1)),
            "base_optimizer is the class SGD, .* not an instance",
        ),
        (
            lambda p: TRAM(p.model, "SAM").backward(p.batches[0], p.forward),
            r"backward\(forward, \*micro_batches\): the function comes first, not dict",
        ),
    ],
    ids=["parameters", "parameters of the facade", "rho", "instance", "order"],
)
def test_habits_of_other_libraries_are_told_in_one_line(mistake: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told) as error:
        mistake(classification())
    assert "\n" not in str(error.value)


def test_a_base_optimizer_may_have_a_rho_of_its_own() -> None:
    optimizer = TRAMOptimizer(classification().model, "SAM", torch.optim.Adadelta, rho=0.8)
    assert optimizer.param_groups[0]["rho"] == 0.8


def test_a_deep_copy_is_whole() -> None:
    problem = classification()
    optimizer = TRAMOptimizer(problem.model, "TRAM-prev", torch.optim.Adam, lr=0.1)
    optimizer.step(lambda: problem.forward(problem.batches[0]))
    twin = copy.deepcopy(optimizer)
    assert twin.tram.steps == 1
    assert twin.param_groups is twin.base_optimizer.param_groups
    assert twin.state is twin.base_optimizer.state


def test_the_state_of_a_plain_optimizer_is_refused() -> None:
    problem = classification()
    plain = torch.optim.SGD(problem.model.parameters(), lr=0.1).state_dict()
    with pytest.raises(ValueError, match="plain optimizer"):
        TRAMOptimizer(problem.model, "SAM", torch.optim.SGD, lr=0.1).load_state_dict(plain)
