"""`python -m slurm.work SUBMISSION [TASK]`: what a job does. It starts its runs, watches them, and tells the ledger.

One process, on the job's first node, which loads no torch and so answers at any time. It ends its runs with a
checkpoint before the time limit or when Slurm asks, and puts the job back into the queue where Slurm does not. A run
that has its record, or that another living job makes, is left alone; one that fails touches no other.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.record import Run
from benchmarks.stopping import STOPPED
from slurm import queue
from slurm.alive import is_at_work
from slurm.child import Child, command_line, environment
from slurm.code import ROOT, Code, code_at, digest_of
from slurm.ends import CANCELLED, LIMIT, is_stuck, judged, stuck
from slurm.job import Asked, Job, say, this_job
from slurm.ledger import AT_WORK, Ledger, Note, Outcome, Submission, checkpoint_step, read_submission
from slurm.queue import NoAnswerError, QueueError

TICK_SECONDS = 0.2
END_TICKS = 10
"""Between the end of a run that a signal stopped and the signal's arrival here."""
KILL_WAIT = 20.0
"""Seconds between Slurm's SIGTERM and its SIGKILL, of which 30 are usual, less some to write things down."""
EARLY_SECONDS = 120.0
AGAIN_SECONDS = 2.0
LAST_SECONDS = 2.0
ENDED = "ended by Slurm (SIGTERM)"
ENDED_FOR_GOOD = "cancelled or preempted (SIGTERM)"
"""Where Slurm does not start the job again: it does not tell jobs which."""
CAUSES = {"SIGUSR1": "preempted (SIGUSR1)", "SIGTERM": ENDED}


class Work:
    """All that one job does."""

    def __init__(self, submission: Submission, job: Job, asked: Asked) -> None:
        self.submission = submission
        self.job = job
        self.asked = asked
        self.ledger = Ledger(Path(submission.results), submission.suite)
        self.code = code_here(submission)
        self.ends = job.end
        self.end_is_sure = False
        self.stopping: str | None = None
        self.kill_at = 0.0
        self.failed = False
        self.waiting: list[Child] = []
        """Those that are to start again."""

    def run(self) -> int:
        """Until all runs have ended; the exit code of the job."""
        say(f"job {self.job.id} on {self.job.host}, start {self.job.restarts + 1}, code {self.code}")
        runs = self.submission.runs(self.job.task)
        children = [child for position, run in enumerate(runs) if (child := self.begun(run, position))]
        stopped = False
        try:
            while children:
                self.watch(children)
                for child in [child for child in children if child.process.poll() is not None]:
                    children.remove(child)
                    stopped |= self.end(child) in ("stopping", "stopped")
                time.sleep(TICK_SECONDS)
        except Exception as error:
            self.give_up(children, error)
            raise
        if self.waiting:
            self.start_again()
        return 1 if self.failed else STOPPED if stopped else 0

    def begun(self, run: Run, position: int) -> Child | None:
        """`start`, where what goes wrong with one run leaves the others alone."""
        try:
            return self.start(run, position)
        except OSError as error:
            say(f"{run}: cannot begin: {error}")
            self.failed = True
            return None

    def give_up(self, children: list[Child], error: Exception) -> None:
        for child in children:
            child.process.kill()
            cause = f"what watches it broke: {type(error).__name__}: {error}"
            self.tell(child, replace(child.note, outcome="failed", cause=cause))

    # ---------------------------------------------------------------------------------------------------------- start

    def start(self, run: Run, position: int) -> Child | None:
        """Begin a run, or say why not."""
        lock = self.ledger.claimed(run)
        if lock is None:
            say(f"{run}: another job of this machine is at work on it")
            return None
        last = self.ledger.note(run)
        reason = self.why_not(run, last)
        if reason is not None:
            say(f"{run}: {reason}")
            lock.release()
            return None
        # A note of an earlier submission is history: `retry` begins to count anew.
        mine = last if last is not None and last.submission == self.submission.id else None
        note = self.first_note(mine)
        last_step = note.step
        if mine is not None and mine.outcome == "running":
            # Its last start ended without a word: the node failed, or the job was killed.
            now = checkpoint_step(run, self.ledger.results)
            if is_stuck(run, last_step, now, mine, None, self.ledger):
                self.ledger.set_note(run, replace(note, outcome="failed", cause=stuck(now, "its job was killed")))
                self.failed = True
                lock.release()
                return None
            last_step = now
            note = replace(note, step=now, cause="its job or its node was killed")
        self.ledger.set_note(run, note)
        self.ledger.of(run, ".beat").unlink(missing_ok=True)
        log = self.ledger.of(run, ".log").open("ab")
        logged = log.tell()
        log.write(f"--- {time.strftime('%F %T')} job {self.job.id} on {self.job.host}\n".encode())
        log.flush()
        process = subprocess.Popen(
            command_line(self.submission, self.ledger.path(self.submission), self.job, position),
            cwd=self.submission.root,
            env=environment(self.submission, self.job, self.code),
            stdout=log,
            stderr=log,
        )
        say(f"{run}: started, process {process.pid}")
        return Child(run, lock, process, log, logged, note, last_step)

    def why_not(self, run: Run, last: Note | None) -> str | None:
        if run.path(self.ledger.results).exists():
            return "its record is there"
        if last is None:
            return None
        if last.submission == self.submission.id and last.outcome in ("failed", "timed out"):
            return f"{last.outcome} before ({last.cause}); `python -m slurm retry {run.suite}` tries again"
        if last.outcome in AT_WORK and last.job != self.job.id and is_at_work(last, self.ledger, run):
            return f"job {last.job} is at work on it"
        return None

    def first_note(self, mine: Note | None) -> Note:
        """Of a start; `mine` is what an earlier start of this job has told."""
        return Note(
            outcome="running",
            submission=self.submission.id,
            job=self.job.id,
            host=self.job.host,
            pid=os.getpid(),
            began=time.time(),
            told=time.time(),
            restarts=self.job.restarts,
            timeouts=mine.timeouts if mine else 0,
            step=mine.step if mine else None,
            cause=mine.cause if mine else None,
            code=self.code,
        )

    # ---------------------------------------------------------------------------------------------------------- watch

    def watch(self, children: list[Child]) -> None:
        """Ask the runs to stop when it is time, and end those that do not."""
        now = time.time()
        if self.stopping is None:
            cause = self.cause_to_stop(now)
            if cause is not None:
                self.stop(children, cause, now)
        elif now >= self.kill_at:
            for child in children:
                child.process.kill()

    def cause_to_stop(self, now: float) -> str | None:
        lead = self.submission.need.lead
        near = self.ends is not None and now >= self.ends - lead
        warned = self.ends is not None and self.asked.by == "SIGUSR1"
        if (near or warned) and not self.end_is_sure:
            # Limits are moved while jobs run.
            self.ends, self.end_is_sure = self.end_now(), True
            return None
        if near:
            return LIMIT
        if self.asked.by is None:
            return None
        # Slurm warns up to a minute too early, and looks only now and then: there is time until the lead begins.
        if warned and self.ends is not None and now >= self.ends - lead - EARLY_SECONDS:
            return None
        return CAUSES.get(self.asked.by, self.asked.by) if self.job.is_slurm else f"ended by {self.asked.by}"

    def end_now(self) -> float | None:
        """The job's end as Slurm has it now. While nobody answers, half of the time for a checkpoint is left."""
        try:
            return queue.end_of(self.job.id, min(queue.ANSWER_SECONDS, self.submission.need.lead / 2)) or self.ends
        except QueueError:
            return self.ends

    def stop(self, children: list[Child], cause: str, now: float) -> None:
        self.stopping = CANCELLED if self.ledger.is_cancelled(self.submission) else cause
        grace = KILL_WAIT if self.asked.by == "SIGTERM" else float(self.submission.need.lead)
        if cause == LIMIT and self.ends is not None:
            # What hangs is ended in time to say so, and to ask for another start, before Slurm ends it all.
            grace = max(1.0, min(grace, self.ends - LAST_SECONDS - now))
        self.kill_at = now + grace
        say(f"asked to stop: {self.stopping}; {grace:.0f} s are left")
        for child in children:
            # Written down before it happens: there may be no time after.
            step = checkpoint_step(child.run, self.ledger.results)
            self.tell(child, replace(child.note, outcome="stopping", step=step, cause=self.stopping))
            # torchrun passes only SIGTERM on.
            by_torchrun = not self.job.is_slurm and self.submission.need.processes > 1
            child.process.send_signal(signal.SIGTERM if by_torchrun else signal.SIGUSR1)

    # ------------------------------------------------------------------------------------------------------------ end

    def end(self, child: Child) -> Outcome:
        """Find out how a run ended, and write it down."""
        code = child.process.wait()
        child.log.close()
        timeouts = int(self.submission.profile["timeouts"])
        note = judged(child, code, self.cause_of(code), self.ledger, timeouts)
        if note.outcome == "stopping" and not self.job.is_slurm:
            note = replace(note, outcome="stopped")
        child.note = note
        self.tell(child, note)
        say(f"{child.run}: {note.outcome}" + (f": {note.cause}" if note.outcome != "done" else ""))
        self.failed |= note.outcome in ("failed", "timed out")
        if note.outcome == "stopping":
            self.waiting.append(child)
        else:
            child.lock.release()
        return note.outcome

    def cause_of(self, code: int) -> str | None:
        """Why a run that ended with `code` was asked to stop; None if it was not."""
        for _ in range(END_TICKS if code == STOPPED else 0):
            if self.stopping is not None or self.asked.by is not None:
                break
            time.sleep(TICK_SECONDS)
        if self.stopping is not None or code not in (STOPPED, -signal.SIGTERM, -signal.SIGUSR1):
            return self.stopping
        if self.ledger.is_cancelled(self.submission):
            return CANCELLED
        return self.cause_to_stop(time.time()) or "a signal to the run itself"

    def start_again(self) -> None:
        """See to it that the job starts again, and say whether it does. If not, `launch` submits its runs again."""
        again, why = False, ""
        try:
            again = self.is_requeued()
        except QueueError as error:
            why, self.failed = f"; not requeued: {error}", True
        for child in self.waiting:
            cause = ENDED_FOR_GOOD if child.note.cause == ENDED and not again and not why else child.note.cause
            self.tell(child, replace(child.note, outcome="stopped", requeued=again, cause=f"{cause}{why}"))
            child.lock.release()

    def is_requeued(self) -> bool:
        """Ask Slurm for another start; where Slurm ends the job, it alone decides: find out how.

        As long as nobody answers, ask again: nobody ends the job before its limit then. Raises QueueError.
        """
        while True:
            try:
                if queue.is_ending(self.job.id):
                    # Slurm counts a start that is to come.
                    return queue.restarts_of(self.job.id) > self.job.restarts
                say("back into the queue")
                queue.requeue(self.job.id)
                return True
            except NoAnswerError:
                if self.ends is None or time.time() >= self.ends:
                    raise
                time.sleep(AGAIN_SECONDS)

    def tell(self, child: Child, note: Note) -> None:
        try:
            self.ledger.set_note(child.run, replace(note, told=time.time()))
        except OSError as error:
            say(f"{child.run}: {note.outcome}, which could not be written down ({error})")


def code_here(submission: Submission) -> Code:
    if submission.snapshot:
        return replace(submission.code, digest=digest_of(ROOT))
    return code_at(ROOT)


def main() -> int:
    submission = read_submission(Path(sys.argv[1]))
    asked = Asked()
    job = this_job(submission, int(sys.argv[2]) if len(sys.argv) > 2 else None)
    work = Work(submission, job, asked)
    say(shlex.join(sys.argv))
    return work.run()


if __name__ == "__main__":
    sys.exit(main())
