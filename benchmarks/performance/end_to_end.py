"""Where the time of the miniature suite goes, by what its records noted of their runs."""

from pathlib import Path

from benchmarks.performance.record import EndToEnd
from benchmarks.record import read_record
from benchmarks.suites import SUITES, runs_of

SUITE = "mini"


def reproduced(results: Path) -> EndToEnd | None:
    """Seconds of the quick suite's runs, added up: as many run side by side as there are cores. None without records.

    Setting up, and the data and models that all runs share, are not in it.
    """
    paths = [run.path(results) for run in runs_of(SUITE, SUITES[SUITE].quick)]
    records = [read_record(path) for path in paths if path.exists()]
    if not records:
        return None
    parts = ("prepare", "train", "evaluate")
    seconds = {part: sum(getattr(record.seconds, part) for record in records) for part in parts}
    return EndToEnd(command=f"make reproduce, {len(records)} runs", seconds=seconds)
