"""Figure 2: its points are the table's, its lines least squares, its domains those that the numbers single out."""

import csv
from pathlib import Path

import numpy as np
import pytest

from analysis.figures import NothingToDrawError, gather
from analysis.figures.correlation import GROUPS, compared, draw_correlation, split_of
from analysis.records import load
from analysis.sheets import Sheet, published_sheets
from tests.analysis.figures.artists import line_in, panel, points
from tests.analysis.figures.golden import ROOT, material
from tests.analysis.synthetic import write_tree

STEM = ("Astro", "CondM", "CS", "Econ", "NLin", "Phys", "QBio", "Stat")
PRIOR = ("Adam", "SAM", "ASAM", "FSAM", "TRPO", "R3F", "MESA")
TRAM = ("TRAM-prev", "TRAM-pre", "TRAM-x", "TRAM-Fisher")


def table(name: str, *keys: str) -> dict[str, dict[str, str]]:
    """Its rows by the words in the columns `keys`."""
    with (ROOT / "results" / "published" / f"{name}.tsv").open(encoding="utf-8") as file:
        return {" ".join(row[key] for key in keys): row for row in csv.DictReader(file, delimiter="\t")}


def sheet(name: str) -> Sheet:
    return next(each for each in published_sheets() if each.name == name)


def test_the_papers_two_anticorrelated_domains_are_found() -> None:
    split = split_of(sheet("m2d2-s2orc"))
    assert split.against == ("Art", "Phil")
    assert split.along == STEM


@pytest.mark.parametrize(("name", "label", "within"), [("m2d2-wiki", "Wiki", 0.003), ("m2d2-s2orc", "S2ORC", 0.08)])
def test_correlations_are_those_of_the_papers_table_9(name: str, label: str, within: float) -> None:
    printed = table("table_09_domain_correlation", "split", "domain")
    for domain, r in split_of(sheet(name)).r.items():
        assert r == pytest.approx(float(printed[f"{label} {domain}"]["rho"]), abs=within)


def test_points_are_the_tables_numbers() -> None:
    figure = draw_correlation(material("published").of("m2d2-s2orc"))
    rows = table("table_11_m2d2_s2orc", "method")
    drawn = points(panel(figure, "average of 8"))
    assert drawn.keys() == {*PRIOR, *TRAM}
    for method, place in drawn.items():
        mean = sum(float(rows[method][domain]) for domain in STEM) / 8
        assert place == pytest.approx((float(rows[method]["Math"]), mean))
    assert points(panel(figure, "Art"))["MESA"] == (11.9, 44.1)
    assert points(panel(figure, "Phil"))["TRAM-prev"] == (9.6, 43.3)


@pytest.mark.parametrize(("group", "members"), [("prior", PRIOR), ("TRAM", TRAM)])
def test_lines_are_least_squares_over_their_group(group: str, members: tuple[str, ...]) -> None:
    figure = draw_correlation(material("published").of("m2d2-s2orc"))
    rows = table("table_11_m2d2_s2orc", "method")
    x = np.array([float(rows[name]["Math"]) for name in members])
    y = np.array([float(rows[name]["Art"]) for name in members])
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    line = line_in(panel(figure, "Art"), GROUPS[group])
    assert line.get_xdata() == pytest.approx([x.min(), x.max()])
    assert line.get_ydata() == pytest.approx(y.mean() + slope * (np.array([x.min(), x.max()]) - x.mean()))
    r = np.corrcoef(x, y)[0, 1]
    assert str(line.get_label()).startswith(f"{group}: r \N{MINUS SIGN}{abs(r):.2f}, p ")


def test_the_title_has_the_correlation_over_both_groups() -> None:
    figure = draw_correlation(material("published").of("m2d2-s2orc"))
    rows = table("table_11_m2d2_s2orc", "method")
    x, y = ([float(rows[name][domain]) for name in (*PRIOR, *TRAM)] for domain in ("Math", "Art"))
    assert panel(figure, "Art").get_title(loc="left") == f"Art: r = \N{MINUS SIGN}{abs(np.corrcoef(x, y)[0, 1]):.2f}"


def test_other_divergences_count_where_the_paper_has_them() -> None:
    assert {"TRAM-x-MMD", "TRAM-x-L2"} <= set(compared(sheet("xnli")).index)
    ours = {each.name: set(compared(each).index) for each in material("mini").sheets}
    assert {"TRAM-x-MMD", "TRAM-x-L2"} <= ours["mini-xnli"]
    assert not {"TRAM-x-MMD", "TRAM-x-L2"} & ours["mini-m2d2"]


def test_the_paper_stands_below_ours_with_its_most_anticorrelated_domains() -> None:
    figure = draw_correlation(material("mini").of("mini-m2d2"))
    assert [text.get_text() for text in figure.texts] == [
        "mini-m2d2, docstrings of eleven packages",
        "the paper: m2d2-s2orc, S2ORC, GPT-2",
    ]
    assert points(panel(figure, "Art")).keys() == {*PRIOR, *TRAM}


def test_too_few_methods_are_told(tmp_path: Path) -> None:
    folder = write_tree(tmp_path, {"mini-xnli": ("Adam", "SAM")}, (0,), lambda method, *_: 50.0 + len(method))
    with pytest.raises(NothingToDrawError, match=r"mini-xnli: 2 methods .* it takes 4 methods"):
        draw_correlation(gather(load(folder), folder).of("mini-xnli"))


def test_a_group_of_two_has_no_line_and_says_so(tmp_path: Path) -> None:
    methods = {"Adam": 1.0, "SAM": 2.0, "ASAM": 2.5, "FSAM": 2.7, "TRAM-x": 3.0, "TRAM-pre": 4.0}

    def score(method: str, seed: int, domain: str) -> float:
        return 50 + methods[method] * (1 + 0.1 * len(domain)) + seed * len(domain) + 0.1 * len(method) ** len(domain)

    folder = write_tree(tmp_path, {"mini-xnli": methods}, (0, 1), score)
    figure = draw_correlation(gather(load(folder), folder).of("mini-xnli"))
    legend = panel(figure, "average of 14").get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][1] == "TRAM: no line, n = 2"
