"""Surfaces of losses that are known, point by point, in one go and in parts."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.checkpoint import set_weights, weights
from benchmarks.errors import RunError
from benchmarks.evaluation import evaluation_mode
from benchmarks.probes import surface as surface_module
from benchmarks.probes.directions import difference, inner
from benchmarks.probes.examples import Batches, mean_nll
from benchmarks.probes.parts import Part
from benchmarks.probes.probe import Measured, Work
from benchmarks.probes.record import Surface
from benchmarks.probes.surface import Line, RandomPlane, SolutionPlane, spaced
from benchmarks.probes.trained import Trained
from benchmarks.task import Task
from tests.benchmarks import tiny_tasks
from tests.benchmarks.probes.problems import RUN, Weights, task_of, trained

HESSIAN = torch.diag(torch.tensor([2.0, 1.0, 0.5, 4.0], dtype=torch.float64))
BEFORE = torch.tensor([1.0, -1.0, 2.0, 0.5], dtype=torch.float64)
AFTER = torch.tensor([0.5, 0.25, -1.0, 1.0], dtype=torch.float64)


def quadratic(model: nn.Module) -> Tensor:
    w = model.get_parameter("w").flatten()
    return w @ HESSIAN @ w / 2


def solved(loss: Callable[[nn.Module], Tensor] = quadratic) -> Trained:
    task = task_of(Weights(w=AFTER.view(2, 2)), loss, {"home": 4, "away": 3})
    return trained(task, before={"w": BEFORE.view(2, 2)})


def whole(measured: Measured | None) -> Surface:
    assert measured is not None
    assert measured.surface is not None
    return measured.surface


def value(w: Tensor) -> float:
    return float(w @ HESSIAN @ w / 2)


def test_a_quadratic_along_a_line_is_the_quadratic(tmp_path: Path) -> None:
    measured = Line(points=9).measure(solved(), Work(tmp_path / "surface-line.json"))
    found = whole(measured)
    assert found.axes == (tuple(index / 4 - 0.5 for index in range(9)),)
    expected = [value(BEFORE + a * (AFTER - BEFORE)) for a in found.axes[0]]
    assert found.losses["home"] == pytest.approx(expected, rel=1e-12)
    assert found.losses["away"] == found.losses["ZS Avg"] == pytest.approx([3 * loss for loss in expected], rel=1e-12)
    assert found.points == {"theta_0": (0.0,), "TRAM-x": (1.0,)}
    assert measured is not None
    assert measured.metrics["theta_0/nll/home"] == pytest.approx(value(BEFORE))
    assert measured.metrics["TRAM-x/nll/ZS Avg"] == pytest.approx(3 * value(AFTER))


def test_the_centre_of_a_random_plane_is_the_loss_and_the_rest_the_quadratic(tmp_path: Path) -> None:
    model = solved()
    found = whole(RandomPlane(points=5, reach=1.0).measure(model, Work(tmp_path / "surface-random.json")))
    assert found.axes == ((-1, -0.5, 0, 0.5, 1),) * 2
    losses = torch.tensor(found.losses["home"], dtype=torch.float64).view(5, 5)
    assert losses[2, 2] == value(AFTER)
    # A quadratic along each axis: second differences of opposite neighbours agree, and so do mixed ones.
    for line in (losses[2], losses[:, 2], losses[4], losses.diagonal()):
        second = line[2:] - 2 * line[1:-1] + line[:-2]
        assert torch.allclose(second, second[:1].expand(3))
        assert second[0] > 0
    assert not torch.allclose(losses, losses.T)


def baseline_at(monkeypatch: pytest.MonkeyPatch, model: Trained, found: dict[str, Tensor]) -> None:
    """The plain method's run of the same seed, and nothing else, ended at these weights."""

    def instead(run: object, results: Path, execution: object, report: object) -> Trained:
        assert run == replace(RUN, method="SGD")
        return replace(model, after=found)

    monkeypatch.setattr(surface_module, "trained", instead)
    monkeypatch.setattr(surface_module, "baseline_of", lambda run: replace(run, method="SGD"))


def test_the_plane_of_solutions_has_each_with_its_own_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, first, base = (tiny_tasks.points(seed) for seed in (0, 1, 2))
    model = trained(task, before=weights(first.model))
    baseline_at(monkeypatch, model, weights(base.model))
    measured = SolutionPlane(points=4).measure(model, Work(tmp_path / "surface-plane.json"))
    found = whole(measured)
    assert measured is not None
    for name, own in (("theta_0", first), ("SGD", base), ("TRAM-x", task)):
        with evaluation_mode(own.model):
            for domain, examples in task.test.items():
                assert measured.metrics[f"{name}/nll/{domain}"] == mean_nll(own, Batches(own, examples, 8))
    assert found.points["theta_0"] == (0, 0)
    assert found.points["SGD"] == (1, 0)
    way = difference(weights(task.model), weights(first.model))
    length = difference(weights(base.model), weights(first.model))
    x, y = found.points["TRAM-x"]
    assert x**2 + y**2 == pytest.approx(inner(way, way) / inner(length, length))
    for axis, coordinates in zip(found.axes, ((0, 1, x), (0, 0, y)), strict=True):
        assert axis[0] == pytest.approx(min(coordinates) - 0.4)
        assert axis[-1] == pytest.approx(max(coordinates) + 0.4)


def test_a_grid_of_numbers_is_what_it_looks_like() -> None:
    assert spaced(-0.5, 1.5, 21) == tuple(float(f"{tenth / 10:.1f}") for tenth in range(-5, 16))


def explodes(model: nn.Module) -> Tensor:
    w = model.get_parameter("w").flatten()
    return torch.where(w[2] > 2.5, w[2] * math.inf, quadratic(model))


def test_a_loss_that_is_not_finite_is_none(tmp_path: Path) -> None:
    """The third weight goes from 2 by -3: at -0.5 it is 3.5, at -0.25 2.75, and from there on finite."""
    found = whole(Line(points=9).measure(solved(explodes), Work(tmp_path / "surface-line.json")))
    for domain in ("home", "away", "ZS Avg"):
        assert [loss is None for loss in found.losses[domain]] == [True] * 2 + [False] * 7


class KilledError(Exception):
    """Instead of a signal."""


def unfinished(task: Task, after: int) -> Task:
    """Ends after so many batches, as a kill would end it."""
    calls = 0

    def forward(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, ...]:
        nonlocal calls
        calls += 1
        if calls > after:
            raise KilledError
        return task.forward(model, batch)

    return replace(task, forward=forward)  # type: ignore[arg-type]


def test_interrupted_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """Two batches a point: 7 of the 11 are computed before the interrupt, and only the other 4 after it."""
    model, work = solved(), Work(tmp_path / "surface-line.json")
    before = weights(model.task.model)
    with pytest.raises(KilledError):
        Line(points=9).measure(replace(model, task=unfinished(model.task, 14)), work)
    assert torch.equal(model.task.model.get_parameter("w"), before["w"])
    assert model.task.model.training
    with next(tmp_path.glob("*.jsonl")).open("a") as file:
        file.write('{"point": 3, "loss')  # a kill in the middle of a line
    resumed = Line(points=9).measure(replace(model, task=unfinished(model.task, 8)), work)
    straight = Line(points=9).measure(model, Work(tmp_path / "other" / "surface-line.json"))
    assert resumed is not None
    assert straight is not None
    assert resumed.surface == straight.surface
    assert resumed.metrics == straight.metrics


def test_parts_in_any_order_make_what_one_process_makes(tmp_path: Path) -> None:
    model, probe, path = solved(), RandomPlane(points=5), tmp_path / "surface-random.json"
    straight = probe.measure(model, Work(tmp_path / "other" / "surface-random.json"))
    assert probe.measure(model, Work(path, Part(3, 3))) is None
    assert probe.measure(model, Work(path, Part(1, 3))) is None
    merged = probe.measure(model, Work(path, Part(2, 3)))
    assert merged is not None
    assert straight is not None
    assert merged.surface == straight.surface
    assert merged.metrics == straight.metrics
    sizes = [len(file.read_text().splitlines()) - 1 for file in sorted(tmp_path.glob("*.jsonl"))]
    assert sizes == [9, 9, 8]


def test_a_part_computes_no_point_that_another_has(tmp_path: Path) -> None:
    model, path = solved(), tmp_path / "surface-line.json"
    assert Line(points=9).measure(model, Work(path, Part(1, 2))) is None
    rest = replace(model, task=unfinished(model.task, 2 * 5))
    assert Line(points=9).measure(rest, Work(path)) is not None  # now without parts: 5 of the 11 are left


def test_points_of_other_weights_or_settings_are_refused(tmp_path: Path) -> None:
    model, path = solved(), tmp_path / "surface-line.json"
    assert Line(points=9).measure(model, Work(path, Part(1, 2))) is None
    other = replace(model, record=model.record.model_copy(update={"metrics": {"test/nll/home": 0.5}}))
    for changed, line in ((model, Line(points=5)), (model, Line(points=9, examples=2)), (other, Line(points=9))):
        with pytest.raises(RunError, match=r"surface-line\.points-1-of-2\.jsonl: was begun with other settings"):
            line.measure(changed, Work(path))


def test_points_are_lines_of_json_that_name_what_they_are_of(tmp_path: Path) -> None:
    Line(points=9).measure(solved(), Work(tmp_path / "surface-line.json", Part(2, 2)))
    head, first, *_ = (tmp_path / "surface-line.points-2-of-2.jsonl").read_text().splitlines()
    assert list(json.loads(head)) == ["of"]
    assert json.loads(first)["point"] == 1
    assert json.loads(first)["losses"] == pytest.approx(
        {
            name: scale * value(BEFORE - 0.25 * (AFTER - BEFORE))
            for name, scale in (("home", 1), ("away", 3), ("ZS Avg", 3))
        }
    )


def test_of_each_set_only_so_many_examples_are_looked_at(tmp_path: Path) -> None:
    seen = []
    task = task_of(Weights(w=AFTER.view(2, 2)), quadratic, {"home": 4, "away": 3})

    def forward(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, ...]:
        seen.append(len(batch["scale"]))
        return task.forward(model, batch)

    Line(points=3, examples=2).measure(
        trained(replace(task, forward=forward), {"w": BEFORE.view(2, 2)}),  # type: ignore[arg-type]
        Work(tmp_path / "surface-line.json"),
    )
    assert seen == [2, 2] * 5


def test_the_buffers_of_a_model_move_along_a_line(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    start = {name: tensor.clone() for name, tensor in weights(model).items()}
    end = {name: tensor + 2 if tensor.is_floating_point() else tensor for name, tensor in start.items()}
    half = surface_module.Affine(start, (difference(end, start),)).at((0.5,))
    set_weights(model, half)
    assert torch.equal(model[1].running_mean, torch.ones(3))
    assert torch.equal(model[1].running_var, torch.full((3,), 2.0))
    assert model[1].num_batches_tracked == 0
