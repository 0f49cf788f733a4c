"""`python -m benchmarks performance`: what is done stays done, what is asked is measured, what cannot be is told."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.performance import command
from benchmarks.performance.command import measure
from benchmarks.performance.machine import _slug, machine_name
from benchmarks.performance.parts import parts_of
from benchmarks.performance.plan import PLANS
from benchmarks.performance.record import ModelCost, Performance, Roof, read_performance

ONE = "ViT, tiny, bfloat16"


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
