"""The record of a probe: one JSON file per run and probe, beside the run's own record. Nothing here imports torch.

Its path tells its identity: `<results>/<suite>/<benchmark>/<method>/seed-<k>/<probe>.json`.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, ValidationError, model_validator

from benchmarks.cache import digest
from benchmarks.record import Record, RecordError, Run, versionless, with_keys_once, write_atomically

PROBE_SCHEMA_VERSION: Literal[1] = 1

PROBES = (
    "sharpness",
    "sharpness-connectivity",
    "cka",
    "forgetting",
    "spectrum",
    "surface-line",
    "surface-random",
    "surface-plane",
)
"""Every probe by its name, in the order in which they run."""


OF = "run"
"""The revision, in the record of a probe, that tells which weights were probed: the fingerprint of the run's record."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Surface(_Strict):
    """Losses at weights on a grid: theta = origin + a direction + b other direction, for a and b on the axes.

    `axes` has one or two lists of coordinates, in units of the directions. `losses` maps each domain, as the tables
    print it, to the mean nll in nats at every point, the last axis running fastest; None where it is not finite.
    `points` names places on the line or plane (`theta_0`, a method's name) by their coordinates; they need not lie on
    the grid.
    """

    axes: tuple[tuple[float, ...], ...]
    losses: dict[str, tuple[float | None, ...]]
    points: dict[str, tuple[float, ...]]

    @model_validator(mode="after")
    def _is_a_grid(self) -> Self:
        if len(self.axes) not in (1, 2) or not all(self.axes):
            raise ValueError(f"a surface has one or two axes with coordinates, not {self.axes}")
        size = math.prod(map(len, self.axes))
        for domain, losses in self.losses.items():
            if len(losses) != size:
                raise ValueError(f"{domain} has {len(losses)} losses, and the grid {size} points")
        for name, place in self.points.items():
            if len(place) != len(self.axes):
                raise ValueError(f"point {name} has {len(place)} coordinates, and the grid {len(self.axes)} axes")
        return self


class ProbeRecord(_Strict):
    """All that a table or a figure needs to know of one probe of one run."""

    schema_version: Literal[1] = PROBE_SCHEMA_VERSION
    suite: str
    benchmark: str
    method: str
    seed: NonNegativeInt
    probe: str
    settings: dict[str, Any]
    """The probe's settings as they were resolved: every field, with its value."""
    metrics: dict[str, float]
    """Keyed `split/metric/domain`, as `test/sharpness/math`, `weights/distance/all`."""
    surface: Surface | None
    seconds: NonNegativeFloat
    """Of computing the probe, without the training that made the weights."""
    peak_memory_bytes: NonNegativeInt
    revisions: dict[str, str]
    """Of the run's data and model, and what tells which weights were probed."""
    environment: dict[str, str | int | bool | None]

    @property
    def run(self) -> Run:
        return Run(self.suite, self.benchmark, self.method, self.seed)

    @model_validator(mode="after")
    def _is_named_and_says_something(self) -> Self:
        if self.probe not in PROBES:
            raise ValueError(f"probe {self.probe!r} is none of {', '.join(PROBES)}")
        for key in self.metrics:
            if key.count("/") != 2:
                raise ValueError(f"metric {key!r} is not split/metric/domain")
        if not self.metrics and self.surface is None:
            raise ValueError("neither metrics nor a surface")
        return self


def fingerprint(record: Record) -> str:
    """What tells the trained weights of a run from all others: the run, and what they score on every test set.

    The scores have all their digits. Code, data or a recipe that changed what is learned changed them too; what did
    not change them, a comment or the form of a record, leaves weights that took days to train where they are found.
    """
    scores = {key: value for key, value in record.metrics.items() if key.startswith("test/nll/")}
    return digest({"benchmark": record.benchmark, "method": record.method, "seed": record.seed, "scores": scores})


def check_is_of(probe: ProbeRecord, record: Record, path: Path) -> None:
    """Raise RecordError if `probe`, at `path`, looked at other weights than those that `record` scored."""
    if probe.revisions.get(OF) != fingerprint(record):
        raise RecordError(f"{path}: the run was made anew since. Move or delete it, and probe again.")


def probe_path(run: Run, probe: str, results: Path) -> Path:
    """Where the record of `probe` on `run` is."""
    return run.path(results).with_suffix("") / f"{probe}.json"


def write_probe_record(record: ProbeRecord, results: Path) -> Path:
    """Write `record` at its path, atomically, one line per field. Returns the path."""
    path = probe_path(record.run, record.probe, results)
    write_atomically(path, formatted(record.model_dump(mode="json")).encode())
    return path


def formatted(content: Mapping[str, Any]) -> str:
    """JSON with a line per field, and per entry of a field that is a dictionary: long lists stay on one line."""
    fields = []
    for name, value in content.items():
        if isinstance(value, dict) and value:
            entries = [f"  {_line(key)}: {_line(entry)}" for key, entry in value.items()]
            fields.append(f" {_line(name)}: {{\n" + ",\n".join(entries) + "\n }")
        else:
            fields.append(f" {_line(name)}: {_line(value)}")
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def read_probe_record(path: Path) -> ProbeRecord:
    """The record at `path`. Raises RecordError, naming the file and what to do, if it is anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=with_keys_once)
    except (ValueError, RecursionError, OSError) as error:
        raise RecordError(f"{path}: not readable as JSON ({error}). Delete the file and probe again.") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise RecordError(f"{path}: {versionless(content)}. Delete the file and probe again.")
    if version != PROBE_SCHEMA_VERSION:
        raise RecordError(
            f"{path}: schema version {version}, this code reads {PROBE_SCHEMA_VERSION}. "
            "Delete the file and probe again, or read it with the code that wrote it."
        )
    try:
        record = ProbeRecord.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "record"
        raise RecordError(f"{path}: {where}: {first['msg']}. Delete the file and probe again.") from error
    if path.parts[-5:] != probe_path(record.run, record.probe, Path()).parts:
        raise RecordError(
            f"{path}: its content is {record.probe} of the run {record.run} of suite {record.suite}. Move or delete it."
        )
    return record


def probe_record_paths(folder: Path) -> Iterator[Path]:
    """Every path below `folder` where the record of a probe would be, in sorted order."""
    return iter(sorted(folder.glob("**/seed-*/*.json")))


def read_probe_records(folder: Path) -> tuple[list[ProbeRecord], list[RecordError]]:
    """All of them below `folder`, and what is wrong with those that are not valid: nothing is skipped silently."""
    records: list[ProbeRecord] = []
    errors: list[RecordError] = []
    for path in probe_record_paths(folder):
        try:
            records.append(read_probe_record(path))
        except RecordError as error:
            errors.append(error)
    return records, errors
