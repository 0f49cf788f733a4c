"""What happens during training: the distance d and the radius, and the loss, step by step, a panel per method."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from analysis.figures.curves import Band, band, smoothed
from analysis.figures.errors import NothingToDrawError
from analysis.figures.layout import Margins, heading, in_rows, legend_below, number_outer, panels, rule, scale_losses
from analysis.figures.material import Material
from analysis.figures.style import INK, PALE, short, styled, styles_of

COLUMNS = 4
_MARGINS = Margins(left=0.56, right=0.1, top=0.5, bottom=0.78, across=0.14, down=0.28)


@styled
def draw_distance(material: Material) -> Figure:
    """d, the radius where it is not d, and the norm of epsilon, on one logarithmic scale for all methods."""
    curves = {method: list(by_seed.values()) for method, by_seed in material.curves.items()}
    shown = [name for name in curves if any("distance" in curve for curve in curves[name])]
    if not shown:
        raise NothingToDrawError("no run with a trust region has a curve")
    figure, axes = _panels(material, shown)
    for panel, (method, style) in zip(axes, styles_of(shown).items(), strict=True):
        distance, radius, norm = (band(curves[method], name) for name in ("distance", "radius", "perturbation_norm"))
        if norm is not None:
            panel.plot(norm.step, _positive(norm.median), color=INK, linewidth=0.9, linestyle=":")
        if radius is not None and not _same(radius, distance):
            panel.plot(radius.step, _positive(radius.median), color=INK, linewidth=0.9, linestyle="--")
        if distance is not None:
            _draw_band(panel, distance, style.color)
    axes[0].set_yscale("log")
    axes[0].yaxis.set_major_formatter(short)
    axes[0].yaxis.set_minor_locator(NullLocator())
    _finish(axes, "d, radius, norm")
    handles = [
        Line2D([], [], color=INK, label="d: median, range of seeds"),
        Line2D([], [], color=INK, linestyle="--", linewidth=0.9, label="radius, where it is not d"),
        Line2D([], [], color=INK, linestyle=":", linewidth=0.9, label="norm of ε"),
    ]
    legend_below(figure, handles, columns=3)
    return figure


@styled
def draw_convergence(material: Material) -> Figure:
    """The training loss of each method over that of its baseline."""
    curves = {method: [smoothed(each) for each in by_seed.values()] for method, by_seed in material.curves.items()}
    baseline = band(curves.get(material.sheet.baseline, ()), "loss")
    figure, axes = _panels(material, list(curves))
    for panel, (method, style) in zip(axes, styles_of(curves).items(), strict=True):
        own = band(curves[method], "loss")
        if baseline is not None:
            panel.plot(baseline.step, baseline.median, color=PALE, linewidth=0.9)
        if own is not None:
            _draw_band(panel, own, style.color)
    scale_losses(axes[0], *(curve["loss"] for found in curves.values() for curve in found if "loss" in curve))
    _finish(axes, "loss, nats")
    handles = [
        Line2D([], [], color=INK, label="median, range of seeds"),
        Line2D([], [], color=PALE, label=f"median of {material.sheet.baseline}"),
    ]
    legend_below(figure, handles, columns=2)
    return figure


def _panels(material: Material, methods: Sequence[str]) -> tuple[Figure, list[Axes]]:
    figure, axes = panels(in_rows(len(methods), COLUMNS), 0.85, _MARGINS, share_x=True, share_y=True)
    heading(figure, f"{material.sheet.name}, {material.sheet.title}")
    for panel, method in zip(axes, methods, strict=True):
        panel.set_title(method, pad=2)
    return figure, axes


def _finish(axes: Sequence[Axes], label: str) -> None:
    """What the outer panels say of all, and lines where their ticks are."""
    number_outer(axes, COLUMNS)
    for left in axes[::COLUMNS]:
        left.set_ylabel(label)
    for lowest in axes[-COLUMNS:]:
        lowest.set_xlabel("step")
    for panel in axes:
        rule(panel, axes[0].get_yticks())


def _draw_band(panel: Axes, drawn: Band, color: str) -> None:
    panel.fill_between(drawn.step, _positive(drawn.low), drawn.high, color=color, alpha=0.25, linewidth=0)
    panel.plot(drawn.step, _positive(drawn.median), color=color)


def _positive(values: np.ndarray) -> np.ndarray:
    """A gap where a value is zero: the first step of TRAM-prev and TRAM-pre, which a logarithm cannot show."""
    return np.where(values > 0, values, np.nan)


def _same(radius: Band, distance: Band | None) -> bool:
    return distance is not None and np.array_equal(radius.median, distance.median)
