"""The look of every figure: sizes for the paper's text width, and one colour, marker and line for each method.

Colours say the kind of method and stay apart for every kind of colour vision; markers, filled or open,
alone tell any two methods apart.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from matplotlib import style
from matplotlib.lines import Line2D

from analysis.methods import in_order
from benchmarks.registry import ZERO_SHOT

WIDTH = 5.5
"""Inches: the text width of the paper, so that figures are printed at their size."""

PAGE = 8.6
"""Inches: what fits on one of its pages above a caption."""

SMALL = 7.0
"""Points: the smallest text in any figure."""

STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters everywhere
    "mathtext.fontset": "dejavusans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # where it is anyway, without a measurement of every label below
    "axes.titlepad": 4,
    "axes.labelsize": 7.5,
    "axes.labelpad": 2.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#777777",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.3,
    "legend.labelspacing": 0.35,
    "legend.borderaxespad": 0.2,
    "lines.linewidth": 1.1,
    "lines.markersize": 4.5,
    "lines.markeredgewidth": 0.8,
    "figure.titlesize": 8.5,
    "pdf.fonttype": 42,  # TrueType: text in a PDF file can be searched and is accepted by publishers
    "svg.hashsalt": "tram",
}

MINUS = "\N{MINUS SIGN}"
"""As long as a plus, unlike a hyphen."""

INK = "#222222"
MUTED = "#777777"
PALE = "#b5b5b5"
SHADE = "#f4f4f4"
"""Text and lines, what steps back, what is only there to compare with, and a ground that tells columns apart."""

BETTER, WORSE, NEITHER = "#0072B2", "#D55E00", "#555555"
"""Okabe and Ito's blue and vermilion."""


Line = Literal["-", "--", ":", "-."]


@dataclass(frozen=True)
class MethodStyle:
    """How a method looks wherever it is drawn."""

    color: str
    marker: str
    line: Line
    hollow: bool = False

    @property
    def face(self) -> str:
        """The colour that its marker is filled with."""
        return "white" if self.hollow else self.color


_SOLID: Line = "-"
_DASHED: Line = "--"
_DOTTED: Line = ":"
_DASH_DOT: Line = "-."

METHOD_STYLES: dict[str, MethodStyle] = {
    # Before training, and plain fine-tuning: black.
    ZERO_SHOT: MethodStyle("#000000", "+", _DOTTED),
    "SGD": MethodStyle("#000000", "s", _SOLID),
    "Adam": MethodStyle("#000000", "s", _SOLID),
    # Sharpness: blues.
    "SAM": MethodStyle("#56B4E9", "o", _SOLID),
    "ASAM": MethodStyle("#0072B2", "^", _DASHED),
    "FSAM": MethodStyle("#123A63", "v", _DOTTED),
    # Trust regions: greens.
    "TRPO": MethodStyle("#00513B", "D", _SOLID),
    "R3F": MethodStyle("#48BF91", "P", _DASHED),
    "MESA": MethodStyle("#93B82A", "X", _DOTTED),
    # ASAM with a trust region: greys with open markers.
    "ASAM+TRPO": MethodStyle("#777777", "D", _SOLID, hollow=True),
    "ASAM+R3F": MethodStyle("#777777", "P", _DASHED, hollow=True),
    "ASAM+MESA": MethodStyle("#777777", "X", _DOTTED, hollow=True),
    # TRAM: warm.
    "TRAM-prev": MethodStyle("#D55E00", "<", _SOLID),
    "TRAM-pre": MethodStyle("#E69F00", ">", _DASHED),
    "TRAM-x": MethodStyle("#8F1D3F", "*", _DOTTED),
    "TRAM-Fisher": MethodStyle("#CC79A7", "d", _DASH_DOT),
    "TRAM-x-MMD": MethodStyle("#8F1D3F", "s", _DASHED, hollow=True),
    "TRAM-x-L2": MethodStyle("#8F1D3F", "o", _DASH_DOT, hollow=True),
}

_SPARE_MARKERS = ("p", "h", "1", "2", "3", "4", "x", "8", "|", "_")
_SPARE_LINES = (_DASHED, _DOTTED, _DASH_DOT)


def styles_of(methods: Iterable[str]) -> dict[str, MethodStyle]:
    """A look for each of the methods, those with settings (`TRAM-x@std=0.3`) in the colour of their own method.

    A method that the paper has always looks the same; others get a look by their place among those given.
    """
    styles: dict[str, MethodStyle] = {}
    others = 0
    for name in in_order(methods):
        if name in METHOD_STYLES:
            styles[name] = METHOD_STYLES[name]
            continue
        base = METHOD_STYLES.get(name.partition("@")[0], MethodStyle(MUTED, "d", _DOTTED))
        marker, line = _SPARE_MARKERS[others % len(_SPARE_MARKERS)], _SPARE_LINES[others % len(_SPARE_LINES)]
        styles[name] = replace(base, marker=marker, line=line, hollow=True)
        others += 1
    return styles


def method_handles(methods: Iterable[str], line: bool = False) -> list[Line2D]:
    """A legend's entries for the methods in the paper's order: their markers, or with `line` their lines.

    The two base optimizers look the same, and share an entry.
    """
    styles = styles_of(methods)
    if {"SGD", "Adam"} <= styles.keys():
        styles = {"SGD, Adam": styles.pop("SGD")} | styles
        del styles["Adam"]
    return [
        Line2D(
            [],
            [],
            color=style.color,
            marker="none" if line else style.marker,
            markerfacecolor=style.face,
            linestyle=style.line if line else "none",
            label=name,
        )
        for name, style in styles.items()
    ]


def short(value: float, _: object = None) -> str:
    """A tick's label: 0.25, 1000, and beyond 1e−4 or 1e5 without the zero of 1e−04."""
    mantissa, _, exponent = f"{value:g}".partition("e")
    return (f"{mantissa}e{int(exponent)}" if exponent else mantissa).replace("-", MINUS)


styled = style.context(STYLE, after_reset=True)
"""Decorates what draws or saves a figure: in this style, whatever the caller's settings of matplotlib are."""
