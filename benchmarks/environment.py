"""Where a run was made: code, versions, device, job. Never a secret, a host name or an absolute path."""

import json
import os
import platform
import resource
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

REPOSITORY = Path(__file__).parents[1]
CODE = ("tram", "benchmarks", "pyproject.toml", "requirements.lock")
"""What the numbers of a run depend on, relative to the repository."""
PACKAGES = ("transformers", "timm", "tokenizers", "numpy")
SLURM_IDS = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")
SUBMITTED = "TRAM_SUBMITTED"
"""A variable with what a submitted run adds, as JSON: the code as it was submitted, and whether it changed since."""


def environment(device: torch.device) -> dict[str, str | int | bool | None]:
    """All that a reader needs to tell why two records of one run differ."""
    on_gpu = device.type == "cuda"
    return {
        "git_commit": git_commit(),
        "git_dirty": git_dirty(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{package: _version(package) for package in PACKAGES},
        "cuda": torch.version.cuda if on_gpu else None,
        "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
        "cpu": cpu_model(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        **{name.lower(): os.environ[name] for name in SLURM_IDS if name in os.environ},
        **json.loads(os.environ.get(SUBMITTED, "{}")),
    }


# Both are asked once per process: the code that runs is the code that was there when it was imported.
@cache
def git_commit() -> str | None:
    """The commit of the code; None where there is no repository."""
    return _git("rev-parse", "HEAD")


@cache
def git_dirty() -> bool | None:
    """Whether the code differs from its commit; results that are not committed yet do not count."""
    status = _git("status", "--porcelain", "--", *CODE)
    return None if status is None else bool(status)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None)


def reset_peak_memory(device: torch.device) -> None:
    """Begin to measure anew: a worker process makes many runs."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory held since the reset: allocated on the GPU, else resident in the process (where the system
    cannot be asked for that, since the process started)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
