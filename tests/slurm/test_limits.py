"""What limits leave room for: the first jobs, never more than any limit has, and what is left out is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.record import Run
from slurm.limits import Limit, within
from slurm.plan import Array, arrays_of
from slurm.profile import profile_of
from slurm.queue import Entry
from tests.slurm.test_plan import PLAIN, some_runs


@given(some_runs(), st.integers(1, 7), st.integers(1, 5), st.integers(0, 40))
def test_within_a_limit_the_first_jobs_stay(runs: list[Run], size: int, pack: int, room: int) -> None:
    arrays = arrays_of(runs, PLAIN, pack=pack, max_array_size=size)
    limit = Limit("few", room)
    kept, left_out = within(arrays, [limit, Limit("many", 1000)], [])
    tasks = [task for array in arrays for task in array.tasks]
    assert [task for array in kept for task in array.tasks] == tasks[:room]
    assert all(array.tasks for array in kept)
    assert left_out == ({limit: sum(map(len, tasks[room:]))} if tasks[room:] else {})
    assert within(arrays, [], []) == (arrays, {})


def arrays() -> list[Array]:
    """Two of four jobs: one of account a and QOS q, the other of none."""
    profile = profile_of({"methods": {"SAM": {"account": "a", "qos": "q"}}}, "")
    runs = [Run("mini", "mini-m2d2", method, seed) for method in ("SAM", "Adam") for seed in range(4)]
    return arrays_of(runs, profile, max_array_size=9)


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        (Limit("l", 1, account="a"), [1, 4]),
        (Limit("l", 1, qos="q"), [1, 4]),
        (Limit("l", 1, account="b"), [4, 4]),
        (Limit("l", 1, account="b", is_default=True), [4, 1]),
        (Limit("l", 1, qos="r", is_default=True), [4, 1]),
        (Limit("l", 6), [4, 2]),
    ],
)
def test_a_limit_holds_for_its_account_and_its_qos(limit: Limit, sizes: list[int]) -> None:
    kept, _ = within(arrays(), [limit], [])
    assert [len(array.tasks) for array in kept] == sizes


def test_the_tightest_limit_cuts_and_is_named() -> None:
    own, wide = Limit("own", 2, account="a"), Limit("wide", 3)
    kept, left_out = within(arrays(), [wide, own], [])
    assert [len(array.tasks) for array in kept] == [2, 1]
    assert left_out == {own: 2, wide: 3}


@pytest.mark.parametrize(
    ("limit", "room"),
    [
        (Limit("l", 5), 3),
        (Limit("l", 5, ended_too=True), 2),
        (Limit("l", 5, account="a"), 4),
        (Limit("l", 5, qos="q"), 4),
        (Limit("l", 1), 0),
    ],
)
def test_what_is_in_the_queue_takes_room(limit: Limit, room: int) -> None:
    entries = [
        Entry("1_0", "PENDING", "", "", "", "a", "r"),
        Entry("1_1", "COMPLETING", "", "", "", "b", "q"),
        Entry("1_2", "COMPLETED", "", "", "", "a", "q"),
    ]
    assert limit.room(entries) == room
