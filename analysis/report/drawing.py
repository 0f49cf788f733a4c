"""The report's figures: drawn side by side, each also as files."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from analysis.figures import Drawing, Material, NothingToDrawError, encode, figures_of
from analysis.figures.encoding import Format
from analysis.report.content import Picture
from benchmarks.record import write_atomically

FEW = 8
"""Figures that are drawn sooner than another process has begun."""
MOST_PROCESSES = 4
Kinds = tuple[Format, ...]
"""What each figure is written as; the page shows its PNG."""


@dataclass(frozen=True)
class Drawn:
    """A figure as files, or why there is none."""

    name: str
    caption: str
    files: dict[str, bytes]
    why_not: str = ""


def draw_all(material: Material, output: Path, kinds: Kinds) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    """Every figure that the material allows, also as files below `output`, and why others are not there."""
    pictures, not_drawn = [], []
    for drawn in _drawn(material, kinds):
        if drawn.why_not:
            not_drawn.append(drawn.why_not)
            continue
        for kind, content in drawn.files.items():
            write_atomically(output / f"{drawn.name}.{kind}", content)
        paths = tuple(f"{output.name}/{drawn.name}.{kind}" for kind in drawn.files)
        pictures.append(Picture(drawn.name, drawn.caption, drawn.files["png"], paths))
    return tuple(pictures), tuple(not_drawn)


def _drawn(material: Material, kinds: Kinds) -> Iterator[Drawn]:
    drawings = list(figures_of(material))
    processes = min(os.cpu_count() or 1, MOST_PROCESSES)
    if len(drawings) <= FEW or processes == 1:
        yield from (_draw(drawing, kinds) for drawing in drawings)
        return
    # A fork of a process with threads may hang: each begins anew, with the material handed to it once.
    pool = ProcessPoolExecutor(processes, get_context("spawn"), initializer=_begin, initargs=(material,))
    with pool:
        yield from pool.map(partial(_draw_numbered, kinds=kinds), range(len(drawings)))


def _draw(drawing: Drawing, kinds: Kinds) -> Drawn:
    try:
        figure = drawing.draw()
    except NothingToDrawError as error:
        return Drawn(drawing.name, drawing.caption, {}, f"{drawing.name}: {error}.")
    return Drawn(drawing.name, drawing.caption, {kind: encode(figure, kind) for kind in kinds})


_DRAWINGS: list[Drawing] = []
"""In a process that draws: all of them, in the same order as where they were numbered."""


def _begin(material: Material) -> None:
    _DRAWINGS[:] = figures_of(material)


def _draw_numbered(number: int, kinds: Kinds) -> Drawn:
    return _draw(_DRAWINGS[number], kinds)
