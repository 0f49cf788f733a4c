"""The facade is `TRAM` and a base optimizer, and nothing more."""

import copy
import warnings

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


def test_the_usual_closure_of_other_libraries_is_explained() -> None:
    problem = classification()

    def closure() -> torch.Tensor:
        loss = problem.forward(problem.batches[0])[0]
        loss.backward()
        return loss

    with pytest.raises(TypeError, match=r"\(loss, logits\)"):
        TRAMOptimizer(problem.model, "SAM", torch.optim.SGD, lr=0.1).step(closure)


def test_the_returned_logits_are_clean_where_the_fisher_information_has_a_pass_of_its_own() -> None:
    problem = classification()
    method = Method(ascent=Ascent(Fisher(), 0.1, noise_std=0.5, fisher_gradient="separate"))
    expected = problem.forward(problem.batches[0])[1].detach()
    optimizer = TRAMOptimizer(problem.model, method, torch.optim.SGD, input_module=problem.input_module, lr=0.1)
    assert torch.equal(optimizer.step(lambda: problem.forward(problem.batches[0]))[1], expected)


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
