"""Many jobs side by side, one thread each: a job that fails, or is killed, never touches another."""

import multiprocessing
import os
import pkgutil
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

import psutil

from benchmarks.errors import DataError, RunError
from benchmarks.record import RecordError

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
    # Tensors of a step are kept by the allocator instead of being returned to the system and paged in again.
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
}
"""Of the worker processes: libraries read these when they are loaded."""

MEMORY_PER_WORKER = 2**30
TICK_SECONDS = 0.25


@dataclass(frozen=True)
class Job:
    """A call `target(*args, report)` in a worker process.

    `target` is `module:function`, imported there; `stage` groups jobs in the display; `kind` groups those whose time is
    proportional to their `cost`; `needs` is the name of a job that has to succeed first.
    """

    name: str
    target: str
    args: tuple[Any, ...]
    stage: str
    kind: str
    cost: float = 1.0
    needs: str | None = None


@dataclass(frozen=True)
class Failure:
    """Why a job did not succeed; `details` is a traceback, or what a dead worker last said."""

    job: Job
    message: str
    details: str = ""
    is_data: bool = False
    """Whether data or models are missing or wrong, which the user has to mend."""


class Display(Protocol):
    """What is told of a pool's work while it goes on, and what it has learnt of how long jobs take."""

    def started(self, job: Job) -> None: ...
    def progressed(self, job: Job, step: str, done: int, total: int) -> None: ...
    def succeeded(self, job: Job, seconds: float) -> None: ...
    def failed(self, failure: Failure) -> None: ...
    def tick(self) -> None: ...
    def packing_seconds(self, job: Job) -> float: ...


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; asked without loading CUDA."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    return [str(number) for number, _ in enumerate(sorted(Path("/dev").glob("nvidia[0-9]*")))]


def default_workers() -> int:
    """As many as the cores that this process may use, fewer where the memory would not do."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, psutil.virtual_memory().available // MEMORY_PER_WORKER))


def run_jobs(jobs: list[Job], workers: int, display: Display) -> list[Failure]:
    """Run all jobs, `workers` at a time, and return those that failed.

    Of the jobs that are ready, the ones of the earliest stage go first, and of those the longest, so that no long one
    is left over at the end. On KeyboardInterrupt or any other exception the workers are killed.
    """
    with tempfile.TemporaryDirectory(prefix="tram-workers-") as logs, terminated_as_interrupt():
        pool = _Pool(jobs, workers, display, Path(logs))
        try:
            return pool.run()
        finally:
            pool.kill()


class _Pool:
    def __init__(self, jobs: list[Job], size: int, display: Display, logs: Path) -> None:
        self._pending = list(jobs)
        self._stages = {job.stage: rank for rank, job in reversed(list(enumerate(jobs)))}
        self._size = size
        self._display = display
        self._logs = logs
        self._workers: list[_Worker] = []
        self._started_workers = 0
        self._unfinished = {job.name for job in jobs}
        self._failures: dict[str, Failure] = {}

    def run(self) -> list[Failure]:
        while self._unfinished:
            self._give_work()
            ready = wait([worker.connection for worker in self._workers if worker.job], timeout=TICK_SECONDS)
            for worker in [worker for worker in self._workers if worker.connection in ready]:
                self._listen(worker)
            self._display.tick()
        return list(self._failures.values())

    def kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()

    def _give_work(self) -> None:
        for lost in [job for job in self._pending if job.needs in self._failures]:
            self._pending.remove(lost)
            self._fail(Failure(lost, f"not started, as {lost.needs} failed"))
        while (idle := self._idle_worker()) and (job := self._next_job()):
            try:
                idle.connection.send(job)
            except OSError:
                # Killed while it had nothing to do: nothing is lost, another takes the job.
                self._workers.remove(idle)
                continue
            self._pending.remove(job)
            idle.job = job
            self._display.started(job)

    def _next_job(self) -> Job | None:
        ready = [job for job in self._pending if job.needs not in self._unfinished]
        return min(ready, key=lambda job: (self._stages[job.stage], -self._display.packing_seconds(job)), default=None)

    def _idle_worker(self) -> "_Worker | None":
        idle = next((worker for worker in self._workers if worker.job is None), None)
        if idle is None and len(self._workers) < self._size and self._next_job():
            self._started_workers += 1
            idle = _Worker(self._logs / f"{self._started_workers}.log", self._gpu())
            self._workers.append(idle)
        return idle

    def _gpu(self) -> dict[str, str]:
        """Workers take turns at the GPUs: each sees one, that which the fewest of the others see."""
        gpus, taken = visible_gpus(), [worker.gpu for worker in self._workers]
        return {"CUDA_VISIBLE_DEVICES": min(gpus, key=taken.count)} if len(gpus) > 1 else {}

    def _listen(self, worker: "_Worker") -> None:
        job = worker.job
        assert job is not None
        try:
            kind, *content = worker.connection.recv()
        except (EOFError, ConnectionError):
            self._bury(worker, job)
            return
        if kind == "progress":
            self._display.progressed(job, *content)
            return
        worker.job = None
        if kind == "failed":
            self._fail(Failure(job, *content))
            return
        self._unfinished.remove(job.name)
        self._display.succeeded(job, *content)

    def _bury(self, worker: "_Worker", job: Job) -> None:
        worker.process.join()
        self._workers.remove(worker)
        code = worker.process.exitcode or 0
        cause = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        hint = " (is the memory full? try fewer --jobs)" if code == -signal.SIGKILL else ""
        self._fail(Failure(job, f"its process was ended {cause}{hint}", worker.last_words()))

    def _fail(self, failure: Failure) -> None:
        self._unfinished.remove(failure.job.name)
        self._failures[failure.job.name] = failure
        self._display.failed(failure)


class _Worker:
    """A process that takes jobs until it is killed; what it prints goes to a log of its own."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        self.job: Job | None = None
        self.gpu = environment.get("CUDA_VISIBLE_DEVICES")
        self._log = log
        spawn = multiprocessing.get_context("spawn")
        self.connection, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_work, args=(theirs, log), daemon=False)
        with changed_environment(ENVIRONMENT | dict(environment)), interrupts_blocked():
            self.process.start()
        # With our copy closed, the connection ends when the process does.
        theirs.close()

    def last_words(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:]) if self._log.exists() else ""


def _work(connection: Connection, log: Path) -> None:
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        job: Job = connection.recv()
        try:
            target = pkgutil.resolve_name(job.target)
            started = time.perf_counter()
            target(*job.args, _throttled(connection))
            connection.send(("succeeded", time.perf_counter() - started))
        except (RunError, RecordError) as error:
            connection.send(("failed", str(error), "", isinstance(error, DataError)))
        except BaseException as error:
            connection.send(("failed", f"{type(error).__name__}: {error}", traceback.format_exc()))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _throttled(connection: Connection) -> Callable[[str, int, int], None]:
    """A report that speaks at the start and the end of each step of the work, and now and then in between."""
    last_step, last_time = "", 0.0

    def report(step: str, done: int, total: int) -> None:
        nonlocal last_step, last_time
        now = time.monotonic()
        if step != last_step or done == total or now - last_time >= TICK_SECONDS:
            last_step, last_time = step, now
            connection.send(("progress", step, done, total))

    return report


@contextmanager
def changed_environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Ctrl-C reaches every process of the terminal: a child started in here inherits the mask and never sees it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def terminated_as_interrupt() -> Iterator[None]:
    """A polite kill (SIGTERM) is answered as Ctrl-C is."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
