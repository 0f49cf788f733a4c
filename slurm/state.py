"""How every run stands, from its record, the ledger and the queue: asked in an order in which nothing looks lost.

First what was submitted, then the queue, then what jobs told, then the records: whatever moves on in between is seen
further on than it was, never as gone.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from benchmarks.record import Run
from slurm import queue as slurm_queue
from slurm.alive import is_alive, is_alive_pid
from slurm.ends import CANCELLED, LIMIT
from slurm.ledger import AT_WORK, Beat, Ledger, Note, Submission, checkpoint_step
from slurm.queue import Entry, QueueError

State = Literal["not launched", "queued", "running", "requeued", "stopped", "timed out", "failed", "done"]
STATES: tuple[State, ...] = (
    "done", "running", "queued", "requeued", "not launched", "stopped", "timed out", "failed",
)  # fmt: skip
ACTIVE: tuple[State, ...] = ("queued", "running", "requeued")
"""In the cluster's hands: submitting these again would make them twice."""
LAUNCHABLE: tuple[State, ...] = ("not launched", "stopped")
RETRIABLE: tuple[State, ...] = ("failed", "timed out", "stopped")


@dataclass(frozen=True)
class Standing:
    """How one run stands."""

    run: Run
    state: State
    submission: Submission | None = None
    job: str | None = None
    node: str | None = None
    cause: str | None = None
    """Why it waits, stopped or failed."""
    note: Note | None = None
    beat: Beat | None = None
    log: Path | None = None

    @property
    def reason(self) -> str:
        return f"{self.state}: {self.cause or 'no reason known'}"

    def has_reason(self, text: str) -> bool:
        """As people write it, and Slurm: `out of memory` is in OUT_OF_MEMORY."""
        said, wanted = (words.lower().replace("_", " ") for words in (self.reason, text))
        return wanted in said

    @property
    def code_changed(self) -> bool:
        """Whether the job ran other code than was submitted."""
        ran = self.note.code if self.note else None
        return ran is not None and self.submission is not None and ran.digest != self.submission.code.digest

    @property
    def is_ending(self) -> bool:
        """Whether it stops or has stopped, and its job has not found out yet whether it starts again."""
        return self.state == "running" and self.note is not None and self.note.outcome == "stopping"


@dataclass(frozen=True)
class Overview:
    """All runs of a selection, and what could not be asked."""

    standings: list[Standing]
    warning: str | None = None
    entries: dict[str, Entry] | None = None

    def having(self, states: Iterable[State]) -> list[Standing]:
        wanted = set(states)
        return [item for item in self.standings if item.state in wanted]

    @cached_property
    def counts(self) -> dict[State, int]:
        return {state: sum(item.state == state for item in self.standings) for state in STATES}


def overview(
    ledger: Ledger, runs: Iterable[Run], queue: Callable[[], dict[str, Entry]] = slurm_queue.queue
) -> Overview:
    """How `runs` stand. A queue that does not answer is a warning: then what jobs told last is all that is known."""
    runs, submissions = list(runs), ledger.submissions()
    newest: dict[Run, tuple[Submission, int]] = {}
    for submission in submissions:
        newest |= {run: (submission, task) for run, task in submission.all_runs}
    jobs = {submission.id: ledger.job(submission) for submission in submissions}
    entries: dict[str, Entry] | None = {}
    warning, asked = None, time.time()
    if any(submission.cluster == "slurm" for submission in submissions):
        try:
            entries = queue()
        except QueueError as error:
            entries, warning = None, f"{error}. States are as jobs told them last."
    noted = ledger.noted()
    notes = {run: ledger.note(run) for run in runs if (run.benchmark, run.method, run.seed) in noted and run in newest}
    recorded = ledger.recorded()
    standings = []
    for run in runs:
        if (run.benchmark, run.method, run.seed) in recorded:
            standings.append(Standing(run, "done", newest[run][0] if run in newest else None, note=notes.get(run)))
        elif run not in newest:
            standings.append(Standing(run, "not launched"))
        else:
            submission, task = newest[run]
            asking = _Asking(ledger, submission, jobs[submission.id], entries, asked)
            standings.append(asking.stands(run, task, notes.get(run)))
    return Overview(_explained(ledger, standings), warning, entries)


@dataclass(frozen=True)
class _Asking:
    """How to find out about the runs of one submission."""

    ledger: Ledger
    submission: Submission
    job: str | None
    entries: dict[str, Entry] | None
    asked: float
    """When the queue was."""

    def stands(self, run: Run, task: int, note: Note | None) -> Standing:
        note = note if note is not None and note.submission == self.submission.id else None
        job = note.job if note else self._id(task)
        found = Standing(run, "not launched", self.submission, job, note.host if note else None, note=note)
        if note is not None:
            found = replace(found, cause=note.cause, log=self.ledger.of(run, ".log"))
            if note.outcome in ("failed", "timed out"):
                return replace(found, state="failed" if note.outcome == "failed" else "timed out")
            if note.outcome == "done":
                return replace(found, cause="its record was removed")
            if note.outcome == "forgotten":
                return replace(found, job=None, node=None, log=None)
        if self.job is None:
            return replace(found, state="queued", cause="being submitted")
        if self.submission.cluster != "slurm":
            return self._here(found)
        if self.entries is None:
            return self._as_told(found)
        entry = self.entries.get(self._id(task) or "")
        if entry is not None and (entry.waits or entry.works):
            return self._in_queue(found, entry)
        return self._gone(found, entry)

    def _id(self, task: int) -> str | None:
        return f"{self.job}_{task}" if self.job and self.submission.cluster == "slurm" else None

    def _in_queue(self, found: Standing, entry: Entry) -> Standing:
        has_begun = found.note is not None and found.note.outcome == "running" and found.note.began > self.asked
        if entry.waits and not has_begun:
            state: State = "queued" if found.note is None else "requeued"
            return replace(found, state=state, cause=found.cause or entry.reason, node=None)
        found = replace(found, node=entry.node or found.node)
        if found.note is not None and found.note.outcome == "stopped":
            return replace(found, state="requeued" if found.note.requeued else "stopped")
        return self._running(found)

    def _running(self, found: Standing) -> Standing:
        beat = self.ledger.beat(found.run) if found.note is not None else None
        fresh = beat is not None and found.note is not None and beat.told >= found.note.began
        return replace(found, state="running", beat=beat if fresh else None)

    def _here(self, found: Standing) -> Standing:
        """On this machine, or on that of the process that makes the runs."""
        assert self.job is not None
        if found.note is not None and found.note.outcome in AT_WORK and is_alive_pid(found.note):
            return self._running(found)
        if found.note is None and is_alive(self.job):
            return replace(found, state="queued", cause="waits for its turn")
        return self._gone(found, None)

    def _as_told(self, found: Standing) -> Standing:
        """While nobody knows the queue: what is not known to be over goes on."""
        if found.note is not None and found.note.outcome in AT_WORK:
            return self._running(found)
        if self.ledger.is_cancelled(self.submission):
            return replace(found, state="stopped", cause=CANCELLED)
        if found.note is None:
            return replace(found, state="queued")
        return replace(found, state="requeued" if found.note.requeued else "stopped")

    def _gone(self, found: Standing, entry: Entry | None) -> Standing:
        """Its job is no longer in the queue, and the run has no record."""
        if self.ledger.is_cancelled(self.submission):
            return replace(found, state="stopped", cause=CANCELLED)
        ended = entry.state if entry is not None else None
        if ended == "CANCELLED":
            return replace(found, state="stopped", cause="its job was cancelled")
        if found.note is not None and found.note.outcome in ("stopping", "stopped"):
            return replace(found, state="timed out" if found.note.cause == LIMIT else "stopped")
        printed = self.ledger.jobs / f"{found.job}_0_log.out"
        if found.note is None and not printed.exists() and ended is None:
            return replace(found, state="stopped", cause="its job is gone, and never began")
        state: State = "timed out" if ended == "TIMEOUT" else "failed"
        log = found.log or printed
        return replace(found, state=state, cause=_wordless(ended), log=log if log.exists() else None)


def _wordless(ended: str | None) -> str:
    return "its job ended without a word" + (f" ({ended})" if ended else "")


def _explained(ledger: Ledger, standings: list[Standing]) -> list[Standing]:
    """With accounting's word on jobs that ended without one, where there is accounting."""
    silent = {item.job for item in standings if item.job and item.state == "failed" and item.cause == _wordless(None)}
    ended = slurm_queue.ended_as(job for job in silent if not job.startswith("local-"))
    explained = []
    for item in standings:
        if item.job in ended and item.cause == _wordless(None):
            state: State = {"CANCELLED": "stopped", "TIMEOUT": "timed out"}.get(ended[item.job], "failed")  # type: ignore[assignment]
            item = replace(item, state=state, cause=_wordless(ended[item.job]))
        explained.append(item)
    return explained


def step_of(item: Standing, ledger: Ledger) -> int | None:
    """The last step that is known: of the beat while it trains, else of its checkpoint."""
    if item.beat is not None and item.beat.stage == "train":
        return item.beat.step
    if item.note is None or item.state in ("done", "not launched"):
        return None
    return checkpoint_step(item.run, ledger.results)


def expected_end(item: Standing) -> float | None:
    """When its training ends at the present rate; None while nothing tells."""
    beat = item.beat
    if item.is_ending or beat is None or beat.stage != "train" or beat.steps_per_second is None:
        return None
    return beat.told + (beat.steps - beat.step) / beat.steps_per_second


def silent_for(item: Standing) -> float | None:
    """Seconds since it was last heard of."""
    if item.state != "running" or item.note is None:
        return None
    return time.time() - max(item.note.told, item.beat.told if item.beat else 0.0)
