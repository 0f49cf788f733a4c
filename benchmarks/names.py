"""From what is typed to what is meant. A name that is none ends the command with the nearest one, and exit code 2."""

from collections.abc import Iterable
from typing import NoReturn

import typer

from benchmarks.record import Run
from benchmarks.registry import BENCHMARKS, ZERO_SHOT
from benchmarks.row import Benchmark
from benchmarks.suites import SUITES, runs_of
from benchmarks.variants import UnknownMethodError, near, parse, runs_on


def say(text: str) -> None:
    """To stderr, as are bars: stdout carries answers only."""
    typer.echo(text, err=True)


def fail(message: str, code: int = 2) -> NoReturn:
    say(f"Error: {message}")
    raise typer.Exit(code)


def known(name: str, names: Iterable[str], kind: str) -> str:
    """`name` if it is one of `names`."""
    names = list(names)
    if name not in names:
        similar = near(name, names)
        meant = f"the nearest is {similar!r}" if similar else f"there are {', '.join(names)}"
        fail(f"no {kind} {name!r}; {meant}. `python -m benchmarks list` shows all.")
    return name


def families() -> list[str]:
    return list(dict.fromkeys(row.family for row in BENCHMARKS.values()))


def benchmarks_named(name: str) -> list[Benchmark]:
    """The benchmark of that name, or all of the family of that name."""
    known(name, [*BENCHMARKS, *families()], "benchmark")
    if name in BENCHMARKS:
        return [BENCHMARKS[name]]
    return [row for row in BENCHMARKS.values() if name == row.family]


def method_named(name: str) -> str:
    """The name of a method, its settings included."""
    try:
        parse(name)
        if "@" in name:
            # Which method has which setting is known to the library alone, and that takes seconds to load.
            from benchmarks.methods import resolve

            resolve(name)
    except UnknownMethodError as error:
        fail(f"{error}. `python -m benchmarks list` shows all.")
    return name


def check_method(method: str, rows: list[Benchmark]) -> None:
    method_named(method)
    for row in rows:
        if not runs_on(method, row):
            base = parse(method).base
            if base == ZERO_SHOT:
                fail(f"{row.name} has a new head, which says nothing before training: it has no {ZERO_SHOT} run")
            fail(f"{row.name} trains with {row.recipe.base_optimizer}: take that as its plain method, not {base}")


def suite_for(row: Benchmark, suite: str | None) -> str:
    """The named suite, else the first that has the benchmark."""
    if suite is not None:
        return known(suite, SUITES, "suite")
    return next(name for name, item in SUITES.items() if row.name in item.benchmarks)


def listed(texts: Iterable[str]) -> list[str]:
    """Of options that may be repeated, or given once with commas."""
    return [part.strip() for text in texts for part in text.split(",")]


def seeds_named(text: str) -> tuple[int, ...]:
    try:
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            seeds = tuple(range(first, last))
        else:
            seeds = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0:
        fail(f"--seeds {text}: give 0:5 for 0 to 4, one seed, or several as 0,2,4")
    return seeds


def runs_named(
    suite: str, full: bool, benchmarks: list[str] | None, methods: list[str] | None, seeds: str | None
) -> list[Run]:
    """The runs of a suite that the options of a command line select."""
    row = SUITES[known(suite, SUITES, "suite")]
    wanted = [item.name for text in listed(benchmarks or []) for item in benchmarks_named(text)] or row.benchmarks
    if outside := [item for item in wanted if item not in row.benchmarks]:
        fail(f"{outside[0]} is not in suite {suite}: {', '.join(row.benchmarks)}")
    runs = runs_of(
        suite,
        row.full if full else row.quick,
        benchmarks=wanted,
        methods=tuple(method_named(method) for method in listed(methods)) if methods else None,
        seeds=None if seeds is None else seeds_named(seeds),
    )
    if not runs:
        fail(f"no benchmark of the selection has the methods {', '.join(listed(methods or []))}")
    return runs


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
