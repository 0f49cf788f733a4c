"""Synthetic trees of records, as a suite would leave them, with numbers that anyone can recompute."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from math import log
from pathlib import Path
from zlib import crc32

from benchmarks.method_fields import fields_by_method
from benchmarks.record import ENVIRONMENT, Passes, Record, Seconds, StepStatistics, write_record
from benchmarks.registry import BENCHMARKS
from benchmarks.sources import identity
from benchmarks.variants import is_own, passes_of

Score = Callable[[str, int, str], float]
"""score(method, seed, domain): what the record says."""

OWN_METHOD = {"type": "Method", "trust_region": None, "penalty": 0.0, "ascent": None}
"""What a record says of a method that has no row in the registry; of one with settings these records say nothing."""
HAS_DISTANCE = ("TRPO", "R3F", "MESA", "TRAM-pre", "TRAM-x")
HAS_ASCENT = ("SAM", "TRAM")


def record(benchmark: str, method: str, seed: int, score: Score, **changes: object) -> Record:
    """A record of the suite `mini` whose test scores are `score`; `changes` replace fields."""
    row = BENCHMARKS[benchmark]
    metrics = {f"test/{row.metric}/{domain}": score(method, seed, domain) for domain in row.domains}
    # A perplexity is exp(nll) of its own set; of an accuracy the nll may be anything.
    for domain in row.domains:
        value = score(method, seed, domain)
        metrics[f"test/nll/{domain}"] = log(value) if row.metric == "perplexity" and value > 0 else 1.0
    # No two real runs have every number in common.
    metrics[f"validation/nll/{row.train_domain}"] = 1.0 + seed / 1000 + crc32(method.encode()) / 2**52
    distance = StepStatistics(first=0.0, median=0.02, mean=0.03, maximum=0.25, last=1e-5, share_zero=0.01)
    norm = StepStatistics(first=0.0, median=0.5, mean=0.5, maximum=0.75, last=0.5, share_zero=0.01)
    ascends = any(name in method for name in HAS_ASCENT)
    passes = (2, 2) if is_own(method) else passes_of(method.partition("@")[0])
    fields: dict[str, object] = {
        "suite": "mini",
        "benchmark": benchmark,
        "method": method,
        "seed": seed,
        "method_fields": OWN_METHOD if is_own(method) else fields_by_method().get(method, {}),
        "recipe": {**asdict(row.recipe), "betas": list(row.recipe.betas)},
        "metrics": metrics,
        "distance": distance if any(name in method for name in HAS_DISTANCE) else None,
        "perturbation_norm": norm if ascends else None,
        "degenerate_steps": 1 if method.startswith("TRAM-pre") else 0,
        "selected_step": row.recipe.steps * (1 + len(row.sequence)),
        "passes": Passes(forward=passes[0], backward=passes[1]),
        "seconds": Seconds(prepare=1.0, train=10.0 + seed if not ascends else 20.0 + seed, evaluate=1.0),
        "peak_memory_bytes": 300 * 2**20,
        "revisions": {"data": "made up"} | ({"source": identity(row.source)} if row.source else {}),
        "environment": {**dict.fromkeys(ENVIRONMENT), "torch": "2.15.0", "threads": 1},
    }
    return Record.model_validate(fields | changes)


def write_tree(folder: Path, benchmarks: Mapping[str, Iterable[str]], seeds: Iterable[int], score: Score) -> Path:
    """Write the records of these methods and seeds below `folder`; returns the suite's folder."""
    seeds = tuple(seeds)
    for benchmark, methods in benchmarks.items():
        for method in methods:
            for seed in seeds:
                write_record(record(benchmark, method, seed, score), folder)
    return folder / "mini"
