"""Reading texts out of archives, good and bad."""

import gzip
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.data import archives
from benchmarks.errors import DataError
from tests.benchmarks.hub_fixtures import write_archive


def report(done: int, total: int) -> None:
    pass


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "Art.tar.gz"


def entry(kind: bytes, name: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    made.linkname = "train.txt"
    return made


@pytest.mark.parametrize("prefix", ["Art/", "./Art/", "", "deep/er/"])
def test_each_file_is_read_by_its_name_whatever_the_order(archive: Path, prefix: str) -> None:
    files = {"test.txt": b"of test\n", "train.txt": b"of\n\n train \n", "valid.txt": b"of valid"}
    folder = {prefix: entry(tarfile.DIRTYPE, prefix)} if prefix else {}
    write_archive(archive, folder | {f"{prefix}{name}": content for name, content in files.items()})
    assert list(archives.lines(archive, "train.txt", report)) == ["of", "", "train"]
    assert list(archives.lines(archive, "valid.txt", report)) == ["of valid"]
    assert list(archives.lines(archive, "test.txt", report)) == ["of test"]


def test_line_ends_of_every_kind_and_broken_letters(archive: Path) -> None:
    write_archive(archive, {"Art/test.txt": b"\xa9a\r\nb\rc\n\r\n\td \xc3\xa9\xc3"})
    assert list(archives.lines(archive, "test.txt", report)) == ["\ufffda", "b", "c", "", "d é\ufffd"]


def test_progress_is_told_in_bytes_of_the_archive(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_REPORT_BYTES", 1)
    letters = random.Random(0)
    noise = "\n".join(letters.randbytes(40).hex() for _ in range(5_000)).encode()
    write_archive(archive, {"train.txt": noise})
    told: list[tuple[int, int]] = []
    list(archives.lines(archive, "train.txt", lambda done, total: told.append((done, total))))
    size = archive.stat().st_size
    assert {total for _, total in told} == {size}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(told) > 2
    assert told[-1] == (size, size)


def test_reading_a_file_does_not_read_those_behind_it(archive: Path) -> None:
    write_archive(archive, {"Art/train.txt": b"all\n", "../test.txt": b"never seen\n"})
    assert list(archives.lines(archive, "train.txt", report)) == ["all"]


def truncated(archive: Path) -> None:
    write_archive(archive, {"Art/train.txt": bytes(range(10, 250)) * 1000})
    archive.write_bytes(archive.read_bytes()[:-200])


def corrupted(archive: Path) -> None:
    write_archive(archive, {"Art/train.txt": random.Random(0).randbytes(10_000)})
    stored = bytearray(archive.read_bytes())
    stored[200:300] = b"\xff" * 100
    archive.write_bytes(bytes(stored))


def not_an_archive(archive: Path) -> None:
    archive.write_bytes(b"<html>not found</html>")


def not_a_tar(archive: Path) -> None:
    archive.write_bytes(gzip.compress(b"plain text " * 1000))


def empty_file(archive: Path) -> None:
    archive.write_bytes(b"")


def without_train(archive: Path) -> None:
    write_archive(archive, {"Art/test.txt": b"", "Art/valid.txt": b"", "Art/train.txt.bak": b""})


def with_nothing(archive: Path) -> None:
    write_archive(archive, {})


def above_its_folder(archive: Path) -> None:
    write_archive(archive, {"Art/../../train.txt": b"evil"})


def absolute(archive: Path) -> None:
    write_archive(archive, {"/etc/train.txt": b"evil"})


def symbolic_link(archive: Path) -> None:
    write_archive(archive, {"link": entry(tarfile.SYMTYPE, "Art/train.txt")})


def hard_link(archive: Path) -> None:
    write_archive(archive, {"link": entry(tarfile.LNKTYPE, "Art/train.txt")})


def device(archive: Path) -> None:
    write_archive(archive, {"device": entry(tarfile.CHRTYPE, "Art/train.txt")})


DAMAGED = "is cut or damaged where train.txt is read. Delete it and prepare again: it is fetched anew."
CORRECT = "Correct the config in the benchmark's row, or delete the archive and prepare again."
REFUSED = "Do not use it: delete it and name another repository or revision."


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (truncated, DAMAGED),
        (corrupted, DAMAGED),
        (not_an_archive, DAMAGED),
        (not_a_tar, DAMAGED),
        (empty_file, DAMAGED),
        (
            without_train,
            f"there is no train.txt in it, only Art/test.txt, Art/valid.txt, Art/train.txt.bak. {CORRECT}",
        ),
        (with_nothing, f"there is no train.txt in it, only nothing. {CORRECT}"),
        (above_its_folder, f"Art/../../train.txt is outside its folder. {REFUSED}"),
        (absolute, f"/etc/train.txt is outside its folder. {REFUSED}"),
        (symbolic_link, f"Art/train.txt is a link or a device. {REFUSED}"),
        (hard_link, f"Art/train.txt is a link or a device. {REFUSED}"),
        (device, f"Art/train.txt is a link or a device. {REFUSED}"),
    ],
)
def test_a_bad_archive_is_named_with_its_fault(archive: Path, write: Callable[[Path], None], message: str) -> None:
    write(archive)
    with pytest.raises(DataError) as caught:
        list(archives.lines(archive, "train.txt", report))
    assert str(caught.value) == f"{archive}: {message}"


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MEMBER_BYTES", 5, f"Art/test.txt has 6 bytes, more than 5. {REFUSED}"),
        ("MEMBERS", 1, f"it has more than 1 entries. {REFUSED}"),
        (
            "LINE_CHARACTERS",
            4,
            "a line of train.txt has more than 4 characters. It is not the corpus: delete the archive and prepare "
            "again.",
        ),
    ],
)
def test_limits(archive: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, message: str) -> None:
    write_archive(archive, {"Art/test.txt": b"small\n", "Art/train.txt": b"small\n"})
    list(archives.lines(archive, "train.txt", report))
    monkeypatch.setattr(archives, limit, value)
    with pytest.raises(DataError) as caught:
        list(archives.lines(archive, "train.txt", report))
    assert str(caught.value) == f"{archive}: {message}"
