"""What the tests of the pool let it call: small, and quick to import."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.errors import RunError


def note(folder: Path, name: str, report: Callable[[str, int, int], None]) -> None:
    """Leave a file with the process's number and the order of its start."""
    report("work", 1, 1)
    (folder / name).write_text(f"{os.getpid()} {time.monotonic_ns()}")


def environment(folder: Path, report: Callable[[str, int, int], None]) -> None:
    names = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
    (folder / "environment").write_text(" ".join(os.environ[name] for name in names))


def gpu(folder: Path, number: int, report: Callable[[str, int, int], None]) -> None:
    """Leave what GPU the worker sees, late enough that no worker does two of these."""
    (folder / str(number)).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    while len(list(folder.iterdir())) < 3:
        time.sleep(0.05)


def chatter(report: Callable[[str, int, int], None]) -> None:
    print("on stdout")
    os.write(2, b"on stderr\n")


def refuse(report: Callable[[str, int, int], None]) -> None:
    raise RunError("the loss is nan at step 3")


def crash(report: Callable[[str, int, int], None]) -> None:
    raise KeyError("a bug")


def leave(report: Callable[[str, int, int], None]) -> None:
    raise SystemExit(3)


def killed(report: Callable[[str, int, int], None]) -> None:
    os.write(2, b"about to die\n")
    os.kill(os.getpid(), signal.SIGKILL)


def forever(folder: Path, report: Callable[[str, int, int], None]) -> None:
    (folder / str(os.getpid())).touch()
    while True:
        time.sleep(0.05)


def die_when_idle(report: Callable[[str, int, int], None]) -> None:
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGKILL)).start()


def pause(report: Callable[[str, int, int], None]) -> None:
    time.sleep(1)


def prepare_endlessly(row: object, report: Callable[[str, int, int], None]) -> None:
    report("sleep", 0, 1)
    Path(os.environ["TINY_SIGN"]).touch()
    while True:
        time.sleep(0.05)
