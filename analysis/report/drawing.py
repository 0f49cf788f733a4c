"""The report's figures: drawn by this process and others beside it, each also as files."""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
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


@contextmanager
def drawing(material: Material, kinds: Kinds) -> Iterator[Callable[[], list[Drawn]]]:
    """Every figure that the material allows, and why others are not there, in the registry's order.

    Other processes begin to draw at once; what is called for the figures draws with them until all are there.
    """
    drawings = list(figures_of(material))
    others = min(os.cpu_count() or 1, MOST_PROCESSES) - 1
    if len(drawings) <= FEW or not others:
        yield lambda: [_draw(each, kinds) for each in drawings]
        return
    tasks = list(_by_source(drawings).values())
    # A fork of a process with threads may hang: each begins anew, with the material handed to it once.
    pool = ProcessPoolExecutor(others, get_context("spawn"), initializer=_begin, initargs=(material, kinds))
    try:
        begun = [pool.submit(_draw_numbered, numbers) for numbers in tasks]

        def finish() -> list[Drawn]:
            drawn: dict[int, Drawn] = {}
            # The others come from the front.
            for future, numbers in zip(reversed(begun), reversed(tasks), strict=True):
                if future.cancel():
                    drawn |= {number: _draw(drawings[number], kinds) for number in numbers}
                else:
                    drawn |= future.result()
            return [drawn[number] for number in range(len(drawings))]

        yield finish
    finally:
        pool.shutdown(cancel_futures=True)


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


def _by_source(drawings: Sequence[Drawing]) -> dict[object, list[int]]:
    """The numbers of figures that share a source: whoever draws one has read the files of all."""
    tasks: dict[object, list[int]] = {}
    for number, each in enumerate(drawings):
        tasks.setdefault(each.source, []).append(number)
    return tasks


def _draw(drawing: Drawing, kinds: Kinds) -> Drawn:
    try:
        figure = drawing.draw()
    except NothingToDrawError as error:
        return Drawn(drawing.name, drawing.caption, {}, f"{drawing.name}: {error}.")
    return Drawn(drawing.name, drawing.caption, {kind: encode(figure, kind) for kind in kinds})


_DRAWINGS: list[Drawing] = []
_KINDS: list[Format] = []
"""In a process that draws: all drawings, in the same order as where they were numbered, and what to write."""


def _begin(material: Material, kinds: Kinds) -> None:
    _DRAWINGS[:] = figures_of(material)
    _KINDS[:] = kinds
    gc.freeze()  # what was handed over stays to the end, and figures leave much to collect


def _draw_numbered(numbers: Sequence[int]) -> dict[int, Drawn]:
    return {number: _draw(_DRAWINGS[number], tuple(_KINDS)) for number in numbers}
