"""Ending what is at work, and forgetting what came to nothing. What is done stays."""

import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from slurm import queue
from slurm.alive import is_alive, is_alive_pid
from slurm.ledger import Ledger, Submission
from slurm.queue import QueueError
from slurm.state import ACTIVE, Overview, Standing


def cancel(ledger: Ledger, active: Sequence[Standing]) -> None:
    """End the jobs of these runs, and with them those that share their arrays. Raises QueueError.

    That they were cancelled is written down first: a job that is asked to stop reads why.
    """
    submissions = {item.submission.id: item.submission for item in active if item.submission}
    for submission in submissions.values():
        ledger.set_cancelled(submission)
    arrays = [ledger.job(item) for item in submissions.values() if item.cluster == "slurm"]
    try:
        queue.cancel([job for job in arrays if job is not None])
    except QueueError:
        for submission in submissions.values():
            ledger.set_cancelled(submission, False)
        raise
    for submission in submissions.values():
        if submission.cluster != "slurm":
            _end_here(ledger, submission, [item for item in active if item.submission is submission])


def _end_here(ledger: Ledger, submission: Submission, active: Sequence[Standing]) -> None:
    name = ledger.job(submission)
    if name is not None and is_alive(name):
        _terminate(name.split(" ")[0], int(name.split(" ")[1]))
    for item in active:
        if item.note is not None and is_alive_pid(item.note):
            _terminate(item.note.host, item.note.pid)


def _terminate(host: str, pid: int) -> None:
    if host == os.uname().nodename:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def clean(ledger: Ledger, found: Overview, leftovers: Sequence[Standing]) -> None:
    """Remove checkpoints, logs and notes of `leftovers`, then submissions of which nothing is at work any more."""
    active = {item.submission.id for item in found.having(ACTIVE) if item.submission}
    for item in leftovers:
        lock = ledger.claimed(item.run)
        if lock is None:
            continue
        shutil.rmtree(item.run.checkpoints(ledger.results), ignore_errors=True)
        for suffix in (".log", ".beat"):
            ledger.of(item.run, suffix).unlink(missing_ok=True)
        if item.note is not None and item.note.submission in active:
            ledger.set_note(item.run, replace(item.note, outcome="forgotten", cause=None))
        else:
            ledger.of(item.run, ".note").unlink(missing_ok=True)
        lock.release()
    every = ledger.submissions()
    needed = {submission.root for submission in every if submission.id in active}
    for submission in every:
        if submission.id not in active:
            _forget(ledger, submission, needed)
    for script in ledger.jobs.glob(".submission_file_*"):
        # submitit's own name of a batch script: a link while it is there, a file where sbatch refused it.
        if not (script.is_symlink() and script.exists()):
            script.unlink()


def _forget(ledger: Ledger, submission: Submission, needed: set[str]) -> None:
    job = ledger.job(submission)
    if job is not None and submission.cluster == "slurm":
        for path in ledger.jobs.glob(f"{job}_*"):
            path.unlink(missing_ok=True)
    if submission.snapshot and submission.root not in needed:
        shutil.rmtree(submission.root, ignore_errors=True)
    ledger.drop(submission)
