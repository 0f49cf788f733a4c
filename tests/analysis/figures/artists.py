"""Reading a figure's artists: the panels by their titles, the points by their marks."""

from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import METHOD_STYLES


def panel(figure: Figure, title: str) -> Axes:
    """The first whose title, wherever it stands, begins so."""
    return next(
        axes
        for axes in figure.get_axes()
        if any(axes.get_title(loc=loc).startswith(title) for loc in ("left", "center"))
    )


def points(axes: Axes) -> dict[str, tuple[float, float]]:
    """Method to the place of its mark."""
    names = {(style.marker, style.color, style.face): name for name, style in METHOD_STYLES.items() if name != "SGD"}
    found = {}
    for line in axes.lines:
        look = (line.get_marker(), line.get_color(), line.get_markerfacecolor())
        if look in names and len(line.get_xdata()) == 1:
            found[names[look]] = (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
    return found


def bars(axes: Axes) -> dict[tuple[float, float], list[tuple[tuple[float, float], tuple[float, float]]]]:
    """Place of each mark with error bars to the two ends of each bar."""
    found = {}
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        line, _, collections = container.lines
        ends = [tuple(map(tuple, collection.get_segments()[0])) for collection in collections]
        if line is not None:
            found[float(line.get_xdata()[0]), float(line.get_ydata()[0])] = ends
    return found


def line_in(axes: Axes, color: str, style: str = "-") -> Line2D:
    """The only line of several points in that colour and style."""
    (line,) = [
        line
        for line in axes.lines
        if line.get_color() == color and line.get_linestyle() == style and len(line.get_xdata()) > 1
    ]
    return line
