"""The difference of every method to its baseline in every domain, as colours."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.aggregate import BenchmarkResult
from analysis.figures.layout import room_for
from analysis.figures.overview import gain, methods_run, rows_of
from analysis.figures.style import BETTER, SMALL, WIDTH, WORSE, styled

WORSE_TO_BETTER = LinearSegmentedColormap.from_list("worse to better", (WORSE, "#f7f7f7", BETTER))

LINE = 0.135
"""Inches from one method to the next."""

RIGHT, ABOVE, BELOW, FOOT = 0.12, 0.42, 0.82, 0.2
"""Inches at the right edge, above and below a row of panels, and at the foot."""

SCALE, GAP = 0.1, 0.5
"""Inches of a colours' scale, and from it to the next panel."""


@styled
def draw_domains(results: Sequence[BenchmarkResult]) -> Figure:
    """A panel per benchmark: the difference of every method in every domain as a colour, the training domain first."""
    rows = rows_of(results)
    heights = [LINE * len(methods_run(row)) for row in rows]
    tall = sum(heights) + len(rows) * (ABOVE + BELOW) + FOOT
    figure = Figure(figsize=(WIDTH, tall))
    upper, names = tall, room_for(name for row in rows for name in methods_run(row))
    for row, height in zip(rows, heights, strict=True):
        upper -= ABOVE + height
        room = WIDTH - names - RIGHT - len(row) * (SCALE + GAP)
        cell = room / sum(len(result.columns) for result in row)
        left = names
        for result in row:
            width = cell * len(result.columns)
            panel = figure.add_axes((left / WIDTH, upper / tall, width / WIDTH, height / tall))
            scale = figure.add_axes(((left + width + 0.06) / WIDTH, upper / tall, SCALE / WIDTH, height / tall))
            _draw_domains(panel, scale, result, methods_run(row), named=result is row[0])
            left += width + SCALE + GAP
        upper -= BELOW
    told = "Blue is better than the baseline. Dot: the 95% interval excludes 0. Grey: not run."
    figure.text(0.5, 0.08 / tall, told, ha="center", size=SMALL)
    return figure


def _draw_domains(axes: Axes, scale: Axes, result: BenchmarkResult, methods: Sequence[str], named: bool) -> None:
    by_name = {method.method: method for method in result.methods}
    gains = np.full((len(methods), len(result.columns)), np.nan)
    for line, name in enumerate(methods):
        for column, domain in enumerate(result.columns):
            interval = by_name[name].difference.get(domain) if name in by_name else None
            if interval is not None:
                gains[line, column] = gain(result) * interval.mean
                if interval.n > 1 and not interval.includes_zero:
                    axes.plot(column, line, "o", color="black", markersize=1.5)
    finite = np.abs(gains[np.isfinite(gains) & (gains != 0)])
    # A method that is far worse than all others saturates, so that the others keep their shades.
    limit = min(float(np.quantile(finite, 0.9)), 4 * float(np.median(finite))) if finite.size else 1.0
    image = axes.imshow(gains, cmap=WORSE_TO_BETTER, vmin=-limit, vmax=limit, aspect="auto")
    axes.set_facecolor("#dddddd")
    unit = "perplexity below" if result.benchmark.lower_is_better else "points above"
    axes.set_title(f"{result.benchmark.name}\n{unit} {result.baseline}")
    axes.set_yticks(range(len(methods)), methods if named else [""] * len(methods))
    axes.set_xticks(range(len(result.columns)), result.columns, rotation=90)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for edge in (0.5, len(result.columns) - 1.5):
        axes.axvline(edge, color="white", linewidth=2)
    bar = axes.figure.colorbar(image, cax=scale, extend="both", extendfrac=0.03, ticks=MaxNLocator(6))
    bar.outline.set_visible(False)
