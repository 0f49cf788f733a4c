"""The suite of the tests on a real Slurm: tiny benchmarks that train, fail, hang, or go slowly while they are held.

Every command of these tests imports this: no torch here.
"""

from dataclasses import replace

from benchmarks.registry import BENCHMARKS
from benchmarks.suites import SUITES, Selection, Suite
from tests.benchmarks import tiny_rows

HANGS_AT = 35
SUITE = "sweep"


def install() -> None:
    tiny_rows.install()
    long = BENCHMARKS["tiny-long"]
    BENCHMARKS["tiny-held"] = replace(long, name="tiny-held", task="tests.slurm.sweep_tasks:held")
    BENCHMARKS["tiny-hangs"] = replace(long, name="tiny-hangs", task="tests.slurm.sweep_tasks:hangs")
    names = ("tiny-points", "tiny-held", "tiny-explodes", "tiny-dies", "tiny-unprepared", "tiny-hangs")
    everything = (Selection(names, ("SGD", "SAM", "TRAM-x", "TRAM-prev"), seeds=tuple(range(10))),)
    SUITES[SUITE] = Suite(name=SUITE, title="for tests", quick=everything, full=everything)
