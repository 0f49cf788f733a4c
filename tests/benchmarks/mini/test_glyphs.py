"""Glyphs: which there are, against fontTools' reading of the fonts, and where their ink is."""

from pathlib import Path

import matplotlib
import pytest
import torch
import torch.nn.functional as F
from fontTools.ttLib import TTFont

from benchmarks.mini.glyphs import (
    ARMENIAN,
    COMPUTER_MODERN,
    CYRILLIC,
    DIGITS,
    FACES,
    GEORGIAN,
    GREEK,
    INK,
    LATIN,
    SIDE,
    STIX,
    SYMBOLS,
    distinct,
    draw,
    vary,
)
from benchmarks.mini.shifts import Affine, to_float

EVERY = DIGITS + ARMENIAN + GEORGIAN + LATIN + GREEK + CYRILLIC + SYMBOLS


def test_no_character_is_listed_twice() -> None:
    assert len(set(EVERY)) == len(EVERY)


@pytest.mark.parametrize("face", FACES)
def test_a_face_draws_what_it_has_and_the_ink_is_whole_and_centred(face: str) -> None:
    with TTFont(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf", lazy=True) as font:
        has = font.getBestCmap()
    expected = [character for character in EVERY if ord(character) in has]
    if face in COMPUTER_MODERN:
        expected = [character for character in expected if character.isascii() and character.isalnum()]
        assert len(expected) == 62
    glyphs = draw([face], EVERY)
    assert [EVERY[label] for label in glyphs.labels.tolist()] == expected
    assert glyphs.images.dtype == torch.uint8
    assert glyphs.images.shape[1:] == (1, SIDE, SIDE)
    for image in glyphs.images[:, 0]:
        rows, columns = image.any(1).nonzero(), image.any(0).nonzero()
        (top, bottom), (left, right) = (rows[0], rows[-1]), (columns[0], columns[-1])
        assert INK - 1 <= max(bottom - top, right - left) + 1 <= INK
        assert abs(top + bottom - SIDE + 1) <= 2
        assert abs(left + right - SIDE + 1) <= 2
        assert image.max() > 127


def test_a_square_is_a_square() -> None:
    (image,) = draw(["DejaVuSans"], "■").images
    assert (image[:, 9:47, 9:47] == 255).all()
    outside = image.clone()
    outside[:, 8:48, 8:48] = 0
    assert not outside.any()


def test_a_triangle_stands_on_its_base() -> None:
    (image,) = draw(["DejaVuSans"], "▲").images
    widths = (image[0] > 127).sum(1)[8:48]
    assert (widths.diff() >= 0).all()
    assert widths[-1] > 3 * widths[5]


def test_labels_are_places_in_the_characters_asked_for() -> None:
    assert draw(["STIXGeneral", "DejaVuSans"], "აbგ").labels.tolist() == [1, 0, 1, 2]


def test_no_two_faces_are_one() -> None:
    shapes = torch.stack([draw([face], "Rag").images.flatten() for face in (*STIX, *COMPUTER_MODERN)])
    assert len(shapes.unique(dim=0)) == 9


@pytest.mark.parametrize(
    ("characters", "kept"),
    [("oOоΟ", "o"), ("Oo", "O"), ("0O", "0O"), ("uս", "u"), ("3З", "3"), ("AΑАB", "AB"), ("bdpq", "bdpq")],
)
def test_of_characters_drawn_alike_the_first_is_kept(characters: str, kept: str) -> None:
    assert "".join(distinct(characters)) == kept


def test_vary_without_a_warp_halves_and_dims() -> None:
    drawn = draw(["DejaVuSans"], LATIN).images
    varied = vary(drawn, Affine(0, 0, 0, 0), torch.Generator().manual_seed(0))
    halved = F.avg_pool2d(to_float(drawn), 2)
    light = (varied / halved)[halved > 0.5].split((halved > 0.5).sum((1, 2, 3)).tolist())
    factors = torch.stack([pixels.median() for pixels in light])
    torch.testing.assert_close(varied, halved * factors.view(-1, 1, 1, 1), atol=1e-4, rtol=0)
    assert factors.min() > 0.6
    assert factors.max() < 1
    assert factors.max() - factors.min() > 0.3
