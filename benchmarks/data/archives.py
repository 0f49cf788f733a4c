"""Texts inside tar.gz archives, read line by line without unpacking: nothing of an archive is ever written to disk."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from benchmarks.errors import DataError

MEMBERS = 10_000
MEMBER_BYTES = 64 * 2**30
LINE_CHARACTERS = 2**24
_REPORT_BYTES = 2**20


def lines(archive: Path, member: str, report: Callable[[int, int], None]) -> Iterator[str]:
    """The lines, stripped, of the archive's file of the name `member`, in whatever folder it lies.

    A line ends with a line feed, a carriage return or both. Bytes that are not UTF-8 become U+FFFD: corpora are cut at
    any byte. `report` is told how many bytes of the archive are read, of how many. Raises DataError where the archive
    is cut or damaged, lacks the file, holds what an archive of texts does not (links, devices, names that lead
    elsewhere), or exceeds a limit.
    """
    size, reported = archive.stat().st_size, 0
    try:
        with (
            archive.open("rb") as compressed,
            gzip.GzipFile(fileobj=compressed) as raw,
            tarfile.open(fileobj=raw, mode="r|") as tar,
        ):
            content = io.BufferedReader(_Forward(_file(tar, archive, member)))
            text = io.TextIOWrapper(content, encoding="utf-8", errors="replace")
            while line := text.readline(LINE_CHARACTERS + 1):
                if len(line) > LINE_CHARACTERS:
                    raise DataError(
                        f"{archive}: a line of {member} has more than {LINE_CHARACTERS:,} characters. It is not the "
                        "corpus: delete the archive and prepare again."
                    )
                yield line.strip()
                if compressed.tell() - reported >= _REPORT_BYTES:
                    reported = compressed.tell()
                    report(reported, size)
        report(size, size)
    except (EOFError, gzip.BadGzipFile, tarfile.TarError, zlib.error) as error:
        raise DataError(
            f"{archive}: is cut or damaged where {member} is read. Delete it and prepare again: it is fetched anew."
        ) from error


class _Forward(io.RawIOBase):
    """A file of an archive that is read as a stream, which `io` else asks in vain whether it could go back."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self._content.read(len(buffer))
        buffer[: len(read)] = read
        return len(read)


def _file(tar: tarfile.TarFile, archive: Path, name: str) -> IO[bytes]:
    """The content of the first file of this name; every entry up to it is checked."""
    seen: list[str] = []
    for entry in tar:
        _check(entry, len(seen), archive)
        seen.append(entry.name)
        if entry.isfile() and PurePosixPath(entry.name).name == name:
            content = tar.extractfile(entry)
            assert content is not None
            return content
    raise DataError(
        f"{archive}: there is no {name} in it, only {', '.join(seen[:4]) or 'nothing'}. Correct the config in the "
        "benchmark's row, or delete the archive and prepare again."
    )


def _check(entry: tarfile.TarInfo, before: int, archive: Path) -> None:
    path = PurePosixPath(entry.name)
    if path.is_absolute() or ".." in path.parts:
        fault = f"{entry.name} is outside its folder"
    elif not (entry.isfile() or entry.isdir()):
        fault = f"{entry.name} is a link or a device"
    elif entry.size > MEMBER_BYTES:
        fault = f"{entry.name} has {entry.size:,} bytes, more than {MEMBER_BYTES:,}"
    elif before >= MEMBERS:
        fault = f"it has more than {MEMBERS:,} entries"
    else:
        return
    raise DataError(f"{archive}: {fault}. Do not use it: delete it and name another repository or revision.")
