"""Pictures in 256 colours: what covers an area is exact, and the rest is near."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.figures.palette import in_few_colors


def opaque(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, dtype=np.uint8)])


def seen(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = in_few_colors(opaque(rgb))
    assert picture.mode == "P"
    return np.asarray(picture.convert("RGB"))


def test_up_to_256_colours_stay_as_they_are() -> None:
    """Also where they are as near to each other as can be, and of very different areas."""
    rng = np.random.default_rng(0)
    colors = np.array([(255 - n % 16, 240 + n // 16, 250) for n in range(256)], dtype=np.uint8)
    which = np.minimum(rng.geometric(0.02, size=(300, 200)) - 1, 255)
    which[0] = np.arange(200)
    which[1, :56] = np.arange(200, 256)
    rgb = colors[which]
    assert len(np.unique(which)) == 256
    assert (seen(rgb) == rgb).all()


def test_of_many_colours_those_of_areas_are_exact_and_edges_near() -> None:
    """White, a grey that is nearly white and an ink, between them a ramp of thousands of colours that no area has."""
    rgb = np.full((400, 400, 3), 255, dtype=np.uint8)
    rgb[100:200] = (244, 244, 244)
    rgb[200:300] = (0, 114, 178)
    ramp = np.linspace(0, 255, 90 * 90).astype(np.uint8).reshape(90, 90)
    rgb[305:395, 5:95] = np.dstack([ramp, ramp.T, 255 - ramp])
    found = seen(rgb)
    assert (found[:300] == rgb[:300]).all()
    error = np.abs(found[305:395, 5:95].astype(int) - rgb[305:395, 5:95])
    assert error.mean() < 8
    assert len(np.unique(found.reshape(-1, 3), axis=0)) <= 256


def test_the_sides_are_not_exchanged() -> None:
    rgb = np.zeros((3, 5, 3), dtype=np.uint8)
    rgb[0, 4] = (200, 10, 20)
    rgb[2, 1] = (10, 200, 30)
    assert (seen(rgb) == rgb).all()


@pytest.mark.parametrize("shape", [(1, 1), (7, 3)])
def test_one_colour_is_enough(shape: tuple[int, int]) -> None:
    assert (seen(np.full((*shape, 3), 17, dtype=np.uint8)) == 17).all()
