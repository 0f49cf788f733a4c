"""The rows of suites against the library's table of methods and the registry."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.methods import resolve
from benchmarks.planning import expected_cost, gpu_hours
from benchmarks.record import Run
from benchmarks.registry import BENCHMARKS, PASSES, PLAIN, ZERO_SHOT, methods_of
from benchmarks.suites import SUITES, Selection, runs_of
from tram import METHODS


def test_names_and_passes_are_those_of_the_library() -> None:
    assert {name: tuple(method.passes) for name, method in METHODS.items()} == PASSES
    assert list(PASSES) == list(METHODS)
    assert [name for name, method in METHODS.items() if method == METHODS["SGD"]] == list(PLAIN)


def test_a_benchmark_runs_every_method_but_the_other_plain_one() -> None:
    assert methods_of(BENCHMARKS["mini-vision-digits"]) == tuple(name for name in METHODS if name != "Adam")
    assert methods_of(BENCHMARKS["mini-xnli"]) == tuple(name for name in METHODS if name != "SGD")


def test_the_miniature_suite_has_every_miniature_of_the_paper() -> None:
    mini = SUITES["mini"]
    quick, full = runs_of("mini", mini.quick), runs_of("mini", mini.full)
    assert mini.benchmarks == (
        "mini-vision-digits", "mini-vision-mnist", "mini-vision-letters", "mini-m2d2", "mini-xnli"
    )  # fmt: skip
    assert len(quick) == len(set(quick)) == 5 * 6
    assert len(full) == len(set(full)) == 5 * 16 * 5
    assert set(quick) <= set(full)
    assert Counter(run.benchmark for run in quick) == dict.fromkeys(mini.benchmarks, 6)
    plain = {(run.benchmark, run.method) for run in quick if run.method in PLAIN}
    assert plain == {(name, BENCHMARKS[name].recipe.base_optimizer) for name in mini.benchmarks}


PUBLISHED = Path(__file__).parents[2] / "results" / "published"
PAPER_TABLES = {
    "vision-cifar100": ("table_03_vision",),
    "vision-cars": ("table_03_vision",),
    "vision-flowers": ("table_03_vision",),
    "m2d2-wiki": ("table_11_m2d2_wiki",),
    "m2d2-s2orc": ("table_11_m2d2_s2orc",),
    "m2d2-s2orc-xl": ("table_10_m2d2_gpt2xl",),
    "xnli": ("table_12_xnli", "table_14_xnli_distance"),
}


@pytest.mark.parametrize("name", PAPER_TABLES)
def test_the_paper_suite_has_the_rows_of_the_papers_tables_and_no_other(name: str) -> None:
    """The model before training is a row of the tables, and a run of no steps here; TRAM-x-KL is TRAM-x again."""
    lines = [(PUBLISHED / f"{table}.tsv").read_text().splitlines()[1:] for table in PAPER_TABLES[name]]
    rows = {line.split("\t")[0] for table in lines for line in table} - {"TRAM-x-KL"}
    zero_shot = BENCHMARKS[name].zero_shot_name
    expected = {ZERO_SHOT if row == zero_shot else row for row in rows}
    runs = [run for run in runs_of("paper", SUITES["paper"].full) if run.benchmark == name]
    assert {run.method for run in runs} == expected
    seeds = {"vision": 5, "m2d2": 1, "xnli": 20}[BENCHMARKS[name].family]
    assert Counter(run.method for run in runs) == dict.fromkeys(expected, seeds)


def test_suites_name_what_exists_and_every_run_can_be_resolved() -> None:
    for name, suite in SUITES.items():
        assert suite.name == name
        runs = runs_of(name, suite.full)
        assert set(runs_of(name, suite.quick)) <= set(runs)
        assert {run.benchmark for run in runs} == set(suite.benchmarks)
        for method in {run.method for run in runs}:
            resolve(method)


def test_methods_that_a_benchmark_has_not_are_left_out() -> None:
    part = Selection(("mini-xnli",), ("SGD", "SAM", "zero-shot"), seeds=(1, 2))
    assert runs_of("mini", [part]) == [Run("mini", "mini-xnli", "SAM", 1), Run("mini", "mini-xnli", "SAM", 2)]


def test_a_selection_can_be_narrowed_and_its_methods_and_seeds_replaced() -> None:
    runs = runs_of("mini", SUITES["mini"].full, benchmarks=["mini-xnli"], methods=("TRAM-x@std=0.3",), seeds=(7, 7))
    assert runs == [Run("mini", "mini-xnli", "TRAM-x@std=0.3", 7)]


def test_expected_cost_is_steps_times_passes() -> None:
    methods = ("Adam", "SAM", "TRPO", "TRAM-x", "TRAM-x@std=0.3")
    cost = {method: expected_cost(Run("mini", "mini-m2d2", method, 0)) for method in methods}
    steps = BENCHMARKS["mini-m2d2"].recipe.steps
    assert cost == dict(zip(methods, (3 * steps, 6 * steps, 4 * steps, 7 * steps, 7 * steps), strict=True))


def test_gpu_hours_of_a_case_made_by_hand() -> None:
    """50,000 steps of 16 blocks, 292 GFLOP each, three times for forward and backward, at 5e13 a second: 3.9 hours."""
    assert gpu_hours(Run("paper", "m2d2-wiki", "Adam", 0)) == pytest.approx(50_000 * 16 * 292e9 * 3 / 5e13 / 3600)
    assert gpu_hours(Run("paper", "m2d2-wiki", "zero-shot", 0)) < 0.01
    assert gpu_hours(Run("mini", "mini-m2d2", "Adam", 0)) == 0
    assert gpu_hours(Run("domain-sequence", "m2d2-s2orc-sequence", "Adam", 0)) == pytest.approx(3.8933, abs=1e-3)
