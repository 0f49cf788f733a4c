"""One run from its four names to its record."""

import json
import math
import pkgutil
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.bound import ByValidation
from benchmarks.checkpoint import Checkpoints
from benchmarks.contradiction import SOURCE, contradiction
from benchmarks.environment import environment, peak_memory_bytes, reset_peak_memory
from benchmarks.errors import NonFiniteError
from benchmarks.evaluation import evaluate
from benchmarks.execution import Execution
from benchmarks.machine import check_machine, device_for, machine
from benchmarks.method_fields import first_difference
from benchmarks.methods import Resolved, resolve
from benchmarks.precision import autocast, used_precision
from benchmarks.probes.weights import keep_weights
from benchmarks.processes import joined
from benchmarks.record import Passes, Record, RecordError, Run, Seconds, StepStatistics, read_record
from benchmarks.registry import BENCHMARKS, ZERO_SHOT
from benchmarks.row import Benchmark, Recipe
from benchmarks.sources import identity
from benchmarks.stopping import StoppedError, StopRequest, stop_requests
from benchmarks.storage import check_folder, save
from benchmarks.task import Report, Task
from benchmarks.training import Training, lr_factor, train
from benchmarks.variants import UnknownMethodError, is_own

VALIDATIONS = 10
"""Of a run whose bound asks the validation set, where the recipe itself never does."""


@dataclass(frozen=True)
class Scored:
    """A training that ended, and what its model then scored in how many seconds."""

    training: Training
    metrics: dict[str, float]
    seconds: float


def execute(run: Run, results: Path, execution: Execution, report: Report) -> Record:
    """The record of `run` below `results`: read if it is there, else made, from its newest checkpoint if it has one.

    Raises RecordError if there is a file that is not a valid record of this run: it is neither counted as done nor
    overwritten. Raises RunError before anything is computed if this machine cannot carry it out or the folder cannot
    take the record; NonFiniteError, leaving no record, if the loss or a metric becomes NaN or infinite; StoppedError,
    leaving a checkpoint, if a signal asks for it.
    """
    path = run.path(results)
    row, resolved = BENCHMARKS[run.benchmark], resolve(run.method)
    recipe = recipe_of(run, resolved, execution)
    if path.exists():
        return checked(read_record(path), path)
    check_folder(path.parent)
    device = device_for(row, execution)
    here = machine(device, row.name)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # before anything is put on it: sharding and pinning ask for the current one
    check_machine(row, recipe, resolved.method, execution, here, path.parent)
    # The last bits of a sum depend on how many threads share it.
    torch.set_num_threads(1)
    started = time.perf_counter()
    # Of several processes one makes what is missing, and the others wait for its lock.
    pkgutil.resolve_name(row.prepare)(row, report)
    with joined(execution.processes, device.type == "cuda"):
        record, curve = _made(run, row, recipe, resolved, device, execution, results, started, report)
    if execution.processes.is_first:
        save(record, curve, results)
        shutil.rmtree(run.checkpoints(results), ignore_errors=True)
    return record


def recipe_of(run: Run, resolved: Resolved, execution: Execution) -> Recipe:
    """The row's recipe as this run carries it out."""
    recipe = execution.fitted(BENCHMARKS[run.benchmark].recipe)
    if run.method == ZERO_SHOT:
        return replace(recipe, steps=0)
    asks = any(isinstance(bound, ByValidation) for bound in (resolved.scale, resolved.maximum))
    if asks and recipe.evaluation_every is None:
        return replace(recipe, evaluation_every=max(1, recipe.steps // VALIDATIONS))
    return recipe


def _made(
    run: Run,
    row: Benchmark,
    recipe: Recipe,
    resolved: Resolved,
    device: torch.device,
    execution: Execution,
    results: Path,
    started: float,
    report: Report,
) -> tuple[Record, str]:
    """The run itself, in every process of it: its record and the lines of its curve."""
    task = task_of(run, row, recipe, device)
    prepared = time.perf_counter()
    reset_peak_memory(device)
    try:
        scored = trained_and_scored(run, row, recipe, resolved, task, execution, run.checkpoints(results), report)
    except NonFiniteError as error:
        raise NonFiniteError(
            f"{run}: {error}. The run stopped and left no record; a smaller learning rate or radius may keep it finite."
        ) from error
    training = scored.training
    record = Record(
        **asdict(run),
        method_fields=method_fields(resolved),
        recipe={name: described(value) for name, value in asdict(recipe).items()},
        metrics=scored.metrics,
        distance=step_statistics(training.curves.get("distance")),
        perturbation_norm=step_statistics(training.curves.get("perturbation_norm")),
        degenerate_steps=training.degenerate_steps,
        selected_step=training.selected_step,
        passes=Passes(**training.passes._asdict()),
        seconds=Seconds(prepare=prepared - started, train=training.seconds, evaluate=scored.seconds),
        peak_memory_bytes=peak_memory_bytes(device),
        revisions=dict(task.revisions),
        environment=environment(device)
        | {
            "precision": used_precision(recipe.precision, device),
            "processes": execution.processes.count,
            "parallel": execution.processes.parallel if execution.processes.are_many else None,
            "resumed": training.resumed,
        },
    )
    if execution.keep_weights:
        keep_weights(record, task.model, execution.processes)
    return record, curve_lines(training, recipe)


def trained_and_scored(
    run: Run,
    row: Benchmark,
    recipe: Recipe,
    resolved: Resolved,
    task: Task,
    execution: Execution,
    checkpoints: Path,
    report: Report,
) -> Scored:
    """Train the task's model, from the newest checkpoint in the folder `checkpoints` if there is one, and score it.

    Raises NonFiniteError, StoppedError: see `execute`.
    """
    identity = run_identity(run, recipe, resolved, task, execution)
    with stop_requests() as stop:
        training = train(
            task,
            recipe,
            resolved,
            run.seed,
            report,
            execution=execution,
            checkpoints=Checkpoints(checkpoints, identity, execution.processes),
            stop=stop,
            metric=row.metric,
        )
        started = time.perf_counter()
        stoppable = partial(_report_unless_stopped, report, stop)
        metrics = evaluate(task, row.metric, recipe.evaluation_batch_size, stoppable, execution)
    metrics |= dict(training.stages) | _last_stage(row, metrics)
    _check_finite(metrics)
    return Scored(training, metrics, time.perf_counter() - started)


def _report_unless_stopped(report: Report, stop: StopRequest, stage: str, done: int, total: int) -> None:
    """Between two domains that are scored, a run can be stopped: its training is done, and in its last checkpoint."""
    report(stage, done, total)
    if stop and done < total:
        raise StoppedError(
            f"stopped by {stop.by} while it was scored: the same command goes on from the last checkpoint", stop.by
        )


def _last_stage(row: Benchmark, metrics: Mapping[str, float]) -> dict[str, float]:
    """After the last domain of a sequence all is scored as it is at the end."""
    if not row.sequence:
        return {}
    return {
        key.replace("test", f"after {row.sequence[-1]}", 1): value
        for key, value in metrics.items()
        if key.startswith("test/")
    }


def task_of(run: Run, row: Benchmark, recipe: Recipe, device: torch.device) -> Task:
    """What `run` trains, on its device."""
    torch.manual_seed(run.seed)
    task: Task = pkgutil.resolve_name(row.task)(row, run.seed)
    task.model.to(device)
    revisions = dict(task.revisions) | ({} if row.source is None else {SOURCE: identity(row.source)})
    return replace(task, forward=autocast(task.forward, device, recipe.precision), revisions=revisions)


def run_identity(run: Run, recipe: Recipe, resolved: Resolved, task: Task, execution: Execution) -> dict[str, Any]:
    """What has to be the same for a checkpoint to be taken up."""
    return {
        "run": str(run),
        "method": repr(resolved),
        "recipe": {name: repr(value) for name, value in asdict(recipe).items() if name not in ("checkpoint_every",)},
        "revisions": dict(task.revisions),
        "processes": execution.processes.count,
        "parallel": execution.processes.parallel,
    }


def checked(record: Record, path: Path) -> Record:
    """`record` if it is what its run would write now. Raises RecordError that names the first difference."""
    problem = contradiction_of(record)
    if problem is not None:
        raise RecordError(f"{path}: {problem}. Move or delete it, and run it again.")
    return record


def contradiction_of(record: Record) -> str | None:
    """What in a record does not fit the registry or the method that it names, or None."""
    problem = contradiction(record)
    if problem is not None or is_own(record.method):
        return problem
    try:
        resolved = resolve(record.method)
    except UnknownMethodError as error:
        return str(error)
    difference = first_difference(record.method_fields, method_fields(resolved))
    if difference is None:
        return None
    return f"its method has {difference[0]} = {difference[1]}, and {record.method} has {difference[2]}"


def method_fields(resolved: Resolved) -> dict[str, Any]:
    """A method's fields, and what moves its scale and its maximum, None where nothing does."""
    moving = {"moving_scale": described(resolved.scale), "moving_maximum": described(resolved.maximum)}
    return described(resolved.method) | moving


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
    for step in range(1, len(training.curves.get("loss", [])) + 1):
        values = {name: curve[step - 1] for name, curve in training.curves.items()}
        if step in training.validation_nll:
            values["validation_nll"] = training.validation_nll[step]
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        lines.append(
            json.dumps({"step": step, "lr": recipe.lr * lr_factor(recipe, (step - 1) % recipe.steps), **finite}) + "\n"
        )
    return "".join(lines)
