"""The report's figures: each inside the page and as files beside it."""

from collections.abc import Sequence
from pathlib import Path

from analysis.figures.drawing import Drawn
from analysis.report.content import Picture
from benchmarks.record import write_atomically


def keep(drawn: Sequence[Drawn], output: Path) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    """The figures as files below `output` and as the page shows them, and why others are not there."""
    pictures, not_drawn = [], []
    for each in drawn:
        if each.why_not:
            not_drawn.append(each.why_not)
            continue
        for kind, content in each.files.items():
            write_atomically(output / f"{each.name}.{kind}", content)
        paths = tuple(f"{output.name}/{each.name}.{kind}" for kind in each.files)
        pictures.append(Picture(each.name, each.caption, each.files["png"], paths))
    return tuple(pictures), tuple(not_drawn)
