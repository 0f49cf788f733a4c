"""`python -m benchmarks performance`: what is done stays done, what is asked is measured, what cannot be is told."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.errors import RunError
from benchmarks.performance import command
from benchmarks.performance.command import measure
from benchmarks.performance.machine import _slug, machine_name
from benchmarks.performance.measure import model_cost
from benchmarks.performance.parts import ToMeasure, parts_of
from benchmarks.performance.plan import PLANS
from benchmarks.performance.record import ModelCost, Performance, Roof, read_performance

ONE = "ViT, tiny, bfloat16"
CPU = torch.device("cpu")
ROOF = Roof(matrix_flops={}, copy_bytes=1.0)


def test_a_killed_command_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = command.write_performance

    def interrupted(performance: Performance, folder: Path) -> Path:
        if len(performance.parts) == 2:
            raise KeyboardInterrupt
        return write(performance, folder)

    monkeypatch.setattr(command, "write_performance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure("tiny", tmp_path, ("roof", ONE), again=False)
    monkeypatch.undo()
    (path,) = tmp_path.iterdir()
    roof = read_performance(path).parts["roof"]
    assert measure("tiny", tmp_path, ("roof", ONE), again=False) == path
    found = read_performance(path)
    assert list(found.parts) == ["roof", ONE]
    assert found.parts["roof"] == roof
    (model,) = found.of(ModelCost)
    assert (model.precision, model.rounds, list(model.steps)) == ("bfloat16", 1, [*PLANS["tiny"].models[-1].steps])
    before = path.read_bytes()
    measure("tiny", tmp_path, ("roof", ONE), again=False)
    assert path.read_bytes() == before
    measure("tiny", tmp_path, ("roof",), again=True)
    assert read_performance(path).parts[ONE] == model
    assert read_performance(path).parts["roof"] != roof


def test_a_part_that_cannot_be_measured_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(report: object) -> Roof:
        raise torch.OutOfMemoryError("no memory left\nand more")

    def planned(plan: object) -> list[ToMeasure]:
        return [ToMeasure("large", 1, exhausted), ToMeasure("roof", 1, lambda report: ROOF)]

    monkeypatch.setattr(command, "parts_of", planned)
    with pytest.raises(RunError, match=r"not measured: large: no memory left\. The same command tries again"):
        measure("tiny", tmp_path, (), again=False)
    (path,) = tmp_path.iterdir()
    found = read_performance(path)
    assert list(found.parts) == ["roof"]
    assert found.commits == {"roof": commit_of(found)}


def commit_of(found: Performance) -> str:
    return f"{found.environment['git_commit']}{'+' if found.environment['git_dirty'] else ''}"


def test_what_was_measured_of_another_batch_is_not_done() -> None:
    size = PLANS["tiny"].models[0].size
    larger = replace(PLANS["tiny"], models=(replace(PLANS["tiny"].models[0], size=replace(size, examples=4)),))
    (part,) = (part for part in parts_of(PLANS["tiny"]) if part.name == "ViT, tiny, float32")
    (planned,) = (part for part in parts_of(larger) if part.name == "ViT, tiny, float32")
    measured = {part.name: model_cost(replace(PLANS["tiny"].models[0], steps=("Adam",)), CPU, lambda *_: None)}
    assert part.is_done(measured)
    assert not planned.is_done(measured)
    assert not part.is_done({})
    roof = next(part for part in parts_of(larger) if part.name == "roof")
    assert roof.is_done({"roof": ROOF})


def test_what_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"schema_version": 1}')
    with pytest.raises(RunError, match=r"x\.json is no record that this code reads \(.*move it away"):
        read_performance(path)


def test_a_trial_has_a_file_of_its_own(tmp_path: Path) -> None:
    assert measure("tiny", tmp_path, ("roof",), again=False).stem == f"{machine_name(CPU)}-tiny"


def test_the_command_line(tmp_path: Path) -> None:
    def call(*arguments: str) -> tuple[int, str, str]:
        outcome = CliRunner().invoke(app, ["performance", "--output", str(tmp_path), *arguments])
        return outcome.exit_code, outcome.stdout, outcome.stderr

    code, out, _ = call("--sizes", "tiny", "--only", "roof")
    assert code == 0
    assert read_performance(Path(out.strip())).of(Roof)[0].copy_bytes > 1e8
    code, _, said = call("--sizes", "tiny", "--only", "nothing like it")
    assert code == 2
    assert "roof; counts" in said
    assert call("--sizes", "huge")[0] == 2
    if not torch.cuda.is_available():
        code, _, said = call("--sizes", "gpu")
        assert code == 2
        assert "takes a GPU" in said


@pytest.mark.parametrize("sizes", PLANS)
def test_every_part_has_a_name_of_its_own(sizes: str) -> None:
    names = [part.name for part in parts_of(PLANS[sizes])]
    assert len(set(names)) == len(names)
    assert ("graph" in names) == (sizes == "gpu")


def test_a_machine_is_named_by_what_it_is() -> None:
    assert _slug("Intel(R) Xeon(R) Processor 2 cores") == "intel-xeon-processor-2-cores"
    assert _slug("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"
    assert machine_name(torch.device("cpu")).endswith("-cores")
