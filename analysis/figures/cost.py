"""Gain against cost: what a method adds to the zero-shot average, and what it takes in passes, time and memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.aggregate import ZERO_SHOT
from analysis.cost import memories, pairs, times
from analysis.figures.differences import Gain, gains_of, reach
from analysis.figures.errors import NothingToDrawError
from analysis.figures.layout import Margins, foot, heading, legend_below, number_outer, panels
from analysis.figures.material import Material
from analysis.figures.points import Point, draw_points
from analysis.figures.style import MINUS, MUTED, SHADE, SMALL, method_handles, styled, styles_of
from analysis.sheets import Sheet
from benchmarks.record import Record
from benchmarks.registry import PASSES
from benchmarks.registry import ZERO_SHOT as UNTRAINED

COLUMNS = 6
"""Of the legend."""

COUNTED = "forward + backward passes"
"""How the name of the one cost begins that is a count: many methods share each of its values."""

LANE = 0.12
"""The height of a lane for what is beyond the axis, relative to the axis."""


@dataclass(frozen=True)
class Cost:
    """The median over seeds, and between which values they lie."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Lanes:
    """Between which gains the axis runs, and where those stand that are beyond."""

    low: float
    high: float
    below: float | None
    above: float | None

    def of(self, found: Gain) -> float | None:
        """The place of a gain beyond the axis; None within."""
        return self.below if found.mean < self.low else self.above if found.mean > self.high else None

    @property
    def limits(self) -> tuple[float, float]:
        """Of the axis, lanes included."""
        lane = LANE * (self.high - self.low)
        return self.low - lane * (self.below is not None), self.high + lane * (self.above is not None)


def lanes_of(gains: Iterable[Gain]) -> Lanes:
    """Room for all intervals but those so far out that the others could not be told apart."""
    gains = list(gains)
    limit = reach(found.extent for found in gains)
    inside = [found for found in gains if abs(found.mean) <= limit]
    ends = [found.mean + side * (found.half_width or 0) for found in inside for side in (-1, 1)]
    margin = 0.07 * (max(ends) - min(ends)) or 1.0
    low, high = min(ends) - margin, max(ends) + margin
    lane = LANE / 2 * (high - low)
    beyond = [found.mean for found in gains if abs(found.mean) > limit]
    return Lanes(
        low,
        high,
        low - lane if min(beyond, default=0) < 0 else None,
        high + lane if max(beyond, default=0) > 0 else None,
    )


@styled
def draw_cost(material: Material) -> Figure:
    """A panel per kind of cost: up is better, and left is cheaper."""
    sheet = material.sheet
    column = ZERO_SHOT if sheet.mean[ZERO_SHOT].notna().any() else sheet.train_domain
    gains = {sheet.baseline: Gain(0.0, 0.0)} | {
        name: by_column[column]
        for name, by_column in gains_of(sheet).items()
        if name != UNTRAINED and column in by_column
    }
    if len(gains) < 2:
        raise NothingToDrawError(f"{sheet.name}: a difference needs {sheet.baseline} and another method")
    costs = costs_of(sheet, material.records)
    margins = Margins(left=0.62, right=0.1, top=0.42, bottom=foot(gains, COLUMNS), across=0.22)
    figure, axes = panels([len(costs)], 1.5, margins, share_y=True)
    heading(figure, f"{'the paper: ' if sheet.origin == 'published' else ''}{sheet.name}, {sheet.title}")
    lanes = lanes_of(gains.values())
    axes[0].set_ylim(*lanes.limits)
    for panel, (name, by_method) in zip(axes, costs.items(), strict=True):
        shown = {method: by_method[method] for method in gains if method in by_method}
        if name.startswith(COUNTED):
            places = _in_columns(panel, shown)
        else:
            places = {method: cost.value for method, cost in shown.items()}
            panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        panel.set_xlabel(name)
        panel.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
        _draw_panel(panel, gains, shown, places, lanes)
    number_outer(axes, len(axes))
    unit = "perplexity below" if sheet.lower_is_better else "points above"
    axes[0].set_ylabel(f"{column}: {unit}\n{sheet.baseline} (up is better)")
    legend_below(figure, method_handles(gains), COLUMNS)
    return figure


def costs_of(sheet: Sheet, records: Iterable[Record]) -> dict[str, dict[str, Cost]]:
    """By kind of cost and method, without kinds that nothing is known of; of the paper's methods their passes alone."""
    if sheet.origin == "published":
        return {f"{COUNTED} a step": {name: _exactly(sum(count)) for name, count in PASSES.items()}}
    by_method: dict[str, list[Record]] = {}
    for record in records:
        by_method.setdefault(record.method, []).append(record)
    baseline = by_method.get(sheet.baseline, [])
    paired = {method: pairs(runs, baseline) for method, runs in by_method.items()}
    costs = {
        COUNTED: _over_seeds(
            {name: [run.passes.forward + run.passes.backward for run, _ in both] for name, both in paired.items()}
        ),
        f"training time / {sheet.baseline}'s": _over_seeds({name: times(both) for name, both in paired.items()}),
        f"peak memory / {sheet.baseline}'s": _over_seeds({name: memories(both) for name, both in paired.items()}),
    }
    return {name: by_method for name, by_method in costs.items() if by_method}


def _over_seeds(by_method: Mapping[str, Sequence[float]]) -> dict[str, Cost]:
    return {name: Cost(median(values), min(values), max(values)) for name, values in by_method.items() if values}


def _exactly(value: float) -> Cost:
    return Cost(value, value, value)


def _in_columns(panel: Axes, costs: Mapping[str, Cost]) -> dict[str, float]:
    """Places for costs that are counts: a column for each count, in which its methods stand side by side."""
    columns: dict[int, list[str]] = {}
    for name, cost in costs.items():
        columns.setdefault(round(cost.value), []).append(name)
    counts = range(min(columns), max(columns) + 1)
    for count in counts[::2]:
        panel.axvspan(count - 0.5, count + 0.5, color=SHADE, linewidth=0, zorder=-1)
    panel.set_xlim(counts[0] - 0.5, counts[-1] + 0.5)
    panel.set_xticks(counts)
    panel.tick_params(axis="x", length=0)
    return {
        name: count + (place + 0.5) / len(names) - 0.5
        for count, names in columns.items()
        for place, name in enumerate(names)
    }


def _draw_panel(
    panel: Axes, gains: Mapping[str, Gain], costs: Mapping[str, Cost], places: Mapping[str, float], lanes: Lanes
) -> None:
    middle = (min(places.values()) + max(places.values())) / 2
    styles = styles_of(gains)
    points: dict[str, Point] = {}
    for name, place in places.items():
        found, cost, lane = gains[name], costs[name], lanes.of(gains[name])
        if lane is None:
            spread = None if cost.low == cost.high else (cost.low, cost.high)
            points[name] = Point(place, found.mean, spread, found.ends)
        else:
            points[name] = Point(place, lane)
            _write_in_lane(panel, points[name], found.mean, styles[name].color, to_the_right=place < middle)
    draw_points(panel, points, styles)


def _write_in_lane(panel: Axes, point: Point, mean: float, color: str, to_the_right: bool) -> None:
    panel.annotate(
        f"{'↓' if mean < 0 else '↑'} {mean:.1f}".replace("-", MINUS),
        (point.x, point.y),
        xytext=(5 if to_the_right else -5, 0),
        textcoords="offset points",
        color=color,
        size=SMALL,
        ha="left" if to_the_right else "right",
        va="center",
    )
