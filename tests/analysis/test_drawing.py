"""Drawing by several processes: the same figures, in the same order, and nothing left behind."""

import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

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


def test_an_error_names_its_figure() -> None:
    def fail() -> Figure:
        raise ZeroDivisionError("float division by zero")

    with pytest.raises(ZeroDivisionError) as raised:
        drawing._draw(Drawing("cost_mini-m2d2", "", fail), ("png",))
    assert raised.value.__notes__ == ["This was while drawing the figure cost_mini-m2d2."]
    assert pickle.loads(pickle.dumps(raised.value)).__notes__ == raised.value.__notes__


@pytest.mark.parametrize("cores", [2, 4])
def test_what_others_die_of_is_drawn_here(cores: int, suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while they begin, which is before they have read the material."""
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    material = gather(load(suite), suite, ["mini-m2d2"])
    with drawing.drawing(material, ("png",)) as finish:
        others = multiprocessing.active_children()
        assert len(others) == cores - 1
        for other in others:
            other.kill()
        drawn = finish()
    assert multiprocessing.active_children() == []
    assert [each.name for each in drawn] == [each.name for each in figures_of(material)]


NO_GUARD = """
import os
import sys
from pathlib import Path
from analysis.figures import gather
from analysis.figures.drawing import drawing
from analysis.records import load
os.cpu_count = lambda: 2
folder = Path(sys.argv[1])
material = gather(load(folder), folder)
with drawing(material, ("png",), ("scores", "cost")) as finish:
    print(len(finish()))
"""


def test_a_script_without_a_guard_draws_alone_and_ends(tmp_path: Path) -> None:
    """The processes that it begins run it again, and end: of the stored records, that no pipe holds."""
    root = Path(__file__).parents[2]
    script = tmp_path / "script.py"
    script.write_text(NO_GUARD)
    done = subprocess.run(
        [sys.executable, str(script), str(root / "results" / "mini")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(root), "TMPDIR": str(tmp_path)},
    )
    assert done.stdout == "10\n"
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]
