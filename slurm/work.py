"""`python -m slurm.work SUBMISSION [TASK]`: what a job does. It starts its runs, watches them, and tells the ledger.

One process, on the job's first node, which loads no torch and so answers at any time. It ends its runs with a
checkpoint before the time limit or when Slurm asks, and puts the job back into the queue where Slurm does not. A run
that has its record, or that another living job makes, is left alone; one that fails touches no other.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from filelock import FileLock

from benchmarks.pool import ENVIRONMENT
from benchmarks.record import Run
from benchmarks.stopping import STOPPED
from slurm import queue
from slurm.code import ROOT, Code, code_at, digest_of
from slurm.ledger import AT_WORK, Ledger, Note, Submission, checkpoint_step, read_submission
from slurm.queue import NoAnswerError, QueueError
from slurm.submit import is_alive, process_name

TICK_SECONDS = 0.2
END_TICKS = 10
"""Between the end of a run that a signal stopped and the signal's arrival here."""
KILL_WAIT = 20.0
"""Seconds between Slurm's SIGTERM and its SIGKILL, of which 30 are usual, less some to write things down."""
EARLY_SECONDS = 120.0
AGAIN_SECONDS = 2.0
LAST_SECONDS = 2.0
STALE_SECONDS = 600.0
LIMIT = "time limit"
CANCELLED = "cancelled"
CAUSES = {"SIGUSR1": "preempted (SIGUSR1)", "SIGTERM": "ended by Slurm (SIGTERM)"}


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


@dataclass
class Child:
    """A run that is being made: its lock, its process, what is said of it."""

    run: Run
    position: int
    lock: FileLock
    process: "subprocess.Popen[bytes]"
    log: BinaryIO
    logged: int
    """Bytes that were in the log before."""
    note: Note
    last_step: int | None
    """Of the checkpoint that it stopped at the last time."""


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
                    stopped |= self.end(child) == "stopped"
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
        note = Note(
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
        last_step = mine.step if mine else None
        if mine is not None and mine.outcome == "running":
            # Its last start ended without a word: the node failed, or the job was killed.
            now = checkpoint_step(run, self.ledger.results)
            if self.is_stuck(run, last_step, now, mine):
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
            self.command(position), cwd=self.submission.root, env=self.environment(), stdout=log, stderr=log
        )
        say(f"{run}: started, process {process.pid}")
        return Child(run, position, lock, process, log, logged, note, last_step)

    def why_not(self, run: Run, last: Note | None) -> str | None:
        if run.path(self.ledger.results).exists():
            return "its record is there"
        if last is None:
            return None
        if last.submission == self.submission.id and last.outcome in ("failed", "timed out"):
            return f"{last.outcome} before ({last.cause}); `python -m slurm retry {run.suite}` tries again"
        if last.outcome in AT_WORK and last.job != self.job.id and lives(last, self.ledger, run):
            return f"job {last.job} is at work on it"
        return None

    def command(self, position: int) -> list[str]:
        need = self.submission.need
        one = ["-m", "slurm.one", str(self.ledger.path(self.submission)), str(self.job.task), str(position)]
        if need.processes == 1:
            return [sys.executable, *one]
        if not self.job.is_slurm:
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

    def environment(self) -> dict[str, str]:
        said: dict[str, str | bool | None] = {
            "submitted_commit": self.submission.code.commit,
            "submitted_dirty": self.submission.code.dirty,
            "code_changed": self.code.digest != self.submission.code.digest,
        }
        if self.submission.snapshot:
            said |= {"git_commit": self.submission.code.commit, "git_dirty": self.submission.code.dirty}
        more = {"TRAM_DATA": self.submission.data} if self.submission.data else {}
        if self.submission.need.processes > 1 and self.job.is_slurm:
            # This is the first node of the job, where rank 0 will be; not every node can look up its own name.
            on_one_node = os.environ.get("SLURM_JOB_NUM_NODES") == "1"
            more["MASTER_ADDR"] = "127.0.0.1" if on_one_node else os.uname().nodename
        return os.environ | ENVIRONMENT | more | {"TRAM_SUBMITTED": json.dumps(said)}

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
            self.ends, self.end_is_sure = moved(self.job, self.ends), True
            return None
        if near:
            return LIMIT
        if self.asked.by is None:
            return None
        # Slurm warns up to a minute too early, and looks only now and then: there is time until the lead begins.
        if warned and self.ends is not None and now >= self.ends - lead - EARLY_SECONDS:
            return None
        return CAUSES.get(self.asked.by, self.asked.by) if self.job.is_slurm else f"ended by {self.asked.by}"

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

    def end(self, child: Child) -> str:
        """Find out how a run ended, and write it down."""
        code = child.process.wait()
        child.log.close()
        child.note = note = self.judged(child, code)
        self.tell(child, note)
        say(f"{child.run}: {note.outcome}" + (f": {note.cause}" if note.outcome != "done" else ""))
        self.failed |= note.outcome in ("failed", "timed out")
        if note.requeued:
            self.waiting.append(child)
        else:
            child.lock.release()
        return note.outcome

    def judged(self, child: Child, code: int) -> Note:
        run, note = child.run, child.note
        if run.path(self.ledger.results).exists():
            return replace(note, outcome="done", cause=None)
        beat = self.ledger.beat(run)
        error = beat.error.removeprefix(f"{run}: ") if beat and beat.error and beat.told >= note.began else None
        for _ in range(END_TICKS if code == STOPPED else 0):
            if self.stopping is not None or self.asked.by is not None:
                break
            time.sleep(TICK_SECONDS)
        by_signal = code in (STOPPED, -signal.SIGTERM, -signal.SIGUSR1)
        if self.stopping is None and by_signal:
            asked = self.cause_to_stop(time.time()) or "a signal to the run itself"
            self.stopping = CANCELLED if self.ledger.is_cancelled(self.submission) else asked
        if self.stopping is None or error is not None:
            return replace(note, outcome="failed", cause=error or self.last_words(child, code))
        return self.stopped(child)

    def stopped(self, child: Child) -> Note:
        run, cause = child.run, self.stopping
        step = checkpoint_step(run, self.ledger.results)
        timeouts = child.note.timeouts + (cause == LIMIT)
        note = replace(child.note, outcome="stopped", step=step, cause=cause, timeouts=timeouts)
        if cause == CANCELLED:
            return note
        if self.is_stuck(run, child.last_step, step, child.note):
            return replace(note, outcome="failed", cause=stuck(step, str(cause)))
        bound = int(self.submission.profile["timeouts"])
        if timeouts > bound:
            return replace(
                note, outcome="timed out", cause=f"reached its time limit {timeouts} times, at step {step:,}"
            )
        return replace(note, requeued=self.job.is_slurm)

    def is_stuck(self, run: Run, last_step: int | None, step: int, note: Note) -> bool:
        """Whether a start brought nothing; one that was interrupted before it began to train is not to blame."""
        if last_step is None or step > last_step:
            return False
        beat = self.ledger.beat(run)
        worked = beat is not None and beat.told >= note.began and beat.stage in ("train", "evaluate")
        return worked or self.stopping == LIMIT

    def last_words(self, child: Child, code: int) -> str:
        if code == -signal.SIGKILL:
            return "its process was ended by SIGKILL: is the memory full? `mem` in the profile gives it more"
        text = self.ledger.of(child.run, ".log").read_bytes()[child.logged :].decode(errors="replace")
        lines = [line.strip() for line in text.splitlines()[1:] if line.strip()]
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"its process ended {how}" + (f": {lines[-1][:300]}" if lines else "")

    def start_again(self) -> None:
        """See to it that the job starts again. Where it does not, `launch` submits its runs again."""
        again, why = False, ""
        try:
            again = self.is_requeued()
        except QueueError as error:
            why, self.failed = f"; not requeued: {error}", True
        for child in self.waiting:
            if not again:
                self.tell(child, replace(child.note, requeued=False, cause=f"{child.note.cause}{why}"))
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


def stuck(step: int, cause: str) -> str:
    return (
        f"made no progress between two stops ({cause}): its checkpoint was at step {step:,} both times. "
        "It hangs, or the time limit is too short to get from one checkpoint to the next"
    )


def lives(note: Note, ledger: Ledger, run: Run) -> bool:
    """Whether the job that a note is of is at work; if nobody can be asked, whether it was heard of lately."""
    if note.job.startswith("local-"):
        return note.host == os.uname().nodename and is_alive_pid(note)
    try:
        return queue.state_of(note.job) in (*queue.WORKING, *queue.WAITING)
    except QueueError:
        beat = ledger.beat(run)
        return time.time() - max(note.told, beat.told if beat else 0.0) < STALE_SECONDS


def is_alive_pid(note: Note) -> bool:
    """Whether a local job still runs; a later process of the same id began after it."""
    name = process_name(note.pid)
    return not name.endswith("ended") and float(name.split(" ")[2]) <= note.began and is_alive(name)


def moved(job: Job, end: float | None) -> float | None:
    """The job's end as Slurm has it now."""
    try:
        return queue.end_of(job.id) or end
    except QueueError:
        return end


def code_here(submission: Submission) -> Code:
    if submission.snapshot:
        return replace(submission.code, digest=digest_of(ROOT))
    return code_at(ROOT)


def say(text: str, write: Callable[[str], None] = print) -> None:
    write(f"{time.strftime('%F %T')} {text}")
    sys.stdout.flush()


def main() -> int:
    submission = read_submission(Path(sys.argv[1]))
    asked = Asked()
    job = this_job(submission, int(sys.argv[2]) if len(sys.argv) > 2 else None)
    work = Work(submission, job, asked)
    say(shlex.join(sys.argv))
    return work.run()


if __name__ == "__main__":
    sys.exit(main())
