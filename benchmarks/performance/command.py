"""`python -m benchmarks performance`: measure what is missing, and write after every part."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.environment import environment
from benchmarks.errors import RunError
from benchmarks.performance.machine import measured_machine
from benchmarks.performance.parts import ToMeasure, parts_of
from benchmarks.performance.plan import PLANS
from benchmarks.performance.record import Performance, read_performance, write_performance
from benchmarks.pool import Failure, Job
from benchmarks.progress import board

STAGE = "performance"


def measure(sizes: str, output: Path, only: Sequence[str], again: bool) -> Path:
    """The path of the record, complete. `only` names parts, by any piece of their names; `again` measures anew what is
    there. Raises RunError where a plan needs a GPU and there is none, or where no part has such a name."""
    device, name = measured_machine(sizes)
    torch.set_num_threads(1)
    planned = parts_of(PLANS[sizes])
    chosen = [part for part in planned if not only or any(piece.lower() in part.name.lower() for piece in only)]
    if not chosen:
        raise RunError(f"no part has {' or '.join(only)} in its name; there are: {'; '.join(p.name for p in planned)}")
    record = _found_or_new(output, device, name)
    todo = [part for part in chosen if again or not part.is_done(record.parts)]
    return _measured(record, todo, [part.name for part in planned], output, device)


def _found_or_new(output: Path, device: torch.device, name: str) -> Performance:
    path = output / f"{name}.json"
    if path.exists():
        return read_performance(path)
    clock = "wall clock, work of the GPU included" if device.type == "cuda" else "time of the processor, one thread"
    return Performance(machine=name, clock=clock, environment=environment(device), parts={}, commits={})


def _measured(
    record: Performance, todo: Sequence[ToMeasure], order: Sequence[str], output: Path, device: torch.device
) -> Path:
    """Part by part. Raises RunError at the end if one of them could not be measured."""
    here = environment(device)
    commit = f"{here['git_commit']}{'+' if here['git_dirty'] else ''}"
    failed = []
    jobs = {part.name: Job(part.name, "", (), stage=STAGE, kind=STAGE, cost=part.cost) for part in todo}
    with board(list(jobs.values()), workers=1, console=Console(stderr=True)) as shown:
        for part in todo:
            job, started = jobs[part.name], time.monotonic()
            shown.started(job)
            try:
                found = part.make(partial(shown.progressed, job))
            except (RuntimeError, RunError) as error:  # as when memory does not suffice
                failed.append(f"{part.name}: {str(error).partition(chr(10))[0]}")
                shown.failed(Failure(job, failed[-1]))
                continue
            record = record.with_part(part.name, found, commit, order).model_copy(update={"environment": here})
            write_performance(record, output)
            shown.succeeded(job, time.monotonic() - started)
    if failed:
        raise RunError(f"not measured: {'; '.join(failed)}. The same command tries again, and keeps the rest.")
    return output / f"{record.machine}.json"
