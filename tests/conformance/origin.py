"""Which code, with which libraries and when: what a record says of where its verdicts are from."""

import hashlib
import importlib.metadata
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = ("torch", "transformers", "accelerate", "lightning")
SOURCES = (
    *("tram", "tests/conformance", "tests/problems.py", "tests/snippets.py", "tests/tram/several.py"),
    "docs/training/lightning.md",
)
"""What a verdict depends on, beside the libraries."""


def origin() -> dict[str, Any]:
    """`git_dirty` is whether the sources differ from the commit; both are None where there is no repository."""
    changes = _git("status", "--porcelain", "--", *SOURCES)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if changes is None else bool(changes),
        "fingerprint": fingerprint(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def fingerprint() -> str:
    """Of sources and libraries: verdicts with another one may be others."""
    digest = hashlib.sha256(repr(versions()).encode())
    for source in sorted(ROOT / name for name in SOURCES):
        for file in sorted(source.glob("*.py")) if source.is_dir() else [source]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def described(content: dict[str, Any]) -> str:
    """In one line, where the record `content` is from."""
    commit, changed = content["git_commit"], " and changes after it" if content["git_dirty"] else ""
    code = "code outside of a repository" if commit is None else f"commit `{commit[:10]}`{changed}"
    libraries = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    return f"Run on {content['date']}: {code} (fingerprint `{content['fingerprint']}`), {libraries}."


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
