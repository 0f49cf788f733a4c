"""The overview: what each method gains or loses against its baseline in the zero-shot average, beside the paper.

Right, and blue, is better in every panel: the sign of a perplexity difference is flipped, and its axis says so.
"""

from collections.abc import Sequence
from math import isinf
from textwrap import fill
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.aggregate import ZERO_SHOT, BenchmarkResult, MethodResult
from analysis.figures.differences import reach
from analysis.figures.errors import NothingToDrawError
from analysis.figures.layout import Margins, legend_below, panels, room_for
from analysis.figures.style import BETTER, MINUS, MUTED, NEITHER, PALE, SMALL, WIDTH, WORSE, styled
from analysis.methods import in_order

COLORS = {"better": BETTER, "worse": WORSE, "no difference seen": NEITHER, "mixed": NEITHER}
SEED_COLOR = PALE
PAPER_MARKERS = {"better": "^", "worse": "v", "mixed": "D", "no difference seen": "s"}

PAPER_PLACE = 1.06
"""Where the paper's verdicts stand, in widths of the panel."""

LINE = 0.135
"""Inches from one method to the next."""

LEGEND = 1.7
"""Inches that the legend takes beside a panel."""

WRAP = 24
"""Characters of a title that a panel has room for."""


@styled
def draw_overview(results: Sequence[BenchmarkResult]) -> Figure:
    """A panel per benchmark: zero-shot average against the baseline, seeds, mean, 95% interval, the paper's verdict.

    Raises NothingToDrawError where no benchmark has its baseline.
    """
    if not any(result.has_baseline for result in results):
        baselines = " or ".join(dict.fromkeys(result.baseline for result in results))
        raise NothingToDrawError(f"a difference needs {baselines}, and no benchmark has its baseline")
    rows = rows_of(results)
    counts = [len(row) for row in rows]
    beside = counts[-1] < max(counts)  # the legend stands where the last row has no panel, or else below
    heights = [LINE * len(methods_run(row)) for row in rows]
    heights[-1] = max(heights[-1], LEGEND) if beside else heights[-1]
    margins = Margins(
        left=room_for(name for row in rows for name in methods_run(row)),
        right=0.3 if max(counts) > 1 else 0.5,
        top=0.6,
        bottom=0.7 if beside else 1.45,
        across=0.36,
        down=1.12,
    )
    figure, axes = panels(counts, heights, margins)
    places = iter(axes)
    for row in rows:
        methods = methods_run(row)
        for result in row:
            _draw_differences(next(places), result, methods, named=result is row[0])
    if beside:
        last = axes[-1].get_position()
        corner = (last.x1 + 0.5 / WIDTH, (last.y0 + last.y1) / 2)
        figure.legend(handles=_legend(figure), loc="center left", bbox_to_anchor=corner, labelspacing=0.5)
    else:
        legend_below(figure, _legend(figure), columns=3)
    return figure


def rows_of(results: Sequence[BenchmarkResult]) -> list[list[BenchmarkResult]]:
    """Up to three panels a row, of benchmarks that share their baseline and so their methods."""
    rows: list[list[BenchmarkResult]] = []
    for result in results:
        if not rows or len(rows[-1]) == 3 or rows[-1][0].baseline != result.baseline:
            rows.append([])
        rows[-1].append(result)
    return rows


def methods_run(results: Sequence[BenchmarkResult]) -> tuple[str, ...]:
    """The methods that any of these benchmarks has run: the lines that a row of panels shares."""
    return in_order(method.method for result in results for method in result.run)


def gain(result: BenchmarkResult) -> int:
    """The factor that makes a positive difference mean better."""
    return -1 if result.benchmark.lower_is_better else 1


def _draw_differences(axes: Axes, result: BenchmarkResult, methods: Sequence[str], named: bool) -> None:
    lower = result.benchmark.lower_is_better
    unit = "perplexity below" if lower else "points above"
    axes.set_title(f"{result.benchmark.name}\n{fill(result.benchmark.title, WRAP)}")
    baseline = f"\n{result.baseline}, sign flipped" if lower else f" {result.baseline}"
    axes.set_xlabel(f"{ZERO_SHOT}: {unit}{baseline}\n(right is better)")
    axes.set_yticks(range(len(methods)), methods if named else [""] * len(methods))
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", zorder=0)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    limit = _limit(result)
    axes.set_xlim(-limit, limit)
    if result.baseline in methods and result.benchmark.published:
        # The baseline's own line has no verdict of the paper: the heading of the verdicts goes there.
        line = methods.index(result.baseline)
        right = axes.get_yaxis_transform()
        axes.text(PAPER_PLACE, line, "paper", transform=right, fontsize=SMALL, ha="center", va="center")
    by_name = {method.method: method for method in result.run}
    for line, name in enumerate(methods):
        method = by_name.get(name)
        if method is None:
            axes.text(0, line, "not run", **_GAP)
        elif name == result.baseline:
            axes.plot(0, line, marker="s", color="black", linestyle="none", zorder=4, label="baseline")
        elif method.zero_shot.interval is None:
            axes.text(0, line, result.no_difference, **_GAP)
        else:
            _draw_method(axes, line, method, gain(result), limit)
        if method is not None:
            _draw_paper(axes, line, method)


_GAP: dict[str, Any] = {"color": MUTED, "ha": "center", "va": "center", "fontsize": SMALL, "backgroundcolor": "white"}


def _draw_method(axes: Axes, line: int, method: MethodResult, gain: int, limit: float) -> None:
    outcome = method.zero_shot
    assert outcome.interval is not None
    assert outcome.verdict is not None
    direction = outcome.verdict.direction
    color = COLORS[direction]
    mean, half_width = gain * outcome.interval.mean, outcome.interval.half_width
    if abs(mean) > limit:
        _draw_off_axis(axes, line, mean, limit, color)
        return
    if outcome.interval.n == 1:
        axes.plot(mean, line, "o", color=color, markerfacecolor="white", zorder=4, label="one seed")
        return
    seeds = [gain * difference for difference in outcome.differences.values()]
    places = [line + 0.27] * len(seeds)
    axes.plot(seeds, places, "o", color=SEED_COLOR, markersize=2, markeredgewidth=0, zorder=2, label="each seed")
    bar = None if isinf(half_width) else half_width
    axes.errorbar(mean, line, xerr=bar, fmt="o", color=color, elinewidth=1.3, zorder=4, label=direction)


def _draw_off_axis(axes: Axes, line: int, mean: float, limit: float, color: str) -> None:
    side = 1 if mean > 0 else -1
    marker = ">" if side > 0 else "<"
    axes.plot(0.95 * limit * side, line, marker, color=color, zorder=4, label="off the axis")
    text = f"{mean:+.1f}".replace("-", MINUS)
    aligned = "right" if side > 0 else "left"
    axes.text(0.86 * limit * side, line, text, color=color, va="center", ha=aligned, fontsize=SMALL)


def _draw_paper(axes: Axes, line: int, method: MethodResult) -> None:
    paper = method.zero_shot.published
    if paper is None:
        return
    axes.plot(
        PAPER_PLACE,
        line,
        PAPER_MARKERS[paper.direction],
        color=COLORS[paper.direction],
        markerfacecolor="none",
        transform=axes.get_yaxis_transform(),
        clip_on=False,
        label=f"paper: {paper.direction}",
    )


def _limit(result: BenchmarkResult) -> float:
    """Half of the axis: room for all methods, but for those so far out that the others could not be told apart."""
    extents = []
    for outcome in (method.zero_shot for method in result.methods):
        if outcome.interval is not None:
            half_width = 0.0 if isinf(outcome.interval.half_width) else outcome.interval.half_width
            seeds = [abs(difference) for difference in outcome.differences.values()]
            extents.append(max(abs(outcome.interval.mean) + half_width, *seeds))
    return reach(extents)


_ENTRIES: dict[str, tuple[str, str, str, str | None, Literal["-", "none"]]] = {
    # label of the artist: what the legend says, marker, colour, face, line
    "baseline": ("baseline", "s", "black", None, "none"),
    "better": ("better, 95% interval", "o", BETTER, None, "-"),
    "worse": ("worse", "o", WORSE, None, "-"),
    "no difference seen": ("no difference seen", "o", NEITHER, None, "-"),
    "one seed": ("one seed: a sign only", "o", NEITHER, "white", "none"),
    "each seed": ("each seed", "o", SEED_COLOR, None, "none"),
    "off the axis": ("off the axis", ">", NEITHER, None, "none"),
    "paper: better": ("paper: better", "^", BETTER, "white", "none"),
    "paper: worse": ("paper: worse", "v", WORSE, "white", "none"),
    "paper: mixed": ("paper: mixed", "D", NEITHER, "white", "none"),
    "paper: no difference seen": ("paper: same", "s", NEITHER, "white", "none"),
}


def _legend(figure: Figure) -> list[Line2D]:
    """An entry for each kind of mark that was drawn."""
    drawn = {label for axes in figure.get_axes() for label in axes.get_legend_handles_labels()[1]}
    return [
        Line2D([], [], marker=marker, color=color, markerfacecolor=face or color, linestyle=line, label=text)
        for label, (text, marker, color, face, line) in _ENTRIES.items()
        if label in drawn
    ]
