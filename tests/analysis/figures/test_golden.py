"""Every figure of the stored results: as it was when somebody looked at it, and legible.

To renew after a wanted change, and to look at: `python -m tests.analysis.figures.golden`.
"""

from dataclasses import replace
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

from analysis.figures import FIGURES, NothingToDrawError, encode, figures_of, gather
from analysis.figures.style import STYLE
from analysis.records import load
from tests.analysis.figures.golden import DOCS, SUITES, drawings, material, names, shown_in_docs, stored
from tests.analysis.figures.reading import Written, see
from tests.analysis.synthetic import write_tree

TOLERANCE = 2.0
"""Of the root mean square difference, of 255, in the block of BLOCK x BLOCK pixels that differs most."""

BLOCK = 12
"""Points: two or three markers."""


def difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """The largest of the blocks' root mean squares: a single moved marker counts as much on a large figure."""
    squares = ((first.astype(float) - second.astype(float)) ** 2).mean(axis=2)
    rows, columns = (size // BLOCK * BLOCK for size in squares.shape)
    blocks = squares[:rows, :columns].reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK)
    return float(np.sqrt(blocks.mean(axis=(1, 3)).max()))


@pytest.mark.parametrize(("suite", "name"), names())
def test_looks_as_it_did_and_can_be_read(suite: str, name: str) -> None:
    seen = see(drawings(suite)[name].draw())
    golden = stored(suite, name)
    assert seen.picture.shape == golden.shape
    assert difference(seen.picture, golden) < TOLERANCE
    assert [each for each in seen.written if each.size < 7] == []
    assert [each for each in seen.written if outside(each, seen.width, seen.height)] == []
    assert [pair for pair in combinations(seen.written, 2) if pair[0].overlaps(pair[1])] == []


def test_methods_with_settings_have_room_too(tmp_path: Path) -> None:
    names = (
        "Adam",
        "ASAM",
        *(f"TRAM-x@std={std}" for std in ("0.001", "0.01", "0.1", "1")),
        "TRAM-prev@maximum=validation",
    )
    folder = write_tree(tmp_path, {"mini-xnli": names}, range(3), lambda name, seed, at: 50 + len(name + at) + seed % 2)
    for drawing in figures_of(gather(load(folder), folder), ["overview", "domains", "scores", "cost"]):
        seen = see(drawing.draw())
        assert [each for each in seen.written if outside(each, seen.width, seen.height)] == [], drawing.name
        assert [pair for pair in combinations(seen.written, 2) if pair[0].overlaps(pair[1])] == [], drawing.name


def outside(text: Written, width: float, height: float) -> bool:
    return text.left < 0 or text.low < 0 or text.right > width or text.high > height


@pytest.mark.parametrize("suite", SUITES)
def test_there_is_a_picture_of_every_figure(suite: str) -> None:
    golden = {name for each, name in names() if each == suite}
    missing = drawings(suite).keys() - golden
    assert golden <= drawings(suite).keys()
    for name in missing:
        with pytest.raises(NothingToDrawError):
            drawings(suite)[name].draw()


@pytest.mark.parametrize(("suite", "name"), shown_in_docs())
def test_docs_show_what_is_drawn(suite: str, name: str) -> None:
    shown = imread(DOCS / f"{suite}_{name}.png")
    drawn = imread(BytesIO(encode(drawings(suite)[name].draw(), "png")))
    assert shown.shape == drawn.shape
    assert np.abs(shown - drawn).max() < 0.01


@pytest.mark.parametrize("name", ["correlation_m2d2-s2orc", "scores_m2d2-s2orc", "cost_m2d2-s2orc"])
def test_another_font_passes_and_a_moved_point_does_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One number of Table 11 by its last printed digit: 26.2 becomes 26.3, or 46.8 becomes 46.9."""
    golden = stored("published", name)
    kind = FIGURES[name.partition("_")[0]]
    part = material("published").of("m2d2-s2orc")
    mean = part.sheet.mean.copy()
    mean.loc["TRAM-prev", ["Art", "ZS Avg"]] += 0.1
    moved = replace(part, sheets=(replace(part.sheet, mean=mean),))
    assert difference(see(kind.draw(moved)).picture, golden) > 2 * TOLERANCE
    monkeypatch.setitem(STYLE, "font.family", "STIXGeneral")
    assert difference(see(kind.draw(part)).picture, golden) < TOLERANCE / 2
