"""Whether two trees of records hold the same numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from benchmarks.record import Record

Key = tuple[str, str, int]


@dataclass(frozen=True)
class Comparison:
    """Of the runs that both trees have, how many agree in every metric, and the largest relative difference."""

    common: int
    identical: int
    largest: float
    where: str
    only_first: int
    only_second: int

    def __str__(self) -> str:
        if self.common == 0:
            return f"No run is in both: {self.only_first} only in the first, {self.only_second} only in the second."
        lines = [f"{self.identical} of {self.common} runs in both are identical in every metric"]
        if self.identical < self.common:
            size = (
                "a metric is in one only" if self.largest == inf else f"largest relative difference {self.largest:.2g}"
            )
            lines[0] += f"; {size} ({self.where})"
        if self.only_first or self.only_second:
            lines.append(f"Not compared: {self.only_first} only in the first, {self.only_second} only in the second.")
        return lines[0] + "." + "".join(f"\n{line}" for line in lines[1:])


def compare(first: Iterable[Record], second: Iterable[Record]) -> Comparison:
    """Compare metric for metric, whatever the suites are called."""
    one, two = _by_run(first), _by_run(second)
    common = sorted(one.keys() & two.keys())
    differences = [_largest_difference(one[key].metrics, two[key].metrics) for key in common]
    identical = sum(difference == 0 for difference, _ in differences)
    largest, where = 0.0, ""
    for key, (difference, metric) in zip(common, differences, strict=True):
        if difference > largest:
            largest, where = difference, f"{one[key].run}, {metric}"
    return Comparison(len(common), identical, largest, where, len(one) - len(common), len(two) - len(common))


def _by_run(records: Iterable[Record]) -> dict[Key, Record]:
    return {(record.benchmark, record.method, record.seed): record for record in records}


def _largest_difference(one: dict[str, float], two: dict[str, float]) -> tuple[float, str]:
    """The largest abs(a - b) / max(abs(a), abs(b)) and its metric; infinite for a metric that only one has."""
    largest, where = 0.0, ""
    for key in sorted(one.keys() | two.keys()):
        if key not in one or key not in two:
            return inf, key
        scale = max(abs(one[key]), abs(two[key]))
        difference = abs(one[key] - two[key]) / scale if scale else 0.0
        if difference > largest:
            largest, where = difference, key
    return largest, where
