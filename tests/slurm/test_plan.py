"""From runs to arrays: every run exactly once, within the limits, and no two needs in one array."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.planning import gpu_hours
from benchmarks.record import Run
from benchmarks.registry import BENCHMARKS
from benchmarks.suites import SUITES, runs_of
from slurm.launching import shares
from slurm.plan import Array, arrays_of, lead_seconds, need_of
from slurm.profile import Profile, profile_of

EVERY = [run for row in SUITES.values() for run in runs_of(row.name, row.full)]
PLAIN = Profile()


def some_runs(largest: int = 60) -> st.SearchStrategy[list[Run]]:
    return st.lists(st.sampled_from(EVERY), max_size=largest, unique=True)


@given(some_runs(), st.integers(1, 7), st.integers(1, 5))
def test_every_run_is_in_one_task_of_one_array_of_its_need(runs: list[Run], size: int, pack: int) -> None:
    arrays = arrays_of(runs, PLAIN, pack=pack, max_array_size=size)
    assert sorted(run for array in arrays for run in array.runs) == sorted(runs)
    for array in arrays:
        assert 1 <= len(array.tasks) <= size, "an index would be MaxArraySize or more"
        assert all(1 <= len(task) <= array.need.pack <= pack for task in array.tasks)
        assert {need_of(run, PLAIN, pack) for run in array.runs} == {array.need}


@pytest.mark.parametrize(
    ("runs", "size", "sizes"),
    [(40, 5, [5] * 8), (41, 5, [5] * 8 + [1]), (5, 5, [5]), (1, 5, [1]), (0, 5, []), (3, 1, [1] * 3), (99, 99, [99])],
)  # fmt: skip
def test_arrays_are_split_below_the_largest_index(runs: int, size: int, sizes: list[int]) -> None:
    many = [Run("mini", "mini-m2d2", "SAM", seed) for seed in range(runs)]
    assert [len(array.tasks) for array in arrays_of(many, PLAIN, max_array_size=size)] == sizes


def test_the_papers_runs_ask_for_what_their_rows_say() -> None:
    profile = profile_of({"gpus_per_node": 2, "safety": 1.0}, "")
    xl = need_of(Run("paper", "m2d2-s2orc-xl", "Adam", 0), profile)
    assert (xl.gpus, xl.processes, xl.nodes, xl.cpus) == (4, 4, 2, 4)
    # Four GPUs share the hours of the row; half an hour around the training; rounded up to a step.
    hours = gpu_hours(Run("paper", "m2d2-s2orc-xl", "Adam", 0)) / 4 + 0.5
    assert xl.seconds == min(step for step in (1, 2, 4, 8, 12, 24, 48, 72, 120, 168) if step >= hours) * 3600
    laptop = need_of(Run("mini", "mini-xnli", "TRAM-x", 0), profile)
    assert (laptop.gpus, laptop.processes, laptop.cpus, laptop.memory, laptop.seconds) == (0, 1, 1, 4096, 1800)


def test_a_limit_is_never_longer_than_the_site_allows_and_never_less_than_was_said() -> None:
    run = Run("paper", "m2d2-s2orc-xl", "TRAM-x", 0)
    assert need_of(run, profile_of({"max_time": "12:00:00"}, "")).seconds == 43_200
    assert need_of(run, profile_of({"max_time": "12:00:00", "time": "1-00:00:00"}, "")).seconds == 86_400


def test_packed_runs_share_a_gpu_and_add_up_otherwise() -> None:
    run = Run("paper", "xnli", "SAM", 0)
    one, three = need_of(run, PLAIN), need_of(run, PLAIN, pack=3)
    assert (three.gpus, three.memory, three.cpus) == (one.gpus, 3 * one.memory, 3 * one.cpus)
    assert three.seconds > one.seconds, "they take turns on the GPU"
    laptop = Run("mini", "mini-xnli", "SAM", 0)
    assert need_of(laptop, PLAIN, pack=3).seconds == need_of(laptop, PLAIN).seconds


def test_runs_of_several_processes_are_not_packed() -> None:
    assert need_of(Run("paper", "m2d2-s2orc-xl", "SAM", 0), PLAIN, pack=4).pack == 1


def test_a_short_limit_leaves_a_fifth_for_the_checkpoint() -> None:
    assert [lead_seconds(limit) for limit in (60, 300, 600, 3600)] == [12, 60, 120, 120]
    parameters = BENCHMARKS["m2d2-s2orc-xl"].needs.parameters  # type: ignore[union-attr]
    assert lead_seconds(86_400, parameters) > 300, "31 GB take their time"
    assert lead_seconds(1) == 1


@given(st.integers(1, 100), st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_jobs_at_once_are_shared_out_among_arrays(total: int, sizes: list[int]) -> None:
    given_out = shares(total, sizes)
    numbers = [share for share in given_out if share is not None]
    assert len(numbers) == len(sizes)
    assert all(1 <= share <= size for share, size in zip(numbers, sizes, strict=True))
    assert sum(numbers) <= max(total, len(sizes)), "an array has to have one at least"
    assert sum(numbers) >= min(total, sum(sizes), len(sizes))


def test_no_limit_is_none_for_any_array() -> None:
    assert shares(None, [3, 4]) == [None, None]
    assert shares(10, [30]) == [10]
    assert shares(4, [100, 100]) == [2, 2]


def test_an_array_knows_its_runs() -> None:
    runs = [Run("mini", "mini-m2d2", "SAM", seed) for seed in range(3)]
    array = Array(need_of(runs[0], PLAIN), ((runs[0], runs[1]), (runs[2],)))
    assert array.runs == runs
    assert replace(array, tasks=()).runs == []
