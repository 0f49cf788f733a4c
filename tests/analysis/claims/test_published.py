"""What follows from the paper's tables, by the project's judges and by reading the files naively."""

import csv
from pathlib import Path

import pytest
from scipy.stats import ks_2samp, wilcoxon

from analysis.claims import CLAIMS, Judged, judge
from analysis.claims.claim import Ahead
from analysis.records import load

PUBLISHED = Path(__file__).parents[3] / "results" / "published"
JUDGED = judge(load(PUBLISHED))
FILES = {
    "vision-cifar100": ("table_03_vision", "CIFAR-100"),
    "vision-cars": ("table_03_vision", "Cars"),
    "vision-flowers": ("table_03_vision", "Flowers"),
    "m2d2-wiki": ("table_11_m2d2_wiki", "Soc"),
    "m2d2-s2orc": ("table_11_m2d2_s2orc", "Math"),
    "m2d2-s2orc-xl": ("table_10_m2d2_gpt2xl", "Math"),
    "xnli": ("table_12_xnli", "En"),
}


def rows(table: str) -> dict[str, dict[str, float]]:
    with (PUBLISHED / f"{table}.tsv").open(encoding="utf-8") as file:
        return {
            row.pop("method"): {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file, delimiter="\t")
        }


def judged(claim: str, benchmark: str) -> Judged:
    (found,) = [one for one in JUDGED if (one.claim.id, one.benchmark) == (claim, benchmark)]
    return found


def test_every_claim_is_judged_on_every_table_that_it_is_about() -> None:
    assert [(one.claim.id, one.benchmark) for one in JUDGED] == [
        (claim.id, name) for claim in CLAIMS for name in FILES if name in claim.sheets
    ]


@pytest.mark.parametrize(
    "one",
    [one for one in JUDGED if isinstance(one.claim.question, Ahead)],
    ids=lambda one: f"{one.claim.id}-{one.benchmark}",
)
def test_who_is_ahead_by_reading_the_files(one: Judged) -> None:
    question = one.claim.question
    assert isinstance(question, Ahead)
    table, train = FILES[one.benchmark]
    scores, lower = rows(table), one.benchmark.startswith("m2d2")
    if question.quantity != "score":
        scores, lower = rows("table_06_sharpness_cka"), question.quantity == "sharpness"
    elif one.benchmark == "xnli":
        scores |= {name: row for name, row in rows("table_14_xnli_distance").items() if name != "TRAM-x-KL"}
    prefix = "" if question.quantity == "score" else f"{question.quantity.lower()}_"
    columns = {
        "training domain": [f"{prefix}{train}"],
        "ZS Avg": [f"{prefix}ZS" if prefix else "ZS_Avg"],
        "every zero-shot domain": [name for name in scores["Adam"] if name not in (train, "ZS_Avg")]
        if "Adam" in scores
        else [],
        "domains off the trend": ["Art", "Phil"],
    }[question.columns]

    def better(one: str, other: str) -> bool:
        pairs = [(scores[one][column], scores[other][column]) for column in columns]
        return all(first < second if lower else first > second for first, second in pairs)

    leaders = [name for name in question.methods if name in scores]
    beats = [all(better(name, other) for other in question.others if other in scores) for name in leaders]
    ahead = all(beats) if question.every else any(beats)
    assert one.evidence.finding is not None
    assert one.evidence.finding.effect is not None
    assert (one.evidence.finding.effect > 0) is ahead
    if question.level is None:
        assert one.verdict == ("follows" if ahead else "does not follow")


def test_significance_as_the_paper_prints_it() -> None:
    """Of M2D2 by Kolmogorov-Smirnov, of XNLI by Wilcoxon, on what is printed by domain."""
    for benchmark, follows in (("m2d2-wiki", True), ("m2d2-s2orc", False)):
        table, train = FILES[benchmark]
        scores = rows(table)
        domains = [name for name in scores["ASAM"] if name not in (train, "ZS_Avg")]
        assert len(domains) == 10
        p = ks_2samp([scores["TRAM-prev"][name] for name in domains], [scores["ASAM"][name] for name in domains]).pvalue
        one = judged("m2d2-significant", benchmark)
        assert one.evidence.p == pytest.approx(p)
        assert bool(p < 0.01) is follows
        assert one.verdict == ("follows" if follows else "does not follow")
    scores = rows("table_12_xnli")
    languages = [name for name in scores["ASAM"] if name not in ("En", "ZS_Avg")]
    gains = [round(scores["TRAM-x"][name] - scores["ASAM"][name], 6) for name in languages]
    assert min(gains) > 0
    one = judged("xnli-significant", "xnli")
    assert one.evidence.p == pytest.approx(2 / 2**14)
    assert wilcoxon(gains).pvalue < 0.01
    assert one.verdict == "follows"


def test_numbers_by_eye() -> None:
    """Read from the tables: who decides, with which numbers."""
    expected = {
        ("m2d2-best-in-domain", "m2d2-wiki"): ("TRAM-prev and FSAM, Soc", (20.9, 21.7), 0.8),
        ("m2d2-best-zero-shot", "m2d2-s2orc"): ("TRAM-prev and TRAM-pre, ZS Avg", (26.2, 26.6), 0.4),
        ("m2d2-far-domains", "m2d2-s2orc"): ("TRAM-pre and MESA, Art", (44.8, 44.1), -0.7),
        ("xl-gains-farther", "m2d2-s2orc-xl"): ("TRAM-prev's gain over Adam, ZS Avg and Math", (2.4, 0.4), 2.0),
        ("xnli-every-language", "xnli"): ("TRAM-x and Adam, Sw", (66.0, 64.6), 1.4),
        ("xnli-divergence", "xnli"): ("TRAM-x and TRAM-x-MMD, ZS Avg", (75.2, 75.0), 0.2),
        ("vision-best", "vision-cars"): ("TRAM-prev and FSAM, Cars", (93.49, 93.42), 0.07),
        ("sharpness-in-domain", "xnli"): ("TRAM-pre and SAM, En", (0.75, 1.43), 0.68),
        ("cka-zero-shot", "xnli"): ("TRAM-prev and TRAM-x, ZS Avg", (0.57, 0.54), 0.03),
    }
    for (claim, benchmark), (what, values, effect) in expected.items():
        finding = judged(claim, benchmark).evidence.finding
        assert finding is not None
        assert finding.what == what
        assert finding.values == pytest.approx(values)
        assert finding.effect == pytest.approx(effect)


def test_correlations_are_those_of_table_9_but_for_the_known_gap() -> None:
    for benchmark, split, within in (("m2d2-wiki", "Wiki", 0.003), ("m2d2-s2orc", "S2ORC", 0.08)):
        with (PUBLISHED / "table_09_domain_correlation.tsv").open(encoding="utf-8") as file:
            table = {row["domain"]: float(row["rho"]) for row in csv.DictReader(file, delimiter="\t")
                     if row["split"] == split}  # fmt: skip
        one = judged("m2d2-correlated", benchmark)
        assert one.evidence.finding is not None
        assert one.evidence.finding.values[0] == pytest.approx(table["ZS_Avg"], abs=within)
        assert one.evidence.runs == 11
        assert f"Table 9 prints {table['ZS_Avg']:.3f}." in one.why
    phil = judged("m2d2-anticorrelated", "m2d2-s2orc")
    assert phil.evidence.finding is not None
    assert phil.evidence.finding.what == "Phil with Math"
    assert phil.evidence.finding.values[0] == pytest.approx(table["Phil"], abs=0.08)
    assert phil.evidence.finding.effect == -phil.evidence.finding.values[0]


def test_welch_from_printed_intervals() -> None:
    """CIFAR-100: TRAM-x 88.78 ± 0.01, FSAM 88.39 ± 0.13 over 5 runs; s is half width times sqrt(5) / 2.776445."""
    one = judged("vision-best", "vision-cifar100")
    assert one.evidence.test is not None
    assert one.evidence.test.statistic == pytest.approx(0.39 / ((0.01**2 + 0.13**2) ** 0.5 / 2.776445), rel=1e-6)
    # Picked from four variants.
    assert one.evidence.p == pytest.approx(4 * one.evidence.test.p)
    assert "Picked from 4: p = 0.004." in one.why


def test_what_is_not_printed_is_said() -> None:
    one = judged("radius-below-rho", "xnli")
    assert one.verdict == "not printed"
    assert one.why == "The paper prints no number for it."
