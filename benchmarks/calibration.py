"""Which joiner did the paper use? The perplexities of the untrained model under each, beside the paper's.

The paper does not say what stands between two lines of M2D2. Its tables have a row for the model before training,
which depends on nothing else: the joiner that comes nearest to it is the one to train with.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import get_args

import torch

from benchmarks.evaluation import score
from benchmarks.m2d2 import prepare, task
from benchmarks.row import Benchmark
from benchmarks.sources import Joiner, M2D2Source
from benchmarks.task import Report, silent

JOINERS: tuple[Joiner, ...] = get_args(Joiner)
PUBLISHED = Path(__file__).parents[1] / "results" / "published"


@dataclass(frozen=True)
class Calibration:
    """The perplexity of the untrained model on one domain's test split, and the paper's where it has one."""

    joiner: Joiner
    domain: str
    perplexity: float
    published: float | None

    @property
    def log_ratio(self) -> float | None:
        """ln(ours / the paper's): 0 where they agree."""
        return math.log(self.perplexity / self.published) if self.published else None


def calibrate(
    row: Benchmark, report: Report = silent, device: str | torch.device = "cpu", joiners: Sequence[Joiner] = JOINERS
) -> list[Calibration]:
    """Score the untrained model of an M2D2 row on every domain's test split under each joiner; prepares what it needs.

    Raises DataError as `benchmarks.m2d2.prepare` does.
    """
    source = row.source
    assert isinstance(source, M2D2Source)
    published = published_zero_shot(row)
    found: list[Calibration] = []
    for joiner in joiners:
        tested = replace(row, source=replace(source, joiner=joiner, trained=()), sequence=())
        prepare(tested, report)
        untrained = task(tested, seed=0)
        untrained.model.to(device)
        for domain, blocks in untrained.test.items():
            report(f"score, joiner {joiner}", len(found) % len(row.domains), len(row.domains))
            perplexity = score(untrained, blocks, row.recipe.evaluation_batch_size).perplexity
            found.append(Calibration(joiner, domain, perplexity, published.get(domain)))
        report(f"score, joiner {joiner}", len(row.domains), len(row.domains))
    return found


def nearest(found: Sequence[Calibration]) -> Joiner | None:
    """The joiner whose ln(ours / the paper's) is nearest to 0 on average over the domains; None without any of the
    paper's."""
    distances: dict[Joiner, float] = {}
    for joiner in dict.fromkeys(one.joiner for one in found):
        ratios = [abs(one.log_ratio) for one in found if one.joiner == joiner and one.log_ratio is not None]
        if ratios:
            distances[joiner] = mean(ratios)
    return min(distances, key=distances.__getitem__, default=None)


def published_zero_shot(row: Benchmark) -> Mapping[str, float]:
    """The paper's perplexity, before training, of each domain that its tables for this row have."""
    tables = [table for column in (*row.published, *row.published_train) for table in column.tables]
    for table in dict.fromkeys(tables):
        with (PUBLISHED / f"{table}.tsv").open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file, delimiter="\t"):
                if line["method"] == row.zero_shot_name:
                    return {domain: float(line[domain]) for domain in row.domains if line.get(domain)}
    return {}
