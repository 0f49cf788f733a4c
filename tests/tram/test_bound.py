"""A bound that moves during training: `tram.scale` and `tram.maximum`, set between steps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.problems import classification, same_bits, weights
from tram import METHODS, TRAM, Adaptive, Ascent, Method, PastWeights, TrustRegion


def bounded(scale: float = 1.0, floor: float = 0.0, maximum: float | None = None, penalty: float = 0.0) -> Method:
    ascent = Ascent(Adaptive(), "d") if penalty == 0 else None
    return Method(TrustRegion(PastWeights(1.0), scale=scale, floor=floor, maximum=maximum), penalty, ascent)


def train(tram: TRAM, problem: Any, steps: slice) -> None:
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1)
    for batch in problem.batches[steps]:
        tram.backward(problem.forward, batch)
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_what_is_set_is_what_a_method_made_so_would_do(penalty: float) -> None:
    """Each stretch of training is continued by a method whose trust region has the new bound from the start."""
    moving, frozen = classification(), classification()
    tram = TRAM(moving.model, bounded(2.0, maximum=0.3, penalty=penalty))
    state: dict[str, Any] = {}
    for start, (scale, maximum) in enumerate([(2.0, 0.3), (50.0, 0.01), (0.5, None)]):
        tram.scale, tram.maximum = scale, maximum
        steps = slice(3 * start, 3 * start + 3)
        train(tram, moving, steps)
        other = TRAM(frozen.model, bounded(scale, maximum=maximum, penalty=penalty))
        if state:
            method = {"method": repr(other.method), "scale": scale, "maximum": maximum}
            other.load_state_dict({**state, **method})
        train(other, frozen, steps)
        state = other.state_dict()
        assert same_bits(weights(moving.model), weights(frozen.model))
        assert tram.distance == other.distance
        assert tram.radius == other.radius
        if start == 1 and penalty == 0:
            assert tram.radius == maximum
            assert tram.distance is not None
            assert tram.distance > 0.01


def test_a_bound_starts_as_the_method_has_it_and_is_resumed() -> None:
    problem = classification()
    tram = TRAM(problem.model, bounded(3.0, floor=0.1, maximum=0.4))
    assert (tram.scale, tram.maximum) == (3.0, 0.4)
    tram.scale, tram.maximum = 7.0, None
    fresh = TRAM(problem.model, bounded(3.0, floor=0.1, maximum=0.4))
    fresh.load_state_dict(tram.state_dict())
    assert (fresh.scale, fresh.maximum) == (7.0, None)
    assert fresh.method == tram.method == bounded(3.0, floor=0.1, maximum=0.4)


def test_numbers_of_numpy_are_saved_as_pythons(tmp_path: Path) -> None:
    """Others would be refused by loading weights only, and noticed when a run is resumed."""
    region = TrustRegion(PastWeights(1.0), scale=np.float64(2), maximum=np.float32(3))
    method = Method(region, ascent=Ascent(Adaptive(), "d"))
    tram = TRAM(classification().model, method, seed=np.int64(3))
    for name in ("as made", "as set"):
        torch.save(tram.state_dict(), tmp_path / name)
        fresh = TRAM(classification().model, bounded(2, maximum=3))
        fresh.load_state_dict(torch.load(tmp_path / name, weights_only=True))
        assert (fresh.scale, fresh.maximum, fresh.seed) == (tram.scale, tram.maximum, 3)
        tram.scale, tram.maximum = np.linspace(1, 2, 5)[2], np.float64(0.5)
    assert (fresh.scale, fresh.maximum) == (1.5, 0.5)


def test_a_state_from_before_bounds_could_move_leaves_the_methods_own() -> None:
    problem = classification()
    state = TRAM(problem.model, bounded(3.0, maximum=0.4)).state_dict()
    del state["scale"], state["maximum"]
    tram = TRAM(problem.model, bounded(3.0, maximum=0.4))
    tram.load_state_dict(state)
    assert (tram.scale, tram.maximum) == (3.0, 0.4)


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), None, "1", True])
def test_a_scale_that_is_none_is_refused(value: Any) -> None:
    tram = TRAM(classification().model, "TRAM-pre")
    with pytest.raises(ValueError, match=r"tram\.scale must be a number > 0"):
        tram.scale = value
    assert tram.scale == 1.0


@pytest.mark.parametrize("value", [0.1, -1.0, float("nan"), "1", True])
def test_a_maximum_below_the_floor_is_refused(value: Any) -> None:
    tram = TRAM(classification().model, bounded(floor=0.2))
    with pytest.raises(ValueError, match=r"tram\.maximum must be None or a number >= .*floor, 0\.2"):
        tram.maximum = value
    tram.maximum = 0.2
    assert tram.maximum == 0.2


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.trust_region is None])
def test_a_method_without_a_trust_region_has_no_bound(name: str) -> None:
    tram = TRAM(classification().model, name, input_module=torch.nn.Identity())
    assert tram.scale is None
    assert tram.maximum is None
    with pytest.raises(ValueError, match=r"tram\.scale bounds .* has none"):
        tram.scale = 2.0
    with pytest.raises(ValueError, match=r"tram\.maximum bounds .* has none"):
        tram.maximum = 2.0
    assert "scale" not in tram.state_dict()
