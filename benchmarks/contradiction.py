"""Whether a well-formed record is one that this project's rows could have made. Nothing here imports torch."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from benchmarks.execution import FITTED
from benchmarks.probes.record import ProbeRecord
from benchmarks.record import Record
from benchmarks.registry import BENCHMARKS, ZERO_SHOT
from benchmarks.row import Benchmark
from benchmarks.sources import Source, identity
from benchmarks.variants import UnknownMethodError, is_own, near, parse

SOURCE = "source"
"""The revision, in a record, that is a digest of its row's source."""

METHOD_FIELDS = ("trust_region", "penalty", "ascent")
"""What tells a method: all that a record says of one that has no row here."""

_identity = cache(identity)


def contradiction(record: Record) -> str | None:
    """What in a record does not fit the registry, or None."""
    row = BENCHMARKS.get(record.benchmark)
    if row is None:
        return _unknown(record.benchmark)
    if (untold := _untold(record)) is not None:
        return untold
    missing = [name for key, name in _scores(row).items() if key not in record.metrics]
    if missing:
        return f"no test/{row.metric} of {', '.join(missing)}"
    if (impossible := _impossible(record.metrics)) is not None:
        return impossible
    if _is_of_another_source(row.source, record.revisions):
        return f"it was made from other data or another model than {row.name} names now"
    for name, value in _recipe(row).items():
        expected = 0 if name == "steps" and record.method == ZERO_SHOT else value
        if record.recipe[name] != expected and not _asked_by_method(record, name):
            return f"its recipe has {name} = {record.recipe[name]}, and {row.name} has {expected}"
    return None


def _untold(record: Record) -> str | None:
    """A name that tells no method: of a row here with settings that it cannot have, or of one's own without fields."""
    try:
        parse(record.method)
    except UnknownMethodError as error:
        if not is_own(record.method):
            return str(error)
        missing = [name for name in METHOD_FIELDS if name not in record.method_fields]
        return (
            f"{record.method} is no method here, and its method_fields have no {', '.join(missing)}"
            if missing
            else None
        )
    return None


_POSSIBLE = {"accuracy": (0.0, 100.0), "perplexity": (1.0, math.inf), "nll": (0.0, math.inf)}


def _impossible(metrics: Mapping[str, float]) -> str | None:
    """A score that no model can have, or a perplexity that is not exp(nll) of its own set."""
    for key, value in metrics.items():
        split, metric, domain = key.split("/")
        low, high = _POSSIBLE.get(metric, (-math.inf, math.inf))
        if not low <= value <= high:
            return f"{key} is {value}, and can only be between {low:g} and {high:g}"
        nll = metrics.get(f"{split}/nll/{domain}")
        if metric == "perplexity" and nll is not None and not math.isclose(math.log(value), nll, abs_tol=1e-5):
            return f"{key} is {value}, and its nll of {nll} makes it {math.exp(nll)}"
    return None


def probe_contradiction(record: ProbeRecord) -> str | None:
    """What in the record of a probe does not fit the registry, or None."""
    row = BENCHMARKS.get(record.benchmark)
    if row is None:
        return _unknown(record.benchmark)
    if _is_of_another_source(row.source, record.revisions):
        return f"it was made from other data or another model than {row.name} names now"
    return None


def _unknown(benchmark: str) -> str:
    name = near(benchmark, BENCHMARKS)
    return f"unknown benchmark {benchmark!r}" + (f"; the nearest is {name!r}" if name else "")


@cache
def _scores(row: Benchmark) -> Mapping[str, str]:
    """The metrics that every record of the row has, with the name of what each scores."""
    scores = {f"test/{row.metric}/{domain}": domain for domain in row.domains}
    stages = (row.train_domain, *row.sequence) if row.sequence else ()
    return scores | {
        f"after {stage}/{row.metric}/{domain}": f"{domain} after {stage}" for stage in stages for domain in row.domains
    }


@cache
def _recipe(row: Benchmark) -> Mapping[str, Any]:
    """What every record of the row has in its recipe, as JSON has it."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(row.recipe).items()
        if name not in FITTED
    }


def _is_of_another_source(source: Source | None, revisions: Mapping[str, str]) -> bool:
    return source is not None and revisions.get(SOURCE) != _identity(source)


def _asked_by_method(record: Record, name: str) -> bool:
    """A bound that asks the validation set looks at it where the recipe itself does not."""
    return name == "evaluation_every" and "=validation" in record.method
