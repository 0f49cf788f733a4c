"""Expensive things made once: a folder per set of inputs, built aside and renamed into place when whole."""

import glob
import hashlib
import inspect
import json
import os
import shutil
import uuid
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

    `key` holds everything that determines the content.
    """
    folder = cache_root() / f"{name}-{digest(key)}"

    def build_with_key(partial: Path) -> None:
        build(partial)
        (partial / "key.json").write_text(json.dumps(key, indent=1, sort_keys=True, ensure_ascii=False))

    built_once(folder, build_with_key)
    return folder


def built_once(folder: Path, build: Callable[[Path], None]) -> None:
    """Make `folder` by `build(partial)`, unless it is there: written beside it and renamed when whole.

    Several processes may ask at once: one builds, the others wait. An interrupted build leaves no `folder`.
    """
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if folder.is_dir():
            return
        for abandoned in folder.parent.glob(f"{glob.escape(folder.name)}.partial-*"):
            shutil.rmtree(abandoned)
        partial = folder.with_name(f"{folder.name}.partial-{uuid.uuid4().hex[:8]}")
        partial.mkdir()
        try:
            build(partial)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
