"""Figures: what each method gains or loses against its baseline, drawn from aggregated results.

Right, and blue, is better in every panel: the sign of a perplexity difference is flipped, and its axis says so.
"""

import io
from collections.abc import Callable, Sequence
from math import isinf
from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.aggregate import ZERO_SHOT, BenchmarkResult, MethodResult
from analysis.methods import in_order

# Okabe and Ito's colours stay apart for every kind of colour vision; the markers' shapes say the same again.
COLORS = {"better": "#0072B2", "worse": "#D55E00", "no difference seen": "#555555", "mixed": "#555555"}
SEED_COLOR = "#aaaaaa"
PAPER_MARKERS = {"better": "^", "worse": "v", "mixed": "D", "no difference seen": "s"}
WORSE_TO_BETTER = LinearSegmentedColormap.from_list("worse to better", (COLORS["worse"], "#f7f7f7", COLORS["better"]))

PAPER_PLACE = 1.06
"""Where the paper's verdicts stand, in widths of the panel."""

WIDTH = 8.5
"""Inches. A README shows the figure some 850 pixels wide: 9 points are then about 12 pixels."""

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "pdf.fonttype": 42,
}
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def encode(figure: Figure, kind: Literal["png", "pdf"]) -> bytes:
    """The figure as a file's content: the same bytes for the same figure, without dates or versions."""
    buffer = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(buffer, format=kind, dpi=200, metadata=_METADATA[kind])
    return buffer.getvalue()


@rc_context(STYLE)
def draw_overview(results: Sequence[BenchmarkResult]) -> Figure:
    """A panel per benchmark: zero-shot average against the baseline, seeds, mean, 95% interval, the paper's verdict."""
    rows = _rows(results)
    columns = max(map(len, rows))
    # Titles and labels take the room of four methods, the legend that of eight.
    heights = [max(len(_methods_run(row)), 8) + 4 for row in rows]
    figure = Figure(figsize=(WIDTH, 0.19 * sum(heights) + 0.5), layout="constrained")
    grid = figure.add_gridspec(len(rows), columns, height_ratios=heights)
    for index, row in enumerate(rows):
        methods = _methods_run(row)
        for column, result in enumerate(row):
            axes = figure.add_subplot(grid[index, column])
            _draw_differences(axes, result, methods, named=column == 0)
    if len(rows[-1]) < columns:
        corner = figure.add_subplot(grid[-1, len(rows[-1])])
        corner.axis("off")
        corner.legend(handles=_overview_legend(), loc="center", frameon=False, labelspacing=0.5)
    else:
        figure.legend(handles=_overview_legend(), loc="outside lower center", ncols=3, frameon=False)
    return figure


@rc_context(STYLE)
def draw_domains(results: Sequence[BenchmarkResult]) -> Figure:
    """A panel per benchmark: the difference of every method in every domain as a colour, the training domain first."""
    rows = _rows(results)
    heights = [len(_methods_run(row)) + 6 for row in rows]
    figure = Figure(figsize=(WIDTH, 0.19 * sum(heights) + 0.4), layout="constrained")
    grid = figure.add_gridspec(len(rows), 1, height_ratios=heights)
    for index, row in enumerate(rows):
        part = figure.add_subfigure(grid[index])
        panels = part.subplots(1, len(row), squeeze=False, width_ratios=[len(result.columns) + 2 for result in row])
        for axes, result in zip(panels[0], row, strict=True):
            _draw_domains(part, axes, result, _methods_run(row), named=axes is panels[0][0])
    part.supxlabel("Blue is better than the baseline. Dot: the 95% interval excludes 0. Grey: not run.", fontsize=9)
    return figure


FIGURES: dict[str, Callable[[Sequence[BenchmarkResult]], Figure]] = {
    "overview": draw_overview,
    "domains": draw_domains,
}


def _rows(results: Sequence[BenchmarkResult]) -> list[list[BenchmarkResult]]:
    """Up to three panels a row, of benchmarks that share their baseline and so their methods."""
    rows: list[list[BenchmarkResult]] = []
    for result in results:
        if not rows or len(rows[-1]) == 3 or rows[-1][0].baseline != result.baseline:
            rows.append([])
        rows[-1].append(result)
    return rows


def _methods_run(results: Sequence[BenchmarkResult]) -> tuple[str, ...]:
    """The methods that any of these benchmarks has run: the lines that a row of panels shares."""
    return in_order(method.method for result in results for method in result.run)


def _gain(result: BenchmarkResult) -> int:
    """The factor that makes a positive difference mean better."""
    return -1 if result.benchmark.lower_is_better else 1


def _draw_differences(axes: Axes, result: BenchmarkResult, methods: Sequence[str], named: bool) -> None:
    lower = result.benchmark.lower_is_better
    unit = "perplexity below" if lower else "points above"
    note = "right is better, sign flipped" if lower else "right is better"
    axes.set_title(f"{result.benchmark.name}\n{result.benchmark.title}", loc="left")
    axes.set_xlabel(f"{ZERO_SHOT}: {unit} {result.baseline}\n({note})")
    axes.set_yticks(range(len(methods)), methods if named else [""] * len(methods))
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#eeeeee", zorder=0)
    axes.axvline(0, color="#888888", linewidth=1, zorder=1)
    limit = _limit(result)
    axes.set_xlim(-limit, limit)
    if result.baseline in methods and result.benchmark.published:
        # The baseline's own line has no verdict of the paper: the heading of the verdicts goes there.
        line = methods.index(result.baseline)
        right = axes.get_yaxis_transform()
        axes.text(PAPER_PLACE, line, "paper", transform=right, fontsize=8.5, ha="center", va="center")
    by_name = {method.method: method for method in result.run}
    for line, name in enumerate(methods):
        method = by_name.get(name)
        if method is None:
            axes.text(0, line, "not run", **_GAP)
        elif name == result.baseline:
            axes.plot(0, line, marker="s", color="black", markersize=5, zorder=4)
        elif method.zero_shot.interval is None:
            axes.text(0, line, result.no_difference, **_GAP)
        else:
            _draw_method(axes, line, method, _gain(result), limit)
        if method is not None:
            _draw_paper(axes, line, method)


_GAP: dict[str, Any] = {"color": "#888888", "ha": "center", "va": "center", "fontsize": 8, "backgroundcolor": "white"}


def _draw_method(axes: Axes, line: int, method: MethodResult, gain: int, limit: float) -> None:
    outcome = method.zero_shot
    assert outcome.interval is not None
    assert outcome.verdict is not None
    color = COLORS[outcome.verdict.direction]
    mean, half_width = gain * outcome.interval.mean, outcome.interval.half_width
    if abs(mean) > limit:
        _draw_off_axis(axes, line, mean, limit, color)
        return
    style: dict[str, Any] = {"color": color, "markersize": 5.5, "elinewidth": 1.6, "zorder": 4}
    if outcome.interval.n == 1:
        axes.errorbar(mean, line, fmt="o", markerfacecolor="white", **style)
        return
    seeds = [gain * difference for difference in outcome.differences.values()]
    axes.plot(seeds, [line + 0.27] * len(seeds), "o", color=SEED_COLOR, markersize=3, markeredgewidth=0, zorder=2)
    axes.errorbar(mean, line, xerr=half_width, fmt="o", **style)


def _draw_off_axis(axes: Axes, line: int, mean: float, limit: float, color: str) -> None:
    side = 1 if mean > 0 else -1
    axes.plot(0.95 * limit * side, line, marker=">" if side > 0 else "<", color=color, zorder=4)
    text = f"{mean:+.1f}".replace("-", "\N{MINUS SIGN}")
    axes.text(0.88 * limit * side, line, text, color=color, va="center", ha="right" if side > 0 else "left")


def _draw_paper(axes: Axes, line: int, method: MethodResult) -> None:
    paper = method.zero_shot.published
    if paper is None:
        return
    axes.plot(
        PAPER_PLACE,
        line,
        marker=PAPER_MARKERS[paper.direction],
        color=COLORS[paper.direction],
        markersize=5.5,
        markerfacecolor="none",
        transform=axes.get_yaxis_transform(),
        clip_on=False,
    )


def _limit(result: BenchmarkResult) -> float:
    """Half of the axis: room for all methods, but for those so far out that the others could not be told apart."""
    extents = []
    for outcome in (method.zero_shot for method in result.methods):
        if outcome.interval is not None:
            half_width = 0.0 if isinf(outcome.interval.half_width) else outcome.interval.half_width
            seeds = [abs(difference) for difference in outcome.differences.values()]
            extents.append(max(abs(outcome.interval.mean) + half_width, *seeds))
    nonzero = [extent for extent in extents if extent > 0]
    if not nonzero:
        return 1.0
    return 1.12 * max(extent for extent in nonzero if extent <= 6 * float(np.median(nonzero)))


def _overview_legend() -> list[Line2D]:
    def entry(
        label: str, marker: str, color: str, face: str | None = None, line: Literal["-", "none"] = "none"
    ) -> Line2D:
        return Line2D([], [], marker=marker, color=color, markerfacecolor=face or color, linestyle=line, label=label)

    better, worse, neither = COLORS["better"], COLORS["worse"], COLORS["no difference seen"]
    return [
        entry("baseline", "s", "black"),
        entry("better: mean, 95% interval", "o", better, line="-"),
        entry("worse", "o", worse, line="-"),
        entry("no difference seen", "o", neither, line="-"),
        entry("one seed: a sign only", "o", neither, face="white"),
        entry("each seed", "o", SEED_COLOR),
        entry("off the axis", ">", neither),
        entry("paper: better", "^", better, face="white"),
        entry("paper: worse", "v", worse, face="white"),
        entry("paper: mixed", "D", neither, face="white"),
        entry("paper: same", "s", neither, face="white"),
    ]


def _draw_domains(part: Any, axes: Axes, result: BenchmarkResult, methods: Sequence[str], named: bool) -> None:
    by_name = {method.method: method for method in result.methods}
    gains = np.full((len(methods), len(result.columns)), np.nan)
    for line, name in enumerate(methods):
        for column, domain in enumerate(result.columns):
            interval = by_name[name].difference.get(domain) if name in by_name else None
            if interval is not None:
                gains[line, column] = _gain(result) * interval.mean
                if interval.n > 1 and not interval.includes_zero:
                    axes.plot(column, line, "o", color="black", markersize=2)
    finite = np.abs(gains[np.isfinite(gains) & (gains != 0)])
    # A method that is far worse than all others saturates, so that the others keep their shades.
    limit = min(float(np.quantile(finite, 0.9)), 4 * float(np.median(finite))) if finite.size else 1.0
    image = axes.imshow(gains, cmap=WORSE_TO_BETTER, vmin=-limit, vmax=limit, aspect="auto")
    axes.set_facecolor("#dddddd")
    unit = "perplexity below" if result.benchmark.lower_is_better else "points above"
    axes.set_title(f"{result.benchmark.name}\n{unit} {result.baseline}", loc="left")
    axes.set_yticks(range(len(methods)), methods if named else [""] * len(methods))
    axes.set_xticks(range(len(result.columns)), result.columns, rotation=90)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for edge in (0.5, len(result.columns) - 1.5):
        axes.axvline(edge, color="white", linewidth=3)
    part.colorbar(image, ax=axes, extend="both", aspect=30, pad=0.02)
