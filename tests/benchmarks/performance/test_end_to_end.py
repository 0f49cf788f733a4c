"""The time of a suite is that of its runs by kind of work, that of the checks is that of their tests by folder."""

from pathlib import Path

import pytest

from benchmarks.errors import RunError
from benchmarks.performance import end_to_end
from benchmarks.performance.end_to_end import SUITE, reproduced, seconds_by_folder, timed_checks
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


def test_seconds_of_tests_are_added_up_by_their_folder(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(
        '<testsuites><testsuite><testcase classname="tests.tram.test_a" time="1.5"/>'
        '<testcase classname="tests.slurm.test_b.Kind" time="4"/>'
        '<testcase classname="tests.tram.test_c" time="0.25"/><testcase classname="tests.test_d" time="2"/>'
        "</testsuite></testsuites>"
    )
    assert seconds_by_folder(junit) == {"tests/slurm": 4.0, "tests": 2.0, "tests/tram": 1.75}


def test_the_checks_are_those_of_make_lint() -> None:
    makefile = (RESULTS.parent / "Makefile").read_text(encoding="utf-8")
    assert f"SOURCES    := {' '.join(end_to_end.SOURCES)}\n" in makefile
    lint = makefile.partition("\nlint:")[2].partition("\n\n")[0].replace("$(SOURCES)", " ".join(end_to_end.SOURCES))
    assert [line.split()[2:] for line in lint.splitlines()[1:]] == [list(command) for command in end_to_end.LINT]


def test_the_checks_are_run_and_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_to_end, "LINT", (("platform",),))
    slow = tmp_path / "test_slow.py"
    slow.write_text("import time\ndef test_it():\n    time.sleep(0.3)\n")
    steps: list[tuple[int, int]] = []
    found = timed_checks([str(slow)], lambda name, done, total: steps.append((done, total)))
    assert found.command == "make test"
    assert sum(value for name, value in found.seconds.items() if name.endswith(("test_slow", "", "tests"))) >= 0.3
    assert found.seconds["collecting and waiting"] > 0.3  # the other worker's
    assert steps == [(1, 2)]
    slow.write_text("def test_it():\n    assert False\n")
    with pytest.raises(RunError, match=r"pytest -q fails, so there is nothing to time: .*1 failed"):
        timed_checks([str(slow)], lambda *_: None)
