"""The command line as its users meet it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner, Result

from benchmarks.__main__ import app
from benchmarks.method_fields import fields_by_method
from benchmarks.record import ENVIRONMENT, Passes, Record, Run, Seconds, read_record
from tests.benchmarks import tiny_rows

ROOT = Path(__file__).parents[2]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


# ------------------------------------------------------------------------------------------------------------- looking


def test_list_shows_all_names() -> None:
    found = call("list")
    assert found.exit_code == 0
    for name in ("mini-m2d2", "mini-vision-digits", "TRAM-Fisher", "TRAM-x-L2", "mini"):
        assert re.search(rf"^{name} ", found.stdout, re.MULTILINE)
    assert re.search(r"^mini +30 +400 ", found.stdout, re.MULTILINE)


def test_schema_is_the_json_schema_of_a_record() -> None:
    found = json.loads(call("schema").stdout)
    assert found["title"] == "Record"
    assert {"metrics", "distance", "environment"} <= set(found["required"])


def test_looking_loads_no_torch() -> None:
    code = "import sys, benchmarks.__main__; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# --------------------------------------------------------------------------------------------------------- wrong names


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        ("run mini-vison-digits SAM --seed 0", "'mini-vision-digits'"),
        ("run MINI-XNLI SAM --seed 0", "'mini-xnli'"),
        ("run mini-xnli TRAMx --seed 0", "'TRAM-x'"),
        ("run mini-xnli sam --seed 0", "'SAM'"),
        ("run mini-xnli SAM --seed 0 --suite minni", "the nearest is 'mini'"),
        ("run mini-xnli SAM --seed 0 --suite maxi", "there are mini, paper, "),
        ("run mini-xnli SGD --seed 0", "mini-xnli trains with Adam"),
        ("run mini-xnli SAM --seed -1", "--seed"),
        ("run mini-xnli SAM --seed zero", "--seed"),
        ("run mini-xnli SAM --sed 0", "--seed"),
        ("run mini-xnli SAM", "--seed"),
        ("suite mni", "'mini'"),
        ("suite mini --methods TRAM-prv", "'TRAM-prev'"),
        ("suite mini --methods SAM,TRAM-prv", "'TRAM-prev'"),
        ("suite mini --benchmarks mini-m2d", "'mini-m2d2'"),
        ("suite mini --seeds 5:2", "--seeds 5:2"),
        ("suite mini --seeds a:b", "--seeds a:b"),
        ("suite mini --seeds 0:1:2", "--seeds"),
        ("suite mini --seeds=-1", "--seeds"),
        ("suite mini --jobs 0", "--jobs"),
        ("suite mini --fulll", "--full"),
        ("suite mini --benchmarks mini-xnli --methods SGD", "SGD"),
        ("prepare mini-visio", "'mini-vision'"),
        ("validate nowhere", "nowhere"),
        ("migrate nowhere", "nowhere"),
        ("lst", "'list'"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest_and_writes_nothing(
    arguments: str, nearest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAM_CACHE", str(tmp_path / "cache"))
    found = call(*arguments.split())
    assert found.exit_code == 2
    assert nearest in found.stderr
    assert "Traceback" not in found.output
    assert found.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["suite mini", "calibrate m2d2-wiki"])
def test_what_is_one_process_is_not_started_as_several(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    found = call(*command.split())
    assert found.exit_code == 2
    assert "torchrun and srun start several of `run`" in found.stderr


# ------------------------------------------------------------------------------------------------------ real processes


def benchmarks(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)


def test_a_suite_goes_on_past_failures_and_names_them(python_with_tiny_rows: dict[str, str], tmp_path: Path) -> None:
    """One process: all that a suite meets. Then once more: what is done is done, what is broken is said again."""
    results = tmp_path / "results"
    broken = Run("tiny", "tiny-slow", "SGD", 0).path(results)
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    command = ("suite", "tiny", "--results", str(results), "--jobs", "1", "--methods", "SGD")
    first = benchmarks(python_with_tiny_rows, *command)
    assert first.returncode == 1
    done = Run("tiny", "tiny-points", "SGD", 0)
    assert read_record(done.path(results)).run == done
    assert sorted(path.name for path in results.rglob("*") if path.is_file()) == [
        "seed-0.json", "seed-0.json", "seed-0.metrics.jsonl"
    ]  # fmt: skip
    assert broken.read_text() == "{"
    for message in (
        r"seed-0\.json: not readable as JSON .* Delete the file",
        r"tiny-explodes SGD seed 0: .*the loss is nan at step 7",
        r"tiny-dies SGD seed 0: .*SIGKILL",
        r"prepare tiny-broken: FileNotFoundError: the data of this family are not there",
        r"tiny-unprepared SGD seed 0: not started, as prepare tiny-broken failed",
        r"5 jobs failed",
    ):
        assert re.search(message, first.stderr), message
    assert "5 runs, 1 new, 0 done before" in first.stdout

    began = time.monotonic()
    again = benchmarks(python_with_tiny_rows, *command[:-2], "--methods", "SGD", "--benchmarks", "tiny-points")
    assert again.returncode == 0
    assert "1 run, 0 new, 1 done before" in again.stdout
    assert time.monotonic() - began < 10

    found = benchmarks(python_with_tiny_rows, "validate", str(results))
    assert found.returncode == 1
    assert "1 valid record, 1 not valid" in found.stdout
    assert str(broken) in found.stderr


def test_ctrl_c_keeps_what_is_done_and_ends_everything(python_with_tiny_rows: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C on a terminal reaches the whole process group, here while a worker is busy."""
    results, sign = tmp_path / "results", tmp_path / "busy"
    done = Run("endless", "tiny-points", "SGD", 0).path(results)
    done.parent.mkdir(parents=True)
    done.write_text(a_record(done).model_dump_json())
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "suite", "endless", "--methods", "SGD", "--results", str(results)],
        env=python_with_tiny_rows | {"TINY_SIGN": str(sign)},
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + 60
        while not sign.exists() and child.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert sign.exists()
        os.killpg(child.pid, signal.SIGINT)
        sent = time.monotonic()
        _, errors = child.communicate(timeout=30)
        took = time.monotonic() - sent
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
    assert child.returncode == 130
    assert took < 2
    assert "1 run to do, 1 done before" in errors
    assert "the same command resumes" in errors
    assert "Traceback" not in errors
    assert [path for path in results.rglob("*") if path.is_file()] == [done]
    end = time.monotonic() + 5
    while (left := alive_in_group(child.pid)) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == []


def a_record(path: Path) -> Record:
    """A valid record that belongs at `path`."""
    suite, benchmark, method, seed = path.parts[-4:]
    return Record(
        suite=suite,
        benchmark=benchmark,
        method=method,
        seed=int(seed.removeprefix("seed-").removesuffix(".json")),
        method_fields=dict(fields_by_method()[method]),
        recipe=asdict(tiny_rows.RECIPE) | {"betas": list(tiny_rows.RECIPE.betas)},
        metrics={"test/accuracy/home": 50.0, "test/accuracy/away": 40.0},
        distance=None,
        perturbation_norm=None,
        degenerate_steps=0,
        selected_step=tiny_rows.RECIPE.steps,
        passes=Passes(forward=1, backward=1),
        seconds=Seconds(prepare=0, train=0, evaluate=0),
        peak_memory_bytes=0,
        revisions={},
        environment=dict.fromkeys(ENVIRONMENT),
    )


def alive_in_group(group: int) -> list[int]:
    """A process that has ended may wait as a zombie for whoever adopted it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if process.status() != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == group:
                found.append(process.pid)
    return found
