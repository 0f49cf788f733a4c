"""Divergences against closed forms and independent implementations in NumPy and SciPy."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import tram.divergences
from tram import L2, MMD, ForwardKL, Renyi, ReverseKL, SymmetricKL, distance

ALL = [ForwardKL(), ReverseKL(), SymmetricKL(), Renyi(0.5), Renyi(2.0), L2(), L2("probabilities"), MMD()]
BY_ROWS = ALL[:-1]


def logits(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    left, right = (3 * torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return left.to(dtype), right.to(dtype)


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 5), classes=st.integers(2, 7))
@settings(max_examples=40, deadline=None)
def test_divergences_equal_scipy(seed: int, rows: int, classes: int) -> None:
    left, right = logits(seed, rows, classes)
    p, q = softmax(left.numpy(), axis=-1), softmax(right.numpy(), axis=-1)
    expected = {
        ForwardKL(): entropy(p, q, axis=-1).mean(),
        ReverseKL(): entropy(q, p, axis=-1).mean(),
        SymmetricKL(): (entropy(p, q, axis=-1) + entropy(q, p, axis=-1)).mean(),
        Renyi(0.5): (-2 * np.log((np.sqrt(p) * np.sqrt(q)).sum(-1))).mean(),
        Renyi(3.0): (np.log((p**3 * q**-2.0).sum(-1)) / 2).mean(),
        L2(): np.sqrt(((left - right).numpy() ** 2).sum(-1)).mean(),
        L2("probabilities"): np.sqrt(((p - q) ** 2).sum(-1)).mean(),
    }
    for divergence, value in expected.items():
        assert distance(divergence, left, right).item() == pytest.approx(value, rel=1e-9, abs=1e-12), divergence


def test_mmd_equals_its_definition_by_two_loops() -> None:
    left, right = logits(1, 5, 4)

    def kernel(a: Tensor, b: Tensor) -> float:
        square = float(((a - b) ** 2).sum())
        return sum((c * c + square) ** -0.5 for c in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0))

    def mean(one: Tensor, other: Tensor) -> float:
        return sum(kernel(a, b) for a in one for b in other) / (len(one) * len(other))

    expected = mean(left, left) + mean(right, right) - 2 * mean(left, right)
    assert distance(MMD(), left, right).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("difference", [3e-4, 3e-3])
def test_a_tiny_kl_over_a_large_vocabulary_is_not_rounding_noise(difference: float) -> None:
    """The regime of TRAM-prev: two iterates of a language model, some 1e-8 to 1e-6 nats apart."""
    generator = torch.Generator().manual_seed(0)
    left = 2 * torch.randn(64, 50_257, generator=generator)
    right = left + difference * torch.randn(64, 50_257, generator=generator)
    exact = distance(ForwardKL(), left.double(), right.double()).item()
    naive = (
        (left.double().softmax(-1) * (left.double().log_softmax(-1) - right.double().log_softmax(-1))).sum(-1).mean()
    )
    assert exact == pytest.approx(naive.item(), rel=1e-5)
    assert exact < 1e-5
    assert distance(ForwardKL(), left, right).item() == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("divergence", [ForwardKL(), ReverseKL(), SymmetricKL()], ids=repr)
def test_kl_is_exact_and_never_negative_however_far_apart(divergence: tram.divergences.Divergence) -> None:
    for scale in (0.0, 1e-7, 1e-3, 1.0, 30.0, 90.0):
        left, right = logits(13, 20, 50, dtype=torch.float32)
        left, right = left + 20, left + 20 + scale * right
        found = distance(divergence, left, right).item()
        assert found >= 0
        assert found == pytest.approx(distance(divergence, left.double(), right.double()).item(), rel=1e-3, abs=1e-13)


def test_mmd_keeps_its_digits_on_a_language_models_logits() -> None:
    generator = torch.Generator().manual_seed(0)
    left = -60 + 2 * torch.randn(16, 50_257, generator=generator)
    right = left + 1e-3 * torch.randn(16, 50_257, generator=generator)
    exact = distance(MMD(), left.double(), right.double()).item()
    assert exact > 0.1
    assert distance(MMD(), left, right).item() == pytest.approx(exact, rel=1e-4)


def test_mmd_thins_among_the_rows_that_count() -> None:
    left, right = logits(2, 8, 3)
    mask = torch.tensor([False, True] * 4)
    expected = distance(MMD(), left[[1, 5]], right[[1, 5]])
    torch.testing.assert_close(distance(MMD(max_rows=2), left, right, mask), expected)
    assert distance(MMD(max_rows=2), left, right, torch.zeros(8, dtype=torch.bool)) == 0


def test_mmd_thins_many_rows_to_evenly_spaced_ones() -> None:
    left, right = logits(2, 12, 3)
    chosen = [0, 3, 6, 9]
    expected = distance(MMD(), left[chosen], right[chosen])
    torch.testing.assert_close(distance(MMD(max_rows=4), left, right), expected)


@pytest.mark.parametrize("divergence", ALL, ids=repr)
def test_divergence_of_equals_is_zero_and_otherwise_positive(divergence: tram.divergences.Divergence) -> None:
    left, right = logits(3, 6, 5)
    assert distance(divergence, left, left.clone()).item() == pytest.approx(0.0, abs=1e-9)
    assert distance(divergence, left, right).item() > 1e-3


def test_forward_kl_has_the_reference_as_target() -> None:
    # p = (1/2, 1/2), q = (1/4, 3/4): KL(p || q) = ln 2 - ln 3 / 2, which is not KL(q || p).
    p, q = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    assert distance(ForwardKL(), p, q).item() == pytest.approx(math.log(2) - math.log(3) / 2)
    assert distance(ReverseKL(), p, q).item() == pytest.approx(0.75 * math.log(3) - math.log(2))


def test_renyi_tends_to_kl_at_order_one() -> None:
    left, right = logits(4, 6, 5)
    torch.testing.assert_close(
        distance(Renyi(1 + 1e-6), left, right), distance(ForwardKL(), left, right), rtol=1e-4, atol=0
    )


def test_reductions() -> None:
    left, right = logits(5, 2, 3, 4)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    p, q = softmax(left.numpy(), axis=-1), softmax(right.numpy(), axis=-1)
    rows = entropy(p, q, axis=-1) * mask.numpy()
    assert distance(ForwardKL(), left, right, mask).item() == pytest.approx(rows.sum() / 3)
    assert distance(ForwardKL(), left, right, mask, "sequence").item() == pytest.approx(rows.sum() / 2)
    # The released code: the mean over every element, classes included, and then once more over the batch.
    released = (p * (np.log(p) - np.log(q))).mean() / 2
    assert distance(ForwardKL(), left, right, None, "released").item() == pytest.approx(released)
    by_example = distance(L2(), left[:, 0], right[:, 0], None, "released").item()
    assert by_example == pytest.approx(np.linalg.norm((left - right).numpy()[:, 0], axis=-1).mean() / 2)
    assert distance(MMD(), left, right, None, "released").item() == pytest.approx(
        distance(MMD(), left, right).item() / 2
    )


@pytest.mark.parametrize("divergence", ALL, ids=repr)
@pytest.mark.parametrize("junk", [0.0, 50.0, math.nan])
def test_padding_changes_neither_distance_nor_gradient(divergence: tram.divergences.Divergence, junk: float) -> None:
    left, right = logits(6, 2, 3, 4)
    padded_left, padded_right = (torch.cat([x, torch.full((2, 2, 4), junk, dtype=x.dtype)], 1) for x in (left, right))
    mask = torch.tensor([[True] * 3 + [False] * 2] * 2)
    bare, padded = right.clone().requires_grad_(), padded_right.clone().requires_grad_()
    d, padded_d = distance(divergence, left, bare), distance(divergence, padded_left, padded, mask)
    torch.testing.assert_close(d, padded_d)
    (grad,) = torch.autograd.grad(d, bare)
    (padded_grad,) = torch.autograd.grad(padded_d, padded)
    torch.testing.assert_close(grad, padded_grad[:, :3])
    assert (padded_grad[:, 3:] == 0).all()


@pytest.mark.parametrize("divergence", BY_ROWS, ids=repr)
@pytest.mark.parametrize("reduction", ["batchmean", "sequence", "released"])
def test_gradients_flow_to_both_sides_as_autograd_finds_them(
    divergence: tram.divergences.Divergence, reduction: tram.divergences.Reduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tram.divergences, "_CHUNK_ELEMENTS", 10)  # two rows a chunk
    left, right = (side.requires_grad_() for side in logits(7, 3, 3, 5))
    torch.autograd.gradcheck(lambda a, b: distance(divergence, a, b, None, reduction), (left, right))


@pytest.mark.parametrize("divergence", BY_ROWS, ids=repr)
def test_chunks_do_not_change_the_distance(
    divergence: tram.divergences.Divergence, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = logits(8, 7, 5)
    whole = distance(divergence, left, right)
    monkeypatch.setattr(tram.divergences, "_CHUNK_ELEMENTS", 5)
    torch.testing.assert_close(distance(divergence, left, right), whole, rtol=1e-12, atol=0)


class LargestFloat32(TorchDispatchMode):
    """Sees every tensor that is made, and remembers how many elements the largest in float32 has."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, list | tuple) else (result,):
            if isinstance(tensor, Tensor) and tensor.dtype == torch.float32:
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("grad", [False, True])
def test_half_precision_logits_are_never_copied_whole_to_float32(grad: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tram.divergences, "_CHUNK_ELEMENTS", 40)
    left, right = logits(9, 64, 10, dtype=torch.bfloat16)
    right.requires_grad_(grad)
    with LargestFloat32() as largest:
        d = distance(ForwardKL(), left, right)
        if grad:
            d.backward()
    assert d.dtype == torch.float32
    assert largest.elements <= 64  # a chunk of 40, or the 64 row weights; the logits are 640


class CountedOperators(TorchDispatchMode):
    """Counts every operator by name."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.calls[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("dtype", "softmaxes"), [(torch.float32, 2), (torch.bfloat16, 4)])
def test_the_gradient_is_made_with_the_value_where_that_takes_no_more_memory(
    dtype: torch.dtype, softmaxes: int
) -> None:
    left, right = logits(9, 8, 5, dtype=dtype)
    with CountedOperators() as counted:
        distance(ForwardKL(), left, right.requires_grad_()).backward()
    assert counted.calls["_log_softmax"] == softmaxes


def test_autocast_does_not_lower_the_precision() -> None:
    left, right = logits(10, 8, 5, dtype=torch.float32)
    plain = [distance(divergence, left, right) for divergence in ALL]
    with torch.autocast("cpu", torch.bfloat16):
        assert [distance(divergence, left, right) for divergence in ALL] == plain


@pytest.mark.parametrize("divergence", [ForwardKL(), SymmetricKL(), Renyi(0.5)], ids=repr)
def test_a_class_that_both_exclude_contributes_nothing(divergence: tram.divergences.Divergence) -> None:
    left, right = logits(11, 3, 4)
    excluded = torch.full((3, 1), -math.inf, dtype=torch.float64)
    bare, wide = right.clone().requires_grad_(), torch.cat([right, excluded], 1).requires_grad_()
    d, wide_d = distance(divergence, left, bare), distance(divergence, torch.cat([left, excluded], 1), wide)
    torch.testing.assert_close(d, wide_d)
    torch.testing.assert_close(torch.autograd.grad(d, bare)[0], torch.autograd.grad(wide_d, wide)[0][:, :4])


@pytest.mark.parametrize("divergence", [ForwardKL(), MMD()])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.uint8, torch.float32])
def test_a_mask_of_numbers_counts_rows_and_does_not_weigh_them(divergence: ForwardKL | MMD, dtype: torch.dtype) -> None:
    left, right = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0)).unbind()
    keeps = torch.tensor([True, False, True, True, False, True])
    expected = distance(divergence, left[keeps], right[keeps])
    torch.testing.assert_close(distance(divergence, left, right, keeps.to(dtype)), expected)
    if dtype != torch.bool:
        weighted = torch.tensor([2, 0, 5, 1, 0, 3]).to(dtype)
        torch.testing.assert_close(distance(divergence, left, right, weighted), expected)
    if dtype == torch.float32:
        uneven = torch.tensor([0.5, -100, 0.1, 1, 0, 2])
        torch.testing.assert_close(distance(divergence, left, right, uneven), expected)


def test_a_mask_that_is_no_tensor_is_told() -> None:
    with pytest.raises(TypeError, match=r"mask must be a tensor.*not list"):
        distance(ForwardKL(), torch.zeros(2, 3), torch.zeros(2, 3), [True, False])  # type: ignore[arg-type]


def test_an_empty_mask_gives_zero() -> None:
    left, right = logits(12, 2, 3, 4)
    assert distance(ForwardKL(), left, right, torch.zeros(2, 3, dtype=torch.bool)).item() == 0.0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Renyi(1.0), "ForwardKL"),
        (lambda: Renyi(-1.0), "-1.0"),
        (lambda: MMD(bandwidths=()), "bandwidths"),
        (lambda: MMD(max_rows=0), "max_rows"),
        (lambda: distance(ForwardKL(), torch.zeros(2, 3), torch.zeros(2, 4)), r"\(2, 3\)"),
        (lambda: distance(ForwardKL(), torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(3)), "mask"),
        (lambda: distance(MMD(), torch.zeros(2, 3), torch.zeros(2, 3), None, "sequence"), "batchmean"),
        (lambda: distance(ForwardKL(), torch.zeros(2, 1), torch.zeros(2, 1)), "L2"),
    ],
)
def test_bad_input_is_named(make, named: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=named):
        make()


def kl_by_choosing(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) with its two forms of a term chosen by `where`, for autograd to differentiate."""
    p, q = log_p.exp(), log_q.exp()
    impossible = log_p == -math.inf
    ratio = torch.where(impossible, 0.0, log_q - log_p)
    near = ratio.clamp(-1.0, 1.0)
    small, large = p * (torch.expm1(near) - near), q - p - p * ratio
    return torch.where((ratio.abs() <= 1) & ~impossible, small, large).sum(-1)


@pytest.mark.parametrize("apart", [0.0, 1e-4, 0.1, 3.0, 60.0])
def test_kl_has_the_bits_of_the_plain_formula(apart: float) -> None:
    """Multiplying by 1 and 0 in place of choosing, in place of new tensors, changes no bit of d or its gradients."""
    generator = torch.Generator().manual_seed(0)
    left = 3 * torch.randn(300, 37, generator=generator)
    right = left + apart * torch.randn(300, 37, generator=generator)
    left[:100, 5] = right[:50, 5] = -math.inf
    found = []
    for kl in (tram.divergences._kl, kl_by_choosing):
        log_p, log_q = (torch.log_softmax(side, -1) for side in (left, right))
        log_q[-1, :20] = log_p[-1, :20] + 1.0  # at the bounds, where they are met exactly
        log_p.requires_grad_(), log_q.requires_grad_()
        rows = kl(log_p, log_q)
        found.append((rows.detach(), *torch.autograd.grad(rows.sum(), (log_p, log_q))))
    for ours, plain in zip(*found, strict=True):
        assert torch.equal(ours, plain)
    far = (torch.log_softmax(right, -1) - torch.log_softmax(left, -1)).nan_to_num(0).abs() > 1
    assert (apart < 1) or far.float().mean() > 0.2


@pytest.mark.parametrize("divergence", BY_ROWS, ids=repr)
def test_no_rows_are_no_distance(divergence: tram.divergences.Divergence) -> None:
    none = torch.zeros(0, 7)
    assert distance(divergence, none, none, torch.zeros(0, dtype=torch.bool)) == 0
