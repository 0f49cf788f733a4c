"""Every row of the paper, end to end: from a hub's files to a record, by the code that a cluster runs."""

import math
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from benchmarks import run as run_module
from benchmarks.__main__ import app
from benchmarks.errors import RunError
from benchmarks.execution import Execution
from benchmarks.record import Record, RecordError, Run
from benchmarks.registry import BENCHMARKS
from benchmarks.run import execute
from benchmarks.stopping import StoppedError
from benchmarks.suites import SUITES, runs_of
from benchmarks.task import silent
from benchmarks.variants import runs_on
from tests.benchmarks import small_paper_rows
from tests.benchmarks.small_paper_rows import SMALL, STEPS
from tests.hub import Hub, point_to
from tram import METHODS

HERE = Execution("cpu")
ONE_OF_EACH_KIND = ("vision-flowers", "m2d2-s2orc", "xnli")


@pytest.fixture(scope="module", autouse=True)
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """All rows in the registry, small, and a hub that has what they name."""
    folder = tmp_path_factory.mktemp("paper")
    with pytest.MonkeyPatch.context() as patch, Hub(folder / "hub") as hub:
        small_paper_rows.write(hub)
        point_to(hub, folder / "data", patch)
        for name, row in SMALL.items():
            patch.setitem(BENCHMARKS, name, row)
        yield hub


def same_bits(record: Record) -> dict[str, Any]:
    found = record.model_dump(exclude={"seconds", "peak_memory_bytes"})
    found["environment"].pop("resumed")
    return found


@pytest.mark.parametrize("name", SMALL)
def test_every_row_makes_a_record(name: str, tmp_path: Path) -> None:
    row, run = SMALL[name], Run("paper", name, "TRAM-x", 3)
    record = execute(run, tmp_path, HERE, silent)
    expected = {f"test/{metric}/{domain}" for metric in ("nll", row.metric) for domain in row.domains}
    assert expected <= set(record.metrics)
    assert len(row.domains) == {"vision": 5, "vision-convnets": 5, "m2d2": 11, "xnli": 15}[row.family]
    assert (record.passes.forward, record.passes.backward) == (3, 2)
    assert record.distance is not None
    assert record.distance.maximum > 0
    assert row.source is not None
    assert {row.source.repository.name, row.source.model.name} <= set(record.revisions)
    for repository in (row.source.repository, row.source.model):
        assert repository.revision in (None, record.revisions[repository.name])
    assert not run.checkpoints(tmp_path).exists()
    stages = {key.split("/")[0] for key in record.metrics} - {"test", "validation"}
    assert stages == {f"after {domain}" for domain in (row.train_domain, *row.sequence) if row.sequence}


@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
@pytest.mark.parametrize("method", [*METHODS, "zero-shot"])
def test_every_method_runs_on_every_kind_of_model(name: str, method: str, tmp_path: Path) -> None:
    if not runs_on(method, SMALL[name]):
        assert method in ("SGD", "Adam", "zero-shot")
        return
    record = execute(Run("paper", name, method, 0), tmp_path, HERE, silent)
    assert record.selected_step in ((0,) if method == "zero-shot" else (STEPS // 2, STEPS))
    assert (record.passes.forward, record.passes.backward) == (
        (0, 0) if method == "zero-shot" else tuple(METHODS[method].passes)
    )


@pytest.mark.parametrize("name", [*ONE_OF_EACH_KIND, "m2d2-s2orc-sequence", "vision-cars-resnet50"])
@pytest.mark.parametrize("method", ["TRAM-prev", "ASAM+R3F"])
def test_a_stopped_run_ends_with_the_same_record(
    name: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped once by a signal, at a step that has no periodic checkpoint, and once killed right after one."""
    run = Run("paper", name, method, 1)
    expected = execute(run, tmp_path / "whole", HERE, silent)

    class KilledError(Exception):
        pass

    def interrupt(step: str, done: int, total: int) -> None:
        if step == "train" and done == 2:
            signal.raise_signal(signal.SIGTERM)
        if step == "train" and done == 4:
            raise KilledError

    with pytest.raises(StoppedError, match="stopped at step 3"):
        execute(run, tmp_path / "stopped", HERE, interrupt)
    with pytest.raises(KilledError):
        execute(run, tmp_path / "stopped", HERE, interrupt)
    torch.rand(5)
    found = execute(run, tmp_path / "stopped", HERE, silent)
    assert same_bits(found) == same_bits(expected)
    assert found.environment["resumed"] == 2


@pytest.mark.parametrize("name", ["vision-flowers", "m2d2-s2orc"])
def test_loader_processes_change_nothing(name: str, tmp_path: Path) -> None:
    run = Run("paper", name, "TRAM-x", 0)
    alone = execute(run, tmp_path / "alone", HERE, silent)
    assert same_bits(execute(run, tmp_path / "two", replace(HERE, loaders=2), silent)) == same_bits(alone)


def test_reference_logits_can_be_kept_where_an_example_stays_what_it_is(tmp_path: Path) -> None:
    run, keeping = Run("paper", "xnli", "TRAM-pre", 0), replace(HERE, keep_reference=True)
    recipe = replace(SMALL["xnli"].recipe, steps=14)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BENCHMARKS, "xnli", replace(SMALL["xnli"], recipe=recipe))
        plain = execute(run, tmp_path / "plain", HERE, silent)
        kept = execute(run, tmp_path / "kept", keeping, silent)
    assert (plain.passes.forward, kept.passes.forward) == (3, 2)
    assert kept.recipe["keep_reference"] is True
    assert kept.metrics == pytest.approx(plain.metrics, rel=1e-5)
    with pytest.raises(RunError, match="this benchmark changes its images"):
        execute(Run("paper", "vision-flowers", "TRAM-pre", 0), tmp_path, keeping, silent)


def test_a_prepared_benchmark_needs_no_network(prepared: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run("paper", "m2d2-s2orc", "Adam", 0)
    expected = execute(run, tmp_path / "online", HERE, silent)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    asked = len(prepared.requests)
    assert same_bits(execute(run, tmp_path / "offline", HERE, silent)) == same_bits(expected)
    assert len(prepared.requests) == asked
    monkeypatch.setenv("TRAM_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(RunError, match=r"HF_HUB_OFFLINE is set.*python -m benchmarks prepare m2d2-s2orc --data"):
        execute(run, tmp_path / "nothing", HERE, silent)
    monkeypatch.setattr(run_module, "train", None)


def test_the_first_run_of_every_suite_can_be_carried_out(tmp_path: Path) -> None:
    """The rest differ in method and seed alone."""
    done = set()
    for name, suite in SUITES.items():
        for run in runs_of(name, suite.full):
            kind = (name, BENCHMARKS[run.benchmark].family)
            if run.benchmark in SMALL and kind not in done:
                done.add(kind)
                assert execute(run, tmp_path, HERE, silent).suite == name
    assert {name for name, _ in done} == {name for name in SUITES if not name.startswith("mini")}


# ---------------------------------------------------------------------------------------------------- the command line


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_prepare_prints_what_there_is_beside_the_paper(prepared: Hub, tmp_path: Path) -> None:
    found = call("prepare", "m2d2-s2orc", "--data", str(tmp_path / "data"))
    assert found.exit_code == 0, found.stderr
    assert "m2d2-s2orc: ready" in found.stdout
    assert re.search(r"^Math/train +60 +[\d,]+ +\d+ +1,100,000,000 +0\.000$", found.stdout, re.MULTILINE)
    assert len(re.findall(r"^\w+/test ", found.stdout, re.MULTILINE)) == 11
    asked = len(prepared.downloads())
    assert call("prepare", "m2d2-s2orc", "--data", str(tmp_path / "data")).stdout == found.stdout
    assert len(prepared.downloads()) == asked


def test_a_benchmark_that_cannot_be_prepared_ends_with_two(prepared: Hub, tmp_path: Path) -> None:
    prepared.gated.add("facebook/xnli")
    try:
        for arguments in (("prepare", "xnli"), ("run", "xnli", "Adam", "--seed", "0", "--device", "cpu")):
            where = () if arguments[0] == "prepare" else ("--results", str(tmp_path / "results"))
            found = call(*arguments, *where, "--data", str(tmp_path / "data"))
            assert found.exit_code == 2
            assert "facebook/xnli@b8dd5d7af511: is gated. Accept its conditions" in found.stderr
            assert "Traceback" not in found.stderr
    finally:
        prepared.gated.clear()


def test_calibrate_prints_every_joiner_beside_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    found = call("calibrate", "m2d2-wiki", "--device", "cpu")
    assert found.exit_code == 0, found.stderr
    lines = found.stdout.splitlines()
    assert lines[0].split() == ["DOMAIN", "PAPER", "NEWLINE", "EOS", "NONE"]
    assert [line.split()[0] for line in lines[1:12]] == list(BENCHMARKS["m2d2-wiki"].domains)
    assert [float(line.split()[1]) for line in lines[1:4]] == [27.2, 27.7, 27.8]
    perplexities = [[float(cell) for cell in line.split()[2:]] for line in lines[1:12]]
    joiners = ("newline", "eos", "none")
    published = [float(line.split()[1]) for line in lines[1:12]]
    errors = [
        sum(abs(math.log(row[column] / paper)) for row, paper in zip(perplexities, published, strict=True))
        for column in range(3)
    ]
    assert lines[-1].endswith(f": {joiners[errors.index(min(errors))]}.")
    assert call("calibrate", "xnli").exit_code == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_calibrate_asks_for_the_gpu_before_it_prepares(prepared: Hub, tmp_path: Path) -> None:
    asked = len(prepared.requests)
    found = call("calibrate", "m2d2-wiki", "--data", str(tmp_path))
    assert found.exit_code == 1
    assert "m2d2-wiki takes a GPU, and torch finds none here. --device cpu" in found.stderr
    assert len(prepared.requests) == asked


@pytest.mark.parametrize("change", [{"joiner": "eos"}, {"block": 16}, {"trained": ("Math", "Art")}])
def test_a_record_of_other_data_is_not_done(change: dict[str, Any], tmp_path: Path) -> None:
    run = Run("paper", "m2d2-s2orc", "zero-shot", 0)
    execute(run, tmp_path, HERE, silent)
    row = SMALL["m2d2-s2orc"]
    assert row.source is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BENCHMARKS, row.name, replace(row, source=replace(row.source, **change)))
        with pytest.raises(RecordError, match=r"seed-0\.json: it was made from other data or another model"):
            execute(run, tmp_path, HERE, silent)
    assert execute(run, tmp_path, HERE, silent).selected_step == 0


def test_damaged_data_are_noticed_though_their_size_is_right(prepared: Hub, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert call("prepare", "xnli", "--data", str(data)).exit_code == 0
    (victim,) = data.glob("xnli/*/fr/test/*.arrow")
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 255
    victim.write_bytes(content)
    found = call("prepare", "xnli", "--data", str(data))
    assert found.exit_code == 2
    assert f"{victim.name} is not what was written. Delete this folder" in found.stderr
