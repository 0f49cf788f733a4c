"""The processes of one cluster: found by what they are, since files with process ids outlive crashes."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

DAEMONS = ("munged", "slurmctld", "slurmd", "slurmstepd", "slurmdbd", "mariadbd")
INSTALL = "`make slurm-install` (as root; it needs apt-get)"
PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
"""Daemons are where only root's PATH leads."""
PATIENCE = 300.0
"""Seconds until what should happen in a moment counts as never: machines are busy now and then."""
PORTS = range(20_000, 30_000)
"""Below those that the system gives out by itself."""


class ClusterError(Exception):
    """Slurm is not installed, or did not do what was asked of it."""


PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "sinfo", "scancel")
PROGRAMS_OF_ACCOUNTING = ("slurmdbd", "sacct", "sacctmgr", "mariadbd", "mariadb-install-db")


def missing(accounting: bool = False) -> list[str]:
    """The programs that are not installed."""
    programs = (*PROGRAMS, *(PROGRAMS_OF_ACCOUNTING if accounting else ()))
    return [name for name in programs if shutil.which(name, path=PATH) is None]


def start(*command: str | Path, environment: dict[str, str]) -> None:
    """Run a daemon, which returns as soon as it stands on its own. Raises ClusterError with its last words."""
    done = subprocess.run(
        [str(part) for part in command],
        env=environment | {"PATH": PATH},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise ClusterError(f"{Path(command[0]).name} exited with {done.returncode}: {done.stdout.strip()[-500:]}")


def processes(root: Path, *arguments: str) -> list[psutil.Process]:
    """The daemons of the cluster in `root` whose command line has all the `arguments`."""
    return [
        process
        for process in psutil.process_iter()
        if _is_of(process, root) and set(arguments) <= set(_command_line(process))
    ]


def jobs(root: Path) -> list[psutil.Process]:
    """What the jobs of the cluster in `root` started, and has outlived or may outlive them."""
    expected = str(root / "slurm.conf")

    def is_one(process: psutil.Process) -> bool:
        try:
            variables = process.environ()
        except (psutil.Error, OSError):
            return False
        return variables.get("SLURM_CONF") == expected and "SLURM_JOB_ID" in variables

    return [process for process in psutil.process_iter() if is_one(process)]


def _is_of(process: psutil.Process, root: Path) -> bool:
    """Whether a daemon names `root` on its command line, or (slurmstepd, which rewrites that) works in it."""
    try:
        return process.name().startswith(DAEMONS) and (
            any(f"{root}/" in word for word in process.cmdline()) or process.cwd().startswith(f"{root}/")
        )
    except (psutil.Error, OSError):
        return False


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.Error, OSError):
        return []


def end(found: list[psutil.Process], by: signal.Signals = signal.SIGTERM, seconds: float = 5) -> None:
    """Send a signal and wait; whatever is still there then is killed."""
    for process in found:
        with suppress(psutil.Error):
            process.send_signal(by)
    _, alive = psutil.wait_procs(found, timeout=seconds)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=seconds)


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE, pause: float = 0.1) -> None:
    """Ask until the answer is true. Raises ClusterError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {seconds:g} s")
        time.sleep(pause)


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody listens on."""
    for _ in range(100):
        first = random.SystemRandom().randrange(PORTS.start, PORTS.stop - count)
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise ClusterError(f"no {count} free ports in a row between {PORTS.start} and {PORTS.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
