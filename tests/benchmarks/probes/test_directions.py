"""Lines and planes of weights: where their points are, and how long their directions."""

import pytest
import torch
from torch import nn

from benchmarks.errors import RunError
from benchmarks.probes.directions import Affine, Weights, difference, filter_normalised, inner, plane_through


def drawn(seed: int, dtype: torch.dtype = torch.float32) -> Weights:
    random = torch.Generator().manual_seed(seed)
    shapes = {"conv": (4, 3, 2, 2), "matrix": (5, 6), "bias": (7,), "scalar": ()}
    tensors = {name: torch.randn(shape, generator=random, dtype=dtype) for name, shape in shapes.items()}
    return tensors | {"counter": torch.tensor(seed)}


def test_a_line_has_both_ends_bit_for_bit_and_its_middle() -> None:
    start, end = drawn(1), drawn(2)
    line = Affine(start, (difference(end, start),))
    for place, expected in ((0.0, start), (1.0, end)):
        assert all(
            torch.equal(tensor, expected[name]) for name, tensor in line.at((place,)).items() if name != "counter"
        )
    middle = line.at((0.5,))
    assert torch.allclose(middle["matrix"], (start["matrix"] + end["matrix"]) / 2)
    assert middle["matrix"].dtype == torch.float32
    assert torch.equal(middle["counter"], start["counter"])


def test_beyond_its_ends_a_line_goes_on() -> None:
    start, end = drawn(1, torch.float64), drawn(2, torch.float64)
    beyond = Affine(start, (difference(end, start),)).at((1.5,))
    assert torch.allclose(beyond["conv"], end["conv"] + (end["conv"] - start["conv"]) / 2)


def test_the_plane_of_three_solutions_has_all_three_bit_for_bit() -> None:
    origin, one, other = drawn(1), drawn(2), drawn(3)
    plane, place = plane_through(origin, one, other)
    for where, expected in (((0.0, 0.0), origin), ((1.0, 0.0), one), (place, other)):
        found = plane.at(where)
        assert all(torch.equal(found[name], expected[name]) for name in ("conv", "matrix", "bias", "scalar"))


def test_its_axes_are_orthogonal_equally_long_and_true_to_distances() -> None:
    origin, one, other = drawn(1), drawn(2), drawn(3)
    plane, (x, y) = plane_through(origin, one, other)
    first, second = plane.directions
    assert inner(first, second) == pytest.approx(0, abs=1e-9 * inner(first, first))
    assert inner(second, second) == pytest.approx(inner(first, first))
    apart = difference(other, one)
    assert (x - 1) ** 2 + y**2 == pytest.approx(inner(apart, apart) / inner(first, first))
    assert y > 0


@pytest.mark.parametrize("shares", [(0.0, 1.0), (1.0, 2.0), (1.0, 0.0), (1.0, 1.0)])
def test_three_solutions_on_a_line_have_no_plane(shares: tuple[float, float]) -> None:
    origin, end = drawn(1, torch.float64), drawn(2, torch.float64)
    line = Affine(origin, (difference(end, origin),))
    with pytest.raises(RunError, match="lie on one line"):
        plane_through(origin, *(line.at((share,)) for share in shares))


def test_a_random_direction_has_the_length_of_the_weights_filter_by_filter() -> None:
    weights = drawn(4)
    direction = filter_normalised(weights, ["conv", "matrix", "bias", "scalar"], seed=0)
    assert set(direction) == {"conv", "matrix"}  # biases and the weights of normalisations do not move
    for name, moved in direction.items():
        for own, other in zip(weights[name].double(), moved, strict=True):
            assert float(other.norm()) == pytest.approx(float(own.norm()))
    assert abs(float(torch.cosine_similarity(direction["matrix"].flatten(), weights["matrix"].flatten(), 0))) < 0.9


def test_all_models_of_an_architecture_go_the_same_way() -> None:
    """The same random numbers, each filter only longer or shorter; another seed goes elsewhere."""
    one, other = ({"w": nn.Linear(6, 5).weight.detach()} for _ in range(2))
    first, second, elsewhere = (
        filter_normalised(weights, ["w"], seed)["w"] for weights, seed in ((one, 3), (other, 3), (one, 4))
    )
    assert torch.allclose(torch.cosine_similarity(first, second), torch.ones(5, dtype=torch.float64))
    assert not torch.allclose(first, second)
    assert not torch.allclose(torch.cosine_similarity(first, elsewhere), torch.ones(5, dtype=torch.float64), atol=0.5)


def test_a_filter_of_zeros_does_not_move() -> None:
    weights = {"w": torch.cat([torch.zeros(1, 3), torch.ones(1, 3)])}
    direction = filter_normalised(weights, ["w"], seed=0)["w"]
    assert direction[0].abs().max() == 0
    assert float(direction[1].norm()) == pytest.approx(3**0.5)
