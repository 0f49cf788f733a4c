"""What was submitted and what became of it: files below `<results>/<suite>/.slurm/`, each whole or not there.

lock                              held by whoever changes anything
submissions/0003-1f.json          one array, written before it is submitted: its tasks, needs, code
submissions/0003-1f.job           its job id, written after
submissions/0003-1f.cancelled     by `cancel`
runs/<benchmark>/<method>/3.note  how the run stands, by the job that makes it
runs/<benchmark>/<method>/3.beat  how far it is, by the process that trains
runs/<benchmark>/<method>/3.log   what that process prints
runs/<benchmark>/<method>/3.lock  held by the job that makes it
jobs/                             batch scripts, and what jobs print
code/0003-1f/                     a frozen copy of the code, if asked for
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from benchmarks.record import Run, write_atomically
from slurm.code import Code
from slurm.plan import Need

Cluster = Literal["slurm", "local", "debug"]
Outcome = Literal["running", "stopping", "stopped", "done", "timed out", "failed", "forgotten"]
"""`stopping`: asked to stop, or over already while its job finds out whether it starts again."""

AT_WORK: tuple[Outcome, ...] = ("running", "stopping")
PADDED = 4096
"""Bytes of a note: where a disk is full, it can still be changed in place."""


class LedgerError(Exception):
    """A file of the ledger that cannot be read or written; the message names it and says what to do."""


@dataclass(frozen=True)
class Submission:
    """One array: task i makes the runs `tasks[i]`, named by benchmark, method and seed, side by side."""

    id: str
    cluster: Cluster
    suite: str
    results: str
    data: str | None
    root: str
    """Folder of the code that jobs run."""
    code: Code
    snapshot: bool
    submitted: float
    """Seconds since the epoch, as all times here."""
    need: Need
    tasks: tuple[tuple[tuple[str, str, int], ...], ...]
    pack: int
    max_parallel: int | None
    profile: dict[str, Any]
    """The profile's keys, for `retry`."""

    @property
    def name(self) -> str:
        """Of the job, no other has it."""
        return f"{self.suite}-{self.id}"

    def runs(self, task: int) -> list[Run]:
        return [Run(self.suite, *names) for names in self.tasks[task]]

    @cached_property
    def all_runs(self) -> list[tuple[Run, int]]:
        """Each with its task."""
        return [(run, task) for task in range(len(self.tasks)) for run in self.runs(task)]


@dataclass(frozen=True)
class Note:
    """How one run stands, as told by the job that makes it."""

    outcome: Outcome
    submission: str
    job: str
    """`123_4`, a task of an array; `local-` and a process id."""
    host: str
    pid: int
    began: float
    told: float
    restarts: int = 0
    timeouts: int = 0
    step: int | None = None
    """Of the newest checkpoint when the run last stopped; None before it ever did."""
    cause: str | None = None
    """Why it stopped or failed, in one line."""
    requeued: bool = False
    """Whether it is to start again, by its job's wish or by Slurm's."""
    code: Code | None = None


@dataclass(frozen=True)
class Beat:
    """How far a run is; `began` and `first` are when, and after which step, its present stage was first heard of."""

    stage: str
    step: int
    steps: int
    began: float
    first: int
    told: float
    error: str | None = None

    @property
    def steps_per_second(self) -> float | None:
        seconds = self.told - self.began
        return (self.step - self.first) / seconds if seconds > 0 and self.step > self.first else None


class Ledger:
    """The folder, and how its files are read and written."""

    def __init__(self, results: Path, suite: str) -> None:
        self.results = results.absolute()
        self.suite = suite
        self.folder = self.results / suite / ".slurm"

    @property
    def jobs(self) -> Path:
        return self.folder / "jobs"

    # ------------------------------------------------------------------------------------------------------- the lock

    @contextmanager
    def locked(self, waiting: Any = lambda: None) -> Iterator[None]:
        """Nobody else changes anything meanwhile; `waiting()` is called if somebody does now."""
        lock = FileLock(self._made(self.folder) / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    # ---------------------------------------------------------------------------------------------------- submissions

    def new_id(self) -> str:
        """Sorts after all that are there; the second half keeps two folders' apart."""
        last = max((int(path.stem.partition("-")[0]) for path in self._submissions()), default=0)
        return f"{last + 1:04d}-{secrets.token_hex(3)}"

    def path(self, submission: Submission, suffix: str = ".json") -> Path:
        return self.folder / "submissions" / f"{submission.id}{suffix}"

    def add(self, submission: Submission) -> Path:
        content = asdict(submission)
        path = self.path(submission)
        write_atomically(path, json.dumps(content, separators=(",", ":")).encode())
        return path

    def submissions(self) -> list[Submission]:
        """From the first to the last."""
        return [read_submission(path) for path in self._submissions()]

    def _submissions(self) -> list[Path]:
        return sorted((self.folder / "submissions").glob("*.json"))

    def drop(self, submission: Submission) -> None:
        """Forget one that was never submitted, or of which nothing is left."""
        for suffix in (".json", ".job", ".cancelled"):
            self.path(submission, suffix).unlink(missing_ok=True)

    def set_job(self, submission: Submission, job: str) -> None:
        write_atomically(self.path(submission, ".job"), job.encode())

    def job(self, submission: Submission) -> str | None:
        """Its job id; None if nobody lived to write it down."""
        try:
            return self.path(submission, ".job").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def set_cancelled(self, submission: Submission, is_cancelled: bool = True) -> None:
        path = self.path(submission, ".cancelled")
        if is_cancelled:
            write_atomically(path, b"")
        else:
            path.unlink(missing_ok=True)

    def is_cancelled(self, submission: Submission) -> bool:
        return self.path(submission, ".cancelled").exists()

    # ----------------------------------------------------------------------------------------------------------- runs

    def of(self, run: Run, suffix: str) -> Path:
        # One string: thousands of these are asked for at once.
        return Path(f"{self.folder}/runs/{run.benchmark}/{run.method}/{run.seed}{suffix}")

    def claimed(self, run: Run) -> FileLock | None:
        """The run's lock, held by this process until it is released or ends; None if another holds it."""
        path = self.of(run, ".lock")
        lock = FileLock(self._made(path.parent) / path.name)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def note(self, run: Run) -> Note | None:
        content = _json(self.of(run, ".note"))
        if content is None:
            return None
        code = content.pop("code")
        return Note(**content, code=Code(**code) if code else None)

    def set_note(self, run: Run, note: Note) -> None:
        path = self.of(run, ".note")
        content = json.dumps(asdict(note))
        if len(content) > PADDED:
            content = json.dumps(asdict(replace(note, cause=(note.cause or "")[:1000])))
        padded = content.ljust(PADDED - 1).encode() + b"\n"
        try:
            write_atomically(path, padded)
        except OSError:
            if not path.exists():
                raise
            with path.open("r+b") as file:
                file.write(padded)
                file.flush()
                os.fsync(file.fileno())

    def beat(self, run: Run) -> Beat | None:
        content = _json(self.of(run, ".beat"))
        return Beat(**content) if content else None

    def set_beat(self, run: Run, beat: Beat) -> None:
        write_atomically(self.of(run, ".beat"), json.dumps(asdict(beat)).encode())

    def noted(self) -> set[tuple[str, str, int]]:
        """The runs that have a note: one look at each folder instead of one at each file."""
        return _found(self.folder / "runs", "", ".note")

    def recorded(self) -> set[tuple[str, str, int]]:
        """The runs that have a record."""
        return _found(self.results / self.suite, "seed-", ".json")

    @staticmethod
    def _made(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def checkpoint_step(run: Run, results: Path) -> int:
    """The step of the newest checkpoint that the run left beside its record's place; 0 if there is none."""
    try:
        with os.scandir(run.checkpoints(results)) as entries:
            steps = [entry.name.removeprefix("step-") for entry in entries if entry.name.startswith("step-")]
    except FileNotFoundError:
        return 0
    return max((int(step) for step in steps if step.isdigit()), default=0)


def read_submission(path: Path) -> Submission:
    """Raises LedgerError if it cannot be read."""
    try:
        content = json.loads(path.read_bytes())
        need = content["need"]
        need["options"] = tuple((name, value) for name, value in need["options"])
        content |= {
            "need": Need(**need),
            "code": Code(**content["code"]),
            "tasks": tuple(tuple((name, method, seed) for name, method, seed in task) for task in content["tasks"]),
        }
        return Submission(**content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LedgerError(
            f"{path}: cannot be read ({type(error).__name__}: {error}). If another version of the code wrote it, let "
            "its jobs end or cancel them with that version; then delete the file."
        ) from error


def _json(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found


def _found(folder: Path, prefix: str, suffix: str) -> set[tuple[str, str, int]]:
    found = set()
    for benchmark in _folders(folder):
        for method in _folders(benchmark.path):
            with os.scandir(method.path) as files:
                for file in files:
                    seed = file.name.removeprefix(prefix).removesuffix(suffix)
                    if file.name == f"{prefix}{seed}{suffix}" and seed.isdigit():
                        found.add((benchmark.name, method.name, int(seed)))
    return found


def _folders(path: str | Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except FileNotFoundError:
        return []
