"""Where the time of whole commands goes: of the miniature suite, by what its records noted, and of the checks."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from benchmarks.environment import cpu_model
from benchmarks.errors import RunError
from benchmarks.performance.record import EndToEnd
from benchmarks.record import Record, read_record
from benchmarks.suites import SUITES, runs_of

SUITE = "mini"


def reproduced(results: Path) -> EndToEnd | None:
    """Seconds of the quick suite's runs, added up: as many run side by side as there are cores. None without records of
    such a machine.

    Setting up, and the data and models that all runs share, are not in it.
    """
    paths = [run.path(results) for run in runs_of(SUITE, SUITES[SUITE].quick)]
    records = [record for record in map(read_record, (path for path in paths if path.exists())) if _was_here(record)]
    if not records:
        return None
    parts = ("prepare", "train", "evaluate")
    seconds = {part: sum(getattr(record.seconds, part) for record in records) for part in parts}
    return EndToEnd(command=f"make reproduce, {len(records)} runs", seconds=seconds)


def _was_here(record: Record) -> bool:
    return (record.environment.get("cpu"), record.environment.get("device")) == (cpu_model(), "cpu")


SOURCES = ("tram", "benchmarks", "slurm", "analysis", "tests", ".ci")
LINT = (("ruff", "format", "--check", *SOURCES), ("ruff", "check", *SOURCES), ("mypy",))
"""What `make lint` runs."""
WORKERS = 2


def timed_checks(tests: Sequence[str], report: Callable[[str, int, int], None]) -> EndToEnd:
    """Seconds of `make test`, by folder of tests, added up over as many workers as it has.

    In the folder that the command is called from. Raises RunError if a check fails.
    """
    started = time.monotonic()
    for done, command in enumerate(LINT, start=1):
        _checked([*command])
        report("lint", done, len(LINT) + 1)
    seconds = {"ruff and mypy": time.monotonic() - started}
    with TemporaryDirectory() as folder:
        found = Path(folder, "found.xml")
        started = time.monotonic()
        _checked(["pytest", "-q", "-n", str(WORKERS), f"--junitxml={found}", *tests])
        whole = WORKERS * (time.monotonic() - started)
        folders = seconds_by_folder(found)
    seconds |= folders
    seconds["collecting and waiting"] = max(0.0, whole - sum(folders.values()))
    return EndToEnd(command="make test", seconds=seconds)


def seconds_by_folder(junit: Path) -> dict[str, float]:
    """Of pytest's own report, by the first two folders of each test's file, the longest first."""
    found: Counter[str] = Counter()
    for case in ElementTree.parse(junit).iter("testcase"):
        folders = case.attrib["classname"].split(".")[:-1]
        found["/".join(folders[:2])] += float(case.attrib["time"])  # type: ignore[assignment]
    return dict(found.most_common())


def _checked(command: list[str]) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    called = subprocess.run([sys.executable, "-m", *command], env=environment, capture_output=True, text=True)
    if called.returncode != 0:
        last = (called.stdout + called.stderr).strip().splitlines()[-1:] or [""]
        raise RunError(f"{' '.join(command[:2])} fails, so there is nothing to time: {last[0]}")
