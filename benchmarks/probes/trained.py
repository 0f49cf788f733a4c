"""A run's model as it was when the run ended: taken from the cache, or trained again and held against the record."""

import math
import pkgutil
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.checkpoint import set_weights
from benchmarks.checkpoint import weights as copied
from benchmarks.errors import NonFiniteError, RunError
from benchmarks.execution import Execution
from benchmarks.machine import check_machine, device_for, machine
from benchmarks.methods import resolve
from benchmarks.probes.weights import keep, kept, weights_folder, whole
from benchmarks.record import Record, Run, read_record
from benchmarks.registry import BENCHMARKS
from benchmarks.row import Benchmark
from benchmarks.run import checked, recipe_of, task_of, trained_and_scored
from benchmarks.task import Report, Task

TOLERANCE = 1e-6
"""Relative, of a test nll: the same bits on the machine that made the record, the rounding of a sum on another."""

_OTHERS = "the code, the data or the machine is another."


@dataclass(frozen=True)
class Trained:
    """A task whose model has the weights that its run ended with, and the weights that it began with."""

    run: Run
    row: Benchmark
    task: Task
    before: dict[str, Tensor]
    """Copies of theta_0 and the buffers, on the model's device."""
    after: dict[str, Tensor]
    """The same of theta."""
    record: Record
    weights_digest: str
    batch_size: int
    """Of passes that need no gradient, as the run was scored."""
    results: Path
    execution: Execution


def finished_record(run: Run, results: Path) -> Record:
    """The record of `run`. Raises RecordError if it is not valid, RunError if there is none."""
    path = run.path(results)
    if not path.exists():
        raise RunError(
            f"{path}: no such record, and a probe needs a finished run: python -m benchmarks run {run.benchmark} "
            f"{run.method} --seed {run.seed}"
        )
    return checked(read_record(path), path)


def trained(run: Run, results: Path, execution: Execution, report: Report) -> Trained:
    """The model of `run` as its record found it.

    Raises RunError if training it again gives other scores than the record has.
    """
    record = finished_record(run, results)
    row = BENCHMARKS[run.benchmark]
    device = device_for(row, execution)
    # The last bits of a sum depend on how many threads share it.
    torch.set_num_threads(1)
    pkgutil.resolve_name(row.prepare)(row, report)
    recipe = recipe_of(run, resolve(run.method), execution)
    task = task_of(run, row, recipe, device)
    before = copied(task.model)
    keep(record, partial(_trained_again, record, row, task, results, execution, report))
    found, weights_digest = kept(record)
    set_weights(task.model, found)
    return Trained(
        run,
        row,
        task,
        before,
        copied(task.model),
        record,
        weights_digest,
        recipe.evaluation_batch_size,
        results,
        execution,
    )


def baseline_of(run: Run) -> Run:
    """The run of the plain method on the same benchmark with the same seed."""
    return replace(run, method=BENCHMARKS[run.benchmark].recipe.base_optimizer)


def _trained_again(
    record: Record, row: Benchmark, task: Task, results: Path, execution: Execution, report: Report
) -> dict[str, Tensor]:
    """The weights of `record`. An interrupted training goes on from its checkpoint, if it left one."""
    run, resolved = record.run, resolve(record.method)
    recipe = recipe_of(run, resolved, execution)
    device = next(task.model.parameters()).device
    check_machine(row, recipe, resolved.method, execution, machine(device, row.name), results)
    folder = weights_folder(record)
    checkpoints = folder.with_name(f"{folder.name}.checkpoint")
    try:
        scored = trained_and_scored(run, row, recipe, resolved, task, execution, checkpoints, report)
    except NonFiniteError as error:
        raise RunError(f"{run}: trained again, {error}, and its record is finite: {_OTHERS}") from error
    shutil.rmtree(checkpoints, ignore_errors=True)
    check_scores(record, scored.metrics, results)
    return whole(task.model)


def check_scores(record: Record, scores: dict[str, float], results: Path) -> None:
    """Raise RunError, naming the domain that differs most, if a test nll is not the record's."""
    found = {key: value for key, value in scores.items() if key.startswith("test/nll/")}
    other = [key for key in found if not math.isclose(found[key], record.metrics[key], rel_tol=TOLERANCE)]
    if not other:
        return
    worst = max(other, key=lambda key: abs(found[key] - record.metrics[key]))
    raise RunError(
        f"{record.run}: trained again, {worst} is {found[worst]:.6f}, and its record has {record.metrics[worst]:.6f}: "
        f"{_OTHERS} Move or delete {record.run.path(results)}, run it again with "
        "--keep-weights, and probe that."
    )
