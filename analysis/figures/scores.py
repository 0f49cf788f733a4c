"""Dot plots: what each method gains over its baseline in each language or domain, ours and the paper's.

Right is better in every panel. The baseline's own line holds its score.
"""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.figures.differences import Gain, Gains, gains_of, reach, row_of
from analysis.figures.errors import NothingToDrawError
from analysis.figures.layout import Margins, heading, in_rows, legend_below, number_outer, panels, room_for, rule
from analysis.figures.material import Material
from analysis.figures.points import Point, draw_points
from analysis.figures.style import INK, MINUS, MUTED, SMALL, styled, styles_of
from analysis.sheets import Sheet, counterparts
from benchmarks.registry import ZERO_SHOT as UNTRAINED

LONG = 1.2
"""Inches of the methods' names that leave room for fewer panels."""

LINE = 0.115
"""Inches from one method to the next."""


@styled
def draw_scores(material: Material) -> Figure:
    """A panel per domain, the training domain first and the zero-shot average last; a line per method."""
    sheet = material.sheet
    gains = gains_of(sheet)
    if not gains:
        raise NothingToDrawError(f"{sheet.name}: a difference needs {sheet.baseline} and another method")
    paper = _published_gains(sheet)
    columns = [column for column in sheet.columns if sheet.mean[column].notna().any()]
    lines = [sheet.baseline, *gains]
    across = 6 if room_for(lines) < LONG else 4
    margins = Margins(left=room_for(lines), right=0.1, top=0.5, bottom=0.82, across=0.1, down=0.28)
    counts, height = in_rows(len(columns), across), LINE * (len(lines) + 0.2)
    figure, axes = panels(counts, height, margins, share_x=True, share_y=True)
    heading(figure, f"{'the paper: ' if sheet.origin == 'published' else ''}{sheet.name}, {sheet.title}")
    scores = row_of(sheet.mean, sheet.baseline)
    _set_up_shared(axes[0], lines, gains)
    number_outer(axes, across)
    for panel, column in zip(axes, columns, strict=True):
        panel.set_title(column, pad=2)
        panel.tick_params(axis="y", length=0)
        rule(panel, range(len(lines)))
        panel.axvline(0, ymax=1 - 1.1 / (len(lines) + 0.3), color=MUTED, linewidth=0.6, zorder=1)
        panel.text(0, 0, f"{scores[column]:.1f}", ha="center", va="center", size=SMALL)
        _draw_paper(panel, [paper.get(name, {}).get(column) for name in gains])
        _draw_gains(panel, {name: by_column.get(column) for name, by_column in gains.items()})
    unit = "perplexity below" if sheet.lower_is_better else "points of accuracy above"
    middle = (axes[0].get_position().x0 + axes[min(len(axes), across) - 1].get_position().x1) / 2
    figure.text(middle, 0.4 / figure.get_figheight(), f"{unit} {sheet.baseline}: right is better", ha="center")
    legend_below(figure, _legend(figure), columns=4)
    return figure


def _published_gains(sheet: Sheet) -> Gains:
    """From the published sheet with the same languages or domains, if any."""
    same = [other for other in counterparts(sheet) if set(other.domains) & set(sheet.domains)]
    return gains_of(same[0]) if same else {}


def _set_up_shared(panel: Axes, lines: Sequence[str], gains: Gains) -> None:
    """The axes that all panels share."""
    trained = [found for name, by_column in gains.items() if name != UNTRAINED for found in by_column.values()]
    limit = reach(found.extent for found in trained)
    ends = [found.mean + side * (found.half_width or 0.0) for found in trained for side in (-1, 1)]
    low, high = max(-limit, min(0.0, *ends)), min(limit, max(0.0, *ends))
    margin = 0.12 * (high - low) or 1.0
    # Zero, where the baseline's score is written, is never at an edge.
    low, high = min(low - margin, -0.25 * high), max(high + margin, -0.25 * low)
    panel.set_xlim(low, high)
    ticks = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)
    # Not at the edges, where the next panel's are.
    panel.set_xticks([tick for tick in ticks if 0.1 < (tick - low) / (high - low) < 0.9])
    panel.set_yticks(range(len(lines)), lines)
    panel.set_ylim(len(lines) - 0.4, -0.7)


def _draw_gains(panel: Axes, gains: Mapping[str, Gain | None]) -> None:
    """A line for each of the methods; artists are labelled by what the legend calls them."""
    styles = styles_of(gains)
    low, high = panel.get_xlim()
    points: dict[str, dict[str, Point]] = {"mean": {}, "no interval": {}}
    for line, (name, found) in enumerate(gains.items(), start=1):
        if found is not None and low < found.mean < high:
            points["no interval" if found.ends is None else "mean"][name] = Point(found.mean, line, found.ends)
        elif found is not None:
            _write_at_the_edge(panel, line, found.mean, styles[name].color)
    for label, drawn in points.items():
        if drawn:
            draw_points(panel, drawn, styles, size=3.5, bar_width=1.1, label=label)


def _write_at_the_edge(panel: Axes, line: int, mean: float, color: str) -> None:
    right = mean > 0
    text = f"{mean:.1f} →" if right else f"← {mean:.1f}".replace("-", MINUS)
    place, aligned = panel.get_xlim()[right], "right" if right else "left"
    panel.text(place, line, text, color=color, size=SMALL, ha=aligned, va="center_baseline", bbox=_ON_WHITE)


def _draw_paper(panel: Axes, gains: Sequence[Gain | None]) -> None:
    """Below each method's line, where it is on the axis."""
    low, high = panel.get_xlim()
    shown = {line + 0.35: found for line, found in enumerate(gains, start=1) if found and low < found.mean < high}
    if shown:
        means = [found.mean for found in shown.values()]
        half_widths = [found.half_width or 0.0 for found in shown.values()]
        panel.errorbar(
            means, list(shown), xerr=half_widths, fmt="D", color=MUTED, mfc="white", ms=2.2, mew=0.6, elinewidth=0.6,
            zorder=2, label="paper",
        )  # fmt: skip


_ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.2}

_ENTRIES = {
    "mean": Line2D([], [], marker="o", color=INK, markersize=3.5, label="mean, 95% interval"),
    "no interval": Line2D([], [], marker="o", color=INK, markersize=3.5, linestyle="none", label="no interval known"),
    "paper": Line2D([], [], marker="D", color=MUTED, markerfacecolor="white", markersize=2.5, label="the paper"),
}


def _legend(figure: Figure) -> list[Line2D]:
    """An entry for each kind of mark that was drawn."""
    drawn = {label for axes in figure.get_axes() for label in axes.get_legend_handles_labels()[1]}
    return [entry for label, entry in _ENTRIES.items() if label in drawn]
