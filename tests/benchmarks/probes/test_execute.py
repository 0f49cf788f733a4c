"""From a run's record to those of its probes, and what is left when that goes wrong."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.checkpoint import weights
from benchmarks.errors import NonFiniteError, RunError
from benchmarks.execution import Execution
from benchmarks.probes import execute as execute_module
from benchmarks.probes.execute import execute, measured
from benchmarks.probes.parts import Part
from benchmarks.probes.probe import Measured, Work, restored
from benchmarks.probes.record import PROBES, ProbeRecord, probe_path, read_probe_records
from benchmarks.probes.selection import DEFAULT, applies, wanted
from benchmarks.probes.trained import Trained, trained
from benchmarks.record import RecordError, Run
from benchmarks.run import execute as run_it
from benchmarks.task import silent
from tests.benchmarks.probes import problems
from tests.benchmarks.probes.problems import Weights, task_of

pytestmark = pytest.mark.usefixtures("tiny")

TRAMX, SGD = Run("tiny", "tiny-points", "TRAM-x", 0), Run("tiny", "tiny-points", "SGD", 0)
HERE, ALL = Execution(), Part()


def same_bits(record: ProbeRecord) -> dict[str, Any]:
    return record.model_dump(exclude={"seconds", "peak_memory_bytes"})


def runs_in(results: Path) -> None:
    for run in (TRAMX, SGD):
        run_it(run, results, HERE, silent)


def test_every_probe_leaves_its_record_and_nothing_else(tmp_path: Path) -> None:
    results = tmp_path / "results"
    runs_in(results)
    execute(TRAMX, PROBES, results, HERE, ALL, silent)
    records, errors = read_probe_records(results)
    assert errors == []
    assert {record.probe for record in records} == set(PROBES)
    folder = TRAMX.path(results).with_suffix("")
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{probe}.json" for probe in PROBES)
    by_name = {record.probe: record for record in records}
    assert by_name["sharpness"].settings["box"] == "keskar"
    assert by_name["sharpness-connectivity"].settings["box"] == "connectivity"
    assert {key.split("/")[1] for key in by_name["spectrum"].metrics} == {"eigenvalue-1", "eigenvalue-2"}
    assert by_name["forgetting"].settings["data"] == "test set of home"
    assert set(by_name["surface-plane"].surface.points) == {"theta_0", "SGD", "TRAM-x"}  # type: ignore[union-attr]
    assert all(record.revisions["points"] == "1" for record in records)
    assert len({record.revisions["run"] for record in records}) == 1


def test_the_centre_of_a_surface_is_the_score_of_the_record(tmp_path: Path) -> None:
    """Of 33 examples at home 32 are looked at: the loss over those, and over all 21 away as the record has it."""
    record = run_it(TRAMX, tmp_path, HERE, silent)
    execute(TRAMX, ("surface-random",), tmp_path, HERE, ALL, silent)
    [probed], _ = read_probe_records(tmp_path)
    assert probed.surface is not None
    centre = len(probed.surface.losses["away"]) // 2
    assert probed.surface.losses["away"][centre] == pytest.approx(record.metrics["test/nll/away"], rel=1e-9)


def test_the_same_probe_gives_the_same_bits(tmp_path: Path) -> None:
    for name in ("one", "two"):
        runs_in(tmp_path / name)
        execute(TRAMX, PROBES, tmp_path / name, HERE, ALL, silent)
    first, again = ([same_bits(record) for record in read_probe_records(tmp_path / name)[0]] for name in ("one", "two"))
    assert first == again


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs_in(tmp_path)
    execute(TRAMX, ("cka",), tmp_path, HERE, ALL, silent)
    path = probe_path(TRAMX, "cka", tmp_path)
    before = path.stat().st_mtime_ns
    execute(TRAMX, ("cka", "forgetting"), tmp_path, HERE, ALL, silent)
    assert path.stat().st_mtime_ns == before
    monkeypatch.setattr(execute_module, "trained", None)
    execute(TRAMX, ("cka", "forgetting"), tmp_path, HERE, ALL, silent)


def test_a_record_made_with_other_settings_is_neither_done_nor_overwritten(tmp_path: Path) -> None:
    runs_in(tmp_path)
    execute(TRAMX, ("sharpness",), tmp_path, HERE, ALL, silent)
    path = probe_path(TRAMX, "sharpness", tmp_path)
    text = path.read_text().replace('"epsilon": 1e-05', '"epsilon": 0.001')
    path.write_text(text)
    with pytest.raises(
        RecordError, match=r"sharpness\.json: its settings have epsilon = 0\.001, and sharpness has 1e-05"
    ):
        execute(TRAMX, ("sharpness",), tmp_path, HERE, ALL, silent)
    assert path.read_text() == text


def test_a_probe_of_a_run_that_was_made_anew_is_neither_done_nor_overwritten(tmp_path: Path) -> None:
    runs_in(tmp_path)
    execute(TRAMX, ("cka",), tmp_path, HERE, ALL, silent)
    path = probe_path(TRAMX, "cka", tmp_path)
    content = json.loads(path.read_text())
    content["revisions"]["run"] = "0" * 16
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"cka\.json: the run was made anew since"):
        execute(TRAMX, ("cka",), tmp_path, HERE, ALL, silent)


def test_a_plane_needs_the_run_of_the_plain_method(tmp_path: Path) -> None:
    run_it(TRAMX, tmp_path, HERE, silent)
    with pytest.raises(RunError, match=r"SGD/seed-0\.json: no such record.*run tiny-points SGD --seed 0"):
        execute(TRAMX, ("surface-plane",), tmp_path, HERE, ALL, silent)


def test_a_part_of_a_surface_leaves_points_and_the_last_part_the_record(tmp_path: Path) -> None:
    run_it(TRAMX, tmp_path, HERE, silent)
    path = probe_path(TRAMX, "surface-line", tmp_path)
    execute(TRAMX, ("surface-line",), tmp_path, HERE, Part(2, 2), silent)
    assert [file.name for file in path.parent.iterdir()] == ["surface-line.points-2-of-2.jsonl"]
    execute(TRAMX, ("surface-line",), tmp_path, HERE, Part(1, 2), silent)
    assert [file.name for file in path.parent.iterdir()] == ["surface-line.json"]


def test_points_left_by_a_kill_after_the_record_are_removed(tmp_path: Path) -> None:
    run_it(TRAMX, tmp_path, HERE, silent)
    execute(TRAMX, ("surface-line",), tmp_path, HERE, ALL, silent)
    left = probe_path(TRAMX, "surface-line", tmp_path).with_name("surface-line.points-1-of-1.jsonl")
    left.write_text("{}\n")
    execute(TRAMX, ("surface-line",), tmp_path, HERE, ALL, silent)
    assert not left.exists()


class Spoils:
    """Changes all that a probe can change, and then fails or returns what it was given."""

    def __init__(self, found: Measured | None) -> None:
        self.found = found

    def measure(self, model: Trained, work: Work) -> Measured | None:
        with torch.no_grad():
            for tensor in (*model.task.model.parameters(), *model.task.model.buffers()):
                tensor.add_(1)
        model.task.model.eval()
        if self.found is None:
            raise FloatingPointError
        return self.found


@pytest.mark.parametrize("found", [None, Measured({"test/cka/home": 1.0})])
def test_the_model_is_left_as_it_was_whatever_a_probe_does(
    found: Measured | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout())
    model[2].eval()
    before, modes = weights(model), [module.training for module in model.modules()]
    probed = problems.trained(task_of(model, lambda model: torch.zeros(()), {"home": 2}))
    monkeypatch.setattr(execute_module, "described", lambda probe: {})
    if found is None:
        with pytest.raises(FloatingPointError):
            measured("cka", Spoils(found), probed, ALL, silent)
    else:
        assert measured("cka", Spoils(found), probed, ALL, silent) is not None
    after = weights(model)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [module.training for module in model.modules()] == modes


def test_a_number_that_is_not_finite_leaves_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute_module, "described", lambda probe: {})
    probed = problems.trained(task_of(Weights(w=torch.zeros(2)), lambda model: torch.zeros(()), {"home": 2}))
    for value in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(NonFiniteError, match="sharpness of tiny-points TRAM-x seed 0: test/sharpness/home is"):
            measured("sharpness", Spoils(Measured({"test/sharpness/home": value})), probed, ALL, silent)


def test_probes_leave_the_random_state_and_gradients_alone(tmp_path: Path) -> None:
    runs_in(tmp_path)
    model = trained(TRAMX, tmp_path, HERE, silent)
    state = torch.get_rng_state()
    for name in PROBES:
        assert measured(name, execute_module.probe_named(name, model.row), model, ALL, silent) is not None
        assert torch.equal(torch.get_rng_state(), state), name
        assert all(param.grad is None for param in model.task.model.parameters())
    after = weights(model.task.model)
    assert all(torch.equal(after[name], tensor) for name, tensor in model.after.items())


def test_restored_puts_everything_in_evaluation_mode() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Linear(2, 2))
    with restored(model):
        assert not any(module.training for module in model.modules())
    assert all(module.training for module in model.modules())


# ----------------------------------------------------------------------------------------------------------- selection


def test_planes_are_made_of_one_seed_unless_they_are_asked_for() -> None:
    runs = [replace(run, seed=seed) for run in (TRAMX, SGD) for seed in (1, 0)]
    found = {item.run: item.probes for item in wanted(runs, None)}
    assert [run.seed for run in found] == [0, 0, 1, 1]
    assert found[TRAMX] == DEFAULT
    assert "sharpness-connectivity" not in DEFAULT
    assert found[SGD] == tuple(name for name in DEFAULT if name != "surface-plane")
    assert found[replace(TRAMX, seed=1)] == ("sharpness", "cka", "forgetting", "spectrum", "surface-line")
    asked = wanted(runs, ("surface-plane", "cka"))
    assert {item.run: item.probes for item in asked}[replace(TRAMX, seed=1)] == ("cka", "surface-plane")


def test_a_run_to_which_no_probe_applies_is_not_asked_for_one() -> None:
    assert wanted([SGD], ("surface-plane",)) == []
    untrained = Run("paper", "m2d2-wiki", "zero-shot", 0)
    assert [name for name in PROBES if applies(name, untrained)] == [
        "sharpness", "sharpness-connectivity", "spectrum", "surface-random"
    ]  # fmt: skip
