"""A figure as the content of a file."""

import io
from typing import Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.figures.palette import in_few_colors
from analysis.figures.style import styled

Format = Literal["png", "pdf"]

PICTURE_DPI = 200.0
"""1,100 pixels across: sharp where a page shows it, and small enough to put dozens on one. Print from the PDF."""


@styled
def encode(figure: Figure, kind: Format, dpi: float = PICTURE_DPI) -> bytes:
    """The same bytes for the same figure, without dates or versions; `dpi` is of pictures."""
    buffer = io.BytesIO()
    if kind == "pdf":
        figure.savefig(buffer, format=kind, metadata=dict.fromkeys(("CreationDate", "Creator", "Producer")))
    else:
        figure.set_dpi(dpi)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        in_few_colors(np.asarray(canvas.buffer_rgba())).save(buffer, format=kind, dpi=(dpi, dpi))
    return buffer.getvalue()
