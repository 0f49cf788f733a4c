"""From runs that are wanted to jobs that are submitted: within all limits, one array after the other."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pool import default_workers
from benchmarks.record import Run
from slurm.alive import process_name
from slurm.code import ROOT, Code, code_at, freeze
from slurm.ledger import Cluster, Ledger, Submission
from slurm.limits import Limit, limits_of_cluster, limits_of_profile, within
from slurm.plan import Array, arrays_of
from slurm.profile import Profile
from slurm.queue import Entry
from slurm.submit import script_of, to_slurm, to_this_machine

UNLIMITED = 10**9
NO_ARRAYS = "MaxArraySize of this cluster is 0: it takes no arrays, so nothing can be submitted"


class LimitError(Exception):
    """The cluster's limits leave no room; the message says which, and what to do."""


@dataclass(frozen=True)
class How:
    """All that decides how runs are submitted, but for which they are."""

    cluster: Cluster
    profile: Profile
    pack: int = 1
    max_parallel: int | None = None
    snapshot: bool = False
    data: str | None = None
    jobs: int | None = None
    """Side by side on this machine."""

    @classmethod
    def of(cls, submission: Submission) -> "How":
        """As that one was submitted."""
        return cls(
            submission.cluster,
            Profile.model_validate(submission.profile),
            submission.pack,
            submission.max_parallel,
            submission.snapshot,
            submission.data,
        )


@dataclass(frozen=True)
class Plan:
    """What would be submitted, and what would not."""

    arrays: list[Array]
    left_out: dict[Limit, int]
    """Runs that a limit has no room for."""

    @property
    def runs(self) -> list[Run]:
        return [run for array in self.arrays for run in array.runs]


def plan(runs: Sequence[Run], how: How, entries: dict[str, Entry] | None) -> Plan:
    """Arrays within all limits. `entries` is the queue, None if it was not asked. Raises LimitError, QueueError."""
    if how.cluster != "slurm":
        return Plan(arrays_of(runs, how.profile, pack=how.pack, max_array_size=UNLIMITED), {})
    limits = limits_of_profile(how.profile) if entries is None else limits_of_cluster(how.profile)
    if limits.array_size == 0:
        raise LimitError(NO_ARRAYS)
    arrays = arrays_of(runs, how.profile, pack=how.pack, max_array_size=limits.array_size)
    return Plan(*within(arrays, limits.of_jobs, (entries or {}).values()))


def shares(total: int | None, sizes: Sequence[int]) -> list[int | None]:
    """`total` jobs at once divided among arrays of those sizes, at least one for each."""
    if total is None:
        return [None] * len(sizes)
    given = [1] * len(sizes)
    for _ in range(total - len(sizes)):
        hungry = [index for index, size in enumerate(sizes) if given[index] < size]
        if hungry:
            given[min(hungry, key=lambda index: given[index] / sizes[index])] += 1
    return list(given)


def submissions(ledger: Ledger, arrays: Sequence[Array], how: How, code: Code, root: Path = ROOT) -> list[Submission]:
    """One for each array, with the code at `root`; nothing is written."""
    first, _, mark = ledger.new_id().partition("-")
    parallel = shares(how.max_parallel, [len(array.tasks) for array in arrays])
    return [
        Submission(
            id=f"{int(first) + index:04d}-{mark}",
            cluster=how.cluster,
            suite=ledger.suite,
            results=str(ledger.results),
            data=how.data,
            root=str(root),
            code=code,
            snapshot=how.snapshot,
            submitted=time.time(),
            need=array.need,
            tasks=tuple(tuple((run.benchmark, run.method, run.seed) for run in task) for task in array.tasks),
            pack=how.pack,
            max_parallel=share,
            profile=how.profile.model_dump(mode="json"),
        )
        for index, (array, share) in enumerate(zip(arrays, parallel, strict=True))
    ]


def submit(ledger: Ledger, arrays: Sequence[Array], how: How, told: Callable[[Submission], None]) -> list[Submission]:
    """Hand all arrays over, one after the other; `told` is called after each. Raises SubmissionError at the first that
    is not taken: those before it stay."""
    code, root = code_at(ROOT), ROOT
    if how.snapshot:
        root = ledger.folder / "code" / ledger.new_id()
        freeze(ROOT, root)
    made = submissions(ledger, arrays, how, code, root)
    for submission in made:
        match how.cluster:
            case "slurm":
                to_slurm(ledger, submission, how.profile)
            case "local":
                to_this_machine(ledger, submission, how.jobs or how.max_parallel or default_workers())
            case "debug":
                ledger.add(submission)
                ledger.set_job(submission, process_name(os.getpid()))
        told(submission)
    return made


def scripts(ledger: Ledger, arrays: Sequence[Array], how: How) -> list[str]:
    """The batch scripts that would be submitted."""
    code = Code(None, None, "")
    return [script_of(ledger, item, how.profile) for item in submissions(ledger, arrays, how, code)]
