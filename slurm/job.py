"""This job: who it is, what asks it to stop, what it prints."""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from slurm.ledger import Submission


@dataclass(frozen=True)
class Job:
    """This job, as the environment tells."""

    id: str
    task: int
    host: str
    restarts: int
    end: float | None
    """When Slurm ends it."""

    @property
    def is_slurm(self) -> bool:
        return self.end is not None


def this_job(submission: Submission, task: int | None) -> Job:
    host = os.uname().nodename
    if submission.cluster != "slurm":
        assert task is not None
        return Job(f"local-{os.getpid()}", task, host, 0, None)
    array, index = os.environ["SLURM_ARRAY_JOB_ID"], os.environ["SLURM_ARRAY_TASK_ID"]
    end = float(os.environ.get("SLURM_JOB_END_TIME") or time.time() + submission.need.seconds)
    restarts = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    return Job(f"{array}_{index}", int(index), os.environ.get("SLURMD_NODENAME", host), restarts, end)


class Asked:
    """The first signal that asks this job to stop."""

    def __init__(self) -> None:
        self.by: str | None = None
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        # A warning is overtaken by the real end.
        if self.by is None or number == signal.SIGTERM:
            self.by = signal.Signals(number).name


def say(text: str, write: Callable[[str], None] = print) -> None:
    write(f"{time.strftime('%F %T')} {text}")
    sys.stdout.flush()
