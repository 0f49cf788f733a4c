"""Half the bits, as far as a CPU can tell: autocast around the forward, and loss scaling that changes nothing."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import training
from benchmarks.checkpoint import Checkpoints
from benchmarks.methods import resolve
from benchmarks.precision import autocast, used_precision
from benchmarks.stopping import StoppedError, StopRequest
from benchmarks.task import Batch, Outputs, silent
from benchmarks.training import train
from tests.benchmarks.tiny_rows import RECIPE
from tests.benchmarks.tiny_tasks import forward, points

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def test_a_cpu_computes_in_float32_whatever_the_recipe() -> None:
    for precision in ("float32", "bfloat16", "float16"):
        assert used_precision(precision, CPU) == "float32"
        assert autocast(forward, CPU, precision) is forward
        assert used_precision(precision, CUDA) == precision
    assert autocast(forward, CUDA, "float32") is forward


def test_a_forward_under_autocast_multiplies_in_half_and_keeps_its_weights_whole() -> None:
    """The very function that a GPU gets, on the one kind of device that there is."""
    made = autocast(forward, CUDA, "bfloat16")
    assert isinstance(made, partial)
    on_cpu = partial(made.func, made.args[0], "cpu", *made.args[2:])
    task = points(0)
    seen: list[torch.dtype] = []

    def watching(model: nn.Module, batch: Batch) -> Outputs:
        loss, logits = on_cpu(model, batch)[:2]
        seen.append(logits.dtype)
        return loss, logits

    object.__setattr__(task, "forward", watching)
    result = train(task, RECIPE, resolve("TRAM-prev"), 0, silent)
    assert set(seen) == {torch.bfloat16}
    assert {param.dtype for param in task.model.parameters()} == {torch.float32}
    exact = train(points(0), RECIPE, resolve("TRAM-prev"), 0, silent)
    assert result.curves["loss"] == pytest.approx(exact.curves["loss"], rel=0.02)
    assert result.curves["loss"] != exact.curves["loss"]


@pytest.mark.parametrize("method", ["SGD", "ASAM", "TRAM-prev", "ASAM+R3F", "TRAM-Fisher"])
def test_loss_scaling_changes_nothing_where_nothing_overflows(
    method: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The scale is a power of two: what is multiplied by it and divided again is what it was. Also when interrupted."""
    expected = train(points(0), RECIPE, resolve(method), 0, silent)
    monkeypatch.setattr(training, "used_precision", lambda precision, device: "float16")
    stop = StopRequest()

    def ask(stage: str, done: int, total: int) -> None:
        stop.by = "SIGTERM" if done == 5 else None

    with pytest.raises(StoppedError):
        train(points(0), RECIPE, resolve(method), 0, ask, checkpoints=Checkpoints(tmp_path, {}), stop=stop)
    state = Checkpoints(tmp_path, {}).latest()
    assert state is not None
    assert state["shared"]["scaler"]["scale"] == 65536.0
    found = train(points(0), RECIPE, resolve(method), 0, silent, checkpoints=Checkpoints(tmp_path, {}))
    assert found.curves["loss"] == pytest.approx(expected.curves["loss"], rel=1e-5)
