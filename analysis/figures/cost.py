"""Gain against cost: what a method adds to the zero-shot average, and what it takes in passes, time and memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.aggregate import ZERO_SHOT
from analysis.figures.differences import Gain, gains_of, reach
from analysis.figures.errors import NothingToDrawError
from analysis.figures.layout import Margins, foot, heading, legend_below, panels
from analysis.figures.material import Material
from analysis.figures.style import MINUS, MUTED, SMALL, method_handles, styled, styles_of
from analysis.sheets import Sheet
from benchmarks.record import Record
from benchmarks.registry import PASSES
from benchmarks.registry import ZERO_SHOT as UNTRAINED

COLUMNS = 6
"""Of the legend."""

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
        panel.set_xlabel(name)
        panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=name.startswith("forward")))
        panel.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
        panel.tick_params(labelleft=panel is axes[0])
        _draw_panel(panel, {method: gains[method] for method in gains if method in by_method}, by_method, lanes)
    unit = "perplexity below" if sheet.lower_is_better else "points above"
    axes[0].set_ylabel(f"{column}: {unit}\n{sheet.baseline} (up is better)")
    legend_below(figure, method_handles(gains), COLUMNS)
    return figure


def costs_of(sheet: Sheet, records: Iterable[Record]) -> dict[str, dict[str, Cost]]:
    """By kind of cost and method; of the paper's methods their passes, the one cost that it states."""
    if sheet.origin == "published":
        return {"forward + backward passes a step": {name: _exactly(sum(count)) for name, count in PASSES.items()}}
    runs = {(record.method, record.seed): record for record in records}
    passes: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    for (method, seed), run in runs.items():
        baseline = runs.get((sheet.baseline, seed))
        if baseline is not None:
            passes.setdefault(method, []).append(run.passes.forward + run.passes.backward)
            seconds.setdefault(method, []).append(run.seconds.train / baseline.seconds.train)
            memory.setdefault(method, []).append(run.peak_memory_bytes / baseline.peak_memory_bytes)
    return {
        "forward + backward passes": _over_seeds(passes),
        f"training time / {sheet.baseline}'s": _over_seeds(seconds),
        f"peak memory / {sheet.baseline}'s": _over_seeds(memory),
    }


def _over_seeds(by_method: Mapping[str, list[float]]) -> dict[str, Cost]:
    return {name: Cost(median(values), min(values), max(values)) for name, values in by_method.items()}


def _exactly(value: float) -> Cost:
    return Cost(value, value, value)


def _draw_panel(panel: Axes, gains: Mapping[str, Gain], costs: Mapping[str, Cost], lanes: Lanes) -> None:
    places = _apart({name: costs[name] for name in gains})
    middle = (min(places.values()) + max(places.values())) / 2
    for name, style in styles_of(gains).items():
        found, cost, lane = gains[name], costs[name], lanes.of(gains[name])
        panel.errorbar(
            places[name],
            found.mean if lane is None else lane,
            xerr=[[cost.value - cost.low], [cost.high - cost.value]] if lane is None else None,
            yerr=found.half_width if lane is None else None,
            fmt=style.marker,
            color=style.color,
            markerfacecolor=style.face,
            elinewidth=0.6,
        )
        if lane is not None:
            text = f"{'↓' if found.mean < 0 else '↑'} {found.mean:.1f}".replace("-", MINUS)
            aside, aligned = (5, "left") if places[name] < middle else (-5, "right")
            panel.annotate(
                text,
                (places[name], lane),
                xytext=(aside, 0),
                textcoords="offset points",
                color=style.color,
                size=SMALL,
                ha=aligned,
                va="center",
            )


def _apart(costs: Mapping[str, Cost]) -> dict[str, float]:
    """Where methods of exactly the same cost stand: beside each other."""
    groups: dict[float, list[str]] = {}
    for name, cost in costs.items():
        groups.setdefault(cost.value, []).append(name)
    span = max(groups) - min(groups)
    return {
        name: value + 0.035 * span * (position - (len(names) - 1) / 2)
        for value, names in groups.items()
        for position, name in enumerate(names)
    }
