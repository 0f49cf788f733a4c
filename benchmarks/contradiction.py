"""Whether a well-formed record is one that this project's rows could have made. Nothing here imports torch."""

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from benchmarks.execution import FITTED
from benchmarks.method_fields import fields_by_method, first_difference
from benchmarks.probes.record import ProbeRecord
from benchmarks.record import Record, StepStatistics
from benchmarks.registry import BENCHMARKS, ZERO_SHOT
from benchmarks.row import Benchmark
from benchmarks.sources import Source, identity
from benchmarks.variants import UnknownMethodError, is_own, near, parse, passes_of

SOURCE = "source"
"""The revision, in a record, that is a digest of its row's source."""

METHOD_FIELDS = ("trust_region", "penalty", "ascent")
"""What tells a method: all that a record says of one that has no row here."""

_identity = cache(identity)
_is_own, _passes_of = cache(is_own), cache(passes_of)
"""Of thousands of records there are few sources and few methods."""


def contradiction(record: Record) -> str | None:
    """What in a record does not fit the registry, or None."""
    row = BENCHMARKS.get(record.benchmark)
    if row is None:
        return _unknown(record.benchmark)
    if (strange := _untold(record) or _of_another_method(record)) is not None:
        return strange
    missing = [name for key, name in _scores(row).items() if key not in record.metrics]
    if missing:
        return f"no test/{row.metric} of {', '.join(missing)}"
    if (impossible := _impossible(record.metrics) or _of_no_domain(record.metrics, row.domains)) is not None:
        return impossible
    if _is_of_another_source(row.source, record.revisions):
        return f"it was made from other data or another model than {row.name} names now"
    for name, value in _recipe(row).items():
        expected = 0 if name == "steps" and record.method == ZERO_SHOT else value
        if record.recipe[name] != expected and not _asked_by_method(record, name):
            return f"its recipe has {name} = {record.recipe[name]}, and {row.name} has {expected}"
    return _of_no_training(record, record.recipe["steps"] * (1 + len(row.sequence)))


def _untold(record: Record) -> str | None:
    """A name that tells no method: of a row here with settings that it cannot have, or of one's own without fields."""
    if not _is_own(record.method):
        return _misnamed(record.method)
    missing = [name for name in METHOD_FIELDS if name not in record.method_fields]
    return f"{record.method} is no method here, and its method_fields have no {', '.join(missing)}" if missing else None


def _of_another_method(record: Record) -> str | None:
    """A field that the method of that name has not; what settings change only the library can tell."""
    known = fields_by_method().get(record.method, record.method_fields)
    difference = None if record.method_fields == known else first_difference(record.method_fields, known)
    return difference and f"its method has {difference[0]} = {difference[1]}, and {record.method} has {difference[2]}"


@cache
def _misnamed(method: str) -> str | None:
    """What is wrong with the settings in the name of a method of a row here."""
    try:
        parse(method)
    except UnknownMethodError as error:
        return str(error)
    return None


_POSSIBLE = {"accuracy": (0.0, 100.0), "perplexity": (1.0, math.inf), "nll": (0.0, math.inf)}


@dataclass(frozen=True)
class _Metric:
    """What the name of a metric tells: what it is of, where it can lie, and of a perplexity the nll of its own set."""

    domain: str
    low: float
    high: float
    nll: str | None


@cache
def _metric(key: str) -> _Metric:
    split, metric, domain = key.split("/")
    nll = f"{split}/nll/{domain}" if metric == "perplexity" else None
    return _Metric(domain, *_POSSIBLE.get(metric, (-math.inf, math.inf)), nll)


def _impossible(metrics: Mapping[str, float]) -> str | None:
    """A score that no model can have, or a perplexity that is not exp(nll) of its own set."""
    for key, value in metrics.items():
        known = _metric(key)
        if not known.low <= value <= known.high:
            return f"{key} is {value}, and can only be between {known.low:g} and {known.high:g}"
        nll = metrics.get(known.nll) if known.nll else None
        if nll is not None and not math.isclose(math.log(value), nll, abs_tol=1e-5):
            return f"{key} is {value}, and its nll of {nll} makes it {math.exp(nll)}"
    return None


def _of_no_domain(metrics: Mapping[str, float], domains: Collection[str]) -> str | None:
    """A score on what the row is not scored on."""
    strange = next((key for key in metrics if _metric(key).domain not in domains), None)
    return None if strange is None else f"it has {strange}, and the domains are {', '.join(domains)}"


def _of_no_training(record: Record, steps: int) -> str | None:
    """What no training of so many steps with the record's method can say of itself."""
    if record.recipe["selection"] == "last" and record.selected_step != steps:
        return f"its selected step is {record.selected_step}, and the last is {steps}"
    if record.degenerate_steps > steps:
        return f"it has {record.degenerate_steps} degenerate steps of {steps}"
    forward, backward = record.passes.forward, record.passes.backward
    if not _is_own(record.method) and (forward, backward) not in _passes(record):
        counted = " and ".join(map(str, _passes_of(record.method)))
        return f"its steps make {forward} forward and {backward} backward passes, and {record.method} makes {counted}"
    for name, statistics in (("distance", record.distance), ("perturbation_norm", record.perturbation_norm)):
        if statistics is not None and (wrong := _of_no_steps(statistics)) is not None:
            return f"its {name} has {wrong}"
    return None


def _passes(record: Record) -> tuple[tuple[int, int], ...]:
    """The passes of one step; where the reference's logits are kept, one forward pass fewer once they are."""
    forward, backward = _passes_of(record.method)
    kept = ((forward - 1, backward),) if record.recipe["keep_reference"] else ()
    return ((forward, backward), *kept)


def _of_no_steps(statistics: StepStatistics) -> str | None:
    """What no list of numbers has as its statistics."""
    for name in ("first", "median", "last"):
        if (value := getattr(statistics, name)) > statistics.maximum:
            return f"{name} = {value} above its maximum of {statistics.maximum}"
    if not 0 <= statistics.share_zero <= 1:
        return f"share_zero = {statistics.share_zero}, and can only be between 0 and 1"
    return None


_POSSIBLE_OF_PROBES = {
    "cka": (0.0, 1.0),
    "cka-uncentred": (0.0, 1.0),
    "sharpness": (-100.0, math.inf),  # 100 (L1 - L0) / (1 + L0): an ascent that misses may lower the loss
    "weights-at-edge": (0.0, 100.0),
    "agreement": (0.0, 100.0),
    "nll": (0.0, math.inf),
    "distance": (0.0, math.inf),
    "relative-distance": (0.0, math.inf),
}
_ROUNDING = 1e-6
"""By how much a sum in floating point may leave its bounds."""


def probe_contradiction(record: ProbeRecord) -> str | None:
    """What in the record of a probe does not fit the registry, or None."""
    row = BENCHMARKS.get(record.benchmark)
    if row is None:
        return _unknown(record.benchmark)
    if _is_of_another_source(row.source, record.revisions):
        return f"it was made from other data or another model than {row.name} names now"
    missing = [key for key in _measured(record.probe, row) if key not in record.metrics]
    if missing:
        return f"no {', '.join(missing)}"
    if record.probe.startswith("surface") and record.surface is None:
        return "no surface"
    for key, value in record.metrics.items():
        low, high = _POSSIBLE_OF_PROBES.get(key.split("/")[1], (-math.inf, math.inf))
        if not low - _ROUNDING <= value <= high + _ROUNDING:
            return f"{key} is {value}, and can only be between {low:g} and {high:g}"
    losses = {f"surface/nll/{domain}": 0.0 for domain in (record.surface.losses if record.surface else ())}
    return _of_no_domain(record.metrics | losses, (*row.domains, *OF_MANY))


OF_MANY = ("ZS Avg", "all")
"""What probes have beside domains: the mean over those that training has not seen, and what is of no domain."""


@cache
def _measured(probe: str, row: Benchmark) -> tuple[str, ...]:
    """The metrics without which the record of a probe says nothing of its run."""
    if probe in ("cka", "sharpness", "sharpness-connectivity"):
        return tuple(f"test/{probe.partition('-')[0]}/{domain}" for domain in row.domains)
    return {"forgetting": ("weights/distance/all",), "spectrum": (f"test/eigenvalue-1/{row.train_domain}",)}.get(
        probe, ()
    )


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
