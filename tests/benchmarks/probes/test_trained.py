"""A run's model, had again: from the cache, or by the same training, and only if it is the one of the record."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from benchmarks import run as run_module
from benchmarks.checkpoint import weights
from benchmarks.errors import RunError
from benchmarks.evaluation import score
from benchmarks.execution import Execution
from benchmarks.probes.trained import trained
from benchmarks.probes.weights import weights_folder, whole
from benchmarks.record import Record, Run, read_record
from benchmarks.run import execute
from benchmarks.task import silent
from tests.benchmarks import tiny_tasks

pytestmark = pytest.mark.usefixtures("tiny")

POINTS = Run("tiny", "tiny-points", "TRAM-x", 0)
STILL = Run("tiny", "tiny-still", "SGD", 1)
HERE = Execution()


def refuse_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(run_module, "train", refuse)


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def changed(record: Record, results: Path, key: str, change: Callable[[float], float]) -> Path:
    """The record's file, with one of its scores changed."""
    path = record.run.path(results)
    content = json.loads(path.read_text())
    content["metrics"][key] = change(content["metrics"][key])
    path.write_text(json.dumps(content))
    return path


def test_the_model_scores_what_the_record_says(tmp_path: Path) -> None:
    record = execute(POINTS, tmp_path, HERE, silent)
    model = trained(POINTS, tmp_path, HERE, silent)
    for domain, examples in model.task.test.items():
        assert score(model.task, examples, 128).nll == record.metrics[f"test/nll/{domain}"]
    assert equal(model.after, weights(model.task.model))
    assert equal(model.before, weights(tiny_tasks.points(seed=0).model))
    assert not equal(model.before, model.after)
    assert model.task.model.training


def test_it_is_trained_once_and_then_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(POINTS, tmp_path, HERE, silent)
    first = trained(POINTS, tmp_path, HERE, silent)
    refuse_training(monkeypatch)
    again = trained(POINTS, tmp_path, HERE, silent)
    assert equal(first.after, again.after)
    assert equal(first.before, again.before)
    assert first.weights_digest == again.weights_digest
    other_suite = Run("other", POINTS.benchmark, POINTS.method, POINTS.seed)
    other_suite.path(tmp_path).parent.mkdir(parents=True)
    text = POINTS.path(tmp_path).read_text().replace('"suite": "tiny"', '"suite": "other"')
    other_suite.path(tmp_path).write_text(text)
    assert equal(trained(other_suite, tmp_path, HERE, silent).after, first.after)


def test_a_run_can_keep_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = execute(POINTS, tmp_path / "kept", Execution(keep_weights=True), silent)
    not_kept = execute(POINTS, tmp_path / "not kept", HERE, silent)
    assert kept.metrics == not_kept.metrics
    refuse_training(monkeypatch)
    found = trained(POINTS, tmp_path / "kept", HERE, silent)
    assert score(found.task, found.task.test["away"], 128).nll == kept.metrics["test/nll/away"]


def test_without_being_asked_a_run_keeps_nothing(tmp_path: Path) -> None:
    record = execute(POINTS, tmp_path, HERE, silent)
    assert not weights_folder(record).exists()


@pytest.mark.parametrize("domain", ["home", "away"])
def test_a_model_that_is_not_the_one_of_the_record_is_refused(domain: str, tmp_path: Path) -> None:
    record = execute(POINTS, tmp_path, HERE, silent)
    path = changed(record, tmp_path, f"test/nll/{domain}", lambda nll: nll + 1e-4)
    with pytest.raises(RunError, match=rf"trained again, test/nll/{domain} is .*, and its record has .*--keep-weights"):
        trained(POINTS, tmp_path, HERE, silent)
    assert not weights_folder(read_record(path)).exists()


def test_the_rounding_of_a_sum_is_no_other_model(tmp_path: Path) -> None:
    record = execute(POINTS, tmp_path, HERE, silent)
    changed(record, tmp_path, "test/nll/away", lambda nll: nll * (1 + 1e-8))
    trained(POINTS, tmp_path, HERE, silent)


def test_a_score_that_is_not_a_number_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(POINTS, tmp_path, HERE, silent)
    monkeypatch.setattr(
        run_module, "evaluate", lambda *arguments: {"test/nll/home": float("nan"), "test/nll/away": 1.0}
    )
    with pytest.raises(RunError, match="trained again"):
        trained(POINTS, tmp_path, HERE, silent)


def test_a_run_without_a_record_is_named_with_its_command(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no such record.*python -m benchmarks run tiny-points TRAM-x --seed 0"):
        trained(POINTS, tmp_path, HERE, silent)


def test_an_interrupted_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """It keeps the weights of the lowest validation nll; checkpoints are made every 5 steps of 60."""
    record = execute(STILL, tmp_path, HERE, silent)
    steps: list[int] = []

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "train" and done == 22:
            raise KeyboardInterrupt

    def note(stage: str, done: int, total: int) -> None:
        steps.extend([done] if stage == "train" else [])

    with pytest.raises(KeyboardInterrupt):
        trained(STILL, tmp_path, HERE, interrupt)
    model = trained(STILL, tmp_path, HERE, note)
    assert steps[0] == 21
    assert score(model.task, model.task.test["home"], 128).nll == record.metrics["test/nll/home"]
    assert [path.name for path in (tmp_path / "cache").glob("*checkpoint*")] == []


def test_sharded_weights_are_gathered(tmp_path: Path) -> None:
    from torch.distributed.fsdp import fully_shard

    model = tiny_tasks.Points(dropout=0.0)
    expected = {name: param.detach().clone() for name, param in model.named_parameters()}
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        fully_shard(model, mesh=dist.device_mesh.init_device_mesh("cpu", (1,)))
        found = whole(model)
    finally:
        dist.destroy_process_group()
    assert equal(found, expected)
    assert {type(tensor) for tensor in found.values()} == {Tensor}
