"""Reading a figure's artists: the panels by their titles, the points by their marks."""

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path

from analysis.figures.style import METHOD_STYLES, MethodStyle

Bar = tuple[tuple[float, float], tuple[float, float]]


def panel(figure: Figure, title: str) -> Axes:
    """The first whose title, wherever it stands, begins so."""
    return next(
        axes
        for axes in figure.get_axes()
        if any(axes.get_title(loc=loc).startswith(title) for loc in ("left", "center"))
    )


def points(axes: Axes) -> dict[str, tuple[float, float]]:
    """Method to the place of its mark, told by shape, colour and filling."""
    names = {_look(style): name for name, style in METHOD_STYLES.items() if name != "SGD"}
    alone = {(style.marker, style.color, style.face): name for name, style in METHOD_STYLES.items() if name != "SGD"}
    found = {}
    for line in axes.lines:
        look = (line.get_marker(), line.get_color(), line.get_markerfacecolor())
        if look in alone and len(line.get_xdata()) == 1:
            found[alone[look]] = (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
    for marks in axes.collections:
        if isinstance(marks, PathCollection):
            looks = zip(marks.get_paths(), marks.get_edgecolors(), marks.get_facecolors(), strict=True)
            for (shape, edge, face), (x, y) in zip(looks, marks.get_offsets(), strict=True):
                found[names[_shape(shape), to_hex(edge), to_hex(face)]] = (float(x), float(y))
    return found


def bars(axes: Axes) -> dict[str, list[Bar]]:
    """Colour of each bar, through whatever point, to the two ends of the bars that have it."""
    found: dict[str, list[Bar]] = {}
    for lines in axes.collections:
        if isinstance(lines, LineCollection) and lines.get_zorder() == 2:
            for ends, color in zip(lines.get_segments(), lines.get_colors(), strict=True):
                found.setdefault(to_hex(color), []).append(tuple((float(x), float(y)) for x, y in ends))
    return found


def line_in(axes: Axes, color: str, style: str = "-") -> Line2D:
    """The only line of several points in that colour and style."""
    (line,) = [
        line
        for line in axes.lines
        if line.get_color() == color and line.get_linestyle() == style and len(line.get_xdata()) > 1
    ]
    return line


def _look(style: MethodStyle) -> tuple[object, str, str]:
    marker = MarkerStyle(style.marker)
    shape = marker.get_path().transformed(marker.get_transform())
    return _shape(shape), to_hex(style.color), to_hex(style.face)


def _shape(path: Path) -> object:
    return tuple(map(tuple, path.vertices.tolist()))
