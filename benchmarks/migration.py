"""Records of older schemas, lifted to the present one: what a version left to defaults is written out.

A lift adds what the code that wrote the record took for granted, with the values that it had then; it changes no number
and drops none. Nothing here imports torch.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from benchmarks.record import (
    SCHEMA_VERSION,
    Record,
    RecordError,
    first_problem,
    formatted,
    record_paths,
    write_atomically,
)

Content = dict[str, Any]
Outcome = Literal["lifted", "current", "refused"]


@dataclass(frozen=True)
class Migration:
    """What became of one file; `why` it was refused, and what to do."""

    path: Path
    outcome: Outcome
    why: str = ""


def migrate(folder: Path, dry_run: bool = False) -> Iterator[Migration]:
    """Lift every record below `folder`, one file after the other, each atomically; a dry run writes nothing.

    Interrupted at any moment, every file is whole, and the next call takes up the rest.
    """
    for path in record_paths(folder):
        try:
            content = lifted_file(path)
        except RecordError as error:
            yield Migration(path, "refused", str(error))
            continue
        if content is not None and not dry_run:
            write_atomically(path, content)
        yield Migration(path, "current" if content is None else "lifted")


def lifted_file(path: Path) -> bytes | None:
    """The file's content under the present schema; None if it has that already. Raises RecordError if it cannot be."""
    try:
        old = json.loads(path.read_bytes(), object_pairs_hook=_without_duplicates)
        version = old["schema_version"]
    except OSError as error:
        raise RecordError(f"{path}: not readable ({error.strerror}). Mend its permissions or delete it.") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RecordError(f"{path}: not the JSON of a record ({error}). Delete the file and run it again.") from error
    if version == SCHEMA_VERSION:
        return None
    if not isinstance(version, int) or version not in LIFTS:
        raise RecordError(f"{path}: schema version {version} is unknown here. Migrate it with the code that wrote it.")
    try:
        record = Record.model_validate_json(json.dumps(lifted(old)))
    except (ValidationError, TypeError, AttributeError, KeyError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else repr(error)
        raise RecordError(f"{path}: {problem}. It is not as version {version} was; mend or delete it.") from error
    if path.parts[-4:] != record.run.parts:
        raise RecordError(f"{path}: its content is the run {record.run} of suite {record.suite}. Move or delete it.")
    new = formatted(record)
    lost = first_lost({**old, "schema_version": SCHEMA_VERSION}, json.loads(new))
    if lost is not None:
        raise RecordError(f"{path}: {lost} would not survive. The file is left as it is; mend or delete it.")
    return new


def lifted(content: Content) -> Content:
    """`content` under the present schema, version by version. Raises KeyError for an unknown version."""
    while content["schema_version"] != SCHEMA_VERSION:
        content = LIFTS[content["schema_version"]](content)
    return content


def first_lost(old: Any, new: Any, name: str = "") -> str | None:
    """The first entry of `old`, as `recipe.lr`, that `new` lacks or has with another value or type."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            place = f"{name}.{key}".lstrip(".")
            lost = first_lost(value, new[key], place) if key in new else place
            if lost is not None:
                return lost
        return None
    # repr tells 1 from 1.0, -0.0 from 0.0, and every double from its neighbours.
    return None if repr(old) == repr(new) else name


def _without_duplicates(pairs: list[tuple[str, Any]]) -> Content:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands in it twice")
    return content


# Frozen: what version 1 meant by saying nothing, whatever the defaults of today's code are.
_RECIPE_OF_VERSION_1: Mapping[str, Any] = {
    "selection_examples": None,
    "checkpoint_every": None,
    "precision": "float32",
    "keep_reference": False,
}
_ENVIRONMENT_OF_VERSION_1: Mapping[str, Any] = {
    "precision": "float32",
    "processes": 1,
    "parallel": None,
    "resumed": 0,
}
_METHOD_OF_VERSION_1: Mapping[str, Any] = {"moving_scale": None, "moving_maximum": None}


def _from_1(content: Content) -> Content:
    """Version 2 has every field of the recipe, of the method and of the environment."""
    return content | {
        "schema_version": 2,
        "method_fields": {**content["method_fields"], **_absent(_METHOD_OF_VERSION_1, content["method_fields"])},
        "recipe": {**content["recipe"], **_absent(_RECIPE_OF_VERSION_1, content["recipe"])},
        "environment": {**content["environment"], **_absent(_ENVIRONMENT_OF_VERSION_1, content["environment"])},
    }


def _absent(defaults: Mapping[str, Any], content: Content) -> Content:
    return {name: value for name, value in defaults.items() if name not in content}


LIFTS: Mapping[int, Callable[[Content], Content]] = {1: _from_1}
"""By the version that each lifts to the next."""
