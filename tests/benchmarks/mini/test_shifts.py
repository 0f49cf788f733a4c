"""The shifts against closed forms, scipy and their own bounds."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Generator, Tensor

from benchmarks.mini.shifts import SHIFTS, Affine, Blur, Noise, Occlusion, to_bytes, to_float

SIDE = 29
X, Y = 20.0, 9.0
"""Where the dot is, in pixels; the centre of the image is at 14."""


def random(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def dots(count: int) -> Tensor:
    """`count` times a round dot at (X, Y)."""
    place = torch.arange(SIDE, dtype=torch.float32)
    dot = torch.exp(-((place[None, :] - X) ** 2 + (place[:, None] - Y) ** 2) / 4)
    return dot.expand(count, 1, SIDE, SIDE).contiguous()


def centres(images: Tensor) -> tuple[Tensor, Tensor]:
    """Centre of mass of each image, x and y in pixels from the centre of the image."""
    place = torch.arange(SIDE, dtype=torch.float32) - (SIDE - 1) / 2
    mass = images.sum((1, 2, 3))
    return (images.sum((1, 2)) @ place) / mass, (images.sum((1, 3)) @ place) / mass


def test_the_zero_affine_changes_nothing() -> None:
    images = torch.rand(5, 1, SIDE, SIDE, generator=random())
    torch.testing.assert_close(Affine(0, 0, 0, 0)(images, random(1)), images, atol=1e-5, rtol=0)


def test_a_turn_keeps_the_distance_from_the_centre_and_the_bound() -> None:
    x, y = centres(Affine(degrees=30, scale=0, shear=0, move=0)(dots(400), random()))
    torch.testing.assert_close(torch.hypot(x, y), torch.full((400,), np.hypot(6, 5)), atol=0.1, rtol=0)
    turned = torch.rad2deg(torch.atan2(y, x) - torch.atan2(torch.tensor(-5.0), torch.tensor(6.0)))
    assert turned.abs().max() < 30.5
    assert turned.min() < -27
    assert turned.max() > 27


def test_scales_of_the_axes_are_independent_and_within_the_bound() -> None:
    x, y = centres(Affine(degrees=0, scale=0.3, shear=0, move=0)(dots(400), random()))
    logarithms = torch.stack([x / 6, y / -5]).log()
    assert logarithms.abs().max() < 0.31
    assert logarithms.min() < -0.27
    assert logarithms.max() > 0.27
    assert torch.corrcoef(logarithms)[0, 1].abs() < 0.2


def test_shear_moves_x_in_proportion_to_y() -> None:
    x, y = centres(Affine(degrees=0, scale=0, shear=0.4, move=0)(dots(400), random()))
    torch.testing.assert_close(y, torch.full((400,), -5.0), atol=0.1, rtol=0)
    assert (x - 6).abs().max() < 0.4 * 5 + 0.1
    assert (x - 6).abs().max() > 0.37 * 5


def test_move_is_a_share_of_the_side_either_way() -> None:
    x, y = centres(Affine(degrees=0, scale=0, shear=0, move=0.1)(dots(400), random()))
    for moved in (x - 6, y + 5):
        assert moved.abs().max() < 0.1 * SIDE + 0.1
        assert moved.min() < -0.09 * SIDE
        assert moved.max() > 0.09 * SIDE


def test_times_scales_every_bound() -> None:
    assert Affine(10, 0.2, 0.4, 0.1).times(0.5) == Affine(5, 0.1, 0.2, 0.05)


def test_noise_has_its_standard_deviation_and_no_bias() -> None:
    noise = Noise(0.1)(torch.full((50, 1, SIDE, SIDE), 0.5), random()) - 0.5
    assert noise.std().item() == pytest.approx(0.1, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.002)
    assert not torch.equal(noise[0], noise[1])


def test_blur_is_scipy_s_gaussian() -> None:
    images = torch.rand(3, 1, SIDE, SIDE, generator=random())
    expected = [ndimage.gaussian_filter(image[0].numpy(), 1.5, truncate=4, mode="mirror") for image in images]
    np.testing.assert_allclose(Blur(1.5)(images, random())[:, 0].numpy(), np.stack(expected), atol=1e-5)


def test_occlusion_covers_one_square_anywhere_and_nothing_else() -> None:
    images = torch.rand(3000, 1, 12, 12, generator=random())
    covered = Occlusion(8)(images, random())
    changed = covered != images
    assert (covered[changed] == 0.5).all()
    assert (changed.sum((1, 2, 3)) == 64).all()
    rows, columns = changed.any(3)[:, 0], changed.any(2)[:, 0]
    assert (rows.sum(1) == 8).all()
    assert (columns.sum(1) == 8).all()
    corners = torch.stack([rows.int().argmax(1), columns.int().argmax(1)], 1)
    assert torch.equal(corners.unique(dim=0), torch.cartesian_prod(torch.arange(5), torch.arange(5)))


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift_is_a_function_of_images_and_seed_and_stays_in_range(name: str) -> None:
    images = torch.rand(20, 1, 28, 28, generator=random()).round()
    before = images.clone()
    shifted = SHIFTS[name](images, random(1))
    assert torch.equal(images, before)
    assert torch.equal(shifted, SHIFTS[name](images, random(1)))
    assert shifted.shape == images.shape
    assert shifted.min() >= 0
    assert shifted.max() <= 1
    assert (shifted != images).flatten(1).any(1).all()


def test_bytes_survive_the_way_to_float_and_back() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(to_float(every)), every)
    assert to_float(every)[-1] == 1
