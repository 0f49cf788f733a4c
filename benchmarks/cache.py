"""Expensive things made once: a folder per set of inputs, built aside and renamed into place when whole."""

import hashlib
import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path


def cache_root() -> Path:
    """`TRAM_CACHE`, else the user's cache folder."""
    return Path(os.environ["TRAM_CACHE"]) if os.environ.get("TRAM_CACHE") else user_cache_path("tram-benchmarks")


def digest(value: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of `value` as canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def source_digest(*modules: ModuleType) -> str:
    """A digest of the modules' source text, so that what old code made is not taken for what new code makes."""
    return digest([inspect.getsource(module) for module in modules])


def cached(name: str, key: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
    """The folder `<name>-<digest of key>`, made by `build(folder)` if it is not there.

    `key` holds everything that determines the content. Several processes may ask at once: one builds, the others wait.
    An interrupted build leaves nothing behind that could be taken for a whole one.
    """
    folder = cache_root() / f"{name}-{digest(key)}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            for abandoned in folder.parent.glob(f"{folder.name}.partial-*"):
                shutil.rmtree(abandoned)
            partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent))
            try:
                build(partial)
                (partial / "key.json").write_text(json.dumps(key, indent=1, sort_keys=True, ensure_ascii=False))
                partial.rename(folder)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
    return folder
