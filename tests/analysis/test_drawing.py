"""Drawing by several processes: the same figures, in the same order, and nothing left behind."""

import multiprocessing
import os
from pathlib import Path

import pytest

import analysis.figures.drawing as drawing
from analysis.figures import Drawing, NothingToDrawError, encode, figures_of, gather
from analysis.records import load
from tests.analysis.bench import curve


def alone(each: Drawing) -> tuple[dict[str, bytes], str]:
    """Its files, or why there are none."""
    try:
        return {"png": encode(each.draw(), "png")}, ""
    except NothingToDrawError as reason:
        return {}, f"{each.name}: {reason}."


def test_others_draw_what_one_draws(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All figures of a benchmark, six of which the results do not allow: they have no record of a probe."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    for path in suite.glob("mini-m2d2/*/seed-*.json"):
        path.with_suffix(".metrics.jsonl").write_text(curve(20))
    material = gather(load(suite), suite, ["mini-m2d2"])
    here, draw, told = [], drawing._draw, []
    monkeypatch.setattr(drawing, "_draw", lambda each, kinds: here.append(each.name) or draw(each, kinds))
    with drawing.drawing(material, ("png",), progress=lambda *counts: told.append(counts)) as finish:
        assert len(multiprocessing.active_children()) == 1
        drawn = finish()
    assert multiprocessing.active_children() == []
    # The other one came from the front, and had to begin first.
    assert here[:2] == ["distance_mini-m2d2", "convergence_mini-m2d2"]
    expected = list(figures_of(material))
    assert [each.name for each in drawn] == [each.name for each in expected]
    assert [(each.files, each.why_not) for each in drawn] == [alone(each) for each in expected]
    assert sum(not each.files for each in drawn) == 6
    assert sum(more for more, _ in told) == len(expected)
    assert {total for _, total in told} == {len(expected)}


def test_the_figures_that_are_asked_for_and_no_other(suite: Path) -> None:
    told: list[tuple[int, int]] = []
    with drawing.drawing(
        gather(load(suite), suite), ("png",), ["overview"], lambda *counts: told.append(counts)
    ) as finish:
        assert [each.name for each in finish()] == ["overview"]
    assert told == [(1, 1)]


def test_what_fails_meanwhile_stops_the_others(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with (
        pytest.raises(ValueError, match="no table"),
        drawing.drawing(gather(load(suite), suite), ("png",)),
    ):
        raise ValueError("no table")
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("cores", [1, None])
def test_alone_where_there_is_one_core(cores: int | None, suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    with drawing.drawing(gather(load(suite), suite), ("png",)):
        assert multiprocessing.active_children() == []
