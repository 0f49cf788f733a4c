"""What to run: every run and probe that is needed, once, by commands that the benchmarks' own parser takes."""

import re
import shlex
from collections import Counter
from itertools import product

import pytest
from typer.testing import CliRunner

from analysis.claims.commands import by_hand, commands
from analysis.claims.judged import Need
from benchmarks.__main__ import app

FIVE = tuple(range(5))
Done = tuple[str, str, str]
"""Benchmark, method, and a probe or the number of seeds."""


def named(line: str, option: str) -> list[str]:
    found = re.search(rf"--{option} (\S+)", line)
    return found[1].split(",") if found else [""]


def done(lines: tuple[str, ...]) -> Counter[Done]:
    """What the lines do, read from them alone."""
    seeds = [named(line, "seeds")[0] for line in lines]
    return Counter(
        (benchmark, method, probe or count)
        for line, count in zip(lines, seeds, strict=True)
        for benchmark, method, probe in product(
            named(line, "benchmarks"), named(line, "methods"), named(line, "probes")
        )
    )


def test_overlapping_needs_are_one_line() -> None:
    needs = [
        Need("mini", "mini-xnli", ("TRPO", "SAM"), FIVE),
        Need("mini", "mini-m2d2", ("SAM", "MESA", "TRPO"), FIVE),
        Need("mini", "mini-xnli", ("MESA", "SAM"), FIVE),
    ]
    assert commands(needs) == (
        "python -m benchmarks suite mini --full --benchmarks mini-xnli,mini-m2d2 --methods SAM,TRPO,MESA",
    )


def test_benchmarks_that_lack_something_else_have_a_line_of_their_own() -> None:
    needs = [Need("mini", "mini-xnli", ("SAM",), FIVE), Need("mini", "mini-m2d2", ("SAM", "MESA"), FIVE)]
    assert len(commands(needs)) == 2
    assert done(commands(needs)) == {
        ("mini-xnli", "SAM", ""): 1,
        ("mini-m2d2", "SAM", ""): 1,
        ("mini-m2d2", "MESA", ""): 1,
    }


def test_runs_come_before_their_probes_and_each_method_has_its_own_probes() -> None:
    needs = [
        Need("paper", "xnli", ("MESA",), FIVE, "sharpness", ("Adam", "MESA")),
        Need("paper", "xnli", (), (), "cka", ("MESA", "TRAM-x", "Adam")),
    ]
    lines = commands(needs)
    assert [line.split()[3] for line in lines] == ["suite", "probe", "probe"]
    assert done(lines) == {
        ("xnli", "MESA", ""): 1,
        ("xnli", "Adam", "sharpness"): 1,
        ("xnli", "MESA", "sharpness"): 1,
        ("xnli", "Adam", "cka"): 1,
        ("xnli", "MESA", "cka"): 1,
        ("xnli", "TRAM-x", "cka"): 1,
    }


def test_more_seeds_are_as_many_as_any_claim_wants() -> None:
    needs = [Need("mini", "mini-xnli", (), tuple(range(count))) for count in (9, 28, 11)]
    assert commands(needs) == ("python -m benchmarks suite mini --full --benchmarks mini-xnli --seeds 0:28",)


@pytest.mark.parametrize(("suite", "benchmark"), [("mine", "mini-xnli"), ("mini", "xnli")])
def test_what_the_benchmarks_would_refuse_is_no_command(suite: str, benchmark: str) -> None:
    needs = [Need(suite, benchmark, methods, (0, 3), "cka", ("SAM",)) for methods in (("SAM", "TRPO"), ("SAM",))]
    assert commands(needs) == ()
    assert by_hand(needs) == (
        f"No command here makes runs of {benchmark} in the suite {suite}, which is one of your own.",
    )


def test_methods_of_ones_own_are_probed_by_no_command() -> None:
    need = Need("mini", "mini-xnli", (), (), "cka", ("SAM", "My Own;x", "TRAM-x@std=0.03"))
    assert commands([need]) == (
        "python -m benchmarks probe mini --benchmarks mini-xnli --methods SAM,TRAM-x@std=0.03 --probes cka",
    )
    assert by_hand([need, need]) == ("No command here runs My Own;x: of your own.",)
    assert by_hand([Need("mini", "mini-xnli", ("SAM",), FIVE)]) == ()


def test_where_the_results_are_is_said_in_every_line() -> None:
    option = " --results 'my results'"
    needs = [
        Need("mini", "mini-xnli", ("SAM",), FIVE, "cka", ("SAM",), option),
        Need("mini", "mini-xnli", ("SAM",), FIVE),
    ]
    here = commands(needs[1:])
    assert commands(needs) == (
        f"{here[0]}{option}",
        f"python -m benchmarks probe mini --benchmarks mini-xnli --methods SAM --probes cka{option}",
        *here,
    )


@pytest.mark.parametrize(
    "need",
    [
        Need("mini", "mini-xnli", ("SAM", "ASAM+TRPO"), FIVE, "cka", ("SAM", "TRAM-x-L2")),
        Need("mini", "mini-m2d2", (), tuple(range(28))),
    ],
)
def test_the_benchmarks_take_the_options(need: Need) -> None:
    """All but the folder of the results is accepted: the commands are refused for that alone."""
    for line in commands([need]):
        python, _, module, *arguments = shlex.split(line)
        assert (python, module) == ("python", "benchmarks")
        result = CliRunner().invoke(app, [*arguments, "--results", "/dev/null/nowhere"])
        assert result.exit_code != 0
        assert "/dev/null/nowhere" in result.output
