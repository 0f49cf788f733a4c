"""Selection, pairing and averaging, against numbers worked out by hand."""

from math import isnan, sqrt
from pathlib import Path

import pytest

from analysis.aggregate import (
    ZERO_SHOT,
    BenchmarkResult,
    MethodResult,
    aggregate,
    complete_of,
    expected_methods,
    expected_seeds,
    seeds_text,
)
from analysis.methods import in_order
from analysis.records import Results, load
from benchmarks.registry import BENCHMARKS, methods_of
from tests.analysis.synthetic import record, write_tree


def method_of(result: BenchmarkResult, name: str) -> MethodResult:
    return next(method for method in result.methods if method.method == name)


def test_order_puts_unknown_methods_last() -> None:
    assert in_order(["zeta", "TRAM-x", "alpha", "SGD", "SAM"]) == ("SGD", "SAM", "TRAM-x", "alpha", "zeta")


@pytest.mark.parametrize(
    ("benchmark", "baseline", "other"), [("mini-xnli", "Adam", "SGD"), ("mini-vision-mnist", "SGD", "Adam")]
)
def test_a_benchmark_has_one_baseline(benchmark: str, baseline: str, other: str) -> None:
    names = methods_of(BENCHMARKS[benchmark])
    assert baseline in names
    assert other not in names
    assert len(names) == 16


def test_scores_by_hand(suite: Path) -> None:
    letters = next(result for result in aggregate(load(suite)) if result.benchmark.name == "mini-vision-letters")
    sam = method_of(letters, "SAM")
    # Seeds score 51, 52.1, 53.2 and the length of the domain's name.
    assert sam.mean["blur"] == pytest.approx(52.1 + 4)
    assert sam.std["blur"] == pytest.approx(1.1)
    # noise, blur, affine, occlusion: 5 + 4 + 6 + 9 letters over 4 domains; "letters", the training domain, is left out.
    assert sam.mean[ZERO_SHOT] == pytest.approx(52.1 + 6)
    assert sam.zero_shot.differences == pytest.approx({0: 1.0, 1: 1.1, 2: 1.2})
    assert sam.zero_shot.interval is not None
    assert sam.zero_shot.interval.mean == pytest.approx(1.1)
    # t(0.975, 2) = 4.302653, s = 0.1; unpaired, s would be above 1 and the interval would include 0.
    assert sam.zero_shot.interval.half_width == pytest.approx(4.302653 * 0.1 / sqrt(3), rel=1e-6)
    assert str(sam.zero_shot.verdict) == "better"
    assert sam.difference["letters"] == sam.train.interval


def test_seeds_are_paired_by_number_not_by_position(tmp_path: Path) -> None:
    def score(method: str, seed: int, domain: str) -> float:
        return 10.0 * seed + (0.5 if method == "SAM" else 0.0)

    write_tree(tmp_path, {"mini-xnli": ("Adam",)}, (0, 1, 2), score)
    folder = write_tree(tmp_path, {"mini-xnli": ("SAM",)}, (2, 1, 7), score)
    (result,) = aggregate(load(folder))
    sam = method_of(result, "SAM")
    assert result.seeds == (0, 1, 2, 3, 4)
    assert sam.seeds == (1, 2, 7)
    assert sam.zero_shot.differences == {1: 0.5, 2: 0.5}
    assert sam.mean[ZERO_SHOT] == pytest.approx((10 + 20 + 70) / 3 + 0.5)


def test_zero_shot_average_is_per_seed_before_it_is_over_seeds(tmp_path: Path) -> None:
    """Otherwise the interval would be over domains, or the std over cells."""

    def score(method: str, seed: int, domain: str) -> float:
        return len(domain) * 5.0 + seed

    (result,) = aggregate(load(write_tree(tmp_path, {"mini-vision-letters": ("SGD",)}, (0, 2), score)))
    assert method_of(result, "SGD").std[ZERO_SHOT] == pytest.approx(sqrt(2))


def test_without_a_baseline_there_is_no_verdict(tmp_path: Path) -> None:
    (result,) = aggregate(load(write_tree(tmp_path, {"mini-xnli": ("SAM",)}, (0, 1), lambda *_: 50.0)))
    sam = method_of(result, "SAM")
    assert sam.zero_shot.interval is None
    assert sam.zero_shot.verdict is None
    assert sam.zero_shot.agreement is None
    assert sam.difference == {}
    assert str(sam.zero_shot.published) == "better 1/1"


def test_one_seed_has_no_std(tmp_path: Path) -> None:
    (result,) = aggregate(load(write_tree(tmp_path, {"mini-xnli": ("Adam",)}, (0,), lambda *_: 50.0)))
    assert isnan(method_of(result, "Adam").std["En"])


def test_rounding_error_is_no_difference() -> None:
    """The same accuracies on other domains: their averages are equal, but for the order of the sum."""
    scores = {"noise": 30.1, "blur": 30.1, "affine": 30.1, "occlusion": 50.3}
    others = dict(zip(scores, (30.1, 30.1, 50.3, 30.1), strict=True))

    def score(method: str, seed: int, domain: str) -> float:
        return (scores if method == "SGD" else others).get(domain, 50.0)

    runs = [record("mini-vision-letters", method, 0, score) for method in ("SGD", "SAM")]
    (result,) = aggregate(Results("mini", tuple(runs), ()))
    means = [method_of(result, method).mean[ZERO_SHOT] for method in ("SGD", "SAM")]
    assert means[0] != means[1], "the sums are exact: this tests nothing"
    assert str(method_of(result, "SAM").zero_shot.verdict) == "equal (1 seed)"
    assert method_of(result, "SAM").zero_shot.differences == {0: 0.0}


def test_methods_that_the_paper_has_not_are_kept() -> None:
    runs = [record("mini-xnli", method, 0, lambda *_: 50.0) for method in ("Adam", "TRAM-x sigma 0.5")]
    (result,) = aggregate(Results("mini", tuple(runs), ()))
    own = method_of(result, "TRAM-x sigma 0.5")
    assert result.methods[-1] == own
    assert own.zero_shot.published is None
    assert str(own.zero_shot.verdict) == "equal (1 seed)"


def test_only_named_benchmarks(suite: Path) -> None:
    assert [result.benchmark.name for result in aggregate(load(suite))] == ["mini-vision-letters", "mini-m2d2"]
    assert [result.benchmark.name for result in aggregate(load(suite), ["mini-m2d2"])] == ["mini-m2d2"]


def test_methods_with_settings_stand_behind_their_own_by_the_size_of_their_numbers() -> None:
    expected = (
        "zero-shot", "SGD", "TRAM-prev@decay=0.9", "TRAM-prev@decay=0.999", "TRAM-x", "TRAM-x@divergence=kl",
        "TRAM-x@scale=rise", "TRAM-x@std=1e-05", "TRAM-x@std=0.001", "TRAM-x@std=0.03", "TRAM-x@std=0.1",
        "TRAM-x@std=10", "another", "mine",
    )  # fmt: skip
    assert in_order(sorted(expected)) == expected
    assert in_order(sorted(expected, reverse=True)) == expected


def test_what_is_missing_is_what_the_suite_would_run() -> None:
    row = BENCHMARKS["mini-m2d2-sequence"]
    assert expected_methods("mini-domain-sequence", row) == (
        "Adam", "ASAM", "MESA", "TRAM-prev", "TRAM-pre", "TRAM-x"
    )  # fmt: skip
    assert expected_methods("of my own", BENCHMARKS["mini-xnli"]) == methods_of(BENCHMARKS["mini-xnli"])
    assert set(expected_methods("mini", BENCHMARKS["mini-xnli"])) == set(methods_of(BENCHMARKS["mini-xnli"]))


def test_a_stray_seed_changes_no_denominator(tmp_path: Path) -> None:
    """Five seeds are all that the suite has; one method was run with a sixth."""

    def score(method: str, seed: int, domain: str) -> float:
        return 50.0 + len(method) + seed

    runs = [record("mini-xnli", method, seed, score) for method in ("Adam", "SAM") for seed in range(5)]
    (found,) = aggregate(Results("mini", (*runs, record("mini-xnli", "SAM", 7, score)), ()))
    assert found.seeds == (0, 1, 2, 3, 4)
    assert found.complete == ("Adam", "SAM")
    assert [seeds_text(method.seeds, found.seeds) for method in found.run] == ["5", "5 and seed 7"]


def test_the_suite_says_how_many_seeds_there_should_be() -> None:
    def run(suite: str, seeds: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
        there = [(method, seed) for method, own in seeds.items() for seed in own]
        return expected_seeds(suite, BENCHMARKS["mini-xnli"], there)

    assert run("mini", {"Adam": (0,), "SAM": (0,)}) == (0, 1, 2, 3, 4)
    assert run("mini", {"Adam": (0, 7), "SAM": (0, 7)}) == (0, 1, 2, 3, 4, 7)
    assert run("of my own", {"Adam": (0, 7), "SAM": (0,)}) == (0, 7)
    assert seeds_text((0, 8, 7), (0, 1)) == "1 of 2 and seeds 7, 8"
    assert complete_of({"Adam": (0, 1), "SAM": (0,)}, (0, 1, 2)) == ("Adam",)
    assert complete_of({"Adam": (8,), "SAM": (9,)}, (0, 1, 2)) == ()
