"""Bytes of steps that allocate a known number, and exponents of known laws."""

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.performance.growth import _exponent, bare_work, growth_of_bytes, growth_with_vocabulary
from benchmarks.performance.memory import bytes_of
from benchmarks.performance.steps import Step

CPU = torch.device("cpu")


def test_kept_and_peak_are_what_is_allocated() -> None:
    kept: list[Tensor] = []

    def make() -> Step:
        def step() -> None:
            if not kept:
                kept.append(torch.ones(1000, 1000))
            twice = torch.ones(500, 1000) + torch.ones(500, 1000)
            del twice

        return step

    found = bytes_of(make, CPU)
    assert found.kept == 4_000_000
    assert found.peak == 6_000_000


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_law(power: float) -> None:
    sizes = (1.0, 10.0, 100.0)
    assert _exponent(sizes, [3 * size**power for size in sizes]) == pytest.approx(power, abs=1e-9)
    assert _exponent(sizes, [1.0, 0.0, 1.0]) is None


def test_one_copy_of_the_weights_is_kept_at_every_size() -> None:
    sizes = (10**6, 2 * 10**6)
    found = growth_of_bytes(sizes, CPU, lambda what, done, total: None)
    held = [sum(param.numel() for param in bare_work(size, CPU).model.parameters()) for size in sizes]
    for name in ("SAM", "ASAM", "FSAM", "TRAM-prev", "TRAM-x"):
        np.testing.assert_allclose(found.costs[name], [4 * count for count in held], rtol=1e-3)
        assert found.exponents[name] == pytest.approx(np.log(held[1] / held[0]) / np.log(2), rel=1e-3)


def test_d_takes_longer_over_a_larger_vocabulary() -> None:
    found = growth_with_vocabulary(32, (1_000, 100_000), CPU, 3)
    exponent = found.exponents["ForwardKL"]
    assert exponent is not None
    assert 0.5 < exponent < 1.5
