"""Figures: drawn from stored numbers, in one style, as wide as the paper's text, the same bytes whenever drawn."""

from analysis.figures.encoding import encode
from analysis.figures.errors import NothingToDrawError
from analysis.figures.material import Material, gather
from analysis.figures.overview import draw_overview
from analysis.figures.registry import FIGURES, Drawing, figures_of

__all__ = [
    "FIGURES",
    "Drawing",
    "Material",
    "NothingToDrawError",
    "draw_overview",
    "encode",
    "figures_of",
    "gather",
]
