"""docs/performance.md is what the records of the machines make of it, and its figure shows them."""

from pathlib import Path

import pytest

from analysis.performance.figure import draw_steps
from analysis.performance.page import BEGIN, END, block, read_all, with_block, write_page
from analysis.performance.targets import large
from benchmarks.performance.record import ModelCost, write_performance

ROOT = Path(__file__).parents[3]
RECORDS = ROOT / "results" / "performance"
PAGE = ROOT / "docs" / "performance.md"


def test_the_page_is_current() -> None:
    records = read_all(RECORDS)
    assert records
    text = PAGE.read_text(encoding="utf-8")
    assert with_block(text, block(records)) == text, "run `python -m analysis performance`"
    for record in records:
        assert (PAGE.parent / "figures" / f"performance-{record.machine}.png").exists()


def test_only_what_is_between_the_markers_changes(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    page = tmp_path / "page.md"
    page.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no record of a machine"):
        write_page(tmp_path / "records", page)
    for record in read_all(RECORDS):
        write_performance(record, tmp_path / "records")
    written = write_page(tmp_path / "records", page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"above\n{BEGIN}\n")
    assert text.endswith(f"{END}\nbelow\n")
    assert "old" not in text.partition(BEGIN)[2].partition("\n\n")[0]
    assert all(path.exists() for path in written)
    page.write_text("no markers", encoding="utf-8")
    with pytest.raises(ValueError, match="are missing"):
        write_page(tmp_path / "records", page)


def test_the_figure_has_a_dot_for_each_step_at_its_median() -> None:
    for record in read_all(RECORDS):
        if not record.of(ModelCost):
            continue
        figure = draw_steps(record)
        names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        for axis, model in zip(figure.axes, large(record), strict=True):
            dots = {
                (float(line.get_xdata()[0]), float(line.get_ydata()[0]))  # type: ignore[index]
                for line in axis.lines
                if line.get_marker() == "o"
            }
            assert dots == {(model.over(name).median, float(names.index(name))) for name in model.steps}
