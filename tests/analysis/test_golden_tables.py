"""Every table from the stored results, in every format, is what it was when somebody read it."""

import difflib
from functools import cache

import pytest

from tests.analysis.golden_tables import GOLDEN, golden_files

made = cache(golden_files)


@pytest.mark.parametrize("kind", ["md", "csv", "sha256", "txt"])
@pytest.mark.parametrize("folder", ["mini", "published"])
def test_golden(folder: str, kind: str) -> None:
    """After a wanted change: `python -m tests.analysis.golden_tables`, then read what has changed."""
    name = f"{folder}.{kind}"
    stored, now = (GOLDEN / name).read_text(encoding="utf-8"), made()[name]
    if stored != now:  # pytest's own comparison of texts of this length takes minutes
        lines = difflib.unified_diff(stored.splitlines(), now.splitlines(), "stored", "now", lineterm="", n=0)
        pytest.fail(f"{name} has changed:\n" + "\n".join(list(lines)[:40]), pytrace=False)


def test_nothing_else_is_stored() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(made())


def test_every_table_of_the_paper_is_there() -> None:
    """The names of the published files, and both tables of the main text that repeat the appendix."""
    published = {path.stem for path in (GOLDEN.parents[3] / "results" / "published").glob("*.tsv")}
    main_text = {"table_04_m2d2_wiki", "table_04_m2d2_s2orc", "table_05_xnli"}
    text = made()["published.md"]
    assert {line[4:-7] for line in text.splitlines() if line.startswith("==> ")} == published | main_text
