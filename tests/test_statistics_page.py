"""The numbers of docs/statistics.md are those that commands print."""

import re
from pathlib import Path

import pytest
from scipy.stats import chi2

from analysis.claims import judge
from analysis.claims.table import summary
from analysis.records import load
from analysis.statistics.__main__ import correlations, reach

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->(.*?)<!-- /{name} -->", PAGE, re.DOTALL)
    assert found is not None
    return found[1].strip()


def test_the_table_of_seeds_is_printed_by_the_command() -> None:
    assert block("reach") == reach()


def test_detectable_correlations() -> None:
    assert block("correlations") == correlations()


def test_what_follows_from_the_published_tables() -> None:
    assert " ".join(block("published").split()) == summary(judge(load(ROOT / "results" / "published")))


def test_the_spread_of_five_seeds_is_uncertain_by_the_factors_that_are_said() -> None:
    low, high = ((4 / chi2.ppf(q, 4)) ** 0.5 for q in (0.975, 0.025))
    assert f"reaches from {low:.2f} to {high:.2f} times the estimate" in " ".join(PAGE.split())


@pytest.mark.parametrize(
    "name", re.findall(r"`(\w+)`", "".join(re.findall(r"^\|.*\| (`\w+`(?:, `\w+`)*) \|$", PAGE, re.M)))
)
def test_every_function_of_the_page_exists(name: str) -> None:
    modules = (ROOT / "analysis" / "statistics").glob("*.py")
    assert any(f"def {name}(" in module.read_text(encoding="utf-8") for module in modules)
