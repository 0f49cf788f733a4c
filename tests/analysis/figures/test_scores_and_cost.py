"""Gains, and what they cost: against hand-computed cases, scipy and the paper's tables."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_ind

from analysis.cost import cost_table
from analysis.figures import NothingToDrawError, gather
from analysis.figures.cost import costs_of, draw_cost
from analysis.figures.differences import Gain, gains_of, reach
from analysis.figures.scores import draw_scores
from analysis.figures.style import METHOD_STYLES
from analysis.records import load
from analysis.sheets import published_sheets
from benchmarks.record import read_record, write_record
from benchmarks.registry import PASSES
from tests.analysis.figures.artists import bars, panel, points
from tests.analysis.figures.golden import material
from tests.analysis.synthetic import write_tree

# 1.0, 1.1, 1.2: t(0.975, 2) s / sqrt(3) = 4.302653 * 0.1 / sqrt(3)
HALF_WIDTH = 0.248414


def sheet(name: str):
    return next(each for each in published_sheets() if each.name == name)


def test_ours_are_paired_by_seed_and_more_is_better(suite: Path) -> None:
    whole = gather(load(suite), suite)
    vision, language = (gains_of(whole.of(name).sheet) for name in ("mini-vision-letters", "mini-m2d2"))
    assert vision["SAM"]["letters"] == Gain(pytest.approx(1.1), pytest.approx(HALF_WIDTH, abs=1e-6))
    assert language["SAM"]["math"] == Gain(pytest.approx(-1.1), pytest.approx(HALF_WIDTH, abs=1e-6))
    # TRAM-x has two of three seeds in vision: -1.0 and -1.1.
    assert vision["TRAM-x"]["ZS Avg"].mean == pytest.approx(-1.05)
    assert "SGD" not in vision


def test_the_papers_interval_is_welchs() -> None:
    """Table 12's means and Table 13's deviations of 20 seeds, as samples that have exactly those."""
    base = np.linspace(-1, 1, 20)
    base = (base - base.mean()) / base.std(ddof=1)
    found = ttest_ind(86.2 + 0.31 * base, 83.9 + 0.34 * base, equal_var=False).confidence_interval(0.95)
    drawn = gains_of(sheet("xnli"))["TRAM-x"]["En"]
    assert drawn.mean == 2.3
    assert drawn.half_width is not None
    assert (2.3 - drawn.half_width, 2.3 + drawn.half_width) == pytest.approx((found.low, found.high))


def test_the_papers_printed_intervals_add_in_quadrature_and_single_runs_have_none() -> None:
    # Table 3, Flowers: 97.07 ± 0.10 against 94.53 ± 0.20.
    assert gains_of(sheet("vision-flowers"))["TRAM-prev"]["Flowers"] == Gain(2.54, pytest.approx(0.05**0.5))
    # Table 11, S2ORC, Art: 46.8 against 44.2, lower is better.
    assert gains_of(sheet("m2d2-s2orc"))["TRAM-prev"]["Art"] == Gain(-2.6, None)


def test_the_dots_are_the_gains(suite: Path) -> None:
    figure = draw_scores(gather(load(suite), suite).of("mini-m2d2"))
    axes = panel(figure, "science")
    # Lines: Adam, SAM, R3F, TRAM-x. Of perplexities, sign flipped.
    assert [label.get_text() for label in panel(figure, "math").get_yticklabels()] == ["Adam", "SAM", "R3F", "TRAM-x"]
    assert points(axes) == {
        name: (pytest.approx(x), y) for name, x, y in (("SAM", -1.1, 1), ("R3F", 0, 2), ("TRAM-x", 1.1, 3))
    }
    (((left, line), (right, same)),) = bars(axes)[METHOD_STYLES["SAM"].color.lower()]
    assert (left, right) == pytest.approx((-1.1 - HALF_WIDTH, -1.1 + HALF_WIDTH), abs=1e-6)
    assert line == same == 1
    # 50 + seed + the length of "science", over seeds 0, 1, 2.
    assert [text.get_text() for text in axes.texts] == ["58.0"]
    assert len(figure.get_axes()) == 12


def test_the_papers_languages_stand_below_ours() -> None:
    figure = draw_scores(material("mini").of("mini-xnli"))
    # Table 12, Swahili: 64.6 for Adam; SAM 65.2 on the first line, TRAM-x 66.0 on the twelfth.
    assert {(0.6, 1.35), (1.4, 12.35)} <= {
        (round(x, 2), round(y, 2)) for x, y in zip(*_papers(panel(figure, "Sw")), strict=True)
    }
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["mean, 95% interval", "the paper"]


def _papers(axes) -> tuple[np.ndarray, np.ndarray]:
    line = next(container.lines[0] for container in axes.containers)
    return line.get_xdata(), line.get_ydata()


def test_what_is_far_out_is_written_at_the_edge(tmp_path: Path) -> None:
    gains = {"Adam": 0.0, "SAM": 0.1, "ASAM": 0.2, "TRAM-x": -0.1, "R3F": 21.6}
    folder = write_tree(tmp_path, {"mini-m2d2": gains}, (0, 1), lambda method, seed, _: 50 + seed + gains[method])
    axes = panel(draw_scores(gather(load(folder), folder).of("mini-m2d2")), "ZS Avg")
    assert axes.get_xlim()[0] > -1
    assert "← \N{MINUS SIGN}21.6" in [text.get_text() for text in axes.texts]
    assert points(axes).keys() == {"SAM", "ASAM", "TRAM-x"}


def test_without_a_baseline_there_is_nothing_to_draw(tmp_path: Path) -> None:
    folder = write_tree(tmp_path, {"mini-xnli": ("SAM", "ASAM")}, (0,), lambda *_: 50.0)
    part = gather(load(folder), folder).of("mini-xnli")
    for draw in (draw_scores, draw_cost):
        with pytest.raises(NothingToDrawError, match="needs Adam and another method"):
            draw(part)


def test_all_equal_can_be_drawn(tmp_path: Path) -> None:
    folder = write_tree(tmp_path, {"mini-xnli": ("Adam", "SAM")}, (0, 1), lambda *_: 50.0)
    part = gather(load(folder), folder).of("mini-xnli")
    assert points(panel(draw_scores(part), "En"))["SAM"] == (0, 1)
    assert points(draw_cost(part).get_axes()[0])["SAM"] == (4, 0)


def test_costs_are_ratios_to_the_same_seed(suite: Path) -> None:
    part = gather(load(suite), suite).of("mini-vision-letters")
    costs = costs_of(part.sheet, part.records)
    # Seconds: 10, 11, 12 of SGD, 20, 21, 22 of SAM. The median of 2, 21/11 and 22/12, and their range.
    time = costs["training time / SGD's"]["SAM"]
    assert (time.value, time.low, time.high) == pytest.approx((21 / 11, 22 / 12, 2))
    assert costs["peak memory / SGD's"]["SAM"].value == 1
    assert costs["forward + backward passes"]["SAM"].value == 4
    assert costs["forward + backward passes"]["SGD"].value == 2


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_a_baseline_that_took_nothing_has_no_ratio(suite: Path, seeds: tuple[int, ...]) -> None:
    for seed in seeds:
        path = suite / "mini-vision-letters" / "SGD" / f"seed-{seed}.json"
        run = read_record(path)
        taken = {"peak_memory_bytes": 0, "seconds": run.seconds.model_copy(update={"train": 0.0})}
        write_record(run.model_copy(update=taken), suite.parent)
    part = gather(load(suite), suite).of("mini-vision-letters")
    costs = costs_of(part.sheet, part.records)
    if len(seeds) == 3:
        assert list(costs) == ["forward + backward passes"]
    else:
        time = costs["training time / SGD's"]["SAM"]
        assert (time.low, time.high) == pytest.approx((22 / 12, 21 / 11))
        assert costs["peak memory / SGD's"]["SAM"].value == 1
    assert len(draw_cost(part).get_axes()) == len(costs)


def test_the_table_and_the_figure_have_one_time(suite: Path) -> None:
    """TRAM-x has two of three seeds in vision: of medians the ratio would be 20.5 / 11."""
    results = load(suite)
    part = gather(results, suite).of("mini-vision-letters")
    drawn = costs_of(part.sheet, part.records)["training time / SGD's"]
    (section,) = cost_table(part.records, part.aggregated).sections
    shown = {row[1].text: row[3].values[0] for row in section}
    assert shown == {name: cost.value for name, cost in drawn.items()}
    assert shown["TRAM-x"] == pytest.approx((20 / 10 + 21 / 11) / 2)


def test_gains_stand_over_costs(suite: Path) -> None:
    figure = draw_cost(gather(load(suite), suite).of("mini-vision-letters"))
    passes, time, _ = figure.get_axes()
    assert points(time)["SAM"] == pytest.approx((21 / 11, 1.1))
    assert points(passes)["TRAM-x"][1] == pytest.approx(-1.05)
    across, upright = bars(time)[METHOD_STYLES["SAM"].color.lower()]
    assert [x for x, _ in across] == pytest.approx([22 / 12, 2])
    assert [y for _, y in upright] == pytest.approx([1.1 - HALF_WIDTH, 1.1 + HALF_WIDTH], abs=1e-6)


def test_equal_passes_share_a_column_and_equal_ratios_a_place(suite: Path) -> None:
    write_tree(suite.parent, {"mini-vision-letters": ("TRPO", "ASAM")}, range(3), lambda *_: 50.0)
    passes, time, memory = draw_cost(gather(load(suite), suite).of("mini-vision-letters")).get_axes()
    # SGD takes 2 passes, R3F and TRPO 3, SAM and ASAM 4, TRAM-x 5: two methods halve a column that is 1 wide.
    places = {name: x for name, (x, _) in points(passes).items()}
    assert places == {"Adam": 2, "TRPO": 2.75, "R3F": 3.25, "SAM": 3.75, "ASAM": 4.25, "TRAM-x": 5}
    assert passes.get_xlim() == (1.5, 5.5)
    assert [label.get_text() for label in passes.get_xticklabels()] == ["2", "3", "4", "5"]
    shaded = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in passes.patches]
    assert shaded == [(1.5, 2.5), (3.5, 4.5)]
    assert {x for x, _ in points(memory).values()} == {1.0}
    assert points(time)["R3F"][0] == 1.0


def test_the_papers_cost_is_its_passes() -> None:
    figure = draw_cost(material("published").of("xnli"))
    (axes,) = figure.get_axes()
    drawn = points(axes)
    assert drawn["Adam"] == (2, 0)
    assert drawn["ASAM+R3F"] == pytest.approx((sum(PASSES["ASAM+R3F"]), 0.9))
    assert {name: round(x) for name, (x, _) in drawn.items()} == {
        name: sum(PASSES[name]) for name in drawn if name != "Adam"
    } | {"Adam": 2}
    assert drawn["TRAM-x"][1] == pytest.approx(2.3)


def test_the_reach_leaves_out_what_hides_the_others() -> None:
    assert reach([1, 2, 3]) == pytest.approx(3.36)
    assert reach([1, 2, 3, 100]) == pytest.approx(3.36)
    assert reach([]) == reach([0.0]) == 1.0
