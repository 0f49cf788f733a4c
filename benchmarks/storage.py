"""Where records go: checked before hours are spent, and saved elsewhere if that fails after they were."""

import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.cache import cache_root
from benchmarks.errors import StorageError
from benchmarks.record import Record, write_atomically, write_record

NEEDED_BYTES = 64 * 2**20
"""Far more than the records of a suite take: a disk this full will be full before the runs are done."""


def check_folder(folder: Path) -> None:
    """Make `folder` and try it. Raises StorageError where records could not be written or would not fit."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StorageError(
            f"{folder}: results cannot be written there ({error.strerror or error}). "
            "Make the folder writable or name another with --results."
        ) from error
    if free < NEEDED_BYTES:
        raise StorageError(
            f"{folder}: only {free / 2**20:.0f} MiB are free on its disk, {NEEDED_BYTES / 2**20:.0f} are needed. "
            "Make space or name another folder with --results."
        )


def curve_path(record_path: Path) -> Path:
    return record_path.with_name(f"{record_path.stem}.metrics.jsonl")


def save(record: Record, curve: str, results: Path) -> Path:
    """Write the curve, then the record, each atomically; returns the record's path.

    Where that fails, both go to the user's cache folder, else to a temporary one, and StorageError tells where.
    """
    try:
        return _write(record, curve, results)
    except OSError as error:
        failed = f"{record.run.path(results)}: the record of the finished run could not be written ({error.strerror})"
        saved = _save_elsewhere(record, curve)
        if saved is None:
            raise StorageError(f"{failed}, nor anywhere else. Here it is:\n{record.model_dump_json()}") from error
        raise StorageError(
            f"{failed}. Nothing is lost: it is in {saved}. When there is space, type: cp -R '{saved}/.' '{results}/'"
        ) from error


def _write(record: Record, curve: str, results: Path) -> Path:
    write_atomically(curve_path(record.run.path(results)), curve.encode())
    return write_record(record, results)


def _save_elsewhere(record: Record, curve: str) -> Path | None:
    for parent in (cache_root(), Path(tempfile.gettempdir())):
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="unsaved-results-", dir=parent))
            _write(record, curve, folder)
        except OSError:
            continue
        return folder
    return None
