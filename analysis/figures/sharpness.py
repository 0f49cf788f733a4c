"""Sharpness in the training domain against the mean of that elsewhere, beside the paper's Table 6."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.figures.errors import NothingToDrawError
from analysis.figures.layout import Margins, foot, in_rows, legend_below, panels
from analysis.figures.material import Material
from analysis.figures.points import Point, draw_points, ends_of
from analysis.figures.style import PALE, method_handles, short, styled, styles_of
from analysis.methods import in_order
from analysis.published import read_table
from analysis.sheets import PUBLISHED, Sheet
from analysis.statistics import Interval, t_interval
from benchmarks.probes.record import ProbeRecord

TABLE = "table_06_sharpness_cka"
COLUMNS, LEGEND_COLUMNS = 3, 6
EQUAL = "both equal"
"""What the line is where sharpness elsewhere is that in the training domain."""


@dataclass(frozen=True)
class Sharpness:
    """Of one method, over seeds; the intervals are infinite for one seed and for the paper, which prints none."""

    inside: Interval
    outside: Interval


@styled
def draw_sharpness(material: Material) -> Figure:
    """A panel per probed benchmark and one for the paper; down and left is flatter."""
    drawn: dict[tuple[str, str], dict[str, Sharpness]] = {}
    for sheet in material.sheets:
        records = [each for each in material.of(sheet.name).probes if each.probe == "sharpness"]
        if records:
            drawn[sheet.name, sheet.train_domain] = measured(sheet, records)
    if not drawn and material.suite != PUBLISHED:
        raise NothingToDrawError("no record of the probe sharpness")
    drawn["the paper: xnli", "En"] = printed()
    counts = in_rows(len(drawn), COLUMNS)
    names = {name for methods in drawn.values() for name in methods}
    margins = Margins(
        left=0.68, right=0.1, top=0.25, bottom=foot([*names, EQUAL], LEGEND_COLUMNS), across=0.42, down=0.68
    )
    figure, axes = panels(counts, 1.3, margins)
    for index, (panel, ((name, domain), methods)) in enumerate(zip(axes, drawn.items(), strict=True)):
        panel.set_title(name)
        panel.set_xlabel(f"sharpness in {domain}")
        if index % COLUMNS == 0:
            panel.set_ylabel("zero-shot sharpness\n(lower is flatter)")
        _draw_panel(panel, methods)
    handles = [*method_handles(names), Line2D([], [], color=PALE, linewidth=0.7, linestyle="--", label=EQUAL)]
    legend_below(figure, handles, LEGEND_COLUMNS)
    return figure


def measured(sheet: Sheet, records: Sequence[ProbeRecord]) -> dict[str, Sharpness]:
    """By method; elsewhere is the mean over the zero-shot domains that every record has."""
    elsewhere = [name for name in sheet.zero_shot_domains if all(_key(name) in each.metrics for each in records)]
    inside: dict[str, list[float]] = {}
    outside: dict[str, list[float]] = {}
    for record in records:
        if _key(sheet.train_domain) not in record.metrics or not elsewhere:
            raise NothingToDrawError(f"{record.run}: no sharpness in {sheet.train_domain} and in another domain")
        inside.setdefault(record.method, []).append(record.metrics[_key(sheet.train_domain)])
        outside.setdefault(record.method, []).append(mean(record.metrics[_key(name)] for name in elsewhere))
    return {name: Sharpness(t_interval(inside[name]), t_interval(outside[name])) for name in in_order(inside)}


def printed() -> dict[str, Sharpness]:
    """Table 6."""
    return {
        name: Sharpness(t_interval([float(row["sharpness_En"])]), t_interval([float(row["sharpness_ZS"])]))
        for name, row in read_table(TABLE).items()
    }


def _key(domain: str) -> str:
    return f"test/sharpness/{domain}"


def _draw_panel(panel: Axes, methods: Mapping[str, Sharpness]) -> None:
    styles = styles_of(methods)
    draw_points(panel, {name: _point(methods[name]) for name in styles}, styles)
    limits = panel.get_xlim(), panel.get_ylim()
    panel.axline((0, 0), slope=1, color=PALE, linewidth=0.7, linestyle="--", zorder=0)
    # The points have all the room: where the line is not seen, they are all on one side of it.
    panel.set(xlim=limits[0], ylim=limits[1])
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(short)


def _point(found: Sharpness) -> Point:
    return Point(found.inside.mean, found.outside.mean, ends_of(found.inside), ends_of(found.outside))
