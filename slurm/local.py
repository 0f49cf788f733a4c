"""`python -m slurm.local SUBMISSION JOBS`: the tasks of a submission as processes of this machine, JOBS at a time.

It has no terminal and outlives its login. One such process works on a suite at a time; the next one waits for it.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock

from slurm.job import Asked, say
from slurm.ledger import Ledger, Note, Submission, read_submission

TICK_SECONDS = 0.2


def gpus_here() -> list[str]:
    """Those that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name.strip()]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return re.findall(r"^GPU (\d+):", listing, re.MULTILINE)


def run_tasks(path: Path, submission: Submission, jobs: int, asked: Asked) -> None:
    """All tasks, in order; each begins when there is a place and as many GPUs as it needs."""
    free, needed = gpus_here(), submission.need.gpus
    waiting = list(range(len(submission.tasks)))
    running: dict[subprocess.Popen[bytes], list[str]] = {}
    while (waiting and asked.by is None) or running:
        while waiting and asked.by is None and len(running) < jobs and len(free) >= needed:
            mine, free = free[:needed], free[needed:]
            running[start(path, waiting.pop(0), mine)] = mine
        time.sleep(TICK_SECONDS)
        for process in [item for item in running if item.poll() is not None]:
            free += running.pop(process)
        if asked.by is not None:
            for process in running:
                process.send_signal(signal.SIGTERM)
            time.sleep(1)


def start(path: Path, task: int, gpus: list[str]) -> "subprocess.Popen[bytes]":
    visible = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}
    return subprocess.Popen([sys.executable, "-m", "slurm.work", str(path), str(task)], env=os.environ | visible)


def refuse(ledger: Ledger, submission: Submission, there: int) -> None:
    """No run of the submission can ever begin here."""
    cause = f"needs {submission.need.gpus} GPUs, and this machine has {there}"
    for run, _ in submission.all_runs:
        now = time.time()
        host, pid = os.uname().nodename, os.getpid()
        ledger.set_note(run, Note("failed", submission.id, f"local-{pid}", host, pid, now, now, cause=cause))


def main() -> int:
    path, jobs = Path(sys.argv[1]), int(sys.argv[2])
    asked = Asked()
    submission = read_submission(path)
    ledger = Ledger(Path(submission.results), submission.suite)
    there = len(gpus_here())
    if there < submission.need.gpus:
        refuse(ledger, submission, there)
        return 1
    lock = FileLock(ledger.folder / "local.lock")
    while asked.by is None:
        try:
            lock.acquire(timeout=1)
            break
        except TimeoutError:
            continue
    say(f"{len(submission.tasks)} jobs, {jobs} at a time")
    run_tasks(path, submission, jobs, asked)
    say("all have ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
