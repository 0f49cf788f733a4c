"""The loss on the line from the model before training through the solution: in-domain beside out-of-domain."""

from collections.abc import Sequence

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
    panel.plot(axis, at.mean(axis=0), color=style.color, linestyle=style.line)
    if len(losses) > 1:
        intervals = [None if np.isnan(column).any() else t_interval(column) for column in at.T]
        low = [np.nan if each is None else each.low for each in intervals]
        high = [np.nan if each is None else each.high for each in intervals]
        panel.fill_between(axis, low, high, color=style.color, alpha=0.18, linewidth=0)


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
