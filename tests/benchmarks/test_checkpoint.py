"""A run that was interrupted, however, ends with the bits of one that was not."""

import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import run as run_module
from benchmarks.checkpoint import Checkpoints, random_states, set_random_states
from benchmarks.errors import RunError
from benchmarks.execution import Execution
from benchmarks.method_fields import first_difference
from benchmarks.methods import resolve
from benchmarks.record import Record, Run, read_record
from benchmarks.registry import BENCHMARKS
from benchmarks.row import Recipe
from benchmarks.run import execute
from benchmarks.stopping import StoppedError, StopRequest
from benchmarks.suites import SUITES
from benchmarks.task import Task, silent
from benchmarks.training import Training, train
from tests.benchmarks import tiny_rows
from tests.benchmarks.tiny_rows import RECIPE
from tests.benchmarks.tiny_tasks import examples, points
from tram import METHODS

ROOT = Path(__file__).parents[2]
WATCHED = replace(RECIPE, evaluation_every=4, selection="validation", steps=13)
ADAM = replace(WATCHED, base_optimizer="Adam", lr=0.01, schedule="linear", warmup_steps=3, micro_batches=2)
VARIANTS = ("TRAM-pre@maximum=validation", "TRAM-x@scale=fall", "TRAM-prev@decay=0.9", "TRAM-x@dropout=shared")


def sequence(seed: int) -> Task:
    task = points(seed)
    return replace(task, sequence={"away": examples(30, seed=5, shift=0.5)}, test=task.test)


def whole(task: Task, recipe: Recipe, method: str) -> tuple[Task, Training]:
    return task, train(task, recipe, resolve(method), 3, silent)


def stopped_at(
    steps: tuple[int, ...], make: Any, recipe: Recipe, method: str, folder: Path, execution: Execution
) -> tuple[Task, Training]:
    """The same run in several pieces, each of a new task, in a process whose random state is another each time."""
    for step in steps:
        stop = StopRequest()
        if step == 1:
            stop.ask(signal.SIGTERM, None)

        def ask(stage: str, done: int, total: int, step: int = step, stop: StopRequest = stop) -> None:
            if done == step - 1:
                stop.ask(signal.SIGTERM, None)

        checkpoints = Checkpoints(folder, {"run": "one"})
        with pytest.raises(StoppedError, match=f"stopped at step {step} of .* by SIGTERM"):
            train(make(3), recipe, resolve(method), 3, ask, execution=execution, checkpoints=checkpoints, stop=stop)
        torch.rand(step)
        random.random()
        np.random.rand()
    task = make(3)
    result = train(
        task, recipe, resolve(method), 3, silent, execution=execution, checkpoints=Checkpoints(folder, {"run": "one"})
    )
    return task, result


def assert_same(left: tuple[Task, Training], right: tuple[Task, Training]) -> None:
    assert replace(left[1], seconds=0, resumed=0) == replace(right[1], seconds=0, resumed=0)
    states = [dict(task.model.state_dict()) for task, _ in (left, right)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("method", [*METHODS, *VARIANTS])
@pytest.mark.parametrize("recipe", [WATCHED, ADAM], ids=["SGD", "Adam"])
def test_a_run_stopped_and_taken_up_is_bit_identical(method: str, recipe: Recipe, tmp_path: Path) -> None:
    expected = whole(points(3), recipe, method)
    found = stopped_at((2, 9), points, recipe, method, tmp_path, Execution())
    assert_same(found, expected)
    assert found[1].resumed == 2


@pytest.mark.parametrize("stop", [1, 12, 13, 14, 26])
def test_a_sequence_of_domains_is_taken_up_in_the_domain_where_it_was(stop: int, tmp_path: Path) -> None:
    expected = whole(sequence(3), WATCHED, "MESA")
    assert_same(stopped_at((stop,), sequence, WATCHED, "MESA", tmp_path, Execution()), expected)
    assert set(expected[1].stages) == {
        f"after home/{metric}/{domain}" for metric in ("nll", "accuracy") for domain in ("home", "away")
    }


def test_kept_reference_logits_are_in_the_checkpoint(tmp_path: Path) -> None:
    recipe = replace(ADAM, keep_reference=True)
    expected = whole(points(3), recipe, "TRAM-pre")
    assert_same(stopped_at((3, 11), points, recipe, "TRAM-pre", tmp_path, Execution()), expected)
    assert expected[1].passes == (2, 2)


def test_every_random_state_comes_back() -> None:
    states = random_states()
    drawn = torch.rand(3).tolist(), np.random.rand(3).tolist(), [random.random() for _ in range(3)], random.gauss(0, 1)
    set_random_states(states)
    again = torch.rand(3).tolist(), np.random.rand(3).tolist(), [random.random() for _ in range(3)], random.gauss(0, 1)
    assert again == drawn


# ----------------------------------------------------------------------------------------------------- what is on disk


def periodic(folder: Path, identity: Mapping[str, Any], recipe: Recipe = RECIPE) -> Training:
    recipe = replace(recipe, checkpoint_every=3)
    return train(points(3), recipe, resolve("TRAM-prev"), 3, silent, checkpoints=Checkpoints(folder, identity))


def steps_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    periodic(tmp_path, {})
    assert steps_in(tmp_path) == ["step-00000009", "step-00000012"]


def test_a_run_whose_training_ended_is_not_trained_again(tmp_path: Path) -> None:
    first = periodic(tmp_path, {})
    again = periodic(tmp_path, {})
    assert replace(again, seconds=0, resumed=0) == replace(first, seconds=0)


def test_a_checkpoint_cut_short_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    expected = periodic(tmp_path, {})
    newest = tmp_path / "step-00000012" / "rank-0.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    state = Checkpoints(tmp_path, {}).latest()
    assert state is not None
    assert state["shared"]["step"] == 9
    assert replace(periodic(tmp_path, {}), seconds=0, resumed=0) == replace(expected, seconds=0)


def test_bits_that_a_disk_lost_are_noticed(tmp_path: Path) -> None:
    periodic(tmp_path, {})
    newest = tmp_path / "step-00000012" / "rank-0.pt"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    state = Checkpoints(tmp_path, {}).latest()
    assert state is not None
    assert state["shared"]["step"] == 9


def test_a_checkpoint_of_other_code_is_named(tmp_path: Path) -> None:
    Checkpoints(tmp_path, {}).save(3, {"step": 3})
    with pytest.raises(RunError, match=r"was written by other code \(KeyError: 'weights'\). Delete the folder"):
        periodic(tmp_path, {})


def test_what_a_killed_process_was_writing_is_no_checkpoint(tmp_path: Path) -> None:
    periodic(tmp_path, {})
    (tmp_path / "step-00000012").rename(tmp_path / ".step-00000012")
    state = Checkpoints(tmp_path, {}).latest()
    assert state is not None
    assert state["shared"]["step"] == 9
    assert Checkpoints(tmp_path / "none", {}).latest() is None


def test_checkpoints_none_of_which_can_be_read_are_named_and_kept(tmp_path: Path) -> None:
    periodic(tmp_path, {})
    for path in tmp_path.rglob("rank-0.pt"):
        path.write_bytes(b"")
    with pytest.raises(RunError, match=r"no checkpoint can be read: step-00000012, step-00000009\. Delete the folder"):
        Checkpoints(tmp_path, {}).latest()
    assert len(steps_in(tmp_path)) == 2


class Harmful:
    """What a pickle could hold."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('unpickled')",))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    (tmp_path / "step-00000001").mkdir()
    harmful = tmp_path / "step-00000001" / "rank-0.pt"
    torch.save({"shared": Harmful()}, harmful)
    harmful.with_suffix(".sha256").write_text(hashlib.sha256(harmful.read_bytes()).hexdigest())
    with pytest.raises(RunError, match="no checkpoint can be read"):
        Checkpoints(tmp_path, {}).latest()


def test_a_checkpoint_of_another_run_is_refused_by_the_name_of_the_difference(tmp_path: Path) -> None:
    periodic(tmp_path, {"recipe": {"lr": 0.1, "steps": 3}, "method": "SAM"})
    with pytest.raises(RunError, match=r"made with recipe\.lr = 0\.1, and this run has 0\.2.*delete the folder"):
        Checkpoints(tmp_path, {"recipe": {"lr": 0.2, "steps": 3}, "method": "SAM"}).latest()


def test_first_difference() -> None:
    left = {"a": 1, "b": {"c": [1, 2], "d": 3}}
    assert first_difference(left, {"a": 1, "b": {"c": [1, 2], "d": 3}}) is None
    assert first_difference(left, {"a": 1, "b": {"c": [1, 3], "d": 4}}) == ("b.c", [1, 2], [1, 3])
    assert first_difference(left, {"a": 1, "b": {"c": [1, 2]}}) == ("b.d", 3, None)


# ------------------------------------------------------------------------------------------------------ real processes


@pytest.fixture
def _tiny_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for row in tiny_rows.ROWS:
        monkeypatch.setitem(BENCHMARKS, row.name, row)
    monkeypatch.setitem(SUITES, "tiny", tiny_rows.SUITE)
    monkeypatch.setenv("TRAM_CACHE", str(tmp_path / "cache"))


LONG = Run("tiny", "tiny-long", "TRAM-prev", 0)


def started(results: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks", "run", LONG.benchmark, LONG.method, "--seed", "0", "--suite", "tiny"]
    return subprocess.Popen(
        [*command, "--results", str(results)],
        env=environment | {"TINY_PAUSE": "0.01"},
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for_step(results: Path, step: int, child: subprocess.Popen[str]) -> None:
    folder, end = LONG.checkpoints(results), time.monotonic() + 120
    while not any(int(path.name[5:]) >= step for path in folder.glob("step-*")):
        assert child.poll() is None, child.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.005)


def same_bits(record: Record) -> dict[str, Any]:
    found = record.model_dump(exclude={"seconds", "peak_memory_bytes"})
    found["environment"].pop("resumed")
    return found


@pytest.mark.usefixtures("_tiny_rows")
def test_a_run_killed_again_and_again_makes_the_same_record(
    tmp_path: Path, python_with_tiny_rows: dict[str, str]
) -> None:
    """By SIGKILL, somewhere after a checkpoint; then politely, by a scheduler and by Ctrl-C; then left alone."""
    results = tmp_path / "results"
    child = started(results, python_with_tiny_rows)
    wait_for_step(results, 20, child)
    time.sleep(random.random() / 20)
    child.kill()
    child.communicate()
    assert not LONG.path(results).exists()
    for step, number, code in ((80, signal.SIGUSR1, 75), (140, signal.SIGINT, 130)):
        child = started(results, python_with_tiny_rows)
        wait_for_step(results, step, child)
        child.send_signal(number)
        _, errors = child.communicate(timeout=60)
        assert child.returncode == code
        assert "after a checkpoint: the same command goes on from there" in errors
        assert "Traceback" not in errors
    child = started(results, python_with_tiny_rows)
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 0, errors
    found = read_record(LONG.path(results))
    assert found.environment["resumed"] == 3
    assert same_bits(found) == same_bits(execute(LONG, tmp_path / "whole", Execution(), silent))
    assert not LONG.checkpoints(results).exists()


@pytest.mark.usefixtures("_tiny_rows")
def test_handlers_are_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]
    during: list[Any] = []
    trained = run_module.train

    def watched(*arguments: Any, **named: Any) -> Training:
        during.append([signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)])
        return trained(*arguments, **named)

    monkeypatch.setattr(run_module, "train", watched)
    execute(Run("tiny", "tiny-points", "SGD", 0), tmp_path, Execution(), silent)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)] == before
    assert during[0] != before


def test_a_second_ctrl_c_does_not_wait() -> None:
    request = StopRequest()
    request.ask(signal.SIGINT, None)
    assert request.by == "SIGINT"
    with pytest.raises(KeyboardInterrupt):
        request.ask(signal.SIGINT, None)
