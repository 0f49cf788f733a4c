"""The record: one JSON file per run, versioned, validated on write and on read, written once and atomically.

A record's path tells its identity: `<results>/<suite>/<benchmark>/<method>/seed-<k>.json`.
"""

import json
import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeFloat,
    NonNegativeInt,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    field_validator,
)

from benchmarks.row import Recipe

SCHEMA_VERSION: Literal[2] = 2

ENVIRONMENT = (
    "git_commit",
    "git_dirty",
    "python",
    "torch",
    "transformers",
    "timm",
    "tokenizers",
    "numpy",
    "cuda",
    "device",
    "cpu",
    "cpu_capability",
    "platform",
    "threads",
    "precision",
    "processes",
    "parallel",
    "resumed",
)
"""What the environment of every record says, None where there is nothing to say; a cluster adds its ids."""

_RECIPE = TypeAdapter(Recipe)
_RECIPE_FIELDS = frozenset(field.name for field in fields(Recipe))
_RECIPE_SCHEMA = _RECIPE.json_schema() | {"required": sorted(_RECIPE_FIELDS), "additionalProperties": False}
_SCALAR_SCHEMA = {"type": ["string", "integer", "boolean", "null"]}
_ENVIRONMENT_SCHEMA = {"type": "object", "required": list(ENVIRONMENT), "additionalProperties": _SCALAR_SCHEMA}


class RecordError(Exception):
    """A file in the results folder that is not a valid record of the run that its path names."""


@dataclass(frozen=True, order=True)
class Run:
    """What identifies a run: everything else follows from these four and the code."""

    suite: str
    benchmark: str
    method: str
    seed: int

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Of the record's path below the results."""
        return self.suite, self.benchmark, self.method, f"seed-{self.seed}.json"

    def path(self, results: Path) -> Path:
        return results.joinpath(*self.parts)

    def checkpoints(self, results: Path) -> Path:
        """The folder beside the record's place, with what the run goes on from until it is finished."""
        return results.joinpath(*self.parts[:-1], f"seed-{self.seed}.checkpoint")

    def __str__(self) -> str:
        return f"{self.benchmark} {self.method} seed {self.seed}"


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, strict=True, json_schema_serialization_defaults_required=True
    )


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

    schema_version: Literal[2] = SCHEMA_VERSION
    suite: str
    benchmark: str
    method: str
    seed: NonNegativeInt
    method_fields: dict[str, Any]
    """The method resolved to its fields, so that a record is readable without the code."""
    recipe: Annotated[dict[str, Any], WithJsonSchema(_RECIPE_SCHEMA)]
    """Every field of `benchmarks.row.Recipe` as it was carried out, those at their defaults too."""
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
    environment: Annotated[dict[str, str | int | bool | None], WithJsonSchema(_ENVIRONMENT_SCHEMA)]
    """All of ENVIRONMENT, and what a cluster adds."""

    @property
    def run(self) -> Run:
        return Run(self.suite, self.benchmark, self.method, self.seed)

    @field_validator("recipe")
    @classmethod
    def _recipe_is_complete(cls, recipe: dict[str, Any]) -> dict[str, Any]:
        if recipe.keys() != _RECIPE_FIELDS:
            different = ", ".join(sorted(recipe.keys() ^ _RECIPE_FIELDS))
            raise ValueError(f"its fields are not those of a recipe: {different}")
        _RECIPE.validate_python(recipe)
        return recipe

    @field_validator("environment")
    @classmethod
    def _environment_is_complete(cls, environment: dict[str, Any]) -> dict[str, Any]:
        missing = [name for name in ENVIRONMENT if name not in environment]
        if missing:
            raise ValueError(f"it does not say {', '.join(missing)}")
        return environment

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
    write_atomically(path, formatted(record))
    return path


def formatted(record: Record) -> bytes:
    """The content of the file of `record`."""
    return (record.model_dump_json(indent=1) + "\n").encode()


def read_record(path: Path) -> Record:
    """The record at `path`. Raises RecordError, naming the file and what to do, if it is anything else."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: not readable ({error.strerror}). Mend its permissions or delete it.") from error
    try:
        record = Record.model_validate_json(content)
    except ValidationError as error:
        raise RecordError(f"{path}: {_complaint(path, content, error)}") from error
    if formatted(record) != content:  # what was written here has every key once
        try:
            json.loads(content, object_pairs_hook=with_keys_once)
        except ValueError as error:
            raise RecordError(f"{path}: {error}. Delete the file and run it again.") from error
    if "schema_version" not in record.model_fields_set:
        raise RecordError(f"{path}: it does not say its schema version. Delete the file and run it again.")
    if path.parts[-4:] != record.run.parts:
        raise RecordError(f"{path}: its content is the run {record.run} of suite {record.suite}. Move or delete it.")
    return record


def with_keys_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, for its parser. Raises ValueError where a key stands twice: nothing tells which is meant."""
    found = dict(pairs)
    if len(found) != len(pairs):
        ((name, count),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{name} stands {count} times in one object")
    return found


def _complaint(path: Path, content: bytes, error: ValidationError) -> str:
    """What is wrong with the content of a file that is not a record of this version, and what to do."""
    try:
        read = json.loads(content)
    except (ValueError, RecursionError) as problem:
        return f"not readable as JSON ({problem}). Delete the file and run it again."
    version = read.get("schema_version") if isinstance(read, dict) else None
    if not isinstance(version, int):
        return f"{versionless(read)}. Delete the file and run it again."
    if version != SCHEMA_VERSION:
        is_older = isinstance(version, int) and version < SCHEMA_VERSION
        advice = f"To lift it: python -m benchmarks migrate {path.parent}" if is_older else "It needs newer code."
        return f"schema version {version}, this code reads {SCHEMA_VERSION}. {advice}"
    return f"{first_problem(error)}. Delete the file and run it again."


_KINDS = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false", type(None): "null"}


def versionless(content: object) -> str:
    """What is wrong with JSON in which no number tells its schema."""
    kind = _KINDS.get(type(content))
    return f"it holds {kind} and no record" if kind else "it does not say its schema version"


def first_problem(error: ValidationError) -> str:
    """Where the first thing is that is wrong, and what."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "record"
    return f"{where}: {first['msg']}"


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
