"""One quantity of every method on every domain of one benchmark, ours by seed or as the paper prints it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isnan

import pandas as pd

from analysis.aggregate import ZERO_SHOT
from analysis.claims.claim import Columns, Quantity
from analysis.published import read_table
from analysis.sheets import Sheet
from benchmarks.probes.record import ProbeRecord

PROBE_OF: Mapping[Quantity, str] = {"sharpness": "sharpness", "CKA": "cka"}
_PROBE_TABLE = "table_06_sharpness_cka"
_NAMED_OFF_TREND = ("Art", "Phil")


@dataclass(frozen=True)
class Scores:
    """What claims are judged on: means over seeds and, if ours, what they are means of."""

    benchmark: str
    quantity: Quantity
    metric: str
    lower_is_better: bool
    train_domain: str
    zero_shot_domains: tuple[str, ...]
    mean: pd.DataFrame
    """A row per method; a column per domain and ZS Avg."""
    by_seed: pd.DataFrame | None
    """Ours only, index (method, seed)."""

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(self.mean.index)

    @property
    def named_off_trend(self) -> tuple[str, ...]:
        """The paper's two, where the benchmark has both."""
        return _NAMED_OFF_TREND if set(_NAMED_OFF_TREND) <= set(self.zero_shot_domains) else ()

    def columns(self, selected: Columns) -> tuple[str, ...]:
        """The names of the columns that a claim is about."""
        match selected:
            case "training domain":
                return (self.train_domain,)
            case "ZS Avg":
                return (ZERO_SHOT,)
            case "every zero-shot domain":
                return self.zero_shot_domains
            case "domains off the trend":
                return self.named_off_trend or self._least_correlated(2)

    def _least_correlated(self, count: int) -> tuple[str, ...]:
        trend = self.mean[list(self.zero_shot_domains)].corrwith(self.mean[self.train_domain])
        return tuple(str(domain) for domain in trend.sort_values(kind="stable").index[:count])

    def values(self, method: str, column: str) -> Mapping[int, float]:
        """By seed, runs without the number left out; empty for what is printed or was not run."""
        return self._values.get((method, column), {})

    @cached_property
    def _values(self) -> dict[tuple[str, str], dict[int, float]]:
        found: dict[tuple[str, str], dict[int, float]] = {}
        if self.by_seed is not None:
            for (method, seed), row in zip(self.by_seed.index, self.by_seed.to_numpy(), strict=True):
                for column, value in zip(self.by_seed.columns, row, strict=True):
                    if not isnan(value):
                        found.setdefault((method, column), {})[int(seed)] = float(value)
        return found


def scores_of(sheet: Sheet, quantity: Quantity, probes: Iterable[ProbeRecord] = ()) -> Scores:
    """The sheet itself, or what the probes say of its runs. Without any the frames are empty."""
    if quantity == "score":
        return Scores(
            sheet.name,
            quantity,
            sheet.metric,
            sheet.lower_is_better,
            sheet.train_domain,
            sheet.zero_shot_domains,
            sheet.mean,
            sheet.by_seed,
        )
    by_seed = None if sheet.origin == "published" else _probed(sheet, PROBE_OF[quantity], probes)
    return Scores(
        sheet.name,
        quantity,
        quantity,
        quantity == "sharpness",
        sheet.train_domain,
        sheet.zero_shot_domains,
        _printed_probe(sheet, quantity) if by_seed is None else by_seed.groupby("method").mean(),
        by_seed,
    )


def _probed(sheet: Sheet, probe: str, probes: Iterable[ProbeRecord]) -> pd.DataFrame:
    runs = [record for record in probes if record.benchmark == sheet.name and record.probe == probe]
    rows = {
        (run.method, run.seed): [run.metrics.get(f"test/{probe}/{domain}", float("nan")) for domain in sheet.domains]
        for run in runs
    }
    index = pd.MultiIndex.from_tuples(list(rows), names=["method", "seed"])
    frame = pd.DataFrame(list(rows.values()), index=index, columns=list(sheet.domains), dtype=float)
    frame[ZERO_SHOT] = frame[list(sheet.zero_shot_domains)].mean(axis="columns", skipna=False)
    return frame.sort_index()


def _printed_probe(sheet: Sheet, quantity: Quantity) -> pd.DataFrame:
    """Table 6 has English and the average of the other languages."""
    titles = {sheet.train_domain: f"{quantity.lower()}_{sheet.train_domain}", ZERO_SHOT: f"{quantity.lower()}_ZS"}
    rows = {
        method: [float(row[title]) for title in titles.values()]
        for method, row in read_table(_PROBE_TABLE).items()
        if sheet.family == "xnli"
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(titles)).rename_axis("method")
