"""The stored pictures of every figure: `python -m tests.analysis.figures.golden` draws them anew, to be looked at.

It also draws those that docs/figures holds.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analysis.figures import Drawing, Material, NothingToDrawError, encode, figures_of, gather
from analysis.records import load
from tests.analysis.figures.reading import see

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tests" / "analysis" / "golden" / "figures"
DOCS = ROOT / "docs" / "figures"
SUITES = ("mini", "published")


@cache
def material(suite: str) -> Material:
    folder = ROOT / "results" / suite
    return gather(load(folder), folder)


@cache
def drawings(suite: str) -> Mapping[str, Drawing]:
    return {drawing.name: drawing for drawing in figures_of(material(suite))}


def stored(suite: str, name: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(FOLDER / suite / f"{name}.png").convert("RGB"))


def names() -> list[tuple[str, str]]:
    """Suite and figure of every stored picture."""
    return [(suite, path.stem) for suite in SUITES for path in sorted((FOLDER / suite).glob("*.png"))]


def shown_in_docs() -> list[tuple[str, str]]:
    """Suite and figure of every picture in docs/figures whose name begins with a suite's."""
    parts = [path.stem.partition("_") for path in sorted(DOCS.glob("*.png"))]
    return [(suite, name) for suite, _, name in parts if suite in SUITES]


def redraw() -> None:
    """Store what is drawn now, and remove what is not."""
    for suite, name in shown_in_docs():
        (DOCS / f"{suite}_{name}.png").write_bytes(encode(drawings(suite)[name].draw(), "png"))
    for suite in SUITES:
        (FOLDER / suite).mkdir(parents=True, exist_ok=True)
        for path in (FOLDER / suite).glob("*.png"):
            path.unlink()
        for name, drawing in drawings(suite).items():
            try:
                picture = see(drawing.draw()).picture
            except NothingToDrawError as reason:
                print(f"not drawn: {name}: {reason}")
                continue
            Image.fromarray(picture).save(FOLDER / suite / f"{name}.png", optimize=True)


if __name__ == "__main__":
    redraw()
