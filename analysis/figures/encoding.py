"""A figure as the content of a file."""

import io
from typing import Literal

from matplotlib.figure import Figure

from analysis.figures.style import styled

Format = Literal["png", "pdf"]

PICTURE_DPI = 200.0
"""1,100 pixels across: sharp where a page shows it, and small enough to put dozens on one. Print from the PDF."""

_METADATA: dict[Format, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@styled
def encode(figure: Figure, kind: Format, dpi: float = PICTURE_DPI) -> bytes:
    """The same bytes for the same figure, without dates or versions; `dpi` is of pictures."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=dpi, metadata=_METADATA[kind])
    return buffer.getvalue()
