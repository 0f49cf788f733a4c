"""What Slurm knows, through its own commands: the queue, limits, accounting where there is any."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from getpass import getuser

WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "CONFIGURING", "RESV_DEL_HOLD", "REQUEUE_FED")
WORKING = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT")
ANSWER_SECONDS = 10.0
"""As long as Slurm itself waits for one message; its commands go on trying for up to minutes."""
CANCEL_SECONDS = 120.0
TRIES, BETWEEN_TRIES = 3, 2.0
"""A controller that restarts is back within seconds."""


class QueueError(Exception):
    """Slurm's commands do not answer; the message has their words."""


class NoAnswerError(QueueError):
    """The controller is away, or too busy."""


@dataclass(frozen=True)
class Entry:
    """One job as the queue has it; `id` is `123_4` for a task of an array."""

    id: str
    state: str
    reason: str
    node: str
    name: str
    account: str = ""
    qos: str = ""

    @property
    def waits(self) -> bool:
        return self.state in WAITING

    @property
    def works(self) -> bool:
        return self.state in WORKING


def is_there() -> bool:
    return shutil.which("sbatch") is not None


def queue() -> dict[str, Entry]:
    """This user's jobs by id, with those that ended in the last minutes. Raises QueueError."""
    # -r: one line for each task of an array.
    output = asked("squeue", "-r", "-h", "-a", f"--user={getuser()}", "--states=all", "--format=%i|%T|%r|%N|%a|%q|%j")
    return {entry.id: entry for entry in entries(output)}


def entries(output: str) -> Iterator[Entry]:
    for line in output.splitlines():
        parts = line.strip().split("|", 6)
        if len(parts) == 7:
            id_, state, reason, node, account, qos, name = parts
            yield Entry(id_, state, reason, node, name, account, qos)


def configuration() -> dict[str, str]:
    """The cluster's, by the names that it uses, as MaxArraySize. Raises QueueError."""
    return dict(re.findall(r"^(\w+)\s*=\s*(\S+)", asked("scontrol", "show", "config"), re.MULTILINE))


def state_of(job: str) -> str | None:
    """Of a job of any user, also one that is ending; None if Slurm does not know it. Raises QueueError."""
    try:
        output = asked("squeue", "-h", "-a", "--states=all", f"--jobs={job}", "--format=%T")
    except QueueError as error:
        if "Invalid job id" in str(error):
            return None
        raise
    return output.split()[0] if output.split() else None


def is_ending(job: str) -> bool:
    """Whether Slurm ends a job, and not for its time limit: it was cancelled, or gives way. Raises QueueError."""
    output = asked("squeue", "-h", "-a", "--states=all", f"--jobs={job}", "--format=%T|%r").strip()
    state, _, reason = output.partition("|")
    return state in ("COMPLETING", "CANCELLED") and reason != "TimeLimit"


def end_of(job: str, seconds: float) -> float | None:
    """When Slurm ends a running job: limits are moved while jobs run. None if it does not say. Raises QueueError."""
    said = asked("squeue", "-h", "-a", f"--jobs={job}", "--format=%e", seconds=seconds)
    try:
        return datetime.fromisoformat(said.strip()).timestamp()
    except ValueError:
        return None


def restarts_of(job: str) -> int:
    """How often Slurm has started a job again, or is about to. Raises QueueError."""
    match = re.search(r"\bRestarts=(\d+)", asked("scontrol", "show", "job", "--oneliner", job))
    return int(match[1]) if match else 0


def ended_as(jobs: Iterable[str]) -> dict[str, str]:
    """How jobs ended, as accounting has it, `123_4: NODE_FAIL`; empty on clusters without."""
    jobs = list(jobs)
    if not jobs or shutil.which("sacct") is None:
        return {}
    arrays = ",".join(dict.fromkeys(job.partition("_")[0] for job in jobs))
    done = _run(["sacct", "-n", "-X", "-P", "-j", arrays, "-o", "JobID,State"], ANSWER_SECONDS)
    if done.returncode:
        return {}
    lines = (line.split("|") for line in done.stdout.splitlines())
    states = {parts[0]: parts[1].split()[0] for parts in lines if len(parts) == 2 and parts[1].strip()}
    return {job: states[job] for job in jobs if job in states}


def requeue(job: str) -> None:
    """Put a running job back into the queue, which ends it here. Raises QueueError."""
    asked("scontrol", "requeue", job)


def cancel(jobs: Sequence[str]) -> None:
    """End jobs or whole arrays. Raises QueueError; that a job is no more is no error."""
    for first in range(0, len(jobs), 200):
        done = _run(["scancel", *jobs[first : first + 200]], CANCEL_SECONDS)
        if done.returncode and "Invalid job id" not in done.stderr:
            raise QueueError(f"scancel: {' '.join(done.stderr.split())}")


@contextmanager
def outside_of_allocations() -> Iterator[None]:
    """Inside, the environment has nothing that a batch script or an interactive job of Slurm set, nor defaults of
    sbatch that would win over the script: but for where Slurm's configuration is."""
    removed = {name: value for name, value in os.environ.items() if clashes(name)}
    for name in removed:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(removed)


def clashes(name: str) -> bool:
    prefixes = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SALLOC_", "PMI_", "PMIX_")
    return name.startswith(prefixes) and name not in ("SLURM_CONF", "SLURM_CLUSTERS")


def asked(*command: str, seconds: float | None = None) -> str:
    """The output of one of Slurm's commands. Raises NoAnswerError, after some tries or seconds, or QueueError."""
    deadline = time.monotonic() + (seconds or ANSWER_SECONDS)
    for attempt in range(TRIES):
        done = _run(command, deadline - time.monotonic())
        if done.returncode == 0:
            return done.stdout
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        if not re.search(r"contact|connect|timed out|temporar", said, re.IGNORECASE):
            raise QueueError(f"{command[0]}: {said}")
        if attempt == TRIES - 1 or time.monotonic() + BETWEEN_TRIES >= deadline:
            break
        time.sleep(BETWEEN_TRIES)
    raise NoAnswerError(f"slurmctld does not answer ({command[0]}: {said})")


def _run(command: Sequence[str], seconds: float) -> "subprocess.CompletedProcess[str]":
    # Formats that a user has set for squeue and sacct are not for programs.
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SQUEUE_", "SACCT_"))}
    try:
        return subprocess.run(command, capture_output=True, text=True, env=clean, timeout=seconds)
    except FileNotFoundError as error:
        raise QueueError(f"{command[0]}: is not installed on this machine") from error
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(list(command), 1, "", f"timed out after {round(seconds, 1):g} s")
