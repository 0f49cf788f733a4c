"""How far the drawing is: a bar on a terminal, nothing elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from analysis.figures.drawing import Progress


@contextmanager
def bar(console: Console) -> Iterator[Progress]:
    """What to tell how many more figures are drawn. The bar goes when all are."""
    columns = (TextColumn("figures"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("", total=None)
        yield lambda more, total: bars.update(task, total=total, advance=more)
