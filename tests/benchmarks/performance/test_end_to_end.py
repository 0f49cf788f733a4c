"""The time of a suite is that of its runs, by kind of work."""

from pathlib import Path

from benchmarks.performance.end_to_end import SUITE, reproduced
from benchmarks.record import read_record
from benchmarks.suites import SUITES, runs_of

RESULTS = Path(__file__).parents[3] / "results"


def test_seconds_of_the_quick_suite_are_added_up(tmp_path: Path) -> None:
    assert reproduced(tmp_path) is None
    found = reproduced(RESULTS)
    assert found is not None
    runs = runs_of(SUITE, SUITES[SUITE].quick)
    assert found.command == f"make reproduce, {len(runs)} runs"
    train = [read_record(run.path(RESULTS)).seconds.train for run in runs]
    assert abs(found.seconds["train"] - sum(train)) < 1e-6
    assert set(found.seconds) == {"prepare", "train", "evaluate"}
