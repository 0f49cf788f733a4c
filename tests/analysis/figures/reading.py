"""What a person sees on a figure: the picture without its letters, and what is written where."""

from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from numpy.typing import NDArray

from analysis.figures.style import styled

DPI = 72.0
"""A pixel is a point."""


@dataclass(frozen=True)
class Written:
    """A text, its size in points, and its left, lower, right and upper edge in points."""

    text: str
    size: float
    left: float
    low: float
    right: float
    high: float

    def overlaps(self, other: "Written", by: float = 1.0) -> bool:
        """By more than so many points both ways."""
        across = min(self.right, other.right) - max(self.left, other.left)
        along = min(self.high, other.high) - max(self.low, other.low)
        return across > by and along > by


@dataclass(frozen=True)
class Seen:
    """`picture` (height, width, 3) has no texts and no legends: it does not depend on what draws the letters."""

    picture: NDArray[np.uint8]
    written: tuple[Written, ...]
    width: float
    height: float


@styled
def see(figure: Figure) -> Seen:
    """Draws the figure once, and its legends after that."""
    texts: list[Text] = []
    legends: list[Legend] = []

    def record(text: Text, renderer: RendererBase, *_: object, **__: object) -> None:
        if text.get_visible() and text.get_text().strip():
            texts.append(text)

    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    with patch.object(Text, "draw", record):
        with patch.object(Legend, "draw", lambda legend, _: legends.append(legend)):
            canvas.draw()
        picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        renderer = canvas.get_renderer()
        for legend in legends:
            legend.draw(renderer)
    places = [(text, text.get_window_extent(renderer)) for text in dict.fromkeys(texts)]
    height, width, _ = picture.shape
    written = tuple(
        Written(text.get_text(), float(text.get_fontsize()), box.x0, box.y0, box.x1, box.y1) for text, box in places
    )
    return Seen(picture, written, width, height)
