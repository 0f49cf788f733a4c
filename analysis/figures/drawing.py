"""Figures as files: drawn by this process and others beside it, the same as by one alone."""

import gc
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

from analysis.figures.encoding import Format, encode
from analysis.figures.errors import NothingToDrawError
from analysis.figures.material import Material
from analysis.figures.registry import Drawing, figures_of

FEW = 8
"""Figures that are drawn sooner than another process has begun."""
MOST_PROCESSES = 4
Kinds = tuple[Format, ...]
"""What each figure is written as."""
Progress = Callable[[int, int], None]
"""Told of how many more figures are drawn, and how many there are."""


@dataclass(frozen=True)
class Drawn:
    """A figure as files, or why there is none."""

    name: str
    caption: str
    files: dict[str, bytes]
    why_not: str = ""


def silent(_: int, __: int) -> None:
    """Tell nobody."""


@contextmanager
def drawing(
    material: Material, kinds: Kinds, only: Collection[str] = (), progress: Progress = silent
) -> Iterator[Callable[[], list[Drawn]]]:
    """Every figure that the material allows, and why others are not there, in the registry's order.

    Only those of the kinds named in `only`, if any.
    Other processes begin to draw at once; what is called for the figures draws with them until all are there.
    """
    drawings = list(figures_of(material, only))

    def draw(number: int) -> Drawn:
        drawn = _draw(drawings[number], kinds)
        progress(1, len(drawings))
        return drawn

    def tell(future: Future[dict[int, Drawn]]) -> None:
        if not (future.cancelled() or future.exception()):
            progress(len(future.result()), len(drawings))

    others = min(os.cpu_count() or 1, MOST_PROCESSES) - 1
    if len(drawings) <= FEW or not others:
        yield lambda: [draw(number) for number in range(len(drawings))]
        return
    tasks = list(_by_source(drawings).values())
    # A fork of a process with threads may hang: each begins anew, with the material handed to it once.
    pool = ProcessPoolExecutor(others, get_context("spawn"), initializer=_begin, initargs=(material, kinds, only))
    try:
        begun = [pool.submit(_draw_numbered, numbers) for numbers in tasks]
        for future in begun:
            future.add_done_callback(tell)

        def finish() -> list[Drawn]:
            drawn: dict[int, Drawn] = {}
            # The others come from the front.
            for future, numbers in zip(reversed(begun), reversed(tasks), strict=True):
                if future.cancel():
                    drawn |= {number: draw(number) for number in numbers}
                else:
                    drawn |= future.result()
            return [drawn[number] for number in range(len(drawings))]

        yield finish
    finally:
        pool.shutdown(cancel_futures=True)


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


def _begin(material: Material, kinds: Kinds, only: Collection[str]) -> None:
    _DRAWINGS[:] = figures_of(material, only)
    _KINDS[:] = kinds
    gc.freeze()  # what was handed over stays to the end, and figures leave much to collect


def _draw_numbered(numbers: Sequence[int]) -> dict[int, Drawn]:
    return {number: _draw(_DRAWINGS[number], tuple(_KINDS)) for number in numbers}
