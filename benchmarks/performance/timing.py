"""Times of steps as ratios: candidates take turns within a round, so that what disturbs the machine disturbs all."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from benchmarks.performance.record import Ratio
from benchmarks.performance.steps import Passes, Step


def nothing() -> None:
    """What most steps need to have done before them."""


def unheard(done: int, total: int) -> None:
    """How far it is, told to nobody."""


@dataclass(frozen=True)
class Timed:
    """A step, and what has to be done before each call outside its time."""

    step: Step
    before: Step = nothing


def rounds_of(
    steps: Mapping[str, Timed], device: torch.device, rounds: int, report: Callable[[int, int], None] = unheard
) -> dict[str, list[float]]:
    """Seconds of each step in each round, after one round that is not counted.

    The order is turned by one each round, so that nobody always follows the same neighbour.
    """
    names = list(steps)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            steps[name].before()
            elapsed = seconds_of(steps[name].step, device)
            if number > 0:
                seconds[name].append(elapsed)
        report(number + 1, rounds + 1)
    return seconds


def seconds_of(step: Step, device: torch.device) -> float:
    """Of a GPU by the wall clock, its work included; of a CPU this process's time on it, whatever else it does."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        started = time.perf_counter()
        step()
        torch.cuda.synchronize(device)
        return time.perf_counter() - started
    started = time.process_time()
    step()
    return time.process_time() - started


def ratio(numerator: list[float], denominator: list[float]) -> Ratio:
    """Of the two times of the same round."""
    ratios = [one / other for one, other in zip(numerator, denominator, strict=True)]
    if len(ratios) == 1:
        return Ratio(median=ratios[0], low=ratios[0], high=ratios[0])
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(median=median, low=low, high=high)


def floor(pieces: Mapping[str, list[float]], passes: Passes) -> list[float]:
    """The sum of a method's passes and the base optimizer's step, round by round."""
    return [
        passes.ungraded * ungraded + passes.graded * graded + update
        for ungraded, graded, update in zip(pieces["ungraded"], pieces["graded"], pieces["update"], strict=True)
    ]
