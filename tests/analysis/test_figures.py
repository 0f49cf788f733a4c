"""What the overview and the map of domains draw, read back from their artists."""

from pathlib import Path

import pytest
from matplotlib.axes import Axes

from analysis.aggregate import BenchmarkResult, aggregate
from analysis.figures import encode
from analysis.figures.heatmap import draw_domains
from analysis.figures.overview import COLORS, PAPER_PLACE, SEED_COLOR, draw_overview
from analysis.records import load
from tests.analysis.synthetic import write_tree


def panel(results: list[BenchmarkResult], name: str, draw=draw_overview) -> Axes:
    return next(axes for axes in draw(results).get_axes() if axes.get_title(loc="left").startswith(name))


def means(axes: Axes) -> dict[float, tuple[float, str]]:
    """Line of the panel to the mean's place and colour."""
    return {
        artist.lines[0].get_ydata()[0]: (artist.lines[0].get_xdata()[0], artist.lines[0].get_color())
        for artist in axes.containers
    }


def test_right_is_better_whatever_the_metric(suite: Path) -> None:
    results = aggregate(load(suite))
    # SGD, SAM, R3F, TRAM-x gain 0, 1.1, 0 and -1.05 points of accuracy.
    letters = means(panel(results, "mini-vision-letters"))
    assert letters[1] == (pytest.approx(1.1), COLORS["better"])
    assert letters[2] == (pytest.approx(0.0), COLORS["no difference seen"])
    assert letters[3] == (pytest.approx(-1.05), COLORS["worse"])
    # The same gains in perplexity are losses.
    perplexity = panel(results, "mini-m2d2")
    assert means(perplexity)[1] == (pytest.approx(-1.1), COLORS["worse"])
    assert means(perplexity)[3] == (pytest.approx(1.1), COLORS["better"])
    assert "sign flipped" in perplexity.get_xlabel()


def test_lines_are_methods_and_dots_are_seeds(suite: Path) -> None:
    axes = panel(aggregate(load(suite)), "mini-vision-letters")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["SGD", "SAM", "R3F", "TRAM-x"]
    dots = [line.get_xdata() for line in axes.lines if line.get_color() == SEED_COLOR]
    assert dots == [pytest.approx([1.0, 1.1, 1.2]), pytest.approx([1.0, -1.0, 0.0]), pytest.approx([-1.0, -1.1])]


def test_the_baseline_is_a_square_at_zero_and_nothing_is_missing(suite: Path) -> None:
    axes = panel(aggregate(load(suite)), "mini-vision-letters")
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_marker() == "s"] == [(0, 0)]
    assert list(axes.texts) == []
    # Only where the paper has a zero-shot column do its verdicts have a heading.
    assert [text.get_text() for text in panel(aggregate(load(suite)), "mini-m2d2").texts] == ["paper"]


def test_intervals_are_drawn(suite: Path) -> None:
    axes = panel(aggregate(load(suite)), "mini-vision-letters")
    ((left, right),) = axes.containers[0].lines[2][0].get_segments()
    # 1.1 +- 4.302653 * 0.1 / sqrt(3)
    assert (left[0], right[0]) == pytest.approx((1.1 - 0.248414, 1.1 + 0.248414), abs=1e-6)


def test_the_papers_verdicts_stand_at_the_right(suite: Path) -> None:
    axes = panel(aggregate(load(suite)), "mini-m2d2")
    drawn = {line.get_ydata()[0]: line.get_marker() for line in axes.lines if line.get_xdata()[0] == PAPER_PLACE}
    # Adam, SAM, R3F, TRAM-x: Table 11 has the last three better in both splits.
    assert drawn == {1: "^", 2: "^", 3: "^"}


def test_one_seed_is_hollow_and_has_no_interval(tmp_path: Path) -> None:
    folder = write_tree(tmp_path, {"mini-xnli": ("Adam", "SAM")}, (0,), lambda method, *_: 50.0 + len(method))
    axes = panel(aggregate(load(folder)), "mini-xnli")
    assert list(axes.containers) == []
    (hollow,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert (hollow.get_xdata()[0], hollow.get_markerfacecolor()) == (pytest.approx(-1), "white")


def test_the_legend_lists_the_marks_that_are_there(suite: Path, tmp_path: Path) -> None:
    def entries(folder: Path) -> list[str]:
        (legend,) = draw_overview(aggregate(load(folder))).legends
        return [text.get_text() for text in legend.get_texts()]

    seen = ["baseline", "better, 95% interval", "worse", "no difference seen", "each seed", "paper: better"]
    assert entries(suite) == seen
    single = write_tree(tmp_path / "single", {"mini-xnli": ("Adam", "SAM")}, (0,), lambda *_: 50.0)
    assert entries(single) == ["baseline", "one seed: a sign only", "paper: better"]


def test_a_method_far_out_does_not_squash_the_others(tmp_path: Path) -> None:
    gains = {"Adam": 0.0, "SAM": 0.1, "ASAM": 0.2, "TRAM-x": -0.1, "R3F": 21.6}
    folder = write_tree(tmp_path, {"mini-m2d2": gains}, (0, 1), lambda method, seed, _: 50 + seed + gains[method])
    axes = panel(aggregate(load(folder)), "mini-m2d2")
    assert axes.get_xlim()[1] < 0.5
    assert "−21.6" in [text.get_text() for text in axes.texts]
    assert len(axes.containers) == 3


def test_missing_runs_are_said(tmp_path: Path) -> None:
    write_tree(tmp_path, {"mini-vision-digits": ("SGD", "SAM", "R3F")}, (0,), lambda *_: 50.0)
    folder = write_tree(tmp_path, {"mini-vision-mnist": ("SAM",)}, (0,), lambda *_: 50.0)
    axes = panel(aggregate(load(folder)), "mini-vision-mnist")
    assert [text.get_text() for text in axes.texts if text.get_text() != "paper"] == [
        "not run",
        "no SGD run",
        "not run",
    ]


def test_domains_are_coloured_by_gain_and_dotted_where_the_interval_excludes_zero(suite: Path) -> None:
    axes = panel(aggregate(load(suite)), "mini-m2d2", draw_domains)
    image = axes.images[0].get_array().tolist()
    assert [label.get_text() for label in axes.get_xticklabels()][:2] == ["math", "science"]
    assert image[1] == pytest.approx([-1.1] * 12)
    assert image[3] == pytest.approx([1.1] * 12)
    assert {line.get_ydata()[0] for line in axes.lines if line.get_marker() == "o"} == {1, 3}


@pytest.mark.parametrize("draw", [draw_overview, draw_domains])
def test_all_methods_equal(tmp_path: Path, draw) -> None:
    methods = {"mini-xnli": ("Adam", "SAM"), "mini-vision-mnist": ("SGD",)}
    results = aggregate(load(write_tree(tmp_path, methods, (0, 1), lambda *_: 50.0)))
    assert encode(draw(results), "png").startswith(b"\x89PNG")
    assert encode(draw(results), "pdf").startswith(b"%PDF")
