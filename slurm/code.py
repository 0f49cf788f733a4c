"""Which code was submitted and which code runs; and a frozen copy of it, for sweeps that outlive the next edit."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
NUMBERS = ("tram", "benchmarks", "pyproject.toml", "requirements.lock")
"""What the numbers of a run depend on."""
FROZEN = (*NUMBERS, "slurm")
_ENDINGS = (".py", ".toml", ".lock", ".yaml")


@dataclass(frozen=True)
class Code:
    """The code of a repository: its commit, whether it differs from it, and a digest of what is really there."""

    commit: str | None
    dirty: bool | None
    digest: str

    def __str__(self) -> str:
        name = self.commit[:10] if self.commit else "no commit"
        return f"{name}{' with changes' if self.dirty else ''} ({self.digest})"


def code_at(root: Path) -> Code:
    """The code of the tree at `root`. Results that are not committed yet do not count."""
    status = _git(root, "status", "--porcelain", "--", *NUMBERS)
    return Code(_git(root, "rev-parse", "HEAD"), None if status is None else bool(status), digest_of(root))


def digest_of(root: Path) -> str:
    """The first 12 hexadecimal digits of a SHA-256 over the names and contents of all files that numbers depend on."""
    found = hashlib.sha256()
    for path in _files(root, NUMBERS):
        found.update(f"{path.relative_to(root).as_posix()}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:12]


def freeze(root: Path, target: Path) -> None:
    """Copy the code, as it is on disk, from `root` to `target`."""
    for path in _files(root, FROZEN):
        copy = target / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _files(root: Path, names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        path = root / name
        if path.is_file():
            yield path
        yield from sorted(item for item in path.rglob("*") if item.suffix in _ENDINGS and item.is_file())


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
