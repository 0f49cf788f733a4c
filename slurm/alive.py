"""Whether what makes a run is still there: a process of this machine, or a job."""

import os
import time

import psutil

from benchmarks.record import Run
from slurm import queue
from slurm.ledger import Ledger, Note
from slurm.queue import QueueError

STALE_SECONDS = 600.0


def process_name(pid: int) -> str:
    """A process of this machine, such that a later one of the same id has another name."""
    try:
        return f"{os.uname().nodename} {pid} {psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return f"{os.uname().nodename} {pid} ended"


def is_alive(name: str) -> bool:
    """Whether the process still runs; one of another machine is taken at its word."""
    host, pid, _ = name.split(" ")
    if host != os.uname().nodename:
        return True
    return process_name(int(pid)) == name and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE


def is_alive_pid(note: Note) -> bool:
    """Whether a local job still runs; a later process of the same id began after it."""
    name = process_name(note.pid)
    return not name.endswith("ended") and float(name.split(" ")[2]) <= note.began and is_alive(name)


def is_at_work(note: Note, ledger: Ledger, run: Run) -> bool:
    """Whether the job that a note is of lives; if nobody can be asked, whether it was heard of lately."""
    if note.job.startswith("local-"):
        return note.host == os.uname().nodename and is_alive_pid(note)
    try:
        return queue.state_of(note.job) in (*queue.WORKING, *queue.WAITING)
    except QueueError:
        beat = ledger.beat(run)
        return time.time() - max(note.told, beat.told if beat else 0.0) < STALE_SECONDS
