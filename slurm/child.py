"""A run that a job makes: its process, and the command line and environment that this is started with."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from benchmarks.pool import ENVIRONMENT
from benchmarks.record import Run
from slurm.code import Code
from slurm.job import Job
from slurm.ledger import Note, Submission


@dataclass
class Child:
    """A run that is being made: its lock, its process, what is said of it."""

    run: Run
    lock: FileLock
    process: "subprocess.Popen[bytes]"
    log: BinaryIO
    logged: int
    """Bytes that were in the log before."""
    note: Note
    last_step: int | None
    """Of the checkpoint that it stopped at the last time."""


def command_line(submission: Submission, path: Path, job: Job, position: int) -> list[str]:
    """Of the run at that position of the job's; `path` is the submission's."""
    need = submission.need
    one = ["-m", "slurm.one", str(path), str(job.task), str(position)]
    if need.processes == 1:
        return [sys.executable, *one]
    if not job.is_slurm:
        run = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={need.processes}"]
        return [sys.executable, *run, *one]
    return [
        "srun",
        "--export=ALL",
        f"--nodes={need.nodes}",
        f"--ntasks={need.processes}",
        f"--cpus-per-task={need.cpus}",
        "--kill-on-bad-exit=1",
        # Every process sees all GPUs of its node and takes that of its local rank.
        *(["--gpu-bind=none"] if need.gpus else []),
        sys.executable,
        *one,
    ]


def environment(submission: Submission, job: Job, code: Code) -> dict[str, str]:
    """This process's, with what the record is to say of `code`, which runs here."""
    said: dict[str, str | bool | None] = {
        "submitted_commit": submission.code.commit,
        "submitted_dirty": submission.code.dirty,
        "code_changed": code.digest != submission.code.digest,
    }
    if submission.snapshot:
        said |= {"git_commit": submission.code.commit, "git_dirty": submission.code.dirty}
    more = {"TRAM_DATA": submission.data} if submission.data else {}
    if submission.need.processes > 1 and job.is_slurm:
        # This is the first node of the job, where rank 0 will be; not every node can look up its own name.
        on_one_node = os.environ.get("SLURM_JOB_NUM_NODES") == "1"
        more["MASTER_ADDR"] = "127.0.0.1" if on_one_node else os.uname().nodename
    return os.environ | ENVIRONMENT | more | {"TRAM_SUBMITTED": json.dumps(said)}
