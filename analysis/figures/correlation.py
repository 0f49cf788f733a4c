"""Figure 2 of the paper: does a method that does better in training do better elsewhere?

A point per method, a line for the methods before TRAM and one for TRAM: on the average of the domains that go with the
training domain over methods, and on the two domains that go against it, or least with it. Which they are is found from
the numbers. The methods are those of our Table 9: of those that the paper has, all but the model before training and
the combinations of ASAM with a trust region.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.correlated import correlated_methods
from analysis.figures.errors import NothingToDrawError
from analysis.figures.layout import Margins, foot, heading, legend_below, panels
from analysis.figures.material import Material
from analysis.figures.points import Point, draw_points, ends_of
from analysis.figures.style import BETTER, MINUS, WORSE, method_handles, styled, styles_of
from analysis.methods import in_order
from analysis.sheets import Sheet, counterparts
from analysis.statistics import t_interval
from analysis.statistics.correlation import pearson

FEWEST = 4
"""Methods that a line needs: any three lie close to one."""

FEWEST_DOMAINS = 3
"""Two that go against the training domain, and one that does not."""

COLUMNS = 6
"""Of the legend."""

GROUPS = {"prior": BETTER, "TRAM": WORSE}
"""The two lines and their colours."""


@dataclass(frozen=True)
class Split:
    """The domains of a sheet by how they go with the training domain over methods."""

    along: tuple[str, ...]
    """Correlated, and averaged; all domains where none is."""
    against: tuple[str, ...]
    """The two with the lowest r, lowest first."""
    r: pd.Series


def compared(sheet: Sheet) -> pd.DataFrame:
    """The means of the methods that are correlated, scored in every domain."""
    return sheet.mean.loc[list(correlated_methods(sheet)), list(sheet.domains)].dropna()


def split_of(sheet: Sheet) -> Split:
    """Raises NothingToDrawError where there are too few methods or domains to correlate."""
    scores = compared(sheet)
    domains = list(sheet.zero_shot_domains)
    if len(scores) < FEWEST or len(domains) < FEWEST_DOMAINS:
        raise NothingToDrawError(
            f"{sheet.name}: {len(scores)} methods with scores in all of {len(domains)} zero-shot domains; "
            f"it takes {FEWEST} methods and {FEWEST_DOMAINS} domains"
        )
    r = scores[domains].corrwith(scores[sheet.train_domain])
    if r.isna().any():
        raise NothingToDrawError(f"{sheet.name}: all methods score the same, and a constant has no correlation")
    lowest = r.sort_values(kind="stable").index[:2]
    along = tuple(domain for domain in domains if r[domain] > 0) or tuple(domains)
    return Split(along, tuple(lowest), r)


@styled
def draw_correlation(material: Material) -> Figure:
    """A row for the benchmark, and below it one for the published numbers whose domains disagree most."""
    sheets = [material.sheet, *_published_beside(material.sheet)]
    methods = in_order(name for sheet in sheets for name in compared(sheet).index)
    margins = Margins(left=0.62, right=0.1, top=0.78, bottom=foot(methods, COLUMNS), across=0.38, down=1.15)
    figure, axes = panels([3] * len(sheets), 1.2, margins)
    for index, sheet in enumerate(sheets):
        _draw_row(axes[3 * index : 3 * index + 3], sheet)
        origin = "the paper: " if sheet.origin == "published" else ""
        heading(figure, f"{origin}{sheet.name}, {sheet.title}", axes[3 * index], above=0.62)
    legend_below(figure, method_handles(methods), COLUMNS)
    return figure


def _published_beside(sheet: Sheet) -> list[Sheet]:
    """The counterpart with the most anticorrelated domain, if any can be drawn."""
    lowest = {}
    for other in counterparts(sheet):
        try:
            lowest[other.name] = (float(split_of(other).r.min()), other)
        except NothingToDrawError:
            continue
    return [min(lowest.values(), key=lambda pair: pair[0])[1]] if lowest else []


def _draw_row(axes: Sequence[Axes], sheet: Sheet) -> None:
    split = split_of(sheet)
    many = len(split.along) > 1
    names = (f"average of {len(split.along)}" if many else split.along[0], *split.against)
    scores = compared(sheet)
    for panel, name, domains in zip(axes, names, (split.along, *((each,) for each in split.against)), strict=True):
        x, y = scores[sheet.train_domain], scores[list(domains)].mean(axis="columns")
        points = {name: _point(sheet, name, domains, x[name], y[name]) for name in in_order(scores.index)}
        draw_points(panel, points, styles_of(points), bar_width=0.5, bar_alpha=0.3)
        panel.set_title(f"{name}: r = {_signed(x.corr(y))}", pad=24)
        handles = [_regress(panel, x, y, group) for group in GROUPS]
        panel.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.1, 1.0), borderpad=0, handlelength=1.2)
        panel.set_xlabel(f"{sheet.train_domain} (training), {sheet.metric}")
    axes[0].set_ylabel(f"zero-shot {sheet.metric}\n({'lower' if sheet.lower_is_better else 'higher'} is better)")


def _point(sheet: Sheet, method: str, domains: Sequence[str], x: float, y: float) -> Point:
    """With 95% intervals over our seeds, both ways."""
    if sheet.by_seed is None:
        return Point(x, y)
    runs = sheet.by_seed.loc[[method]]
    inside = t_interval(list(runs[sheet.train_domain]))
    outside = t_interval(list(runs[list(domains)].mean(axis="columns")))
    return Point(x, y, ends_of(inside), ends_of(outside))


def _regress(panel: Axes, x: pd.Series, y: pd.Series, group: str) -> Line2D:
    """The least-squares line over the group's methods, and its entry in the legend: r and p."""
    members = [name for name in x.index if name.startswith("TRAM") == (group == "TRAM")]
    label = f"{group}: "
    if len(members) < FEWEST or np.ptp(x[members]) == 0 or np.ptp(y[members]) == 0:
        return Line2D([], [], linestyle="none", label=f"{label}no line, n = {len(members)}")
    slope, intercept = np.polyfit(x[members], y[members], 1)
    ends = np.array([x[members].min(), x[members].max()])
    (line,) = panel.plot(ends, intercept + slope * ends, color=GROUPS[group], linewidth=1, zorder=1)
    found = pearson(list(x[members]), list(y[members]))
    p = "p < 0.001" if found.test.p < 0.001 else f"p {found.test.p:.3f}"
    line.set_label(f"{label}r {_signed(found.r)}, {p}")
    return line


def _signed(r: float) -> str:
    return f"{r:.2f}".replace("-", MINUS)
