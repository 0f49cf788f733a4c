"""From a run's four names to its record, and what is left when that goes wrong."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import run as run_module
from benchmarks import storage
from benchmarks.errors import NonFiniteError, StorageError
from benchmarks.execution import Execution
from benchmarks.record import Record, RecordError, Run, read_record
from benchmarks.registry import BENCHMARKS
from benchmarks.run import described, execute, step_statistics
from benchmarks.suites import SUITES
from benchmarks.training import lr_factor
from tests.benchmarks import tiny_rows
from tram import METHODS

HERE = Execution()
POINTS = Run("tiny", "tiny-points", "TRAM-x", 0)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _tiny_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for row in tiny_rows.ROWS:
        monkeypatch.setitem(BENCHMARKS, row.name, row)
    monkeypatch.setitem(SUITES, "tiny", tiny_rows.SUITE)
    monkeypatch.setenv("TRAM_CACHE", str(tmp_path / "cache"))


def silent(step: str, done: int, total: int) -> None:
    pass


def same_bits(record: Record) -> dict[str, Any]:
    """All of a record but how long it took and how much memory its process held."""
    return record.model_dump(exclude={"seconds", "peak_memory_bytes"})


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# -------------------------------------------------------------------------------------------------------- what is made


def test_a_run_leaves_its_record_and_its_curve(tmp_path: Path) -> None:
    record = execute(POINTS, tmp_path, HERE, silent)
    assert files(tmp_path) == [f"tiny/tiny-points/TRAM-x/seed-0.{end}" for end in ("json", "metrics.jsonl")]
    assert read_record(POINTS.path(tmp_path)) == record
    assert set(record.metrics) == {
        f"{where}/{metric}/{domain}"
        for where, domain in (("validation", "home"), ("test", "home"), ("test", "away"))
        for metric in ("nll", "accuracy")
    }
    assert record.run == POINTS
    assert (record.passes.forward, record.passes.backward) == (3, 2)
    assert record.environment["threads"] == 1
    assert record.revisions == {"points": "1"}
    assert record.peak_memory_bytes > 2**20


def test_statistics_are_those_of_the_curve(tmp_path: Path) -> None:
    record = execute(POINTS, tmp_path, HERE, silent)
    lines = [json.loads(line) for line in storage.curve_path(POINTS.path(tmp_path)).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert [line["lr"] for line in lines] == [0.1 * lr_factor(tiny_rows.RECIPE, step) for step in range(12)]
    assert set(lines[0]) == {"step", "lr", "loss", "distance", "radius", "perturbation_norm"}
    for name in ("distance", "perturbation_norm"):
        statistics, values = getattr(record, name), sorted(line[name] for line in lines)
        assert (statistics.first, statistics.last) == (lines[0][name], lines[-1][name])
        assert statistics.maximum == values[-1]
        assert statistics.median == pytest.approx((values[5] + values[6]) / 2)
        assert statistics.mean == pytest.approx(sum(values) / 12)
        assert statistics.share_zero == 0


def test_a_plain_method_has_no_distance_and_no_perturbation(tmp_path: Path) -> None:
    record = execute(Run("tiny", "tiny-points", "SGD", 0), tmp_path, HERE, silent)
    assert record.distance is None
    assert record.perturbation_norm is None
    assert record.degenerate_steps == 0


def test_step_statistics_of_a_case_made_by_hand() -> None:
    found = step_statistics([0.0, 4.0, float("nan"), 1.0, 0.0, 5.0])
    assert found is not None
    assert found.model_dump() == {
        "first": 0.0, "median": 1.0, "mean": 2.0, "maximum": 5.0, "last": 5.0, "share_zero": 0.4
    }  # fmt: skip
    assert step_statistics([]) is None
    assert step_statistics([float("inf")]) is None


def test_a_method_is_readable_without_the_code() -> None:
    assert described(METHODS["TRAM-prev"]) == {
        "type": "Method",
        "trust_region": {
            "type": "TrustRegion",
            "reference": {"type": "PastWeights", "decay": 0.0, "dropout": "off"},
            "divergence": {"type": "ForwardKL"},
            "reduction": "batchmean",
            "scale": 1.0,
            "floor": 0.0,
            "maximum": None,
        },
        "penalty": 0.0,
        "ascent": {
            "type": "Ascent",
            "geometry": {"type": "Adaptive", "eta": 0.0, "scale_vectors": True},
            "radius": "d",
            "noise_std": 0.0,
            "noise_relative": False,
            "fisher_gradient": "shared",
        },
    }
    for method in METHODS.values():
        assert json.loads(json.dumps(described(method))) == described(method)


def test_a_run_is_the_same_bits_whatever_its_process_did_before(tmp_path: Path) -> None:
    first = execute(POINTS, tmp_path / "first", HERE, silent)
    execute(Run("tiny", "tiny-points", "MESA", 1), tmp_path / "first", HERE, silent)
    second = execute(POINTS, tmp_path / "second", HERE, silent)
    assert same_bits(first) == same_bits(second)
    curves = [storage.curve_path(POINTS.path(tmp_path / name)).read_bytes() for name in ("first", "second")]
    assert curves[0] == curves[1]


def test_a_finished_run_is_read_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = execute(POINTS, tmp_path, HERE, silent)
    before = POINTS.path(tmp_path).stat()
    monkeypatch.setattr(run_module, "train", None)
    assert execute(POINTS, tmp_path, HERE, silent) == record
    assert POINTS.path(tmp_path).stat() == before


# ----------------------------------------------------------------------------------------------------- what goes wrong


def test_a_loss_that_becomes_nan_leaves_no_record_and_names_the_step(tmp_path: Path) -> None:
    run = Run("tiny", "tiny-explodes", "SGD", 0)
    with pytest.raises(NonFiniteError, match="tiny-explodes SGD seed 0: the loss is nan at step 7"):
        execute(run, tmp_path, HERE, silent)
    assert files(tmp_path) == []


def test_a_metric_that_is_not_finite_leaves_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "evaluate", lambda *_, **__: {"test/nll/home": 1.0, "test/nll/away": float("nan")})
    with pytest.raises(NonFiniteError, match="TRAM-x seed 0: test/nll/away is nan after the last step"):
        execute(POINTS, tmp_path, HERE, silent)
    assert files(tmp_path) == []


@pytest.mark.parametrize("damage", ["truncated", "other schema", "contradicting", "empty"])
def test_a_bad_record_is_neither_done_nor_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    record = execute(POINTS, tmp_path, HERE, silent)
    path = POINTS.path(tmp_path)
    text = {
        "truncated": path.read_text()[:-40],
        "other schema": path.read_text().replace('"schema_version": 2', '"schema_version": 1'),
        "contradicting": record.model_copy(update={"seed": 1}).model_dump_json(),
        "empty": "",
    }[damage]
    path.write_text(text)
    monkeypatch.setattr(run_module, "train", None)
    with pytest.raises(RecordError, match=r"seed-0\.json.*(Delete|Move|migrate)"):
        execute(POINTS, tmp_path, HERE, silent)
    assert path.read_text() == text


@pytest.fixture
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "train", None)


@pytest.mark.usefixtures("_nothing_runs")
def test_a_results_folder_that_cannot_be_written_stops_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file/tiny.*cannot be written.*--results"):
        execute(POINTS, tmp_path / "file", HERE, silent)


@pytest.mark.usefixtures("_nothing_runs")
@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_refuses_files_stops_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(storage.tempfile, "TemporaryFile", refuse)
    with pytest.raises(StorageError, match=os.strerror(code)):
        execute(POINTS, tmp_path, HERE, silent)


@pytest.mark.usefixtures("_nothing_runs")
def test_a_disk_that_is_nearly_full_stops_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 2**20, 2**20)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StorageError, match="only 1 MiB are free"):
        execute(POINTS, tmp_path, HERE, silent)


@pytest.fixture
def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A results folder whose disk is full once the run has trained: fsync fails for the files in it."""
    results, fsync, trained = tmp_path / "results", os.fsync, run_module.train

    def failing(handle: int) -> None:
        if str(Path(f"/proc/self/fd/{handle}").readlink()).startswith(str(results)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    def train_then_fill(*arguments: Any, **named: Any) -> Any:
        result = trained(*arguments, **named)
        monkeypatch.setattr(os, "fsync", failing)
        return result

    monkeypatch.setattr(run_module, "train", train_then_fill)
    return results


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to tell one disk from another")
def test_a_disk_that_fills_up_during_the_run_loses_nothing(tmp_path: Path, full_disk: Path) -> None:
    with pytest.raises(StorageError, match="No space left on device") as caught:
        execute(POINTS, full_disk, HERE, silent)
    assert files(full_disk) == []
    (saved,) = (tmp_path / "cache").glob("unsaved-results-*")
    assert str(saved) in str(caught.value)
    record = read_record(POINTS.path(saved))
    assert storage.curve_path(POINTS.path(saved)).read_text().count("\n") == 12
    # What the message says to type completes the results.
    command = str(caught.value).partition("type: ")[2]
    subprocess.run(command, shell=True, check=True)
    assert execute(POINTS, full_disk, HERE, silent) == record


def test_a_record_that_can_be_saved_nowhere_is_in_the_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(storage, "write_atomically", full)
    with pytest.raises(StorageError) as caught:
        execute(POINTS, tmp_path, HERE, silent)
    record = Record.model_validate_json(str(caught.value).splitlines()[-1])
    assert record.run == POINTS


# ------------------------------------------------------------------------------------------------------- interruptions


def test_a_run_killed_in_flight_leaves_nothing_and_the_next_one_is_bit_identical(
    tmp_path: Path, python_with_tiny_rows: dict[str, str]
) -> None:
    run = Run("tiny", "tiny-slow", "TRAM-prev", 0)
    command = [sys.executable, "-m", "benchmarks", "run", "tiny-slow", "TRAM-prev", "--seed", "0"]
    child = subprocess.Popen(
        [*command, "--suite", "tiny", "--results", str(tmp_path / "killed")],
        env={**python_with_tiny_rows, "TINY_PAUSE": "0.2", "TINY_SIGN": str(tmp_path / "training")},
        cwd=ROOT,
    )
    try:
        end = time.monotonic() + 120
        while not (tmp_path / "training").exists() and child.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert (tmp_path / "training").exists()
    finally:
        child.kill()
    assert child.wait() == -signal.SIGKILL
    assert files(tmp_path / "killed") == []
    resumed = execute(run, tmp_path / "killed", HERE, silent)
    assert same_bits(resumed) == same_bits(execute(run, tmp_path / "whole", HERE, silent))
