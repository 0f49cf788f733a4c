"""The rows of suites against the library's table of methods and the registry."""

from collections import Counter

from benchmarks.record import Run
from benchmarks.registry import BENCHMARKS, PASSES, PLAIN, methods_of
from benchmarks.suites import SUITES, Selection, expected_cost, runs_of
from tram import METHODS


def test_names_and_passes_are_those_of_the_library() -> None:
    assert {name: tuple(method.passes) for name, method in METHODS.items()} == PASSES
    assert list(PASSES) == list(METHODS)
    assert [name for name, method in METHODS.items() if method == METHODS["SGD"]] == list(PLAIN)


def test_a_benchmark_runs_every_method_but_the_other_plain_one() -> None:
    assert methods_of(BENCHMARKS["mini-vision-digits"]) == tuple(name for name in METHODS if name != "Adam")
    assert methods_of(BENCHMARKS["mini-xnli"]) == tuple(name for name in METHODS if name != "SGD")


def test_the_miniature_suite_has_every_miniature_benchmark() -> None:
    mini = SUITES["mini"]
    assert set(mini.benchmarks) == {name for name in BENCHMARKS if name.startswith("mini-")}
    quick = runs_of("mini", mini.benchmarks, mini.quick)
    full = runs_of("mini", mini.benchmarks, mini.full)
    assert len(quick) == len(set(quick)) == 5 * 6
    assert len(full) == len(set(full)) == 5 * 16 * 5
    assert set(quick) <= set(full)
    assert Counter(run.benchmark for run in quick) == dict.fromkeys(mini.benchmarks, 6)
    plain = {(run.benchmark, run.method) for run in quick if run.method in PLAIN}
    assert plain == {(name, BENCHMARKS[name].recipe.base_optimizer) for name in mini.benchmarks}


def test_suites_name_what_exists() -> None:
    for name, suite in SUITES.items():
        assert suite.name == name
        assert set(suite.benchmarks) <= set(BENCHMARKS)
        assert {*suite.quick.methods, *suite.full.methods} <= set(METHODS)


def test_methods_that_a_benchmark_has_not_are_left_out() -> None:
    runs = runs_of("mini", ["mini-xnli"], Selection(("SGD", "SAM"), seeds=(1, 2)))
    assert runs == [Run("mini", "mini-xnli", "SAM", 1), Run("mini", "mini-xnli", "SAM", 2)]


def test_expected_cost_is_steps_times_passes() -> None:
    cost = {method: expected_cost(Run("mini", "mini-m2d2", method, 0)) for method in ("Adam", "SAM", "TRPO", "TRAM-x")}
    steps = BENCHMARKS["mini-m2d2"].recipe.steps
    assert cost == {"Adam": 3 * steps, "SAM": 6 * steps, "TRPO": 4 * steps, "TRAM-x": 7 * steps}
