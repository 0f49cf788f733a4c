"""The same commands without Slurm: processes of this machine that nobody has to wait for, and this very process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.benchmarks import conftest as tiny

ROOT = Path(__file__).parents[2]
python_with_tiny_rows = tiny.python_with_tiny_rows


@dataclass
class Shell:
    results: Path
    environment: dict[str, str]

    def call(self, *words: str, code: int = 0, **more: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "slurm", *words, "--results", str(self.results)],
            cwd=ROOT,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = json.loads(self.call("status", "tiny", "--json"))["counts"]
        return {state: number for state, number in counts.items() if number and state != "not launched"}

    def rows(self, state: str) -> list[dict[str, Any]]:
        return [row for row in json.loads(self.call("status", "tiny", "--json"))["runs"] if row["state"] == state]

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 600
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}; {self.counts()}"
            time.sleep(0.3)


@pytest.fixture
def shell(tmp_path: Path, python_with_tiny_rows: dict[str, str]) -> Iterator[Shell]:
    shell = Shell(tmp_path / "results", python_with_tiny_rows)
    yield shell
    ours = str(shell.results)
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(ours in word for word in process.cmdline()) and process.pid != os.getpid():
                process.kill()


def test_runs_go_on_without_the_shell_and_one_failure_stops_no_other(shell: Shell) -> None:
    began = time.monotonic()
    said = shell.call(
        "launch", "tiny", "--cluster", "local", "--jobs", "2", "--benchmarks", "tiny-points,tiny-explodes"
    )
    assert "To submit: 4 runs in 4 jobs of 1 array" in said
    assert time.monotonic() - began < 60
    assert "To submit: nothing" in shell.call(
        "launch", "tiny", "--cluster", "local", "--benchmarks", "tiny-points,tiny-explodes"
    )
    shell.wait(lambda: set(shell.counts()) <= {"done", "failed"}, "all ended")
    assert shell.counts() == {"done": 2, "failed": 2}
    assert {row["benchmark"] for row in shell.rows("failed")} == {"tiny-explodes"}
    assert all("the loss is nan" in row["cause"] and Path(row["log"]).exists() for row in shell.rows("failed"))


def test_a_limit_holds_and_cancel_leaves_checkpoints(shell: Shell) -> None:
    """Two of three run at a time; what is cancelled goes on where it was, here in the shell's own process."""
    launch = ("launch", "tiny", "--benchmarks", "tiny-slow", "--methods", "TRAM-x", "--seeds", "0:3")
    shell.call(*launch, "--cluster", "local", "--jobs", "2", TINY_PAUSE="0.1")
    shell.wait(lambda: min((row.get("step", 0) for row in shell.rows("running")), default=0) >= 10, "they train")
    assert shell.counts() == {"running": 2, "queued": 1}
    assert all(row["steps"] == 400 and row["steps_per_second"] < 10 for row in shell.rows("running"))
    assert "Cancel" not in shell.call("cancel", "tiny", "--yes")
    shell.wait(lambda: shell.counts() == {"stopped": 3}, "all stopped")
    steps = sorted(row.get("step", 0) for row in shell.rows("stopped"))
    assert steps[0] == 0
    assert steps[1] >= 10
    shell.call(*launch, "--cluster", "debug")
    assert shell.counts() == {"done": 3}
    records = [json.loads(path.read_text()) for path in shell.results.rglob("seed-*.json")]
    assert sorted(record["environment"]["resumed"] for record in records) == [0, 1, 1]


def test_failures_in_this_process_are_told_and_stop_no_other(shell: Shell) -> None:
    chosen = ("--benchmarks", "tiny-explodes,tiny-points", "--methods", "SGD")
    shell.call("launch", "tiny", "--cluster", "debug", *chosen, code=1)
    assert shell.counts() == {"done": 1, "failed": 1}
    assert "Left alone: 1 run that failed" in shell.call("launch", "tiny", "--cluster", "debug", *chosen)


def test_what_needs_more_gpus_than_there_are_is_refused(shell: Shell) -> None:
    few = {"CUDA_VISIBLE_DEVICES": "0"}
    shell.call("launch", "paper", "--cluster", "local", "--benchmarks", "m2d2-s2orc-xl", "--methods", "SAM", **few)

    def ended() -> list[dict[str, Any]]:
        found = json.loads(shell.call("status", "paper", "--json"))["runs"]
        return [row for row in found if row["state"] == "failed"]

    shell.wait(lambda: len(ended()) == 1, "refused")
    assert ended()[0]["cause"] == "needs 4 GPUs, and this machine has 1"


@pytest.mark.parametrize("cluster", ["local", "debug"])
def test_no_profile_and_no_slurm_is_asked_for(shell: Shell, cluster: str) -> None:
    said = shell.call("launch", "tiny", "--cluster", cluster, "--dry-run", PATH="/nowhere")
    assert "Nothing was submitted." in said
    assert not shell.results.exists()
