"""The table of what a method costs and how far it steps."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median

from analysis.aggregate import BenchmarkResult
from analysis.cells import NOTHING, Cell, Column, Row, Table, text_cell, text_column
from benchmarks.record import Record, StepStatistics

_FIELDS = ("first", "median", "maximum", "last")
_small = "{:.2g}".format
_mebibytes = "{:,.0f}".format
_steps = "{:g}".format

_COLUMNS = (
    text_column("benchmark"),
    text_column("method"),
    Column("passes", ("forward", "backward")),
    Column("time", ("time to baseline", "train seconds")),
    Column("memory", ("peak memory MiB",), read=_mebibytes),
    Column("d first", ("d first",), read=_small),
    Column("median", ("d median",), read=_small),
    Column("max", ("d maximum",), read=_small),
    Column("last", ("d last",), read=_small),
    Column("norm of ε", tuple(f"norm of epsilon {field}" for field in _FIELDS), read=_small),
    Column("zero", ("degenerate steps",), read=_steps),
)


def cost_table(records: Iterable[Record], results: Sequence[BenchmarkResult]) -> Table:
    """Passes, time to the baseline's with the same seed, memory, d and the norm of epsilon: medians over seeds."""
    grouped: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        grouped.setdefault((record.benchmark, record.method), []).append(record)
    sections = []
    for result in results:
        name = result.benchmark.name
        baseline = grouped.get((name, result.baseline), [])
        methods = [method.method for method in result.run]
        sections.append(tuple(_row(name, method, grouped[name, method], baseline) for method in methods))
    return Table(
        name="cost",
        title="Cost, and the size of the radius",
        caption=(
            "Medians over seeds. The size of d (a radius for TRAM, a penalty for TRPO, R3F and MESA) decides what a "
            "method does."
        ),
        columns=_COLUMNS,
        sections=tuple(sections),
        notes=(
            "passes: forward/backward of a step, counted: the cost of a method in time. time: seconds of training to "
            "those of the baseline with the same seed, measured; runs side by side slow each other, so that passes "
            "are the surer guide. memory: the peak, in MiB, of the process on a CPU, with all its libraries, and of "
            "what was allocated on a GPU. d: of the first step, the median, largest and last. "
            "norm of ε: the median step's. zero: steps left without a perturbation because d, the gradient or its norm "
            "was zero or not finite.",
        ),
        labels=2,
    )


def _row(benchmark: str, method: str, runs: list[Record], baseline: list[Record]) -> Row:
    passes = sorted({(run.passes.forward, run.passes.backward) for run in runs})
    distance = _medians([run.distance for run in runs])
    norm = _medians([run.perturbation_norm for run in runs])
    degenerate = median(run.degenerate_steps for run in runs)
    return (
        text_cell(benchmark),
        text_cell(method),
        Cell(", ".join(f"{forward}/{backward}" for forward, backward in passes), passes[-1]),
        _time(runs, baseline),
        _memory(runs),
        *(_size(value) for value in distance),
        replace(_size(norm[_FIELDS.index("median")]), values=norm),
        Cell(NOTHING if norm[0] is None else _steps(degenerate), (degenerate,)),
    )


def pairs(runs: Iterable[Record], baseline: Iterable[Record]) -> list[tuple[Record, Record]]:
    """The runs of one method, each with the baseline's of the same seed; without those that have none."""
    by_seed = {run.seed: run for run in baseline}
    return [(run, by_seed[run.seed]) for run in runs if run.seed in by_seed]


def times(paired: Iterable[tuple[Record, Record]]) -> list[float]:
    """Seconds of training to the baseline's, of each pair; without those whose baseline took none."""
    return [run.seconds.train / other.seconds.train for run, other in paired if other.seconds.train]


def memories(paired: Iterable[tuple[Record, Record]]) -> list[float]:
    """Peak memory to the baseline's, likewise."""
    return [run.peak_memory_bytes / other.peak_memory_bytes for run, other in paired if other.peak_memory_bytes]


def _time(runs: Sequence[Record], baseline: Sequence[Record]) -> Cell:
    seconds = median(run.seconds.train for run in runs)
    ratios = times(pairs(runs, baseline))
    if not ratios:
        return Cell(NOTHING, (None, seconds))
    return Cell(f"{median(ratios):.2f}", (median(ratios), seconds), hint=f"{seconds:.3g} s")


def _memory(runs: Sequence[Record]) -> Cell:
    mebibytes = median(run.peak_memory_bytes for run in runs) / 2**20
    return Cell(_mebibytes(mebibytes), (mebibytes,))


def _medians(statistics: Sequence[StepStatistics | None]) -> tuple[float | None, ...]:
    """Over seeds, of each of _FIELDS; None where the method has no such quantity."""
    known = [each for each in statistics if each is not None]
    return tuple(median(getattr(each, field) for each in known) if known else None for field in _FIELDS)


def _size(number: float | None) -> Cell:
    return Cell(NOTHING if number is None else _small(number), (number,))
