"""Runs in this very process, one after the other, where a debugger can follow them."""

import os
import time
from dataclasses import replace

from rich.console import Console

from benchmarks.errors import RunError
from benchmarks.pool import Failure, Job
from benchmarks.progress import board
from benchmarks.record import RecordError, Run
from benchmarks.stopping import StoppedError
from slurm.code import ROOT, code_at
from slurm.ledger import Ledger, Note, Submission
from slurm.one import Heart, execution_of, perform


def make(ledger: Ledger, submission: Submission, console: Console) -> int:
    """All runs of the submission; how many failed. A failure stops no other run; a signal stops them all."""
    if submission.data is not None:
        os.environ["TRAM_DATA"] = submission.data
    code, failures = code_at(ROOT), 0
    jobs = {run: Job(str(run), "", (), stage=str(run), kind=run.benchmark) for run, _ in submission.all_runs}
    with board(list(jobs.values()), workers=1, console=console) as shown:
        for run, _ in submission.all_runs:
            lock = ledger.claimed(run)
            if lock is None or run.path(ledger.results).exists():
                continue
            now, host = time.time(), os.uname().nodename
            note = Note("running", submission.id, f"local-{os.getpid()}", host, os.getpid(), now, now, code=code)
            ledger.set_note(run, note)
            shown.started(jobs[run])
            heart = Heart(ledger, run)

            def report(stage: str, done: int, total: int, run: Run = run, heart: Heart = heart) -> None:
                heart(stage, done, total)
                shown.progressed(jobs[run], stage, done, total)

            try:
                perform(submission, run, execution_of(submission), report)
            except StoppedError as error:
                ledger.set_note(run, replace(note, outcome="stopped", cause=str(error), told=time.time()))
                raise
            except (RunError, RecordError) as error:
                failures += 1
                ledger.set_note(run, replace(note, outcome="failed", cause=str(error), told=time.time()))
                shown.failed(Failure(jobs[run], str(error)))
            else:
                ledger.set_note(run, replace(note, outcome="done", told=time.time()))
                shown.succeeded(jobs[run], time.time() - now)
            finally:
                lock.release()
    return failures
