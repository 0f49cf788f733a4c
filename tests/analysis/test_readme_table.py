"""The README's table: worked out by hand on the small suite, and current in the README itself."""

from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from typer.testing import CliRunner

from analysis.__main__ import app
from analysis.aggregate import aggregate
from analysis.claims import judge
from analysis.figures import draw_overview, encode
from analysis.readme import BEGIN, END, block, matrix_table, update, with_block
from analysis.records import load
from analysis.render import markdown_rows
from benchmarks.registry import BENCHMARKS
from benchmarks.suites import SUITES

ROOT = Path(__file__).parents[2]


def test_every_cell_by_hand(suite: Path) -> None:
    table = matrix_table(aggregate(load(suite)))
    assert [column.name for column in table.columns] == [
        "method",
        "letters ↑",
        "m2d2 ↓",
        "paper: vision, in-domain",
        "paper: m2d2",
    ]
    marked = {"best": "**", "worst": "_", None: ""}
    rows = {
        row[0].text: [f"{marked[cell.mark]}{cell.text}{marked[cell.mark]}" for cell in row[1:]]
        for row in table.sections[0]
    }
    # Scores are 50 + seed (mean 51) + gain + the mean length of a zero-shot domain's name: letters 24/4, m2d2 71/10.
    assert rows["baseline"] == ["57.00", "58.10", "-", "-"]
    assert rows["SAM"] == ["**+1.10**", "_+1.10_", "better 3/3", "better 2/2"]
    assert rows["R3F"] == ["0.00", "0.00", "-", "better 2/2"]
    assert rows["TRAM-x"] == ["_-1.05_", "**-1.10**", "better 3/3", "better 2/2"]


def test_only_what_is_between_the_markers_changes(suite: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n", encoding="utf-8")
    results, judged = aggregate(load(suite)), judge(load(suite))
    assert update(readme, results, judged)
    assert readme.read_text(encoding="utf-8") == f"above\n{block(results, judged)}\nbelow\n"
    assert not update(readme, results, judged)


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_missing_markers_are_told(text: str) -> None:
    with pytest.raises(ValueError, match="markers"):
        with_block(text, "new")


def test_the_readme_is_what_the_stored_records_say() -> None:
    """To renew after a wanted change: `make readme`."""
    results = aggregate(load(ROOT / "results" / "mini"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    judged = judge(load(ROOT / "results" / "mini"))
    assert with_block(text, block(results, judged)) == text
    counts = Counter(one.verdict for one in judged)
    assert all(f"{count} {verdict}" in text for verdict, count in counts.items())
    stored = imread(ROOT / "docs" / "figures" / "mini_overview.png")
    drawn = imread(BytesIO(encode(draw_overview(results), "png")))
    assert stored.shape == drawn.shape
    assert np.abs(stored - drawn).max() < 0.01


def prose() -> str:
    """The README's words, without its line breaks."""
    return " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


def test_what_the_readme_says_of_the_radius_is_what_the_claim_on_it_came_to() -> None:
    """A change of the records that makes the sentence untrue has to change the sentence."""
    judged = [one for one in judge(load(ROOT / "results" / "mini")) if one.claim.id == "radius-below-rho"]
    assert [one.verdict for one in judged] == ["contradicted"] * 5
    assert "here it grows beyond that on every benchmark" in prose()


def test_what_the_readme_says_of_sizes_is_so() -> None:
    steps = [row.recipe.steps for row in BENCHMARKS.values() if row.name in SUITES["mini"].benchmarks]
    assert f"{min(steps)} to {max(steps)} steps" in prose()


def test_the_command_writes_table_and_figure(suite: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}{END}", encoding="utf-8")
    result = CliRunner().invoke(app, ["readme", "--results", str(suite), "--readme", str(readme)])
    assert result.exit_code == 0
    assert readme.read_text(encoding="utf-8") == block(aggregate(load(suite)), judge(load(suite)))
    assert (tmp_path / "docs" / "figures" / f"{suite.name}_overview.png").stat().st_size > 10_000
    readme.write_text("no markers", encoding="utf-8")
    result = CliRunner().invoke(app, ["readme", "--results", str(suite), "--readme", str(readme)])
    assert result.exit_code == 2
    assert "markers" in result.output


def test_the_readme_tells_a_file_that_is_left_out_from_a_run_that_is_missing(suite: Path) -> None:
    for path in (suite / "mini-m2d2" / "SAM").iterdir():
        path.write_text("[]")
    rows = markdown_rows(matrix_table(aggregate(load(suite))))
    (sam,) = (row.split(" | ") for row in rows if row.startswith("| SAM |"))
    assert sam[2] == "3 files left out"
