"""Points of many methods with their bars, in two artists: one for each mark would take most of a figure's time."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isinf

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.markers import MarkerStyle
from matplotlib.transforms import IdentityTransform

from analysis.figures.style import MethodStyle
from analysis.statistics import Interval

Ends = tuple[float, float]


def ends_of(interval: Interval) -> Ends | None:
    """None where nothing is known of the spread."""
    return None if isinf(interval.half_width) else (interval.low, interval.high)


@dataclass(frozen=True)
class Point:
    """A place, and the ends of the bars across and upright through it; None where there is no bar."""

    x: float
    y: float
    across: Ends | None = None
    upright: Ends | None = None

    @property
    def bars(self) -> list[tuple[Ends, Ends]]:
        """Each from one place to another."""
        across = [] if self.across is None else [((self.across[0], self.y), (self.across[1], self.y))]
        upright = [] if self.upright is None else [((self.x, self.upright[0]), (self.x, self.upright[1]))]
        return across + upright


def draw_points(
    panel: Axes,
    points: Mapping[str, Point],
    styles: Mapping[str, MethodStyle],
    *,
    size: float | None = None,
    bar_width: float = 0.6,
    bar_alpha: float = 1.0,
    label: str = "",
) -> None:
    """Each method's mark over its bars; `size`, in points, is by default the style's."""
    bars = [(styles[name].color, bar) for name, point in points.items() for bar in point.bars]
    if bars:
        colors, segments = zip(*bars, strict=True)
        panel.add_collection(LineCollection(segments, colors=colors, linewidths=bar_width, alpha=bar_alpha, zorder=2))
    looks = [styles[name] for name in points]
    markers = [MarkerStyle(look.marker) for look in looks]
    marks = PathCollection(
        [marker.get_path().transformed(marker.get_transform()) for marker in markers],
        sizes=[(size or rcParams["lines.markersize"]) ** 2],
        offsets=[(point.x, point.y) for point in points.values()],
        offset_transform=panel.transData,
        transform=IdentityTransform(),  # marks have sizes in points, not in data
        edgecolors=[look.color for look in looks],
        facecolors=[look.face for look in looks],
        linewidths=rcParams["lines.markeredgewidth"],
        clip_on=False,
        zorder=3,
        label=label,
    )
    panel.add_collection(marks)
