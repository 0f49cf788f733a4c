"""From runs to the arrays of jobs that make them. Pure: nothing here asks a cluster or reads a file."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import TypeVar

from benchmarks.planning import gpu_hours
from benchmarks.processes import Parallel
from benchmarks.record import Run
from benchmarks.registry import BENCHMARKS
from benchmarks.row import Precision
from slurm.profile import GpuStyle, Profile
from slurm.units import mebibytes_in, seconds_in

MINUTE, HOUR, DAY = 60, 3600, 86_400
START_SECONDS = 30 * MINUTE
"""Of loading, evaluating and writing, which the estimate of the training does not hold; all, where a laptop does."""
TIME_STEPS = tuple(HOUR * hours for hours in (0.5, 1, 2, 4, 8, 12, 24, 48, 72, 120, 168))
"""Limits are rounded up to one of these, so that runs of nearly equal length share an array; above, to whole days."""
LAPTOP_MEMORY = 4 * 1024
MEMORY_PER_GPU = 16 * 1024
"""Of the host, in MiB: loaders, CUDA's and the libraries' own."""
BYTES_PER_PARAMETER = 20
"""Of the host's memory and of a checkpoint: weights, best weights, Adam's moments, a reference."""
DISK_BYTES_PER_SECOND = 1e8
CPUS_PER_GPU = 4

Item = TypeVar("Item")


@dataclass(frozen=True)
class Need:
    """What one job asks for: runs of equal need share an array. `cpus` are of a process, `memory` (MiB) of the job."""

    seconds: int
    lead: int
    """Seconds before the limit at which runs begin to write their last checkpoint."""
    memory: int
    cpus: int
    gpus: int
    processes: int
    nodes: int
    pack: int
    gpu_style: GpuStyle
    gpu_type: str | None
    partition: str | None
    account: str | None
    qos: str | None
    constraint: str | None
    reservation: str | None
    options: tuple[tuple[str, str | bool], ...]
    parallel: Parallel
    micro_batches: int | None
    precision: Precision | None
    loaders: int | None


@dataclass(frozen=True)
class Array:
    """One array of jobs: its task i makes the runs `tasks[i]`, side by side."""

    need: Need
    tasks: tuple[tuple[Run, ...], ...]

    @property
    def runs(self) -> list[Run]:
        return [run for task in self.tasks for run in task]


def need_of(run: Run, profile: Profile, pack: int = 1) -> Need:
    """What a job with `pack` runs like this one asks for. Runs of several processes are not packed."""
    said, needs = profile.settings(run), BENCHMARKS[run.benchmark].needs
    gpus = said.gpus if said.gpus is not None else needs.gpus if needs else 0
    processes = said.processes or max(1, gpus)
    pack = pack if processes == 1 else 1
    parameters = needs.parameters if needs else 0
    if said.mem is not None:
        memory = mebibytes_in(said.mem)
    else:
        memory = gpus * MEMORY_PER_GPU + ceil(parameters * BYTES_PER_PARAMETER / 2**30) * 1024 or LAPTOP_MEMORY
    seconds = seconds_in(said.time) if said.time else estimated_seconds(run, gpus, pack, profile)
    return Need(
        seconds=seconds,
        lead=lead_seconds(seconds, parameters),
        memory=memory * pack,
        cpus=(said.cpus or (CPUS_PER_GPU if gpus else 1)) * pack,
        gpus=gpus,
        processes=processes,
        nodes=max(1, ceil(gpus / profile.gpus_per_node)),
        pack=pack,
        gpu_style=profile.gpu_style,
        gpu_type=profile.gpu_type,
        partition=said.partition,
        account=said.account,
        qos=said.qos,
        constraint=said.constraint,
        reservation=said.reservation,
        options=tuple(sorted(said.options.items())),
        parallel=said.parallel,
        micro_batches=said.micro_batches,
        precision=said.precision,
        loaders=said.loaders,
    )


def estimated_seconds(run: Run, gpus: int, pack: int, profile: Profile) -> int:
    """From the row's arithmetic, with the profile's safety; `pack` runs on one GPU take turns. At most its max_time."""
    sharers = pack if gpus else 1
    estimate = START_SECONDS + gpu_hours(run) * HOUR / max(1, gpus) * profile.safety * sharers
    if not gpu_hours(run):
        estimate = START_SECONDS
    rounded = next((step for step in TIME_STEPS if step >= estimate), ceil(estimate / DAY) * DAY)
    return int(min(rounded, seconds_in(profile.max_time)) if profile.max_time else rounded)


def lead_seconds(limit: int, parameters: int = 0) -> int:
    """Two minutes and the time to write a checkpoint; a fifth of a limit that is too short for that."""
    return max(1, min(limit // 5, round(120 + parameters * BYTES_PER_PARAMETER / DISK_BYTES_PER_SECOND)))


def arrays_of(runs: Iterable[Run], profile: Profile, *, pack: int = 1, max_array_size: int) -> list[Array]:
    """Arrays that make every run exactly once, each of one need and with no index of `max_array_size` or more."""
    by_need: dict[Need, list[Run]] = {}
    for run in runs:
        by_need.setdefault(need_of(run, profile, pack), []).append(run)
    return [
        Array(need, tuple(tasks))
        for need, same in by_need.items()
        for tasks in chunks([tuple(task) for task in chunks(same, need.pack)], max_array_size)
    ]


def chunks(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items, in order; the last may be shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
