"""Table 9, its claims and Figure 2 say the same r of the same methods, also where others were run, or too few seeds."""

from pathlib import Path

import pytest

from analysis.claims.judge import judge
from analysis.correlated import correlated_methods, left_out
from analysis.figures.correlation import compared, split_of
from analysis.paper.correlation import lines_of, table_09_domain_correlation
from analysis.paper.material import material_of
from analysis.records import Results, load
from analysis.sheets import sheets_of
from tests.analysis.synthetic import record

MINI = load(Path(__file__).parents[2] / "results" / "mini")
PAPERS = ("Adam", "SAM", "ASAM", "FSAM", "TRPO", "R3F", "MESA", "TRAM-prev", "TRAM-pre", "TRAM-x", "TRAM-Fisher")


def lacking(results: Results) -> Results:
    """Without the last seed of SAM."""
    return Results(results.suite, tuple(run for run in results.records if (run.method, run.seed) != ("SAM", 4)), ())


@pytest.mark.parametrize("results", [MINI, lacking(MINI)], ids=["all", "without a seed"])
def test_one_r_of_one_set_of_methods(results: Results) -> None:
    (sheet,) = (sheet for sheet in sheets_of(results) if sheet.name == "mini-m2d2")
    table = {line.domain: line for line in lines_of(sheet)}
    figure = split_of(sheet).r
    judged = {one.claim.id: one.evidence for one in judge(results, ["mini-m2d2"])}
    assert tuple(compared(sheet).index) == correlated_methods(sheet)
    assert figure.to_dict() == pytest.approx({domain: table[domain].rho for domain in sheet.zero_shot_domains})
    for claim in ("m2d2-correlated", "m2d2-anticorrelated"):
        evidence = judged[claim]
        assert evidence.finding is not None
        line = table[evidence.finding.what.removesuffix(f" with {sheet.train_domain}")]
        assert evidence.finding.values[0] == pytest.approx(line.rho)
        assert evidence.runs == len(line.train) == len(correlated_methods(sheet))


def test_they_are_the_papers() -> None:
    (sheet,) = (sheet for sheet in sheets_of(MINI) if sheet.name == "mini-m2d2")
    assert {"TRAM-x-MMD", "ASAM+TRPO"} <= set(sheet.methods)
    assert correlated_methods(sheet) == PAPERS
    assert left_out(sheet).keys() == {"TRAM-x-MMD", "TRAM-x-L2"}


def test_a_method_that_lacks_a_seed_is_a_gap_of_the_claim_and_named_below_the_table() -> None:
    results = lacking(MINI)
    (judged,) = (one for one in judge(results, ["mini-m2d2"]) if one.claim.id == "m2d2-correlated")
    assert judged.evidence.gaps == ("seeds of SAM",)
    assert judged.command is None
    (table,) = table_09_domain_correlation(material_of(results))
    assert "SAM (lacks seeds), TRAM-x-MMD (not in the paper's table)" in table.notes[1]


def test_signs_that_a_method_more_turns_are_said() -> None:
    """On a line but for one that the paper does not have, which lies far off it in fonts."""

    def score(method: str, seed: int, domain: str) -> float:
        if method == "TRAM-x-L2":
            return 50.0 if domain == "fonts" else 150.0
        return 80.0 + PAPERS.index(method)

    results = Results("mini", tuple(record("mini-m2d2", name, 0, score) for name in (*PAPERS, "TRAM-x-L2")), ())
    (table,) = table_09_domain_correlation(material_of(results))
    assert table.notes[1].startswith("Left out on mini-m2d2: TRAM-x-L2 (not in the paper's table). With all of them ρ ")
    assert "turns its sign: fonts +1.000 becomes -0.891" in table.notes[1]
    assert "science" not in table.notes[1]
