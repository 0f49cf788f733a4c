"""The loss on the line from the model before training through the solution: in-domain beside out-of-domain."""

from collections.abc import Sequence
from math import isinf

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.errors import NothingToDrawError
from analysis.figures.layout import Margins, foot, heading, legend_below, panels, scale_losses
from analysis.figures.material import Material
from analysis.figures.slices import Losses, Slice, slices
from analysis.figures.style import MUTED, SMALL, MethodStyle, method_handles, styled, styles_of
from analysis.statistics import t_interval

COLUMNS = 6
"""Of the legend."""


@styled
def draw_interpolation(material: Material) -> Figure:
    """Each method's loss along its own line: mean and 95% interval over seeds."""
    found = slices(material, "surface-line")
    styles = styles_of(each.method for each in found)
    margins = Margins(left=0.5, right=0.1, top=0.5, bottom=foot(styles, COLUMNS), across=0.3)
    figure, (left, right) = panels([2], 1.9, margins, share_y=True)
    heading(figure, f"{material.sheet.name}, {material.sheet.title}")
    left.set_title(f"{material.sheet.train_domain} (training)")
    right.set_title("zero-shot")
    for method, style in styles.items():
        own = [each for each in found if each.method == method]
        axis = _axis(own)
        _draw_mean(left, axis, [each.inside for each in own], style)
        _draw_mean(right, axis, [each.outside for each in own], style)
    for panel in (left, right):
        _draw_points(panel, found)
        panel.set_xlabel("from θ₀ (0) to the solution (1)")
    scale_losses(left, *(losses for each in found for losses in (each.inside, each.outside)))
    left.set_ylabel("loss, nats (lower is better)")
    right.tick_params(labelleft=False)
    legend_below(figure, method_handles(styles, line=True), COLUMNS)
    return figure


def _axis(own: Sequence[Slice]) -> Losses:
    """The coordinates that all seeds of a method were measured at."""
    (axis,) = own[0].axes
    for each in own[1:]:
        if not np.array_equal(each.axes[0], axis):
            raise NothingToDrawError(
                f"{own[0].method}: seeds {own[0].seed} and {each.seed} were measured at different places on the line"
            )
    return axis


def _draw_mean(panel: Axes, axis: Losses, losses: Sequence[Losses], style: MethodStyle) -> None:
    """NaN where any seed's loss is not finite: the line has a gap there."""
    at = np.stack(losses)
    mean = at.mean(axis=0)
    panel.plot(axis, mean, color=style.color, linestyle=style.line)
    if len(losses) > 1:
        half_widths = np.array([np.nan if np.isnan(column).any() else _half_width(column) for column in at.T])
        panel.fill_between(axis, mean - half_widths, mean + half_widths, color=style.color, alpha=0.18, linewidth=0)


def _half_width(losses: Losses) -> float:
    """Of the 95% interval; 0 where all seeds have one loss, as at a model before training that they share."""
    half_width = t_interval(losses.tolist()).half_width
    return 0.0 if isinf(half_width) else half_width


def _draw_points(panel: Axes, found: Sequence[Slice]) -> None:
    """Upright lines where the model before training and the solutions are, if they are at one place for all."""
    for text, chosen in (("θ₀", ["theta_0"]), ("solution", {each.method for each in found})):
        places = {place for each in found for name, (place,) in each.points.items() if name in chosen}
        if len(places) == 1:
            (place,) = places
            panel.axvline(place, color=MUTED, linewidth=0.6, zorder=0)
            panel.annotate(
                text, (place, 1), xycoords=("data", "axes fraction"), xytext=(2, -1), textcoords="offset points",
                va="top", color=MUTED, size=SMALL,
            )  # fmt: skip
