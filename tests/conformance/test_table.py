"""The stored record is of every cell, explains every outcome, and is what the pages show."""

from collections import Counter

import pytest

from tests.conformance.cells import CELLS
from tests.conformance.check import TOLERANCE
from tests.conformance.record import OUTCOMES, STORED, group_of, read, record
from tests.conformance.rules import FAILED, PASSED, rule_of
from tests.conformance.run import ROOT
from tests.conformance.table import PAGES, rendered, totals


def test_every_cell_is_in_the_record_and_ended_as_it_has_to() -> None:
    content = read(STORED)
    expected: dict[tuple[object, ...], Counter[str]] = {}
    for cell in CELLS:
        rule = rule_of(cell)
        expected.setdefault(group_of(cell), Counter())[PASSED if rule is None else rule.outcome] += 1
    found = {
        (group["way"], group["precision"], group["layout"], group["micro_batches"]): Counter(
            {outcome: group[outcome] for outcome in OUTCOMES if outcome in group}
        )
        for group in content["groups"]
    }
    assert content["failed"] == {}
    assert found == expected
    assert f"Of {len(CELLS):,} cells" in totals(content)


def test_every_difference_is_within_the_tolerance() -> None:
    content = read(STORED)
    assert content["tolerance"] == TOLERANCE
    for group in content["groups"]:
        assert ("largest_difference" in group) == (PASSED in group)
        assert group.get("largest_difference", 0.0) <= TOLERANCE[group["precision"]]


@pytest.mark.parametrize("page", PAGES)
def test_the_page_shows_the_record(page: str) -> None:
    """If not: `python -m tests.conformance table`."""
    assert (ROOT / page).read_text(encoding="utf-8") == rendered(page, read(STORED))


def test_a_record_of_some_cells_is_refused() -> None:
    with pytest.raises(ValueError, match=f"{len(CELLS)} cells have no verdict"):
        record({})


def test_failed_cells_are_shown() -> None:
    content = read(STORED)
    group = next(group for group in content["groups"] if PASSED in group)
    group[FAILED] = 1
    assert "1 failed" in totals(content)
    assert all("1 failed" in make(content) for make in PAGES.values())
