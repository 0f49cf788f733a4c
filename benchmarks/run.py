"""One run from its four names to its record."""

import json
import math
import pkgutil
import time
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.environment import environment, peak_memory_bytes, reset_peak_memory
from benchmarks.errors import NonFiniteError
from benchmarks.evaluation import evaluate
from benchmarks.record import Passes, Record, Run, Seconds, StepStatistics, read_record
from benchmarks.registry import BENCHMARKS, Recipe
from benchmarks.storage import check_folder, save
from benchmarks.task import Report, Task
from benchmarks.training import Training, lr_factor, train
from tram import METHODS


def execute(run: Run, results: Path, report: Report) -> Record:
    """The record of `run` below `results`: read if it is there, else made.

    Raises RecordError if there is a file that is not a valid record of this run: it is neither counted as done nor
    overwritten. Raises StorageError before anything is computed if the folder cannot take the record, and
    NonFiniteError, leaving no record, if the loss or a metric becomes NaN or infinite.
    """
    path = run.path(results)
    if path.exists():
        return read_record(path)
    check_folder(path.parent)
    benchmark, method = BENCHMARKS[run.benchmark], METHODS[run.method]
    # The last bits of a sum depend on how many threads share it.
    torch.set_num_threads(1)

    started = time.perf_counter()
    pkgutil.resolve_name(benchmark.prepare)(report)
    torch.manual_seed(run.seed)
    task: Task = pkgutil.resolve_name(benchmark.task)(run.seed)
    prepared = time.perf_counter()

    device = next(task.model.parameters()).device
    reset_peak_memory(device)
    try:
        training = train(task, benchmark.recipe, method, run.seed, report)
        trained = time.perf_counter()
        metrics = evaluate(task, benchmark.metric, benchmark.recipe.evaluation_batch_size, report)
        _check_finite(metrics)
    except NonFiniteError as error:
        raise NonFiniteError(
            f"{run}: {error}. The run stopped and left no record; a smaller learning rate or radius may keep it finite."
        ) from error
    record = Record(
        **asdict(run),
        method_fields=described(method),
        recipe={name: described(value) for name, value in asdict(benchmark.recipe).items()},
        metrics=metrics,
        distance=step_statistics(training.curves.get("distance")),
        perturbation_norm=step_statistics(training.curves.get("perturbation_norm")),
        degenerate_steps=training.degenerate_steps,
        selected_step=training.selected_step,
        passes=Passes(**training.passes._asdict()),
        seconds=Seconds(prepare=prepared - started, train=training.seconds, evaluate=time.perf_counter() - trained),
        peak_memory_bytes=peak_memory_bytes(device),
        revisions=dict(task.revisions),
        environment=environment(device),
    )
    save(record, curve_lines(training, benchmark.recipe), results)
    return record


def _check_finite(metrics: Mapping[str, float]) -> None:
    for key, value in metrics.items():
        if not math.isfinite(value):
            raise NonFiniteError(f"{key} is {value} after the last step")


def step_statistics(values: list[float] | None) -> StepStatistics | None:
    """Over the steps whose value is finite (the others are counted as degenerate); None where there are none."""
    finite = [value for value in values or [] if math.isfinite(value)]
    if not finite:
        return None
    return StepStatistics(
        first=finite[0],
        median=float(np.median(finite)),
        mean=float(np.mean(finite)),
        maximum=max(finite),
        last=finite[-1],
        share_zero=finite.count(0.0) / len(finite),
    )


def described(value: Any) -> Any:
    """A frozen dataclass as nested dictionaries of its fields, each with its class's name as `type`."""
    if is_dataclass(value):
        return {
            "type": type(value).__name__,
            **{item.name: described(getattr(value, item.name)) for item in fields(value)},
        }
    return list(value) if isinstance(value, tuple) else value


def curve_lines(training: Training, recipe: Recipe) -> str:
    """One JSON object per step: step, learning rate, the curves' values, validation nll where it was measured.

    A value that is not finite (the distance of a degenerate step) is null.
    """
    lines = []
    for step in range(1, recipe.steps + 1):
        values = {name: curve[step - 1] for name, curve in training.curves.items()}
        if step in training.validation_nll:
            values["validation_nll"] = training.validation_nll[step]
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        lines.append(json.dumps({"step": step, "lr": recipe.lr * lr_factor(recipe, step - 1), **finite}) + "\n")
    return "".join(lines)
