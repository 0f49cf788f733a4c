"""How many jobs there may be: what the cluster's configuration and its accounts say, and what that leaves room for."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from getpass import getuser

from slurm import queue
from slurm.plan import Array, Need
from slurm.profile import Profile
from slurm.queue import Entry, QueueError

ARRAY_SIZE = 1001
"""Of a cluster that does not say otherwise, or is not asked."""


@dataclass(frozen=True)
class Limit:
    """At most so many jobs of this user at once: of all, of those of an account, or of those of a QOS."""

    name: str
    most: int
    account: str | None = None
    qos: str | None = None
    is_default: bool = False
    """Whether the account or the QOS is that of jobs which name none."""
    ended_too: bool = False
    """Whether jobs count until Slurm forgets them, minutes after their end."""

    def covers(self, need: Need) -> bool:
        for mine, said in ((self.account, need.account), (self.qos, need.qos)):
            if mine is not None and mine != said and not (said is None and self.is_default):
                return False
        return True

    def room(self, entries: Iterable[Entry]) -> int:
        counted = sum(
            (self.ended_too or entry.waits or entry.works)
            and self.account in (None, entry.account)
            and self.qos in (None, entry.qos)
            for entry in entries
        )
        return max(0, self.most - counted)


@dataclass(frozen=True)
class Limits:
    """All that hold for a launch."""

    array_size: int
    """The largest index of an array is one less; 0 where the cluster takes no arrays."""
    of_jobs: tuple[Limit, ...] = ()


def limits_of_profile(profile: Profile) -> Limits:
    """Those that hold where no cluster is asked."""
    mine = [Limit("submit_limit", profile.submit_limit)] if profile.submit_limit is not None else []
    return Limits(min(ARRAY_SIZE, profile.max_array_size or ARRAY_SIZE), tuple(mine))


def limits_of_cluster(profile: Profile) -> Limits:
    """The cluster's own and the profile's, whose `submit_limit` is instead of what accounts say. Raises QueueError."""
    said = queue.configuration()
    array_size = int(said.get("MaxArraySize", ARRAY_SIZE))
    found = list(limits_of_profile(profile).of_jobs)
    if not found and {"limits", "safe", "all"} & set(said.get("AccountingStorageEnforce", "").split(",")):
        found += _limits_of_accounts(said.get("ClusterName", ""))
    if said.get("MaxJobCount", "").isdigit():
        # Slurm refuses what would reach it.
        found.append(Limit("MaxJobCount of the cluster, less one,", int(said["MaxJobCount"]) - 1, ended_too=True))
    return Limits(min(array_size, profile.max_array_size or array_size), tuple(found))


def _limits_of_accounts(cluster: str) -> list[Limit]:
    """MaxSubmitJobs of this user's associations and MaxSubmitJobsPerUser of the QOS; none if nobody can be asked.

    Limits of a group count the jobs of others too: those are left to sbatch, which names them.
    """
    if shutil.which("sacctmgr") is None:
        return []
    who = f"user={getuser()}"
    try:
        users = _rows("user", "DefaultAccount", who)
        associations = _rows("assoc", "Account,MaxSubmitJobs,DefaultQOS,QOS", who, f"cluster={cluster}")
        services = _rows("qos", "Name,MaxSubmitJobsPU")
    except QueueError:
        return []
    default = users[0][0] if users else ""
    found, default_qos = [], "normal"
    for account, most, its_default, its_all in associations:
        if account == default:
            default_qos = its_default or (its_all if its_all and "," not in its_all else default_qos)
        if most.isdigit():
            found.append(
                Limit(f"MaxSubmitJobs of account {account}", int(most), account=account, is_default=account == default)
            )
    for name, most in services:
        if most.isdigit():
            found.append(
                Limit(f"MaxSubmitJobsPerUser of QOS {name}", int(most), qos=name, is_default=name == default_qos)
            )
    return found


def _rows(what: str, columns: str, *where: str) -> list[list[str]]:
    output = queue.asked("sacctmgr", "-n", "-P", "show", what, *where, f"format={columns}")
    rows = [line.split("|") for line in output.splitlines()]
    return [row for row in rows if len(row) == columns.count(",") + 1]


def within(
    arrays: Sequence[Array], limits: Sequence[Limit], entries: Iterable[Entry]
) -> tuple[list[Array], dict[Limit, int]]:
    """The first jobs of the arrays that all limits have room for, and how many runs each limit leaves out."""
    entries = list(entries)
    room = {limit: limit.room(entries) for limit in limits}
    kept: list[Array] = []
    left_out: dict[Limit, int] = {}
    for array in arrays:
        mine = sorted((limit for limit in limits if limit.covers(array.need)), key=room.__getitem__)
        tasks = array.tasks[: room[mine[0]]] if mine else array.tasks
        for limit in mine:
            room[limit] -= len(tasks)
        if tasks:
            kept.append(Array(array.need, tasks))
        if len(tasks) < len(array.tasks):
            missing = sum(map(len, array.tasks[len(tasks) :]))
            left_out[mine[0]] = left_out.get(mine[0], 0) + missing
    return kept, left_out
