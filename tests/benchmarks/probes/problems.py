"""Models whose losses are known in closed form, ready to be probed."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.checkpoint import weights
from benchmarks.execution import Execution
from benchmarks.probes.trained import Trained
from benchmarks.record import ENVIRONMENT, Passes, Record, Run, Seconds
from benchmarks.run import described
from benchmarks.task import Batch, Outputs, Task, TensorExamples
from tests.benchmarks import tiny_rows

RUN = Run("tiny", "tiny-points", "TRAM-x", 0)


class Weights(nn.Module):
    """Nothing but named parameters."""

    def __init__(self, **values: Tensor) -> None:
        super().__init__()
        for name, value in values.items():
            self.register_parameter(name, nn.Parameter(value.clone()))


def task_of(model: nn.Module, loss: Callable[[nn.Module], Tensor], sizes: Mapping[str, int]) -> Task:
    """The same loss for every example, times its `scale`, which is 1 at home and 3 away."""

    def forward(model: nn.Module, batch: Batch) -> Outputs:
        scale = batch["scale"]
        return scale.mean() * loss(model), torch.zeros(len(scale), 2, dtype=scale.dtype)

    def examples(name: str, count: int) -> TensorExamples:
        return TensorExamples({"scale": torch.full((count,), 1.0 if name == "home" else 3.0, dtype=torch.float64)})

    sets = {name: examples(name, count) for name, count in sizes.items()}
    return Task(model, forward, train=sets["home"], validation=None, test=sets)


def trained(task: Task, before: dict[str, Tensor] | None = None, run: Run = RUN, results: Path = Path()) -> Trained:
    """`task` as if `run` had trained it, from the weights `before`."""
    after = weights(task.model)
    return Trained(
        run, tiny_rows.row("tiny-points"), task, before or after, after, record(run), "", 8, results, Execution()
    )


def record(run: Run = RUN, nll: float = 1.0) -> Record:
    return Record(
        suite=run.suite,
        benchmark=run.benchmark,
        method=run.method,
        seed=run.seed,
        method_fields={},
        recipe={name: described(value) for name, value in asdict(tiny_rows.RECIPE).items()},
        metrics={"test/nll/home": nll, "test/nll/away": 2.0, "validation/nll/home": 1.0},
        distance=None,
        perturbation_norm=None,
        degenerate_steps=0,
        selected_step=1,
        passes=Passes(forward=1, backward=1),
        seconds=Seconds(prepare=0, train=0, evaluate=0),
        peak_memory_bytes=0,
        revisions={},
        environment=dict.fromkeys(ENVIRONMENT),
    )
