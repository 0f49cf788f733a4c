"""Who a process is, by what started it; and several processes that share a run end where one does."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.errors import RunError
from benchmarks.execution import Execution
from benchmarks.processes import Processes, first_host, processes
from benchmarks.record import Record, Run, read_record
from benchmarks.registry import BENCHMARKS
from benchmarks.run import execute
from benchmarks.stopping import STOPPED
from benchmarks.task import silent
from tests.benchmarks import tiny_rows

ROOT = Path(__file__).parents[2]
STEP = {
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
}
OF_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
NAMES = (*OF_TORCHRUN, *STEP, "SLURM_NTASKS", "CUDA_VISIBLE_DEVICES")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_alone(environment: pytest.MonkeyPatch) -> None:
    assert processes() == Processes(0, 1, 0, "ddp")
    assert processes().is_first
    assert not processes().are_many


def test_torchrun(environment: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}.items():
        environment.setenv(name, value)
    assert processes("fsdp2") == Processes(5, 8, 1, "fsdp2")


def test_a_slurm_step_of_several_tasks(environment: pytest.MonkeyPatch) -> None:
    for name, value in STEP.items():
        environment.setenv(name, value)
    assert processes() == Processes(3, 4, 1)
    assert os.environ["MASTER_ADDR"] == "gpu07"
    assert 29_500 <= int(os.environ["MASTER_PORT"]) < 49_500


def test_a_task_that_sees_one_gpu_takes_it(environment: pytest.MonkeyPatch) -> None:
    for visible, local in (("3", 0), ("0,1,2,3", 1)):
        for name, value in (STEP | {"CUDA_VISIBLE_DEVICES": visible}).items():
            environment.setenv(name, value)
        assert processes().local == local


def test_an_allocation_is_not_a_step(environment: pytest.MonkeyPatch) -> None:
    """A batch script of an allocation of four tasks runs once."""
    environment.setenv("SLURM_NTASKS", "4")
    environment.setenv("SLURM_PROCID", "0")
    environment.setenv("SLURM_JOB_ID", "4711")
    assert processes() == Processes()


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("node3", "node3"), ("gpu[07-08,11]", "gpu07"), ("a-1,b-[2-3]", "a-1"), ("n[5],m2", "n5"), ("c1n[1-2]", "c1n1")],
)
def test_the_first_host_of_a_list(nodes: str, first: str) -> None:
    assert first_host(nodes) == first


def test_no_host_is_named() -> None:
    with pytest.raises(RunError, match="names no host"):
        first_host("[1-2]")


# ------------------------------------------------------------------------------------------------------ two processes


def together(run: Run, results: Path, environment: dict[str, str], *options: str) -> list[subprocess.Popen[str]]:
    """Two processes as torchrun would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks", "run", run.benchmark, run.method, "--seed", str(run.seed)]
    command += ["--suite", run.suite, "--results", str(results), *options]
    names = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            command,
            env=environment | names | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]


def ended(children: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    found = []
    for child in children:
        try:
            output, errors = child.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            for other in children:
                other.kill()
            raise
        found.append((child.returncode, output, errors))
    return found


def nll(record: Record) -> dict[str, float]:
    return {name: value for name, value in record.metrics.items() if "nll" in name}


@pytest.mark.parametrize("parallel", ["ddp", "fsdp2"])
def test_two_processes_make_the_record_of_one(
    parallel: str, tmp_path: Path, python_with_tiny_rows: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when they are stopped, by a signal that reaches one of them only, or killed, and started again.

    Every checkpoint is made right after the validation set was scored, for which sharded weights were gathered. No
    dropout and no noise, for what is random is each process's own. The batches, and so d, are shared out.
    """
    run, options = Run("tiny", "tiny-still", "TRAM-prev", 0), ("--parallel", parallel, "--micro-batches", "2")
    monkeypatch.setitem(BENCHMARKS, run.benchmark, next(row for row in tiny_rows.ROWS if row.name == run.benchmark))
    one = execute(run, tmp_path / "one", Execution(), silent)
    results = tmp_path / "two"
    children = together(run, results, python_with_tiny_rows | {"TINY_PAUSE": "0.02"}, *options)
    wait_for_step(run.checkpoints(results), 10, children[0])
    if parallel == "ddp":
        children[1].send_signal(signal.SIGTERM)
        for code, _, errors in ended(children):
            assert code == STOPPED, errors
            assert "after a checkpoint: the same command goes on" in errors
    else:
        children[1].kill()
        code, _, errors = ended(children)[0]
        assert code == 1
        assert "process 0 lost the others" in errors
        assert "Traceback" not in errors
        newest = max(run.checkpoints(results).glob("step-*")) / "rank-1.pt"
        newest.write_bytes(newest.read_bytes()[:-100])  # of one process only: both go on from the one before
    (first, second) = ended(together(run, results, python_with_tiny_rows, *options))
    assert first[0] == second[0] == 0, first[2] + second[2]
    assert "test/accuracy/home" in first[1]
    assert second[1:] == ("", "")
    two = read_record(run.path(results))
    assert nll(two) == pytest.approx(nll(one), rel=1e-5)
    assert one.distance is not None
    assert two.distance is not None
    assert two.distance.mean == pytest.approx(one.distance.mean, rel=1e-4)
    assert two.passes == one.passes
    expected = {"processes": 2, "parallel": parallel, "resumed": 1}
    assert {name: two.environment[name] for name in expected} == expected
    assert two.recipe["micro_batches"] == 2


def wait_for_step(folder: Path, step: int, child: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 240
    while not any(int(path.name.removeprefix("step-")) >= step for path in folder.glob("step-*")):
        assert child.poll() is None, child.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.005)
