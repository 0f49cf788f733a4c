"""epsilon against its definition: of norm r in its own metric, and no point of that sphere raises the loss more."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import tram._ascent
from tram import Adaptive, Euclidean, Fisher, Released
from tram._ascent import ascend_
from tram.geometry import Geometry

SHAPES = [(4, 3), (3,), (2, 2), ()]


def tensors(seed: int) -> tuple[list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    params, grads = ([torch.randn(s, generator=generator, dtype=torch.float64) for s in SHAPES] for _ in range(2))
    return params, grads


def epsilon(geometry: Geometry, params: list[Tensor], grads: list[Tensor], radius: float) -> list[Tensor]:
    moved, consumed = [p.clone() for p in params], [g.clone() for g in grads]
    ascend_(geometry, moved, consumed, consumed, torch.tensor(radius, dtype=torch.float64))
    return [after - before for after, before in zip(moved, params, strict=True)]


def metric(geometry: Geometry, params: list[Tensor], grads: list[Tensor]) -> list[Tensor]:
    """The diagonal M of <epsilon, M epsilon> = r^2, written from the papers' definitions of the balls."""
    match geometry:
        case Adaptive(eta, scale_vectors):
            scale = [p.abs() + eta if scale_vectors or p.dim() > 1 else torch.ones_like(p) for p in params]
            return [1 / s**2 for s in scale]
        case Fisher(eta):
            return [1 + eta * g**2 for g in grads]
        case _:
            return [torch.ones_like(p) for p in params]


def dot(left: list[Tensor], right: list[Tensor]) -> float:
    return sum(float((a * b).sum()) for a, b in zip(left, right, strict=True))


GEOMETRIES = [
    Euclidean(),
    Adaptive(),
    Adaptive(eta=0.01),
    Adaptive(scale_vectors=False),
    Adaptive(0.3, False),
    Fisher(),
    Fisher(5.0),
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
@given(seed=st.integers(0, 10_000), radius=st.floats(1e-6, 10.0))
@settings(max_examples=25, deadline=None)
def test_epsilon_is_the_steepest_point_of_its_sphere(geometry: Geometry, seed: int, radius: float) -> None:
    params, grads = tensors(seed)
    found, m = epsilon(geometry, params, grads, radius), metric(geometry, params, grads)
    length = dot(found, [d * e for d, e in zip(m, found, strict=True)]) ** 0.5
    assert length == pytest.approx(radius, rel=1e-8)
    generator = torch.Generator().manual_seed(seed + 1)
    for _ in range(20):
        other = [torch.randn(g.shape, generator=generator, dtype=torch.float64) for g in grads]
        # Random directions, and directions near the best one, where a wrong dual would be beaten.
        near = [e + 0.01 * radius * o for e, o in zip(found, other, strict=True)]
        for candidate in (other, near):
            size = dot(candidate, [d * c for d, c in zip(m, candidate, strict=True)]) ** 0.5
            assert dot(grads, candidate) * radius / size <= dot(grads, found) * (1 + 1e-9)


def test_the_norm_is_one_over_all_parameters_whatever_their_dtype() -> None:
    params, grads = tensors(0)
    length = dot(grads, grads) ** 0.5
    mixed = [p.to(t) for p, t in zip(params, [torch.float64, torch.float32, torch.float64, torch.float32], strict=True)]
    gradients = [g.to(p.dtype) for g, p in zip(grads, mixed, strict=True)]
    result = ascend_(Euclidean(), [p.clone() for p in mixed], gradients, gradients, torch.tensor(0.05))
    assert result.gradient_norm.item() == pytest.approx(length, rel=1e-6)
    assert result.perturbation_norm.item() == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [1e-4, 1e3])
def test_half_precision_keeps_the_radius(dtype: torch.dtype, size: float) -> None:
    """Also where the norm is beyond what half precision holds: 100,000 at size 1,000."""
    grad = (size * torch.randn(100, 100, generator=torch.Generator().manual_seed(0))).to(dtype)
    params, grads = [torch.zeros(100, 100, dtype=dtype)], [grad]
    result = ascend_(Euclidean(), params, grads, grads, torch.tensor(0.05))
    assert params[0].float().norm().item() == pytest.approx(0.05, rel=5e-3)
    assert result.perturbation_norm.dtype == torch.float32


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
@pytest.mark.parametrize(
    "bad", [0.0, float("inf"), float("nan")], ids=["zero gradient", "infinite gradient", "NaN gradient"]
)
def test_no_perturbation_where_the_gradient_has_no_direction(geometry: Geometry, bad: float) -> None:
    params, grads = tensors(1)
    for grad in grads:
        grad.mul_(0.0)
    grads[0][0, 0] = bad
    before = [p.clone() for p in params]
    result = ascend_(geometry, params, grads, grads, torch.tensor(0.05))
    assert all(torch.equal(a, b) for a, b in zip(params, before, strict=True))
    assert result.degenerate
    assert result.perturbation_norm == 0


@pytest.mark.parametrize("radius", [0.0, float("inf"), float("nan")])
def test_no_perturbation_where_the_radius_is_not_a_positive_number(radius: float) -> None:
    params, grads = tensors(1)
    before = [p.clone() for p in params]
    assert ascend_(Euclidean(), params, grads, grads, torch.tensor(radius)).degenerate
    assert all(torch.equal(a, b) for a, b in zip(params, before, strict=True))


def test_degenerate_geometries_coincide() -> None:
    params, grads = tensors(2)
    signs = [torch.sign(p) for p in params]
    for one, other in [(Fisher(0.0), Euclidean()), (Adaptive(), Euclidean())]:
        for a, b in zip(epsilon(one, signs, grads, 0.1), epsilon(other, signs, grads, 0.1), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_released_ascent_ignores_the_direction_of_the_gradient() -> None:
    params, grads = tensors(3)
    against = [-g for g in grads]
    size = sum(float(((p * g) ** 2).sum()) for p, g in zip(params, grads, strict=True)) ** 0.5
    for e, opposite, p in zip(
        epsilon(Released(), params, grads, 0.1), epsilon(Released(), params, against, 0.1), params, strict=True
    ):
        torch.testing.assert_close(e, opposite)
        torch.testing.assert_close(e, 0.1 * p**2 / size)
    plain = epsilon(Released(adaptive=False), params, grads, 0.1)
    torch.testing.assert_close(plain[0], torch.full((4, 3), 0.1 / dot(grads, grads) ** 0.5, dtype=torch.float64))


@pytest.mark.parametrize(("make", "named"), [(lambda: Adaptive(eta=-1), "-1"), (lambda: Fisher(eta=-0.1), "-0.1")])
def test_bad_input_is_named(make, named: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=named):
        make()


def test_adaptive_is_the_asam_of_its_authors_or_of_its_ports() -> None:
    """The authors' code scales what is called a weight by |w| + eta, and biases not; davda54/sam scales all by |w|."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    model(torch.randn(5, 4).double()).logsumexp(-1).sum().backward()
    named = {name: (param.detach().clone(), torch.as_tensor(param.grad)) for name, param in model.named_parameters()}
    found = []
    for geometry, eta, everything in ((Adaptive(eta=0.01, scale_vectors=False), 0.01, False), (Adaptive(), 0.0, True)):
        squares, steps = 0.0, {}
        for name, (values, gradient) in named.items():
            for index, (value, slope) in enumerate(
                zip(values.flatten().tolist(), gradient.flatten().tolist(), strict=True)
            ):
                scale = abs(value) + eta if everything or "weight" in name else 1.0
                squares += (scale * slope) ** 2
                steps[name, index] = scale**2 * slope
        expected = torch.tensor([0.5 * step / squares**0.5 for step in steps.values()], dtype=torch.float64)
        params, grads = ([row[side] for row in named.values()] for side in (0, 1))
        moved = torch.cat([part.flatten() for part in epsilon(geometry, params, grads, 0.5)])
        torch.testing.assert_close(moved, expected, rtol=1e-9, atol=1e-15)
        found.append(moved)
    assert torch.cosine_similarity(*found, dim=0) < 0.9


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_pieces_of_a_large_tensor_do_not_change_epsilon(geometry: Geometry, monkeypatch: pytest.MonkeyPatch) -> None:
    params, grads = tensors(3)
    whole = epsilon(geometry, params, grads, 0.3)
    monkeypatch.setattr(tram._ascent, "_CACHED_ELEMENTS", 3)  # a row of the first, one of the third, two of none
    for one, other in zip(whole, epsilon(geometry, params, grads, 0.3), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


class LargestAllocation(TorchDispatchMode):
    """The most elements that an operator makes at once: views and what is written in place are not made."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if not func.is_view and not func._schema.is_mutable:
            made = result if isinstance(result, list | tuple) else [result]
            self.elements = max(self.elements, sum(one.numel() for one in made if isinstance(one, Tensor)))
        return result


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_the_ascent_makes_nothing_of_the_size_of_the_weights(geometry: Geometry) -> None:
    limit = tram._ascent._CACHED_ELEMENTS
    params = [torch.randn(8, limit // 2), torch.randn(100)]
    grads = [torch.randn_like(param) for param in params]
    with LargestAllocation() as largest:
        ascend_(geometry, params, grads, grads, torch.tensor(0.05))
    assert largest.elements <= limit
