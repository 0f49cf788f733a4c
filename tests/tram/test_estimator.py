"""What one step must leave behind, and what it must leave alone."""

import copy
import gc
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.problems import Batch, Problem, classification, language_modelling, same_bits, split, weights
from tram import (
    METHODS,
    TRAM,
    Adaptive,
    Ascent,
    Euclidean,
    Fisher,
    ForwardKL,
    Method,
    NoisyInput,
    PastWeights,
    TrustRegion,
    distance,
)

BY_DISTANCE = Ascent(Adaptive(), "d")
SEPARATE = Method(ascent=Ascent(Fisher(), 0.1, noise_std=0.1, fisher_gradient="separate"))
EVERY_METHOD = [*METHODS.items(), ("TRAM-Fisher, separate", SEPARATE)]
ASCENDING = [(name, method) for name, method in EVERY_METHOD if method.ascent is not None]


def names(methods: list[tuple[str, Method]]) -> dict[str, Any]:
    return {"argvalues": [method for _, method in methods], "ids": [name for name, _ in methods]}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: param.grad.clone() for name, param in model.named_parameters() if param.grad is not None}


def make(problem: Problem, method: Method | str, **options: Any) -> TRAM:
    return TRAM(problem.model, method, input_module=problem.input_module, **options)


def train(problem: Problem, tram: TRAM, batches: list[Batch]) -> None:
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1, momentum=0.9)
    for batch in batches:
        tram.backward(problem.forward, batch)
        optimizer.step()
        optimizer.zero_grad()


# ----------------------------------------------------------------------------------------------------- weights restored


@pytest.mark.parametrize("method", **names(EVERY_METHOD))
def test_weights_are_bit_identical_after_backward(method: Method) -> None:
    problem = classification(dropout=0.3, norm=True, dtype=torch.float32)
    tram = make(problem, method)
    train(problem, tram, problem.batches[:3])
    before = weights(problem.model)
    pointers = [param.data_ptr() for param in problem.model.parameters()]
    tram.backward(problem.forward, problem.batches[3])
    assert same_bits(weights(problem.model), before)
    assert [param.data_ptr() for param in problem.model.parameters()] == pointers


@pytest.mark.parametrize("method", **names(EVERY_METHOD))
@pytest.mark.parametrize("fatal", [1, 2, 3, 4])
def test_weights_modes_and_hooks_survive_an_exception_in_any_pass(method: Method, fatal: int) -> None:
    problem = classification(dropout=0.3, norm=True, dtype=torch.float32)
    state = outside(problem)
    tram = make(problem, method)
    train(problem, tram, problem.batches[:2])
    before, calls = weights(problem.model), 0

    def failing(batch: Batch) -> tuple[Any, ...]:
        nonlocal calls
        calls += 1
        outputs = problem.forward(batch)
        if calls == fatal:
            raise torch.OutOfMemoryError("simulated")
        return outputs

    if fatal > method.passes.forward:
        tram.backward(failing, problem.batches[2])
    else:
        with pytest.raises(torch.OutOfMemoryError):
            tram.backward(failing, problem.batches[2])
    assert same_bits(weights(problem.model), before)
    assert outside(problem) == state
    problem.model.zero_grad()
    tram.backward(problem.forward, problem.batches[3])


def outside(problem: Problem) -> tuple[Any, ...]:
    """What a step may not leave changed beside the weights: modes, hooks, and which buffers there are."""
    modules = list(problem.model.modules())
    buffers = [{name: buffer is None for name, buffer in module._buffers.items()} for module in modules]
    return [module.training for module in modules], [len(module._forward_hooks) for module in modules], buffers


# ---------------------------------------------------------------------------------------------------- degenerate points


def test_the_plain_method_is_the_base_optimizer_bitwise() -> None:
    problem, plain = classification(dropout=0.2, norm=True), classification(dropout=0.2, norm=True)
    optimizer = torch.optim.SGD(plain.model.parameters(), lr=0.1, momentum=0.9)
    torch.manual_seed(3)
    for batch in plain.batches:
        plain.forward(batch)[0].backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.manual_seed(3)
    train(problem, make(problem, Method()), problem.batches)
    assert same_bits(problem.model.state_dict(), plain.model.state_dict())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Method(ascent=Ascent(Fisher(0.0), 0.05)), METHODS["SAM"]),
        (Method(ascent=Ascent(Euclidean(), 0.0)), Method()),
        (Method(TrustRegion(NoisyInput(0.0)), ascent=BY_DISTANCE), Method()),
        (Method(TrustRegion(PastWeights(1.0), maximum=0.0), ascent=BY_DISTANCE), Method()),
        (Method(TrustRegion(PastWeights(), floor=0.5, maximum=0.5), ascent=BY_DISTANCE), METHODS["ASAM"]),
        (Method(TrustRegion(PastWeights(0.0)), penalty=0.1), METHODS["TRPO"]),
        (Method(ascent=Ascent(Fisher(), 0.1, noise_std=1e-300)), METHODS["FSAM"]),
    ],
    ids=lambda method: "",
)
def test_methods_that_must_coincide_do(one: Method, other: Method) -> None:
    results = []
    for method in (one, other):
        problem = classification()
        train(problem, make(problem, method), problem.batches)
        results.append(weights(problem.model))
    for name in results[0]:
        torch.testing.assert_close(results[0][name], results[1][name], rtol=1e-12, atol=1e-14)


def test_adaptive_equals_euclidean_where_all_weights_are_plus_or_minus_one() -> None:
    found = []
    for geometry in (Adaptive(), Euclidean()):
        problem = classification()
        with torch.no_grad():
            for param in problem.model.parameters():
                param.sign_()
        make(problem, Method(ascent=Ascent(geometry, 0.05))).backward(problem.forward, problem.batches[0])
        found.append(gradients(problem.model))
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["TRAM-prev", "TRAM-pre"])
def test_the_first_step_of_a_past_reference_is_a_plain_step(name: str) -> None:
    problem = classification(norm=True)
    tram = make(problem, name)
    tram.backward(problem.forward, problem.batches[0])
    found = gradients(problem.model)
    assert tram.distance == 0
    assert tram.perturbation_norm == 0
    assert tram.degenerate_steps == 1
    problem = classification(norm=True)
    problem.forward(problem.batches[0])[0].backward()
    assert same_bits(found, gradients(problem.model))


# ------------------------------------------------------------------------------------------------------- the distance d


@pytest.mark.parametrize("decay", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("problem", [classification(), language_modelling()], ids=["classification", "language model"])
def test_d_is_the_kl_of_deep_copies_kept_by_hand(problem: Problem, decay: float) -> None:
    problem = copy.deepcopy(problem) if decay else problem
    problem = rebuilt(problem)
    tram = make(problem, Method(TrustRegion(PastWeights(decay)), ascent=BY_DISTANCE))
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.5)
    reference = copy.deepcopy(problem.model)
    for batch in problem.batches:
        current = copy.deepcopy(problem.model)
        tram.backward(problem.forward, batch)
        optimizer.step()
        optimizer.zero_grad()
        entry = next(iter(batch.values()))
        with torch.no_grad():
            p, q = (model(entry).log_softmax(-1) for model in (reference, current))
            p, q = (p[:, :-1], q[:, :-1]) if p.dim() == 3 else (p, q)
            expected = (p.exp() * (p - q)).sum(-1).mean()
            for kept, param in zip(reference.parameters(), current.parameters(), strict=True):
                kept.mul_(decay).add_((1 - decay) * param)
        assert tram.distance is not None
        torch.testing.assert_close(tram.distance, expected, rtol=1e-9, atol=1e-14)


def rebuilt(problem: Problem) -> Problem:
    return language_modelling() if "tokens" in problem.batches[0] else classification()


def test_scale_floor_and_maximum_bound_the_radius() -> None:
    for scale, floor, maximum in [(1.0, 0.0, None), (100.0, 0.0, None), (1.0, 0.3, None), (100.0, 0.0, 0.2)]:
        problem = classification()
        region = TrustRegion(PastWeights(1.0), scale=scale, floor=floor, maximum=maximum)
        tram = make(problem, Method(region, ascent=BY_DISTANCE))
        train(problem, tram, problem.batches[:4])
        assert tram.distance is not None
        assert tram.radius is not None
        assert tram.radius.item() == pytest.approx(min(max(tram.distance.item(), floor), maximum or float("inf")))
        if scale == 1.0 and floor == 0.0:
            base = tram.distance.item()
        assert tram.distance.item() == pytest.approx(scale * base, rel=0.5)


def test_a_mask_leaves_padding_out_of_d() -> None:
    problem = language_modelling()
    mask = torch.ones(4, 6, dtype=torch.bool)
    mask[:, 4:] = False
    tram = make(problem, METHODS["TRAM-pre"])
    reference = copy.deepcopy(problem.model)
    train(problem, tram, problem.batches[:2])
    tokens = problem.batches[2]["tokens"]
    with torch.no_grad():
        expected = distance(ForwardKL(), reference(tokens)[:, :4], problem.model(tokens)[:, :4])
    tram.backward(lambda batch: (*problem.forward(batch), mask), problem.batches[2])
    torch.testing.assert_close(tram.distance, expected)


# -------------------------------------------------------------------------------------------------------------- dropout


@pytest.mark.parametrize(
    ("reference", "zero"),
    [
        (NoisyInput(0.0, dropout="shared"), True),
        (NoisyInput(0.0, dropout="fresh"), False),
        (NoisyInput(0.0, dropout="off"), False),
        (PastWeights(dropout="shared"), True),
        (PastWeights(dropout="fresh"), False),
        (PastWeights(dropout="off"), False),
    ],
    ids=str,
)
def test_only_shared_dropout_leaves_no_distance_between_equals(reference: NoisyInput | PastWeights, zero: bool) -> None:
    problem = classification(dropout=0.5)
    tram = make(problem, Method(TrustRegion(reference), penalty=0.1))
    tram.backward(problem.forward, *split(problem.batches[0], 2))
    assert tram.distance is not None
    assert (tram.distance.item() == 0) == zero


def test_dropout_off_is_evaluation_mode() -> None:
    problem = classification(dropout=0.5)
    tram = make(problem, Method(TrustRegion(PastWeights(dropout="off")), penalty=0.1))
    batch, seen = problem.batches[0], []

    def forward(b: Batch) -> tuple[Tensor, Tensor]:
        loss, logits = problem.forward(b)
        seen.append(logits.detach())
        return loss, logits

    tram.backward(forward, batch)
    problem.model.eval()
    torch.testing.assert_close(seen[0], problem.forward(batch)[1].detach())
    assert not torch.allclose(seen[0], seen[1])


@pytest.mark.parametrize("method", **names(ASCENDING))
def test_the_second_pass_sees_the_dropout_masks_of_the_first(method: Method) -> None:
    problem = classification(dropout=0.5)
    tram, parts = make(problem, method), split(problem.batches[2], 2)
    train(problem, tram, problem.batches[:2])
    latest: list[Tensor] = []
    masks: dict[tuple[bool, int], Tensor] = {}

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        loss, logits = problem.forward(batch)
        if loss.requires_grad:  # the first such call of a pass is the clean one, noisy branches follow it
            masks.setdefault((tram._perturbed, [part is batch for part in parts].index(True)), latest[-1])
        return loss, logits

    problem.model.dropout.register_forward_hook(lambda m, i, output: latest.append(output == 0))  # type: ignore[union-attr]
    tram.backward(forward, *parts)
    for part in range(2):
        assert torch.equal(masks[False, part], masks[True, part])
    assert not torch.equal(masks[False, 0], masks[False, 1])


@pytest.mark.parametrize("method", **names(EVERY_METHOD))
def test_random_numbers_outside_are_those_of_an_ordinary_step(method: Method) -> None:
    problem = classification(dropout=0.5)
    torch.manual_seed(5)
    for batch in split(problem.batches[0], 2):
        problem.forward(batch)[0].backward()
    expected = torch.get_rng_state()
    problem.model.zero_grad()
    torch.manual_seed(5)
    tram = make(problem, method)

    def forward(batch: Batch) -> tuple[Any, ...]:
        if tram._perturbed:
            torch.rand(3)  # a second pass may draw more than the first, as layer drop does
        return problem.forward(batch)

    tram.backward(forward, *split(problem.batches[0], 2))
    assert torch.equal(torch.get_rng_state(), expected)


# --------------------------------------------------------------------------------------------------- running statistics


@pytest.mark.parametrize("method", **names([row for row in EVERY_METHOD if row[0] != "TRAM-Fisher"]))
def test_running_statistics_move_once_a_step_by_the_first_pass(method: Method) -> None:
    problem, plain = classification(norm=True), classification(norm=True)
    tram = make(problem, method)
    for batch in problem.batches[:3]:
        plain.model.load_state_dict(problem.model.state_dict())
        plain.forward(batch)
        tram.backward(problem.forward, batch)
        problem.model.zero_grad()
        assert same_bits(dict(problem.model.named_buffers()), dict(plain.model.named_buffers()))


def test_a_noisy_first_pass_moves_running_statistics_once_too() -> None:
    problem = classification(norm=True)
    make(problem, "TRAM-Fisher").backward(problem.forward, problem.batches[0])
    assert problem.model.norm.num_batches_tracked == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(4), nn.InstanceNorm1d(4, track_running_stats=True)], ids=str)
def test_a_nan_at_the_perturbed_weights_does_not_reach_running_statistics(layer: nn.Module) -> None:
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(12, 2))
    layer.weight = nn.Parameter(torch.ones(4))  # type: ignore[assignment]
    calls = 0

    def forward(batch: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        logits = model(batch * float("nan") if calls == 2 else batch)
        return logits.logsumexp(-1).mean(), logits

    TRAM(model, "SAM").backward(forward, torch.randn(5, 4, 3))
    assert calls == 2
    assert layer.running_mean.isfinite().all()  # type: ignore[union-attr]


def test_frozen_batch_normalisation_stays_in_evaluation_mode() -> None:
    problem = classification(norm=True)
    problem.model.norm.eval()  # type: ignore[union-attr]
    problem.model.norm.running_mean.fill_(0.3)  # type: ignore[union-attr, operator]
    before = copy.deepcopy(dict(problem.model.named_buffers()))
    seen: list[Tensor] = []

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        loss, logits = problem.forward(batch)
        seen.append(logits.detach())
        return loss, logits

    # With a radius of 0 and no noise all three passes are of one function.
    tram = make(problem, Method(TrustRegion(NoisyInput(0.0)), ascent=BY_DISTANCE))
    tram.backward(forward, problem.batches[0])
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])
    assert same_bits(dict(problem.model.named_buffers()), before)
    assert not problem.model.norm.training  # type: ignore[union-attr]


# -------------------------------------------------------------------------------------------------------- micro-batches


# MMD compares sets of rows: its mean over parts of the batch is not that of the whole.
ADDITIVE = [(name, method) for name, method in EVERY_METHOD if name != "TRAM-x-MMD"]


@pytest.mark.parametrize("method", **names(ADDITIVE))
@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_are_one_batch(method: Method, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # One z a feature, the same for every example: then splitting the batch does not change what an example sees.
    monkeypatch.setattr(
        "tram._noise.InputNoise._draw", lambda self, noise, output, seed: torch.sin(torch.arange(8.0)).to(output)
    )
    results = []
    for pieces in (1, parts):
        problem = classification()
        tram = make(problem, method)
        train(problem, tram, problem.batches[:3])
        loss = tram.backward(problem.forward, *split(problem.batches[3], pieces))
        results.append((loss, tram.distance, gradients(problem.model)))
    (loss, d, grads), (other_loss, other_d, other_grads) = results
    torch.testing.assert_close(loss, other_loss, rtol=1e-10, atol=0)
    torch.testing.assert_close(d, other_d, rtol=1e-9, atol=0)
    for name in grads:
        torch.testing.assert_close(grads[name], other_grads[name], rtol=1e-7, atol=1e-12)


# --------------------------------------------------------------------------------------------------------------- inputs


@pytest.mark.parametrize("method", **names(EVERY_METHOD))
def test_the_batch_is_untouched(method: Method) -> None:
    problem = language_modelling()
    batch = problem.batches[0]
    before = {name: (tensor, tensor.clone(), tensor._version) for name, tensor in batch.items()}
    make(problem, method).backward(problem.forward, batch)
    assert batch.keys() == before.keys()
    for name, (tensor, values, version) in before.items():
        assert batch[name] is tensor
        assert tensor._version == version
        assert torch.equal(tensor, values)


def test_leftover_gradients_of_ones_own_loop_are_refused_too() -> None:
    problem = classification()
    problem.forward(problem.batches[0])[0].backward()
    with pytest.raises(ValueError, match="zero_grad"):
        make(problem, "SAM").objective(problem.forward)(problem.batches[0])


def test_a_gradient_left_on_a_frozen_parameter_is_none_of_our_business() -> None:
    problem = classification()
    problem.forward(problem.batches[0])[0].backward()
    for name, param in problem.model.named_parameters():
        if name.startswith("embedding"):
            param.requires_grad_(False)
        else:
            param.grad = None
    make(problem, "SAM").backward(problem.forward, problem.batches[0])


def test_leftover_gradients_are_refused() -> None:
    problem = classification()
    tram = make(problem, "SAM")
    tram.backward(problem.forward, problem.batches[0])
    with pytest.raises(ValueError, match=r"embedding\.weight.*zero_grad"):
        tram.backward(problem.forward, problem.batches[1])


@pytest.mark.parametrize(
    ("forward", "error", "named"),
    [
        (lambda batch: torch.zeros(()), TypeError, r"\(loss, logits\)"),
        (lambda batch: (1.0, 2.0), TypeError, r"\(loss, logits\)"),
        (lambda batch: (torch.zeros(2, 3), torch.zeros(())), TypeError, "scalar loss"),
    ],
)
def test_a_forward_of_another_shape_is_refused(forward: Any, error: type[Exception], named: str) -> None:
    problem = classification()
    with pytest.raises(error, match=named):
        make(problem, "SAM").backward(forward, problem.batches[0])


def test_no_batch_is_refused() -> None:
    problem = classification()
    with pytest.raises(ValueError, match="at least one"):
        make(problem, "SAM").backward(problem.forward)


# --------------------------------------------------------------------------------------------------- unusual parameters


@pytest.mark.parametrize("method", **names(EVERY_METHOD))
def test_frozen_parameters_neither_move_nor_get_gradients(method: Method) -> None:
    problem = classification()
    problem.model.embedding.weight.requires_grad_(False)  # type: ignore[union-attr]
    tram = make(problem, method)
    before = problem.model.embedding.weight.clone()  # type: ignore[union-attr, operator]
    for batch in problem.batches[:2]:
        problem.model.zero_grad()
        tram.backward(problem.forward, batch)
    assert problem.model.embedding.weight.grad is None  # type: ignore[union-attr]
    assert torch.equal(problem.model.embedding.weight, before)  # type: ignore[union-attr, arg-type]


def test_parameters_frozen_later_are_told() -> None:
    problem = classification()
    tram = make(problem, "SAM")
    train(problem, tram, problem.batches[:1])
    problem.model.head.bias.requires_grad_(False)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="new TRAM"):
        tram.backward(problem.forward, problem.batches[1])


def test_another_dtype_later_is_told_before_weights_are_rounded() -> None:
    problem = classification(dtype=torch.float32)
    tram = make(problem, "SAM")
    train(problem, tram, problem.batches[:1])
    problem.model.double()
    before = weights(problem.model)
    batch = {"x": problem.batches[1]["x"].double(), "y": problem.batches[1]["y"]}
    with pytest.raises(ValueError, match="new TRAM"):
        tram.backward(problem.forward, batch)
    assert same_bits(weights(problem.model), before)


def test_running_out_of_memory_while_swapping_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = classification()
    tram = make(problem, "TRAM-pre")
    train(problem, tram, problem.batches[:2])
    before, exchange, calls = weights(problem.model), torch._foreach_copy_, 0

    def failing(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 8:  # amid the third lot
            raise torch.OutOfMemoryError("simulated")
        exchange(*args)

    monkeypatch.setattr(torch, "_foreach_copy_", failing)
    with pytest.raises(torch.OutOfMemoryError):
        tram.backward(problem.forward, problem.batches[2])
    assert same_bits(weights(problem.model), before)


@pytest.mark.parametrize("method", **names(ASCENDING))
@pytest.mark.parametrize("owned", [False, True])
def test_an_interrupt_while_weights_are_restored_is_mended(
    method: Method, owned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By backward itself, and by reset() in a loop of one's own."""
    problem = classification(dtype=torch.float32)
    tram = make(problem, method)
    train(problem, tram, problem.batches[:2])
    before, restore, interrupted = weights(problem.model), torch._foreach_copy_, False

    def once(into: Any, source: Any) -> None:
        nonlocal interrupted
        if tram._perturbed and source is tram._backup and not interrupted:
            interrupted = True
            raise KeyboardInterrupt
        restore(into, source)

    monkeypatch.setattr(torch, "_foreach_copy_", once)
    if owned:
        objective = tram.objective(problem.forward)
        objective(problem.batches[2]).backward()
        with pytest.raises(KeyboardInterrupt), tram.perturbed():
            objective(problem.batches[2]).backward()
        tram.reset()
    else:
        with pytest.raises(KeyboardInterrupt):
            tram.backward(problem.forward, problem.batches[2])
    assert same_bits(weights(problem.model), before)
    problem.model.zero_grad()
    tram.backward(problem.forward, problem.batches[2])
    assert same_bits(weights(problem.model), before)


def test_a_step_without_an_ascent_still_advances_the_previous_step() -> None:
    """A loop of one's own may perturb every second step only."""
    problem = classification()
    tram = make(problem, "TRAM-prev")
    objective = tram.objective(problem.forward)
    for step, batch in enumerate(problem.batches[:4]):
        objective(batch).backward()
        if step % 2 == 0:
            with tram.perturbed():
                objective(batch).backward()
        tram.advance()
        assert all(torch.equal(a, b) for a, b in zip(tram._reference, problem.model.parameters(), strict=True))
        with torch.no_grad():
            for param in problem.model.parameters():
                param -= 0.1 * param.grad
                param.grad = None


def test_an_abandoned_step_can_be_begun_anew() -> None:
    problem = classification(dropout=0.3)
    results = []
    for interrupted in (False, True):
        tram = make(problem, "SAM")
        objective = tram.objective(problem.forward)
        torch.manual_seed(4)
        if interrupted:
            with pytest.raises(KeyError):
                objective({"x": problem.batches[1]["x"]})
            tram.reset()
            torch.manual_seed(4)
        objective(problem.batches[0]).backward()
        with tram.perturbed():
            objective(problem.batches[0]).backward()
        tram.advance()
        results.append(gradients(problem.model))
        problem.model.zero_grad()
    assert same_bits(results[0], results[1])


def test_a_model_without_trainable_parameters_is_told() -> None:
    problem = classification()
    problem.model.requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable"):
        make(problem, "SAM").backward(problem.forward, problem.batches[0])


class Rooms(nn.Module):
    """Parameters used in both passes, in neither, in the first only and in the second only."""

    def __init__(self) -> None:
        super().__init__()
        self.always, self.never, self.first, self.second = (nn.Linear(3, 2) for _ in range(4))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.always(x) + (self.first(x) if self.calls == 1 else self.second(x))


@pytest.mark.parametrize("name", ["SAM", "ASAM", "FSAM"])
def test_parameters_without_a_gradient_in_a_pass_are_restored(name: str) -> None:
    model = Rooms()
    before = weights(model)
    x, y = torch.randn(6, 3), torch.randint(2, (6,))

    def forward(_: None) -> tuple[Tensor, Tensor]:
        logits = model(x)
        return F.cross_entropy(logits, y), logits

    TRAM(model, name).backward(forward, None)
    assert same_bits(weights(model), before)
    assert set(gradients(model)) == {"always.weight", "always.bias", "second.weight", "second.bias"}


def test_tied_weights_are_one_parameter() -> None:
    problem = language_modelling()
    tram = make(problem, "SAM")
    moved: list[Tensor] = []
    before = problem.model.embedding.weight.detach().clone()  # type: ignore[union-attr, operator]

    def forward(batch: Batch) -> tuple[Tensor, ...]:
        moved.append(problem.model.embedding.weight.detach() - before)  # type: ignore[union-attr, operator]
        return problem.forward(batch)

    tram.backward(forward, problem.batches[0])
    problem.model.zero_grad()
    problem.forward(problem.batches[0])[0].backward()
    grads = list(gradients(problem.model).values())
    norm = torch.stack([grad.square().sum() for grad in grads]).sum().sqrt()
    assert len(grads) == 3
    torch.testing.assert_close(moved[1], 0.05 * problem.model.embedding.weight.grad / norm)  # type: ignore[union-attr]


@pytest.mark.parametrize("method", **names(EVERY_METHOD))
def test_several_dtypes_in_one_model(method: Method) -> None:
    problem = classification(dtype=torch.float32)
    problem.model.head.double()  # type: ignore[union-attr]
    problem.model.head.register_forward_pre_hook(lambda m, args: (args[0].double(),))  # type: ignore[union-attr]
    tram, before = make(problem, method), weights(problem.model)
    for batch in problem.batches[:2]:
        problem.model.zero_grad()
        tram.backward(problem.forward, batch)
    assert same_bits(weights(problem.model), before)
    assert {str(g.dtype) for g in gradients(problem.model).values()} == {"torch.float32", "torch.float64"}


def test_sparse_gradients_perturb_as_dense_ones() -> None:
    found = []
    for sparse in (False, True):
        torch.manual_seed(0)
        table, head = nn.Embedding(6, 4, sparse=sparse), nn.Linear(4, 3)
        model = nn.Sequential(table, head)

        def forward(tokens: Tensor, model: nn.Module = model) -> tuple[Tensor, Tensor]:
            logits = model(tokens)
            return F.cross_entropy(logits, tokens % 3), logits

        TRAM(model, "ASAM").backward(forward, torch.tensor([0, 1, 1, 4]))
        assert table.weight.grad is not None
        found.append(table.weight.grad.to_dense())
    torch.testing.assert_close(found[0], found[1])


# --------------------------------------------------------------------------------------------------- memory and devices


EXTRA_COPIES = {
    "SGD": 0,
    "SAM": 1,
    "ASAM": 1,
    "FSAM": 1,
    "TRPO": 1,
    "R3F": 0,
    "MESA": 1,
    "ASAM+TRPO": 1,
    "ASAM+R3F": 1,
    "ASAM+MESA": 2,
    "TRAM-prev": 1,
    "TRAM-pre": 2,
    "TRAM-x": 1,
    "TRAM-Fisher": 1,
}


@pytest.mark.parametrize("name", EXTRA_COPIES)
def test_extra_copies_of_the_weights(name: str) -> None:
    """Counted over every tensor alive in the process, so that no copy can hide."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(100, 100), nn.Tanh(), nn.Linear(100, 100))
    size = sum(param.nbytes for param in model.parameters())
    x, y = torch.randn(4, 100), torch.randint(100, (4,))

    def forward(_: None) -> tuple[Tensor, Tensor]:
        logits = model(x)
        return F.cross_entropy(logits, y), logits

    before = bytes_alive()
    tram = TRAM(model, name, input_module=model[0])
    for _ in range(3):
        tram.backward(forward, None)
        for param in model.parameters():
            param.grad = None
    extra = bytes_alive() - before
    assert extra / size == pytest.approx(EXTRA_COPIES[name], abs=0.05)


def bytes_alive() -> int:
    gc.collect()
    storages = {}
    for thing in gc.get_objects():
        if type(thing) in (Tensor, nn.Parameter) and thing.device.type == "cpu":
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


class NoHostSync(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func is torch.ops.aten._local_scalar_dense.default:
            raise AssertionError("a tensor was read on the host")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", **names(EVERY_METHOD))
@pytest.mark.parametrize("problem", ["classification", "language model"])
def test_no_step_waits_for_the_device(method: Method, problem: str) -> None:
    case = classification(dropout=0.2, norm=True) if problem == "classification" else language_modelling()
    scaler = torch.amp.GradScaler("cpu")
    tram = make(case, method, scaler=scaler)
    with NoHostSync():
        for batch in case.batches[:2]:
            for param in case.model.parameters():
                param.grad = None
            tram.backward(case.forward, *split(batch, 2))


# ------------------------------------------------------------------------------------------------------ mixed precision


@pytest.mark.parametrize("method", **names(EVERY_METHOD))
def test_a_loss_scale_changes_nothing(method: Method) -> None:
    results = []
    for enabled in (False, True):
        problem = classification(dtype=torch.float32)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12, enabled=enabled)
        tram = make(problem, method, scaler=scaler)
        optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1, momentum=0.9)
        for batch in problem.batches:
            tram.backward(problem.forward, *split(batch, 2))
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        results.append(weights(problem.model))
    # A power of two scales exactly: equal up to the bits that sums of squares round differently.
    for name in results[0]:
        torch.testing.assert_close(results[0][name], results[1][name], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("method", **names(EVERY_METHOD))
@pytest.mark.parametrize("overflowing", ["first", "second"])
def test_an_overflow_is_an_ordinary_skipped_step(method: Method, overflowing: str) -> None:
    problem = classification(dtype=torch.float32)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    tram = make(problem, method, scaler=scaler)
    optimizer = torch.optim.Adam(problem.model.parameters(), lr=0.01)
    graded = 0
    overflow = False

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        nonlocal graded
        loss, logits = problem.forward(batch)
        graded += loss.requires_grad
        pass_two = tram._perturbed
        hit = overflow and pass_two == (overflowing == "second" and method.ascent is not None)
        return (loss * float("inf") if hit else loss), logits

    for batch in problem.batches[:2]:
        tram.backward(forward, batch)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    before, state = weights(problem.model), copy.deepcopy(optimizer.state_dict()["state"])
    reference = {name: value for name, value in tram.state_dict().items() if name.startswith("reference.")}
    overflow = True
    tram.backward(forward, problem.batches[2])
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**9
    assert same_bits(weights(problem.model), before)
    for index, slots in optimizer.state_dict()["state"].items():
        assert same_bits(slots, state[index])
    after = {name: value for name, value in tram.state_dict().items() if name.startswith("reference.")}
    assert same_bits(after, reference)


def test_the_step_after_a_skipped_one_compares_with_the_weights_before_the_last_that_counted() -> None:
    """A skipped step is no step: theta_{t-1} is what it would be without it, and so is d."""
    distances = []
    for overflows in (False, True):
        problem = classification(dtype=torch.float32)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
        tram = TRAM(problem.model, "TRAM-prev", scaler=scaler)
        optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1)

        def forward(batch: Batch, problem: Problem = problem) -> tuple[Tensor, Tensor]:
            loss, logits = problem.forward(batch)
            return loss * batch.get("factor", 1.0), logits

        steps = [*problem.batches[:2], {**problem.batches[2], "factor": torch.tensor(torch.inf)}, problem.batches[3]]
        for batch in steps if overflows else [*steps[:2], steps[3]]:
            tram.backward(forward, batch)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        assert tram.distance is not None
        distances.append(tram.distance)
    assert distances[0] > 0
    assert torch.equal(*distances)


@pytest.mark.parametrize("method", **names([row for row in EVERY_METHOD if row[1].needs_input_module is False]))
def test_autocast_around_the_whole_step_does_not_reuse_stale_weights(method: Method) -> None:
    """Autocast caches the half-precision copy of every weight until it is left: swapped weights need new copies."""
    results = []
    for outside_step in (False, True):
        problem = classification(dtype=torch.float32)
        tram = make(problem, method)
        optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.5)

        def forward(batch: Batch, problem: Problem = problem) -> tuple[Tensor, ...]:
            with torch.autocast("cpu", torch.bfloat16):
                return problem.forward(batch)

        for batch in problem.batches[:4]:
            # Not enabled=False: the cache lives until the outermost context is left, whether it is enabled or not.
            with torch.autocast("cpu", torch.bfloat16) if outside_step else nullcontext():
                tram.backward(problem.forward if outside_step else forward, *split(batch, 2))
            optimizer.step()
            optimizer.zero_grad()
        results.append(weights(problem.model))
    assert same_bits(results[0], results[1])


@pytest.mark.parametrize("name", ["SAM", "TRPO", "TRAM-prev"])
def test_a_forward_after_the_step_in_the_same_autocast_sees_the_restored_weights(name: str) -> None:
    problem = classification(dtype=torch.float32)
    tram = make(problem, name)
    train(problem, tram, problem.batches[:2])
    with torch.autocast("cpu", torch.bfloat16):
        expected = problem.forward(problem.batches[2])[1]
    with torch.autocast("cpu", torch.bfloat16):
        tram.backward(problem.forward, problem.batches[2])
        assert torch.equal(problem.forward(problem.batches[2])[1], expected)


# ------------------------------------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize("method", **names(EVERY_METHOD))
@pytest.mark.parametrize("stop", [0, 1, 5])
def test_resumed_equals_uninterrupted_bit_for_bit(method: Method, stop: int, tmp_path: Any) -> None:
    problem = classification(dropout=0.2)
    torch.manual_seed(1)
    train_without_momentum(problem, make(problem, method, seed=3), problem.batches[:8])
    expected = weights(problem.model)

    problem = classification(dropout=0.2)
    torch.manual_seed(1)
    tram = make(problem, method, seed=3)
    train_without_momentum(problem, tram, problem.batches[:stop])
    torch.save(
        {"tram": tram.state_dict(), "model": problem.model.state_dict(), "rng": torch.get_rng_state()}, tmp_path / "c"
    )

    fresh = classification(dropout=0.2)
    stored = torch.load(tmp_path / "c", weights_only=True)
    fresh.model.load_state_dict(stored["model"])
    tram = make(fresh, method, seed=99)
    tram.load_state_dict(stored["tram"])
    torch.set_rng_state(stored["rng"])
    train_without_momentum(fresh, tram, problem.batches[stop:8])
    assert same_bits(weights(fresh.model), expected)
    assert tram.steps == 8


def train_without_momentum(problem: Problem, tram: TRAM, batches: list[Batch]) -> None:
    for batch in batches:
        tram.backward(problem.forward, batch)
        with torch.no_grad():
            for param in problem.model.parameters():
                param -= 0.1 * param.grad
                param.grad = None


def test_a_state_before_the_first_step_is_whole_and_keeps_nothing() -> None:
    """What loads in place needs all entries; theta_0 is what the first step finds, not what a state was asked at."""
    problem = classification()
    tram = TRAM(problem.model, "TRAM-pre")
    fresh = tram.state_dict()
    with torch.no_grad():
        problem.model.head.weight.add_(1.0)  # type: ignore[union-attr, operator]
    tram.backward(problem.forward, problem.batches[0])
    assert fresh.keys() == tram.state_dict().keys()
    assert tram.distance == 0
    assert tram.degenerate_steps == 1
    other = TRAM(classification().model, "TRAM-pre")
    other.load_state_dict(tram.state_dict())
    assert other.degenerate_steps == 1


def test_the_state_of_another_method_or_model_is_refused() -> None:
    problem = classification()
    tram = make(problem, "TRAM-pre")
    train(problem, tram, problem.batches[:1])
    with pytest.raises(ValueError, match="another method"):
        make(problem, "TRAM-prev").load_state_dict(tram.state_dict())
    with pytest.raises(ValueError, match="no state of TRAM"):
        tram.load_state_dict({"state": {}, "param_groups": []})
    other = language_modelling()
    with pytest.raises(ValueError, match="does not fit"):
        make(other, "TRAM-pre").load_state_dict(tram.state_dict())


def test_a_refused_state_leaves_the_estimator_as_it_was() -> None:
    """The weights of the first step are those that it finds, not those of the refusal."""
    state = make(problem := classification(), "TRAM-pre").state_dict()
    tram = make(problem, "TRAM-pre")
    with pytest.raises(ValueError, match="does not fit"):
        tram.load_state_dict({**state, "steps": 4, "seed": 9, "reference.head.bias": torch.zeros(7)})
    assert (tram.steps, tram.seed, tram._params, tram._reference) == (0, 0, {}, [])
    with torch.no_grad():
        problem.model.head.weight.add_(1.0)  # type: ignore[union-attr, operator]
    tram.backward(problem.forward, problem.batches[0])
    assert tram.distance == 0
    # Nor does one that has begun take a part of it.
    other = weights(classification().model)
    with pytest.raises(ValueError, match="scale must be"):
        tram.load_state_dict({**tram.state_dict(), "reference.head.weight": other["head.weight"], "scale": -1.0})
    assert torch.equal(tram.state_dict()["reference.head.weight"], problem.model.head.weight)  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize("method", **names(EVERY_METHOD))
def test_a_state_that_is_loaded_amid_a_step_begins_anew(method: Method) -> None:
    found = []
    for begun in (False, True):
        problem = classification()
        tram = make(problem, method)
        state = tram.state_dict()
        if begun:
            tram.objective(problem.forward)(problem.batches[1]).backward()
            problem.model.zero_grad()
        tram.load_state_dict(state)
        tram.backward(problem.forward, problem.batches[0])
        assert tram.steps == 1
        found.append(gradients(problem.model))
    assert same_bits(found[0], found[1])


# ------------------------------------------------------------------------------------------ loops that own their passes


@pytest.mark.parametrize("method", **names(EVERY_METHOD))
def test_owned_passes_equal_backward(method: Method) -> None:
    results = []
    for owned in (False, True):
        problem = classification(dropout=0.2)
        torch.manual_seed(2)
        tram = make(problem, method)
        for batch in problem.batches[:3]:
            problem.model.zero_grad()
            parts = split(batch, 2)
            if owned:
                objective = tram.objective(problem.forward)
                for part in parts:
                    (objective(part) / 2).backward()
                if method.ascent is not None:
                    with tram.perturbed():
                        for part in parts:
                            (objective(part) / 2).backward()
                tram.advance()
            else:
                tram.backward(problem.forward, *parts)
            with torch.no_grad():
                for param in problem.model.parameters():
                    param -= 0.1 * param.grad
        results.append(weights(problem.model))
    assert same_bits(results[0], results[1])


def test_misused_passes_are_told() -> None:
    problem = classification()
    with pytest.raises(RuntimeError, match="no ascent"), make(problem, Method()).perturbed():
        pass
    with pytest.raises(RuntimeError, match="first pass"), make(problem, "SAM").perturbed():
        pass
    tram = make(problem, "SAM")
    objective = tram.objective(problem.forward)
    objective(problem.batches[0]).backward()
    again = r"0 of the first pass's 1 micro-batches: within perturbed\(\), call objective\(batch\) .* again for each"
    with pytest.raises(RuntimeError, match=again), tram.perturbed():
        pass
    tram = make(problem, "SAM")
    objective = tram.objective(problem.forward)
    problem.model.zero_grad()
    objective(problem.batches[0]).backward()
    more = r"more micro-batches than the first \(1\): .*once for each of those"
    with tram.perturbed():
        objective(problem.batches[0]).backward()
        with pytest.raises(RuntimeError, match=more):
            objective(problem.batches[1])
    tram.advance()
    problem.model.zero_grad()
    tram = make(problem, "SAM")
    with pytest.raises(RuntimeError, match="none was begun"):
        tram.advance()
    objective = tram.objective(problem.forward)
    problem.model.zero_grad()
    objective(problem.batches[0])
    with pytest.raises(RuntimeError, match="differentiate"), tram.perturbed():
        pass


# ---------------------------------------------------------------------------------------------------------------- noise


def test_noise_has_the_standard_deviation_asked_for() -> None:
    model = nn.Sequential(nn.Linear(50, 400), nn.Tanh(), nn.Linear(400, 3))
    x = 3 * torch.randn(100, 50)
    clean = model[0](x).detach()
    for reference, std in [
        (NoisyInput(0.1), 0.1),
        (NoisyInput(0.1, relative=True), 0.1 * clean.std().item()),
        (NoisyInput(0.3, distribution="uniform"), 0.3 / 3**0.5),
    ]:
        seen: list[Tensor] = []
        model[1].register_forward_pre_hook(lambda m, args, seen=seen: seen.append(args[0].detach()))

        def forward(_: None) -> tuple[Tensor, Tensor]:
            logits = model(x)
            return logits.logsumexp(-1).mean(), logits

        model.zero_grad()
        TRAM(model, Method(TrustRegion(reference), penalty=0.1), input_module=model[0]).backward(forward, None)
        noise = seen[1] - clean
        assert noise.std().item() == pytest.approx(std, rel=0.02)
        assert noise.mean().item() == pytest.approx(0.0, abs=0.02 * std)
        if reference.distribution == "uniform":
            assert noise.abs().max().item() <= 0.3 + 1e-5


def test_noise_is_new_at_every_step_and_micro_batch_and_a_function_of_the_seed() -> None:
    problem = classification()
    drawn: list[Tensor] = []

    def run(seed: int) -> list[Tensor]:
        drawn.clear()
        tram = make(problem, "TRAM-x", seed=seed)
        for _ in range(2):
            problem.model.zero_grad()
            tram.backward(forward, *split(problem.batches[0], 2))
        return [z for z in drawn if z.abs().max() > 0]

    def forward(batch: Batch) -> tuple[Tensor, ...]:
        clean = F.linear(batch["x"], problem.model.embedding.weight, problem.model.embedding.bias)  # type: ignore[union-attr, arg-type]
        handle = problem.model.norm.register_forward_pre_hook(  # type: ignore[union-attr]
            lambda m, args: drawn.append((args[0] - clean).detach()) if not torch.is_grad_enabled() else None
        )
        outputs = problem.forward(batch)
        handle.remove()
        return outputs

    one, again, other = run(1), run(1), run(2)
    assert len(one) == 4
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    everything = one + other
    assert all(not torch.allclose(a, b) for i, a in enumerate(everything) for b in everything[:i])


def test_models_without_an_input_module_are_told_how_to_name_it() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"input_module=.*children: 0"):
        TRAM(model, "TRAM-x")
    TRAM(model, "TRAM-prev")


def test_an_input_module_that_does_not_run_or_returns_no_tensor_is_named() -> None:
    problem = classification()
    with pytest.raises(RuntimeError, match="Bilinear did not run"):
        TRAM(problem.model, "TRAM-x", input_module=nn.Bilinear(1, 1, 1)).backward(problem.forward, problem.batches[0])
    with pytest.raises(TypeError, match="must be a module"):
        TRAM(problem.model, "TRAM-x", input_module="embedding")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="compares logits"):
        make(problem, "TRAM-x").backward(lambda b: (problem.forward(b)[0], None), problem.batches[0])
    lstm = nn.LSTM(3, 2)

    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        logits = lstm(x)[0]
        return logits.mean(), logits

    with pytest.raises(TypeError, match="LSTM returns tuple"):
        TRAM(lstm, "TRAM-x", input_module=lstm).backward(forward, torch.randn(4, 3))


def test_the_gradient_of_a_penalty_flows_through_the_noisy_branch_and_a_radius_has_none() -> None:
    """Where the clean branch is cut off, a penalty still has a gradient, through x + z alone."""
    problem = classification()
    for name, flows in [("R3F", True), ("TRAM-x", False)]:
        graded = []

        def forward(batch: Batch, graded: list[bool] = graded) -> tuple[Tensor, Tensor]:
            loss, logits = problem.forward(batch)
            graded.append(logits.requires_grad)
            return loss, logits

        problem.model.zero_grad()
        make(problem, name).backward(forward, problem.batches[0])
        assert graded[1] is flows
