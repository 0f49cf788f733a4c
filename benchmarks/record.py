"""The record: one JSON file per run, versioned, validated on write and on read, written once and atomically.

A record's path tells its identity: `<results>/<suite>/<benchmark>/<method>/seed-<k>.json`.
"""

import json
import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, ValidationError, field_validator

SCHEMA_VERSION: Literal[1] = 1


class RecordError(Exception):
    """A file in the results folder that is not a valid record of the run that its path names."""


@dataclass(frozen=True, order=True)
class Run:
    """What identifies a run: everything else follows from these four and the code."""

    suite: str
    benchmark: str
    method: str
    seed: int

    def path(self, results: Path) -> Path:
        return results / self.suite / self.benchmark / self.method / f"seed-{self.seed}.json"

    def __str__(self) -> str:
        return f"{self.benchmark} {self.method} seed {self.seed}"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StepStatistics(_Strict):
    """A per-step quantity over one run: its first, median, mean, largest and last value, and its share of zeros."""

    first: float
    median: float
    mean: float
    maximum: float
    last: float
    share_zero: float


class Passes(_Strict):
    """Forward and backward passes of one step, as counted on the first micro-batch of the run's last step."""

    forward: NonNegativeInt
    backward: NonNegativeInt


class Seconds(_Strict):
    """Wall-clock seconds of the parts of a run."""

    prepare: NonNegativeFloat
    train: NonNegativeFloat
    evaluate: NonNegativeFloat


class Record(_Strict):
    """All that a table or a figure needs to know of one run."""

    schema_version: Literal[1] = SCHEMA_VERSION
    suite: str
    benchmark: str
    method: str
    seed: NonNegativeInt
    method_fields: dict[str, Any]
    """The method resolved to its fields, so that a record is readable without the code."""
    recipe: dict[str, Any]
    metrics: dict[str, float]
    """Keyed `split/metric/domain`, as `test/perplexity/math`; perplexity, accuracy in percent, nll in nats."""
    distance: StepStatistics | None
    """Of d, in nats for the KL divergences; None where the method has no trust region."""
    perturbation_norm: StepStatistics | None
    """Of the Euclidean norm of epsilon; None where the method has no ascent."""
    degenerate_steps: NonNegativeInt
    """Steps whose perturbation was set to zero because d, the gradient or its norm was zero or not finite."""
    selected_step: NonNegativeInt
    passes: Passes
    seconds: Seconds
    peak_memory_bytes: NonNegativeInt
    revisions: dict[str, str]
    environment: dict[str, str | int | bool | None]

    @property
    def run(self) -> Run:
        return Run(self.suite, self.benchmark, self.method, self.seed)

    @field_validator("metrics")
    @classmethod
    def _metrics_are_named_and_finite(cls, metrics: dict[str, float]) -> dict[str, float]:
        for key, value in metrics.items():
            if key.count("/") != 2:
                raise ValueError(f"metric {key!r} is not split/metric/domain")
            if not math.isfinite(value):
                raise ValueError(f"metric {key!r} is {value}")
        return metrics


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` at `path`: a temporary file in the same folder, fsync, rename. Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_record(record: Record, results: Path) -> Path:
    """Write `record` at its path, atomically. Returns the path."""
    path = record.run.path(results)
    write_atomically(path, (record.model_dump_json(indent=1) + "\n").encode())
    return path


def read_record(path: Path) -> Record:
    """The record at `path`. Raises RecordError, naming the file and what to do, if it is anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise RecordError(f"{path}: not readable as JSON ({error}). Delete the file and run it again.") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"{path}: schema version {version}, this code reads {SCHEMA_VERSION}. "
            "Delete the file and run it again, or read it with the code that wrote it."
        )
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "record"
        raise RecordError(f"{path}: {where}: {first['msg']}. Delete the file and run it again.") from error
    if path.parts[-4:] != record.run.path(Path()).parts:
        raise RecordError(f"{path}: its content is the run {record.run} of suite {record.suite}. Move or delete it.")
    return record


def record_paths(folder: Path) -> Iterator[Path]:
    """Every path below `folder` where a record would be, in sorted order."""
    return iter(sorted(folder.glob("**/seed-*.json")))


def read_records(folder: Path) -> tuple[list[Record], list[RecordError]]:
    """All records below `folder`, and what is wrong with those that are not valid: nothing is skipped silently."""
    records: list[Record] = []
    errors: list[RecordError] = []
    for path in record_paths(folder):
        try:
            records.append(read_record(path))
        except RecordError as error:
            errors.append(error)
    return records, errors
