"""Panels in a grid whose sizes are inches: what is drawn never moves what stands around it, whatever the font."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray

from analysis.figures.style import WIDTH, short

CHARACTER = 0.06
"""Inches of a small letter, on average or a little less."""

WIDE = 5
"""From the lowest to the highest loss, as a ratio."""


@dataclass(frozen=True)
class Margins:
    """Inches around the grid, and between its panels."""

    left: float = 0.45
    right: float = 0.08
    top: float = 0.3
    bottom: float = 0.4
    across: float | tuple[float, ...] = 0.3
    """One for all, or one for each gap of a row."""
    down: float = 0.5


def panels(
    counts: Sequence[int],
    heights: float | Sequence[float],
    margins: Margins,
    *,
    columns: int | None = None,
    projection: str | None = None,
    share_x: bool = False,
    share_y: bool = False,
) -> tuple[Figure, list[Axes]]:
    """A figure as wide as the text with so many panels in each row; `columns` of them fill it, or the fullest row.

    `heights`, in inches, are the panels', one for all rows or one for each. The panels come row by row.
    """
    tall_rows = np.broadcast_to(heights, len(counts))
    tall = margins.top + float(tall_rows.sum()) + (len(counts) - 1) * margins.down + margins.bottom
    figure = Figure(figsize=(WIDTH, tall))
    columns = columns or max(counts)
    gaps = np.broadcast_to(margins.across, columns - 1)
    width = (WIDTH - margins.left - margins.right - gaps.sum()) / columns
    lefts = margins.left + np.concatenate([[0.0], np.cumsum(width + gaps)])
    upper = tall - margins.top
    drawn: list[Axes] = []
    for count, height in zip(counts, tall_rows, strict=True):
        for left in lefts[:count]:
            first = drawn[0] if drawn else None
            place = (left / WIDTH, (upper - height) / tall, width / WIDTH, height / tall)
            x, y = first if share_x else None, first if share_y else None
            drawn.append(figure.add_axes(place, projection=projection, sharex=x, sharey=y))
        upper -= height + margins.down
    return figure, drawn


def in_rows(count: int, columns: int) -> list[int]:
    """How many of `count` panels are in each row if no row has more than `columns`."""
    return [min(columns, count - start) for start in range(0, count, columns)]


def number_outer(axes: Sequence[Axes], columns: int) -> None:
    """Of panels that share both axes, in rows of `columns`: only the left and the lowest have ticks and numbers."""
    for index, panel in enumerate(axes):
        panel.yaxis.set_visible(index % columns == 0)
        panel.xaxis.set_visible(index + columns >= len(axes))


def rule(panel: Axes, heights: Iterable[float]) -> None:
    """Pale lines across the panel, also where its own axis is not drawn; the limits stay as they are."""
    segments = [((0.0, height), (1.0, height)) for height in heights]
    look = {"colors": rcParams["grid.color"], "linewidths": rcParams["grid.linewidth"]}
    panel.add_artist(LineCollection(segments, transform=panel.get_yaxis_transform(), zorder=0.5, **look))


def heading(figure: Figure, text: str, axes: Axes | None = None, above: float = 0.0) -> None:
    """A bold line at the left: at the top of the figure, or so many inches above the panel."""
    tall = float(figure.get_figheight())
    height = 1 - 0.16 / tall if axes is None else axes.get_position().y1 + above / tall
    figure.text(0.07 / WIDTH, height, text, weight="bold", size=8)


def legend_below(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """A legend at the figure's foot, in rows as equal as can be."""
    rows = legend_rows([str(handle.get_label()) for handle in handles], columns)
    figure.legend(handles=list(handles), loc="lower center", ncols=-(-len(handles) // rows))


def legend_rows(labels: Collection[str], columns: int) -> int:
    """How many rows a legend takes: no more than `columns` in a row, fewer where labels are long."""
    fitting = int((WIDTH - 0.2) / (0.42 + CHARACTER * max(map(len, labels))))
    return -(-len(labels) // max(1, min(columns, fitting)))


def foot(labels: Collection[str], columns: int) -> float:
    """The inches of a legend at the foot, below an axis with a label."""
    return 0.5 + 0.15 * legend_rows(labels, columns)


def room_for(names: Iterable[str]) -> float:
    """The inches of names left of an axis."""
    return max(0.92, 0.14 + CHARACTER * max(map(len, names)))


def scale_losses(axes: Axes, *losses: NDArray[np.float64]) -> None:
    """A vertical axis for all of them: logarithmic if their ratio is large, or walls would flatten the valleys."""
    low, high = min(map(np.nanmin, losses)), max(map(np.nanmax, losses))
    if high > WIDE * low > 0:
        axes.set_yscale("log")
        axes.set_ylim(0.85 * low, 1.15 * high)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(short)
        axes.yaxis.set_minor_locator(NullLocator())
