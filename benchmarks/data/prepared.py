"""Prepared data and models: folders below one root, each made once and described by its manifest."""

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.cache import built_once, cache_root
from benchmarks.errors import DataError

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Prepared:
    """A folder that is whole: `details` is what its build returned, `checksums` the SHA-256 of each file."""

    folder: Path
    details: Mapping[str, Any]
    checksums: Mapping[str, str]


def data_root() -> Path:
    """`TRAM_DATA`, else a folder of the cache."""
    return Path(os.environ["TRAM_DATA"]) if os.environ.get("TRAM_DATA") else cache_root() / "data"


def prepared(name: str, key: Mapping[str, Any], build: Callable[[Path], Mapping[str, Any]]) -> Prepared:
    """The folder `name` below the root, made by `build(folder)` -> details if it is not there.

    `key`, of JSON values, holds everything that determines the content. What is there is checked by `find` and never
    made again or changed. Several processes may ask at once: one builds, the others wait; an interrupted build leaves
    nothing that counts. Raises DataError as `find` does, and where the disk is full or cannot be written.
    """
    found = find(name, key)
    if found is not None:
        return found
    folder = data_root() / name

    def build_with_manifest(partial: Path) -> None:
        details = build(partial)
        files = {path.relative_to(partial).as_posix(): _described(path) for path in _files(partial)}
        manifest = {"key": key, "details": details, "files": files}
        (partial / _MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")

    with writable(folder):
        built_once(folder, build_with_manifest)
    made = find(name, key)
    assert made is not None
    return made


def find(name: str, key: Mapping[str, Any]) -> Prepared | None:
    """The folder `name` below the root; None where it is not there.

    Raises DataError where it was made from another key, or where a file is missing or is not what was written.
    """
    folder = data_root() / name
    if not folder.is_dir():
        return None
    delete = "Delete this folder and prepare it again"
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        made_from, details, files = manifest["key"], manifest["details"], manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: there is no readable {_MANIFEST} in it. {delete}.") from error
    wanted = json.loads(json.dumps(key))
    if made_from != wanted:
        differences = "; ".join(
            f"{field} {made_from.get(field)!r}, not {wanted.get(field)!r}"
            for field in sorted({*made_from, *wanted})
            if made_from.get(field) != wanted.get(field)
        )
        raise DataError(f"{folder}: was made from {differences}. {delete}, or use another --data.")
    for file, described in files.items():
        path = folder / file
        size = path.stat().st_size if path.is_file() else None
        if size != described["bytes"]:
            fault = "is missing" if size is None else f"has {size:,} bytes, not {described['bytes']:,}"
            raise DataError(f"{folder}: {file} {fault}. {delete}.")
        if _checksum(path, path.stat().st_mtime_ns) != described["sha256"]:
            raise DataError(f"{folder}: {file} is not what was written. {delete}.")
    return Prepared(folder, details, {file: described["sha256"] for file, described in files.items()})


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turns what the system says about a disk that is full or cannot be written into DataError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"{folder}: the disk became full. Make space or name another folder with --data."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise DataError(
                f"{folder}: cannot be written ({error.strerror}). Make it writable or name another folder with --data."
            ) from error
        raise


def require(names: Iterable[str], benchmark: str) -> None:
    """Raises DataError, with the command that makes them, unless there is a folder of each name below the root."""
    for name in names:
        if not (data_root() / name).is_dir():
            raise DataError(
                f"{data_root() / name}: is not prepared. Type `{prepare_command(benchmark)}` where there is a network."
            )


def prepare_command(benchmark: str) -> str:
    """What to type, where there is a network, for everything that a benchmark needs."""
    return f"python -m benchmarks prepare {benchmark} --data {data_root()}"


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _described(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": _checksum(path, path.stat().st_mtime_ns)}


@cache
def _checksum(path: Path, modified: int) -> str:
    """Of a file's content, once per process: a disk may lose bits without a change of size or date."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
