"""Whether a well-formed record is one that this project's rows could have made. Nothing here imports torch."""

from dataclasses import MISSING, asdict, fields
from typing import Any

from benchmarks.execution import FITTED
from benchmarks.record import Record
from benchmarks.registry import BENCHMARKS, ZERO_SHOT
from benchmarks.row import Recipe
from benchmarks.sources import identity
from benchmarks.variants import nearest

SOURCE = "source"
"""The revision, in a record, that is a digest of its row's source."""


def contradiction(record: Record) -> str | None:
    """What in a record does not fit the registry, or None. A recipe's field that a record lacks has its default."""
    row = BENCHMARKS.get(record.benchmark)
    if row is None:
        return f"unknown benchmark {record.benchmark!r}; the nearest is {nearest(record.benchmark, BENCHMARKS)!r}"
    missing = [domain for domain in row.domains if f"test/{row.metric}/{domain}" not in record.metrics]
    stages = (row.train_domain, *row.sequence) if row.sequence else ()
    missing += [f"{domain} after {stage}" for stage in stages for domain in row.domains
                if f"after {stage}/{row.metric}/{domain}" not in record.metrics]  # fmt: skip
    if missing:
        return f"no test/{row.metric} of {', '.join(missing)}"
    if row.source is not None and record.revisions.get(SOURCE) != identity(row.source):
        return f"it was made from other data or another model than {row.name} names now"
    expected = asdict(row.recipe) | ({"steps": 0} if record.method == ZERO_SHOT else {})
    defaults = {field.name: field.default for field in fields(Recipe) if field.default is not MISSING}
    for name, value in expected.items():
        recorded = record.recipe.get(name, defaults.get(name))
        if name not in FITTED and _plain(recorded) != _plain(value) and not _asked_by_method(record, name):
            return f"its recipe has {name} = {recorded}, and {row.name} has {value}"
    return None


def _asked_by_method(record: Record, name: str) -> bool:
    """A bound that asks the validation set looks at it where the recipe itself does not."""
    return name == "evaluation_every" and "=validation" in record.method


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
