"""Sheets, ours against scores worked out by hand and the paper's against the published tables."""

import csv
from math import isnan, sqrt
from pathlib import Path

import pandas as pd
import pytest

from analysis.aggregate import ZERO_SHOT, expected_methods
from analysis.records import PUBLISHED, Results, load
from analysis.sheets import Sheet, counterparts, published_sheets, sheets_of
from benchmarks.registry import BENCHMARKS
from tests.analysis.conftest import hand_score
from tests.analysis.synthetic import record

TABLES = Path(__file__).parents[2] / "results" / "published"
PAPER = {sheet.name: sheet for sheet in published_sheets()}


def own(*runs: object) -> Sheet:
    (sheet,) = sheets_of(Results("mini", tuple(runs), ()))  # type: ignore[arg-type]
    return sheet


def test_means_and_deviations_by_hand(suite: Path) -> None:
    letters, m2d2 = sheets_of(load(suite))
    assert (letters.name, m2d2.name) == ("mini-vision-letters", "mini-m2d2")
    # Scores are 50 + seed + gain + the length of the domain's name: of seeds 0 to 2, SAM has 51, 52.1 and 53.2.
    assert letters.mean.at["SAM", "blur"] == pytest.approx(52.1 + 4)
    assert letters.std.at["SAM", "blur"] == pytest.approx(1.1)
    assert letters.mean.at["SAM", ZERO_SHOT] == pytest.approx(52.1 + 6)
    assert letters.mean.at["TRAM-x", "blur"] == pytest.approx((49 + 49.9) / 2 + 4)
    assert letters.std.at["TRAM-x", "blur"] == pytest.approx(0.9 / sqrt(2))
    assert letters.by_seed is not None
    for method, seeds in letters.seeds.items():
        expected = [hand_score(method, seed, "noise") for seed in seeds]
        assert letters.by_seed.loc[method]["noise"].tolist() == expected
    assert letters.seeds == {"SGD": (0, 1, 2), "SAM": (0, 1, 2), "R3F": (0, 1, 2), "TRAM-x": (0, 1)}


def test_what_a_sheet_says_of_its_benchmark(suite: Path) -> None:
    letters, m2d2 = sheets_of(load(suite))
    assert letters.columns == ("letters", "noise", "blur", "affine", "occlusion", ZERO_SHOT)
    assert tuple(letters.mean.columns) == tuple(letters.std.columns) == letters.columns
    assert (letters.family, letters.baseline, letters.lower_is_better) == ("vision", "SGD", False)
    assert (m2d2.family, m2d2.baseline, m2d2.lower_is_better) == ("m2d2", "Adam", True)
    assert letters.expected_seeds == (0, 1, 2, 3, 4)
    assert letters.methods == ("SGD", "SAM", "R3F", "TRAM-x")
    assert len(letters.expected) == 16


def test_seeds_beyond_the_suites_own_are_expected_too() -> None:
    assert own(record("mini-xnli", "Adam", 7, lambda *_: 50.0)).expected_seeds == (0, 1, 2, 3, 4)


def test_a_mean_of_which_a_part_is_missing_is_missing() -> None:
    """A record without a domain is left out when it is loaded; one that comes another way must not be averaged over."""
    whole = record("mini-xnli", "Adam", 0, lambda *_: 50.0)
    lacking = record("mini-xnli", "Adam", 1, lambda *_: 60.0)
    metrics = {key: value for key, value in lacking.metrics.items() if key != "test/accuracy/De"}
    sheet = own(whole, lacking.model_copy(update={"metrics": metrics}))
    assert sheet.mean.at["Adam", "En"] == 55
    for column in ("De", ZERO_SHOT):
        assert isnan(sheet.score("Adam", column))
        assert isnan(sheet.deviation("Adam", column))


def test_one_seed_has_no_deviation() -> None:
    assert own(record("mini-xnli", "Adam", 0, lambda *_: 50.0)).std.isna().all(axis=None)


def test_the_order_of_records_does_not_matter(suite: Path) -> None:
    results = load(suite)
    forward, backward = (sheets_of(Results("mini", each, ())) for each in (results.records, results.records[::-1]))
    for one, two in zip(forward, backward, strict=True):
        assert one.by_seed is not None
        assert two.by_seed is not None
        pd.testing.assert_frame_equal(one.by_seed, two.by_seed, check_exact=True)
        pd.testing.assert_frame_equal(one.mean, two.mean, check_exact=True)


def rows(table: str) -> dict[str, dict[str, str]]:
    with (TABLES / f"{table}.tsv").open(encoding="utf-8") as file:
        return {row["method"]: row for row in csv.DictReader(file, delimiter="\t")}


@pytest.mark.parametrize(
    ("name", "table", "untrained"),
    [
        ("m2d2-wiki", "table_11_m2d2_wiki", "GPT-2"),
        ("m2d2-s2orc", "table_11_m2d2_s2orc", "GPT-2"),
        ("m2d2-s2orc-xl", "table_10_m2d2_gpt2xl", "GPT2-XL"),
        ("xnli", "table_12_xnli", None),
        ("xnli", "table_14_xnli_distance", None),
        ("vision-cifar100", "table_03_vision", None),
        ("vision-cars", "table_03_vision", None),
        ("vision-flowers", "table_03_vision", None),
    ],
)
def test_published_sheets_hold_every_printed_number(name: str, table: str, untrained: str | None) -> None:
    sheet = PAPER[name]
    for method, row in rows(table).items():
        own_name = {untrained: "zero-shot", "TRAM-x-KL": "TRAM-x"}.get(method, method)
        for domain in sheet.domains:
            assert sheet.mean.at[own_name, domain] == float(row[domain])
        if "ZS_Avg" in row:
            assert sheet.mean.at[own_name, ZERO_SHOT] == float(row["ZS_Avg"])
    assert sheet.by_seed is None
    assert sheet.origin == "published"


def test_published_methods_have_the_names_of_ours() -> None:
    """Tables 12 and 14 together are what the suite of the paper runs; `TRAM-x-KL` is TRAM-x again."""
    for name, sheet in PAPER.items():
        assert sheet.methods == expected_methods("paper", BENCHMARKS[name])


def test_published_deviations_and_seeds() -> None:
    xnli = PAPER["xnli"]
    for method, row in rows("table_13_xnli_std").items():
        for domain in xnli.domains:
            assert xnli.std.at[method, domain] == float(row[domain])
    assert xnli.std[ZERO_SHOT].isna().all()
    assert PAPER["vision-flowers"].std.at["TRAM-prev", "Flowers"] == 0.10
    assert {sheet.spread for sheet in PAPER.values() if sheet.family == "vision"} == {"95% interval"}
    assert PAPER["m2d2-wiki"].std.isna().all(axis=None)
    assert {name: sheet.printed_seeds for name, sheet in PAPER.items()} == {
        "vision-cifar100": 5, "vision-cars": 5, "vision-flowers": 5,
        "m2d2-wiki": 1, "m2d2-s2orc": 1, "m2d2-s2orc-xl": 1, "xnli": 20,
    }  # fmt: skip


def test_the_folder_of_the_papers_numbers_is_a_suite() -> None:
    assert [sheet.name for sheet in sheets_of(Results(PUBLISHED, (), ()))] == list(PAPER)
    assert sheets_of(Results("mini", (), ())) == []


@pytest.mark.parametrize(
    ("benchmark", "beside"),
    [
        ("mini-vision-mnist", ["vision-cifar100", "vision-cars", "vision-flowers"]),
        ("mini-m2d2", ["m2d2-wiki", "m2d2-s2orc"]),
        ("mini-xnli", ["xnli"]),
        ("mini-m2d2-sequence", []),
        ("m2d2-s2orc", ["m2d2-s2orc"]),
        ("m2d2-s2orc-xl", ["m2d2-s2orc-xl"]),
        ("vision-cars", ["vision-cars"]),
        ("vision-cars-resnet50", []),
    ],
)
def test_counterparts(benchmark: str, beside: list[str]) -> None:
    sheet = own(record(benchmark, "SAM", 0, lambda *_: 50.0))
    assert [paper.name for paper in counterparts(sheet)] == beside
    assert all(counterparts(paper) == [] for paper in counterparts(sheet))
