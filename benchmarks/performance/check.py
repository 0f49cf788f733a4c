"""Whether steps have become slower than this machine's record says: a few rounds, ratios, bounds that leave room."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress

from benchmarks.errors import RunError
from benchmarks.performance.counting import counts
from benchmarks.performance.machine import measured_machine
from benchmarks.performance.measure import model_cost
from benchmarks.performance.parts import TENSORS
from benchmarks.performance.plan import PLANS
from benchmarks.performance.record import Counts, ModelCost, Performance, read_performance

STEPS = ("Adam", "SAM", "ASAM", "FSAM", "TRAM-prev", "TRAM-x")
ROUNDS = 2


@dataclass(frozen=True)
class Bound:
    """How much of what is added to the passes may have been added since: a share of the step, and of the addition."""

    of_step: float = 0.05
    of_added: float = 0.5

    def limit(self, stored: float) -> float:
        """The highest step over its floor that is no slower than the stored one."""
        return stored + self.of_step + self.of_added * max(0.0, stored - 1)


def slower(sizes: str, folder: Path, bound: Bound = Bound()) -> list[str]:
    """A line for each step that takes longer over its floor than it did, and each that waits or launches more.

    Raises RunError where this machine has no record.
    """
    plan = PLANS[sizes]
    device, name = measured_machine(sizes)
    path = folder / f"{name}.json"
    if not path.exists():
        raise RunError(f"{path}: nothing to compare with. `make bench` measures this machine.")
    torch.set_num_threads(1)
    stored = read_performance(path)
    few = replace(plan.models[0], steps=STEPS, rounds=ROUNDS, with_bytes=False)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        now = model_cost(few, device, _shown(bar, few.name))
        counted = counts(plan.counted, TENSORS, _shown(bar, "counts"))
    return [*_slower_steps(stored, now, bound), *_more_counted(stored, counted)]


def _shown(bar: Progress, name: str) -> Callable[[str, int, int], None]:
    task = bar.add_task(name, total=None)
    return lambda step, done, total: bar.update(task, completed=done, total=total)


def _slower_steps(stored: Performance, now: ModelCost, bound: Bound) -> Iterator[str]:
    before = next((m for m in stored.of(ModelCost) if (m.model, m.precision) == (now.model, now.precision)), None)
    if before is None:
        raise RunError(f"the record of {stored.machine} has no {now.model}: `make bench` measures what is missing")
    for name in now.steps:
        if name not in before.steps:
            continue
        was, found = before.over(name).median, now.over(name).median
        limit = bound.limit(was)
        if found > limit:
            yield (f"{name} on {now.model}: {found:.3f} times its passes, and it was {was:.3f} (at most {limit:.3f})")


def _more_counted(stored: Performance, now: Counts) -> Iterator[str]:
    for before in stored.of(Counts):
        for name, waits in now.host_waits.items():
            if waits > before.host_waits.get(name, waits):
                yield f"{name} waits {waits} times a step for its device, and did {before.host_waits[name]} times"
        for name, launches in now.launches.items():
            was = before.launches.get(name, launches)
            if launches[-1] > 1.25 * was[-1]:
                yield f"{name} launches {launches[-1]} operators beyond its passes, and did {was[-1]}"
