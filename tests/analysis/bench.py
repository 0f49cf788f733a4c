"""How long the analysis of ever more records takes, whole commands with their start: `make bench-analysis`."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from math import log
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.probes.record import write_probe_record
from benchmarks.registry import BENCHMARKS, methods_of
from benchmarks.storage import curve_path
from tests.analysis.synthetic import write_tree
from tests.analysis.synthetic_probes import probe_record

MINI = ("mini-vision-digits", "mini-vision-mnist", "mini-vision-letters", "mini-m2d2", "mini-xnli")
SEEDS = (6, 20, 63)
"""Of 80 runs each: 480, 1,600 and 5,040 records."""
COMMANDS = ("tables", "claims", "report")


def score(method: str, seed: int, domain: str) -> float:
    """Scores as different as those of real runs: no two methods equal, seeds apart."""
    return 50 + 3 * (hash_of(method) + hash_of(domain)) + hash_of(f"{method} {seed} {domain}")


def hash_of(text: str) -> float:
    """A number from 0 to 1, the same in every process."""
    return (sum(ord(letter) * 31**place for place, letter in enumerate(text)) % 9973) / 9973


def curve(steps: int) -> str:
    """A curve of as many steps as a miniature run has."""
    fixed = {"lr": 0.1, "loss": 4.0, "perturbation_norm": 0.5}
    lines = [{"step": step, "distance": 1 / step, "radius": 1 / step} | fixed for step in range(1, steps + 1)]
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def write_results(folder: Path, seeds: int) -> Path:
    """Every miniature benchmark with every method: records, curves, and a probe; returns the suite's folder."""
    methods = {name: methods_of(BENCHMARKS[name]) for name in MINI}
    suite = write_tree(folder, methods, range(seeds), score)
    for path in suite.glob("*/*/seed-*.json"):
        curve_path(path).write_text(curve(BENCHMARKS[path.parts[-3]].recipe.steps))
    for name in MINI:
        for seed in range(5):
            write_probe_record(probe_record(name, "TRAM-x", seed, "sharpness"), folder)
    return suite


@dataclass(frozen=True)
class Taken:
    """Seconds by the wall clock, and of all processors: on a busy machine the second tells more."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:.1f} ({self.processor:.1f})"


def taken(command: str, results: Path, output: Path) -> Taken:
    """By one command as it is typed, interpreter and imports included."""
    before, started = os.times(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "analysis", command, "--results", str(results), "--output", str(output)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    wall, after = time.perf_counter() - started, os.times()
    children = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    return Taken(wall, children)


def growth(first: Taken, last: Taken, ratio: float) -> str:
    """The power of the number of records that the processors' time grows with: 1 is linear."""
    return f"{log(last.processor / first.processor) / log(ratio):.2f}"


def main() -> None:
    shown = Table("records", *COMMANDS, title="Seconds by the wall clock (of all processors)")
    rows: list[tuple[int, list[Taken]]] = []
    with tempfile.TemporaryDirectory() as folder:
        for count in SEEDS:
            place = Path(folder) / str(count)
            results = write_results(place / "results", count)
            records = len(list(results.glob("*/*/seed-*.json")))
            rows.append((records, [taken(command, results, place / "output") for command in COMMANDS]))
            shown.add_row(f"{records:,}", *map(str, rows[-1][1]))
    (few, first), *_, (many, last) = rows
    shown.add_section()
    shown.add_row("time ~ records^", *(growth(*pair, many / few) for pair in zip(first, last, strict=True)))
    Console().print(shown)


if __name__ == "__main__":
    main()
