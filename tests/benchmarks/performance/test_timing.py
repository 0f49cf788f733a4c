"""Rounds, ratios and floors against numbers worked out by hand."""

import pytest
import torch

from benchmarks.performance import timing
from benchmarks.performance.steps import Passes
from benchmarks.performance.timing import Timed, floor, ratio, rounds_of

CPU = torch.device("cpu")


def test_candidates_take_turns_and_the_first_round_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(timing.time, "process_time", lambda: clock[0])
    calls: list[str] = []

    def step(name: str, seconds: float) -> Timed:
        def run() -> None:
            calls.append(name)
            clock[0] += seconds * (100 if len(calls) <= 2 else 1)  # the first round is slow

        def before() -> None:
            clock[0] += 7.0  # is not timed

        return Timed(run, before)

    told: list[tuple[int, int]] = []
    seconds = rounds_of(
        {"a": step("a", 1.0), "b": step("b", 2.0)}, CPU, 3, lambda done, total: told.append((done, total))
    )
    assert seconds == {"a": [1.0, 1.0, 1.0], "b": [2.0, 2.0, 2.0]}
    assert calls == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_ratios_are_of_the_same_round() -> None:
    found = ratio([2.0, 30.0, 4.0, 10.0, 60.0], [1.0, 10.0, 1.0, 2.0, 10.0])
    assert (found.low, found.median, found.high) == (3.0, 4.0, 5.0)
    alone = ratio([3.0], [2.0])
    assert (alone.low, alone.median, alone.high) == (1.5, 1.5, 1.5)


def test_the_floor_is_the_sum_of_its_passes() -> None:
    pieces = {"ungraded": [1.0, 2.0], "graded": [10.0, 20.0], "update": [100.0, 200.0]}
    assert floor(pieces, Passes(1, 2)) == [121.0, 242.0]
    assert floor(pieces, Passes(0, 1)) == [110.0, 220.0]
