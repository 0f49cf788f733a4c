"""Figures as files: drawn by this process and others beside it, the same as by one alone."""

import gc
import os
import pickle
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

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
    Other processes begin to draw at once; what is called for the figures draws with them until all are there, and all
    that they leave if one of them dies. An error names its figure.
    """
    drawings = list(figures_of(material, only))

    def draw(number: int) -> Drawn:
        drawn = _draw(drawings[number], kinds)
        progress(1, len(drawings))
        return drawn

    others = min(os.cpu_count() or 1, MOST_PROCESSES) - 1
    if len(drawings) <= FEW or not others:
        yield lambda: [draw(number) for number in range(len(drawings))]
        return
    waiting = deque(_by_source(drawings).values())

    def hand_on(pool: ProcessPoolExecutor) -> dict[int, Drawn]:
        """What the others draw, from the front; what they die of waits for this process."""
        drawn: dict[int, Drawn] = {}
        while numbers := _next(waiting.popleft):
            try:
                more = pool.submit(_draw_numbered, numbers).result()
            except BrokenProcessPool:
                waiting.append(numbers)
                break
            drawn |= more
            progress(len(more), len(drawings))
        return drawn

    with (
        _pool(others, material, kinds, only) as pool,
        ThreadPoolExecutor(others) as threads,
    ):
        handed = [threads.submit(hand_on, pool) for _ in range(others)]

        def finish() -> list[Drawn]:
            drawn: dict[int, Drawn] = {}
            while waiting or handed:
                while numbers := _next(waiting.pop):
                    drawn |= {number: draw(number) for number in numbers}
                if handed:
                    drawn |= handed.pop().result()
            return [drawn[number] for number in range(len(drawings))]

        try:
            yield finish
        finally:
            waiting.clear()


@contextmanager
def _pool(others: int, material: Material, kinds: Kinds, only: Collection[str]) -> Iterator[ProcessPoolExecutor]:
    """Processes that have the material.

    They read it from a file: one that dies as it begins would be waited for, with more to hand it than a pipe holds.
    """
    with tempfile.TemporaryDirectory(prefix="tram-figures-") as folder:
        kept = Path(folder) / "material.pickle"
        kept.write_bytes(pickle.dumps(material))
        # A fork of a process with threads may hang: each begins anew.
        with ProcessPoolExecutor(
            others, get_context("spawn"), initializer=_begin, initargs=(kept, kinds, only)
        ) as pool:
            # All begin here, in the main thread: one that begins while another dies would be waited for, and those of a
            # script that has no `if __name__ == "__main__"` end here, and not when all is drawn.
            with suppress(BrokenProcessPool):
                for _ in range(others):
                    pool.submit(os.getpid)
            yield pool


def _next(take: Callable[[], list[int]]) -> list[int]:
    """The figures to be drawn next; empty where none wait, whoever took the last."""
    try:
        return take()
    except IndexError:
        return []


def _by_source(drawings: Sequence[Drawing]) -> dict[object, list[int]]:
    """The numbers of figures that share a source: whoever draws one has read the files of all."""
    tasks: dict[object, list[int]] = {}
    for number, each in enumerate(drawings):
        tasks.setdefault(each.source, []).append(number)
    return tasks


def _draw(drawing: Drawing, kinds: Kinds) -> Drawn:
    try:
        figure = drawing.draw()
        return Drawn(drawing.name, drawing.caption, {kind: encode(figure, kind) for kind in kinds})
    except NothingToDrawError as error:
        return Drawn(drawing.name, drawing.caption, {}, f"{drawing.name}: {error}.")
    except Exception as error:
        error.add_note(f"This was while drawing the figure {drawing.name}.")
        raise


_DRAWINGS: list[Drawing] = []
_KINDS: list[Format] = []
"""In a process that draws: all drawings, in the same order as where they were numbered, and what to write."""


def _begin(kept: Path, kinds: Kinds, only: Collection[str]) -> None:
    _DRAWINGS[:] = figures_of(pickle.loads(kept.read_bytes()), only)
    _KINDS[:] = kinds
    gc.freeze()  # what was handed over stays to the end, and figures leave much to collect


def _draw_numbered(numbers: Sequence[int]) -> dict[int, Drawn]:
    return {number: _draw(_DRAWINGS[number], tuple(_KINDS)) for number in numbers}
