"""How long the analysis of ever more records takes, whole commands with their start: `make bench-analysis`.

Prints what it measured and whether the targets are met, and with `--keep` writes it to docs/report.md.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.probes.record import write_probe_record
from benchmarks.record import read_record
from benchmarks.registry import BENCHMARKS, methods_of
from benchmarks.storage import curve_path
from tests.analysis.synthetic import write_tree
from tests.analysis.synthetic_probes import probe_of, probe_records

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "tests" / "analysis" / "golden" / "speed.json"
PAGE = ROOT / "docs" / "report.md"
BEGIN, END = "<!-- speed -->\n", "<!-- /speed -->"

MINI = ("mini-vision-digits", "mini-vision-mnist", "mini-vision-letters", "mini-m2d2", "mini-xnli")
SEEDS = (6, 20, 63)
"""Of 80 runs each: 480, 1,600 and 5,040 records of runs."""
EVERY_SEED = ("sharpness", "cka", "forgetting", "spectrum", "surface-line")
ONE_SEED = ("surface-random", "surface-plane")
"""Probes of five seeds and of one, as results/mini has them."""

COMMANDS = ("tables", "claims", "report")
TARGETS = {"tables": 3.0, "report": 20.0}
"""Seconds by the clock, of the most records."""
BUSY = 1.0
"""So many other processes, and the clock tells nothing."""
LINEAR = 1.1
"""The largest power of the number of records that passes for linear."""


@dataclass(frozen=True)
class Taken:
    """Seconds of one command, by the clock and of all processors: on a busy machine the second tells more."""

    command: str
    runs: int
    probes: int
    clock: float
    processors: float

    @property
    def records(self) -> int:
        return self.runs + self.probes


@dataclass(frozen=True)
class Measured:
    """All commands on all trees, and on what machine."""

    cores: int
    load: float
    """How many other processes wanted a core, on average of the minute before."""
    taken: tuple[Taken, ...]

    def of(self, command: str) -> tuple[Taken, ...]:
        """From few records to many."""
        return tuple(sorted((each for each in self.taken if each.command == command), key=lambda each: each.records))

    def growth(self, command: str) -> float:
        """The power of the number of records that the processors' time grows with, by least squares: 1 is linear."""
        found = self.of(command)
        slope, _ = np.polyfit(np.log([each.records for each in found]), np.log([each.processors for each in found]), 1)
        return float(slope)

    @property
    def busy(self) -> bool:
        return self.load >= BUSY

    @property
    def missed(self) -> tuple[str, ...]:
        """A phrase on each target that is not met; on a busy machine those of the clock are not asked for."""
        slow = [
            f"{command}: {self.of(command)[-1].clock:.1f} s, and not {target:g}"
            for command, target in TARGETS.items()
            if self.of(command)[-1].clock >= target and not self.busy
        ]
        steep = [f"{name}: records^{self.growth(name):.2f}" for name in COMMANDS if self.growth(name) > LINEAR]
        return (*slow, *steep)

    @property
    def table(self) -> str:
        """Markdown: a row for each number of records."""
        lines = [f"| records | {' | '.join(COMMANDS)} |", "| ---: |" + " ---: |" * len(COMMANDS)]
        for row in zip(*map(self.of, COMMANDS), strict=True):
            cells = [("" if self.busy else f"{each.clock:.1f}, ") + f"{each.processors:.1f}" for each in row]
            lines.append(f"| {row[0].records:,} | {' | '.join(cells)} |")
        powers = [f"records^{self.growth(command):.2f}" for command in COMMANDS]
        return "\n".join((*lines, f"| growth | {' | '.join(powers)} |"))


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
    """Every miniature benchmark with every method: records and curves, and every probe; returns the suite's folder."""
    methods = {name: methods_of(BENCHMARKS[name]) for name in MINI}
    suite = write_tree(folder, methods, range(seeds), score)
    for path in suite.glob("*/*/seed-*.json"):
        curve_path(path).write_text(curve(BENCHMARKS[path.parts[-3]].recipe.steps))
    for probe in (*probe_records(MINI, probes=EVERY_SEED), *probe_records(MINI, seeds=(0,), probes=ONE_SEED)):
        if probe.seed < seeds:
            write_probe_record(probe_of(read_record(probe.run.path(folder)), probe.probe), folder)
    return suite


def taken(command: str, results: Path, output: Path) -> Taken:
    """By one command as it is typed, interpreter and imports included."""
    before, started = os.times(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "analysis", command, "--results", str(results), "--output", str(output)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    clock, after = time.perf_counter() - started, os.times()
    processors = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    runs, probes = (len(list(results.glob(pattern))) for pattern in ("*/*/seed-*.json", "*/*/seed-*/*.json"))
    return Taken(command, runs, probes, clock, processors)


def measure() -> Measured:
    found, load = [], os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        for count in SEEDS:
            place = Path(folder) / str(count)
            results = write_results(place / "results", count)
            found += [taken(command, results, place / "output") for command in COMMANDS]
    return Measured(os.cpu_count() or 1, round(load, 1), tuple(found))


def read_kept() -> Measured:
    """What docs/report.md shows."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    return Measured(kept["cores"], kept["load"], tuple(Taken(**each) for each in kept["taken"]))


def block(measured: Measured) -> str:
    """What stands between the page's markers: the table, and what came of the targets."""
    many = measured.of("report")[-1]
    told = (
        f"Seconds of all processors together, on {measured.cores} cores that {measured.load:g} other processes wanted "
        "too: they are more than on an idle machine, and the clock would tell nothing."
        if measured.busy
        else f"Seconds by the clock, and of all processors together, on {measured.cores} idle cores."
    )
    targets = " and ".join(f"{command} under {seconds:g} s" for command, seconds in TARGETS.items())
    asked = "growth at most linear" if measured.busy else f"{targets} by the clock with the most records; growth linear"
    missed = f"Missed: {'; '.join(measured.missed)}." if measured.missed else "Met."
    return (
        f"{told} Of the {many.records:,} records {many.runs:,} are of runs and {many.probes:,} of probes. Growth is "
        f"that of the processors' seconds.\n\n{measured.table}\n\nTarget: {asked}. {missed}\n"
    )


def keep(measured: Measured) -> None:
    """To be shown from now on."""
    KEPT.write_text(json.dumps(asdict(measured), indent=1) + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{block(measured)}{END}{after}", encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    measured = measure()
    print(block(measured))
    if "--keep" in arguments:
        keep(measured)
    return 1 if measured.missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
