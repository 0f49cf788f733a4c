"""Loss surfaces: contours and landscapes around the solutions, in-domain beside out-of-domain, on one scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter
from mpl_toolkits.mplot3d import Axes3D

from analysis.figures.errors import NothingToDrawError
from analysis.figures.layout import Margins, heading, in_rows, panels
from analysis.figures.material import Material
from analysis.figures.slices import Losses, Slice, one_seed, slices
from analysis.figures.style import PALE, SHADE, SMALL, short, styled, styles_of
from analysis.methods import in_order
from benchmarks.registry import ZERO_SHOT

COLORS = "viridis"
LEVELS = 32

CEILING = 4.0
"""Losses above so many times the lowest of the panel where that is highest look like that: walls that are far beyond
every valley would leave no shades for the valleys."""

FLOOR = 1e-6
"""A loss of 0 has no ratio to others: the lowest that is told apart."""

START = "theta_0"
FOOT = 0.72
"""Inches for the colours' scale and the legend below the panels."""


@dataclass(frozen=True)
class Scale:
    """The losses that the colours span, in all panels: equal ratios of losses are equal steps."""

    low: float
    high: float

    @property
    def norm(self) -> LogNorm:
        return LogNorm(self.low, self.high)

    def clip(self, losses: Losses) -> Losses:
        return np.clip(losses, self.low, self.high)


@styled
def draw_contours(material: Material, probe: str) -> Figure:
    """Contours of the loss on a plane through weight space, a pair of panels per method."""
    chosen = one_seed(slices(material, probe))
    scale = _scale(chosen)
    levels = np.geomspace(scale.low, scale.high, LEVELS + 1)
    margins = Margins(left=0.5, right=0.1, top=0.66, bottom=0.36 + FOOT, across=(0.1, 0.44, 0.1), down=0.62)
    figure, axes = panels(in_rows(2 * len(chosen), 4), 1.12, margins, columns=4)
    for panel, (each, losses) in zip(axes, _both(chosen), strict=True):
        horizontal, vertical = each.axes
        shown = scale.clip(losses.T)
        panel.set_facecolor(PALE)
        panel.contourf(horizontal, vertical, shown, levels=levels, norm=scale.norm, cmap=COLORS)
        panel.contour(horizontal, vertical, shown, levels=levels, colors="white", linewidths=0.3, alpha=0.6)
        for name, place in each.points.items():
            panel.plot(*place, zorder=5, **_mark(name))
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(MaxNLocator(4, prune="both"))
            axis.set_major_formatter(short)
    horizontal_name, vertical_name = _axis_names(material, probe)
    for right in axes[1::2]:
        right.yaxis.set_visible(False)
    for left in axes[::4]:
        left.set_ylabel(vertical_name)
    for bottom in axes[-4:]:
        bottom.set_xlabel(horizontal_name)
    _name_pairs(figure, axes, chosen, material.sheet.train_domain)
    heading(figure, f"{material.sheet.name}, {material.sheet.title}, seed {chosen[0].seed}")
    _color_bar(figure, scale)
    _points_legend(figure, chosen)
    return figure


@styled
def draw_landscapes(material: Material, probe: str) -> Figure:
    """The same in three dimensions: height and colour are the loss."""
    chosen = one_seed(slices(material, probe))
    scale = _scale(chosen)
    margins = Margins(left=0.0, right=0.18, top=0.62, bottom=0.05 + FOOT, across=(0.0, 0.12, 0.0), down=0.35)
    figure, axes = panels(in_rows(2 * len(chosen), 4), 1.35, margins, columns=4, projection="3d")
    for panel, (each, losses) in zip(axes, _both(chosen), strict=True):
        assert isinstance(panel, Axes3D)
        horizontal, vertical = np.meshgrid(*each.axes, indexing="ij")
        shown = scale.clip(losses)
        colors = ScalarMappable(scale.norm, COLORS).to_rgba(shown)
        panel.plot_surface(
            horizontal, vertical, np.log10(shown), facecolors=colors, rcount=40, ccount=40, linewidth=0, shade=False
        )
        # The right one of a pair has the numbers of both: there is no room between them.
        _set_up_landscape(panel, scale, losses is each.outside)
    _name_pairs(figure, axes, chosen, material.sheet.train_domain)
    heading(figure, f"{material.sheet.name}, {material.sheet.title}, seed {chosen[0].seed}")
    _color_bar(figure, scale)
    first, second = _axis_names(material, probe)
    told = f"1: {first}, 2: {second}\nheight and colour: loss"
    figure.text(0.07, 0.3 / figure.get_figheight(), told, size=SMALL, linespacing=1.4)
    return figure


def _axis_names(material: Material, probe: str) -> tuple[str, str]:
    """Units are the length of the weights, or of the way from θ₀ to the baseline's solution."""
    if probe == "surface-random":
        return "direction 1", "direction 2"
    return f"θ₀ to {material.sheet.baseline}", "to the method"


def _set_up_landscape(panel: Axes3D, scale: Scale, is_last: bool) -> None:
    """Heights in the colours' scale, one for all panels; the floor has no room for numbers: the contours have them."""
    panel.set_zlim(log10(scale.low), log10(scale.high))
    panel.view_init(elev=32, azim=-60)
    panel.set_box_aspect((1, 1, 0.8), zoom=1.05)
    panel.set_xticks([])
    panel.set_yticks([])
    heights = [tick for tick in _ticks(scale).tick_values(scale.low, scale.high) if scale.low <= tick <= scale.high]
    panel.set_zticks([log10(height) for height in heights], [f"{height:g}" if is_last else "" for height in heights])
    panel.tick_params(axis="z", labelsize=SMALL, pad=-4.5, length=0)
    for axis in (panel.xaxis, panel.yaxis, panel.zaxis):
        axis.pane.set_facecolor(SHADE)
        axis.pane.set_edgecolor("#cccccc")
    panel.set_xlabel("1", labelpad=-16)
    panel.set_ylabel("2", labelpad=-16)


def _both(chosen: Sequence[Slice]) -> list[tuple[Slice, Losses]]:
    """In-domain, then out-of-domain, of one method after the other: the panels' order."""
    return [(each, losses) for each in chosen for losses in (each.inside, each.outside)]


def _scale(chosen: Sequence[Slice]) -> Scale:
    finite = [losses[np.isfinite(losses)] for _, losses in _both(chosen)]
    if not all(losses.size for losses in finite):
        raise NothingToDrawError("a surface on which no loss is finite")
    lowest = [max(float(losses.min()), FLOOR) for losses in finite]
    highest = max(float(losses.max()) for losses in finite)
    # A constant loss has a scale too.
    return Scale(min(lowest), max(min(highest, CEILING * max(lowest)), 1.01 * min(lowest)))


def _mark(name: str) -> dict[str, Any]:
    """How a named point looks: θ₀ as the model before training, a solution as its method."""
    known = styles_of([ZERO_SHOT if name == START else name])
    (style,) = known.values()
    return {
        "marker": style.marker,
        "color": style.color,
        "markerfacecolor": style.face,
        "linestyle": "none",
        "markersize": 4.5,
        "path_effects": [withStroke(linewidth=2, foreground="white")],
    }


def _name_pairs(figure: Figure, axes: Sequence[Axes], chosen: Sequence[Slice], train_domain: str) -> None:
    for left, right, each in zip(axes[::2], axes[1::2], chosen, strict=True):
        left.set_title(f"{train_domain} (training)", loc="center")
        right.set_title("zero-shot", loc="center")
        middle = (left.get_position().x0 + right.get_position().x1) / 2
        above = left.get_position().y1 + 0.22 / figure.get_figheight()
        figure.text(middle, above, each.method, ha="center", weight="bold", size=8)


def _color_bar(figure: Figure, scale: Scale) -> None:
    tall = figure.get_figheight()
    place = figure.add_axes((0.56, 0.36 / tall, 0.41, 0.1 / tall))
    bar = figure.colorbar(ScalarMappable(scale.norm, COLORS), cax=place, orientation="horizontal")
    bar.set_label("loss, nats: lower is better", labelpad=1)
    bar.ax.xaxis.set_major_locator(_ticks(scale))
    bar.ax.xaxis.set_minor_locator(NullLocator())
    bar.ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    bar.outline.set_visible(False)


def _ticks(scale: Scale) -> LogLocator:
    """Of the loss, on the colours' scale and on the walls of a landscape."""
    return LogLocator(subs=(1, 2, 5) if scale.high > 4 * scale.low else (1, 1.5, 2, 3, 4, 5, 7))


def _points_legend(figure: Figure, chosen: Sequence[Slice]) -> None:
    names = {name for each in chosen for name in each.points}
    ordered = [*(name for name in (START,) if name in names), *in_order(names - {START})]
    handles = [
        Line2D([], [], label="θ₀, before training" if name == START else name, **_mark(name)) for name in ordered
    ]
    figure.legend(handles=handles, loc="lower left", ncols=3, bbox_to_anchor=(0.02, 0.0))
