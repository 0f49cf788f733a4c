"""`python -m benchmarks probe` as its users meet it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from benchmarks.__main__ import app
from benchmarks.execution import Execution
from benchmarks.probes.execute import execute as probe_it
from benchmarks.probes.parts import Part
from benchmarks.probes.record import ProbeRecord, probe_path, read_probe_record, read_probe_records
from benchmarks.record import Run
from benchmarks.run import execute
from benchmarks.task import silent

ROOT = Path(__file__).parents[3]
TRAMX, SGD = Run("tiny", "tiny-points", "TRAM-x", 0), Run("tiny", "tiny-points", "SGD", 0)
SLOW = Run("tiny", "tiny-slow", "SGD", 0)

Finish = Callable[[Path, Run], None]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def started(environment: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *arguments],
        env=environment,
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def finished(python_with_tiny_rows: dict[str, str], tiny: None, monkeypatch: pytest.MonkeyPatch) -> Finish:
    """Makes the record of a run here, whose weights the commands then find in their cache."""
    monkeypatch.setenv("TRAM_CACHE", python_with_tiny_rows["TRAM_CACHE"])

    def finish(results: Path, run: Run) -> None:
        execute(run, results, Execution(keep_weights=True), silent)

    return finish


def same_bits(record: ProbeRecord) -> dict[str, Any]:
    return record.model_dump(exclude={"seconds", "peak_memory_bytes", "environment"})


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("probe tinny", "no suite 'tinny'; the nearest is 'tiny'"),
        ("probe tiny --probes sharpnes", "no probe 'sharpnes'; the nearest is 'sharpness'"),
        ("probe tiny --part 3/2", "part 3 of 2: give I/N"),
        ("probe tiny --part second", "part 'second': give I/N"),
        (
            "probe tiny --benchmarks tiny-points",
            "none of these runs has a record; python -m benchmarks suite tiny makes",
        ),
        ("probe tiny --methods SGD --probes surface-plane", "none of these probes applies to any of these runs"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(arguments: str, message: str, tmp_path: Path) -> None:
    found = call(*arguments.split(), "--results", str(tmp_path / "results"))
    assert found.exit_code == 2
    assert message in found.stderr
    assert not (tmp_path / "results").exists()


def test_a_suite_is_probed_and_then_done(
    python_with_tiny_rows: dict[str, str], finished: Finish, tmp_path: Path
) -> None:
    """Two of the methods were run, with one seed; the plain one has no plane of its own."""
    only = ("--benchmarks", "tiny-points", "--results", str(tmp_path / "results"), "--jobs", "1")
    for run in (TRAMX, SGD):
        finished(tmp_path / "results", run)
    first = done(python_with_tiny_rows, "probe", "tiny", *only)
    assert first.returncode == 0, first.stderr
    assert "13 records of probes, 13 new, 0 made before" in first.stdout
    assert "6 runs without a record left out" in first.stderr
    records, errors = read_probe_records(tmp_path / "results")
    assert (len(records), errors) == (13, [])

    again = call("probe", "tiny", *only)
    assert again.exit_code == 0
    assert "13 records of probes, 0 new, 13 made before" in again.stdout

    broken = probe_path(TRAMX, "cka", tmp_path / "results")
    broken.write_text("{")
    third = call("probe", "tiny", *only)
    assert third.exit_code == 1
    assert re.search(r"tiny-points TRAM-x seed 0: .*cka\.json: not readable as JSON .* probe again", third.stderr)
    assert "Traceback" not in third.stderr
    assert broken.read_text() == "{"


def test_two_processes_make_one_surface(
    python_with_tiny_rows: dict[str, str], finished: Finish, tmp_path: Path
) -> None:
    """Started together, one of them told its part, the other with a Slurm array's variables; and one without parts."""
    only = ("--benchmarks", "tiny-points", "--methods", "SGD", "--seeds", "0", "--jobs", "1")
    for name in ("whole", "parts"):
        finished(tmp_path / name, SGD)
    surface = ("probe", "tiny", *only, "--probes", "surface-random", "--results")
    probe_it(SGD, ("surface-random",), tmp_path / "whole", Execution(), Part(), silent)
    array = {"ID": "7", "MIN": "5", "STEP": "2", "COUNT": "2"}
    slurm = {f"SLURM_ARRAY_TASK_{name}": value for name, value in array.items()}
    both = [
        started(python_with_tiny_rows, *surface, str(tmp_path / "parts"), "--part", "1/2"),
        started(python_with_tiny_rows | slurm, *surface, str(tmp_path / "parts")),
    ]
    ends = [child.communicate(timeout=120) for child in both]
    assert [child.returncode for child in both] == [0, 0], ends
    paths = [probe_path(SGD, "surface-random", tmp_path / name) for name in ("whole", "parts")]
    whole, parts = map(read_probe_record, paths)
    assert parts.surface == whole.surface
    assert parts.metrics == whole.metrics
    assert [path.name for path in paths[1].parent.iterdir()] == ["surface-random.json"]


def test_ctrl_c_keeps_the_points_and_the_same_command_goes_on(
    python_with_tiny_rows: dict[str, str], finished: Finish, tmp_path: Path
) -> None:
    results, slow = tmp_path / "results", python_with_tiny_rows | {"TINY_PAUSE": "0.1"}
    only = ("--benchmarks", "tiny-slow", "--methods", "SGD", "--seeds", "0", "--jobs", "1", "--results")
    line = ("--probes", "surface-line")
    for folder in (results, tmp_path / "straight"):
        finished(folder, SLOW)
    path = probe_path(SLOW, "surface-line", results)
    points = path.with_name("surface-line.points-1-of-1.jsonl")
    child = started(slow, "probe", "tiny", *only, str(results), *line)
    try:
        end = time.monotonic() + 120
        while not (points.exists() and len(points.read_text().splitlines()) > 4) and time.monotonic() < end:
            time.sleep(0.05)
        os.killpg(child.pid, signal.SIGINT)
        _, errors = child.communicate(timeout=30)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
    assert child.returncode == 130
    assert "the same command resumes" in errors
    assert "Traceback" not in errors
    assert not path.exists()
    before = points.read_text().splitlines()
    assert 4 < len(before) < 20

    assert done(python_with_tiny_rows, "probe", "tiny", *only, str(results), *line).returncode == 0
    probe_it(SLOW, ("surface-line",), tmp_path / "straight", Execution(), Part(), silent)
    assert not points.exists()
    straight = read_probe_record(probe_path(SLOW, "surface-line", tmp_path / "straight"))
    assert same_bits(read_probe_record(path)) == same_bits(straight)
    # Most of its seconds were spent before the interrupt: those points were not computed again.
    assert read_probe_record(path).seconds > 0.2 * (len(before) - 2)
