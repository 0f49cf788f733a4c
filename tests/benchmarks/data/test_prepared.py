"""Folders made once: whole or not at all, never mixed, never made again behind one's back."""

import errno
import hashlib
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cache import built_once, cached
from benchmarks.data.prepared import data_root, find, prepare_command, prepared, require
from benchmarks.errors import DataError

KEY = {"revision": "abc", "sizes": (1, 2)}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRAM_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def build(folder: Path) -> dict[str, Any]:
    (folder / "deep").mkdir()
    (folder / "deep" / "text").write_bytes(b"four")
    (folder / "empty").touch()
    return {"lines": 1}


def never(folder: Path) -> dict[str, Any]:
    raise AssertionError("built again")


def test_a_folder_is_made_once_and_says_what_is_in_it(root: Path) -> None:
    made = prepared("set/one", KEY, build)
    assert made.folder == root / "set" / "one"
    assert made.details == {"lines": 1}
    assert made.checksums == {"deep/text": hashlib.sha256(b"four").hexdigest(), "empty": hashlib.sha256().hexdigest()}
    manifest = json.loads((made.folder / "manifest.json").read_text())
    assert manifest["key"] == {"revision": "abc", "sizes": [1, 2]}
    assert manifest["files"]["deep/text"] == {"bytes": 4, "sha256": made.checksums["deep/text"]}
    assert prepared("set/one", KEY, never) == made == find("set/one", KEY)
    assert find("set/two", KEY) is None


def test_what_is_there_can_be_read_from_a_disk_that_cannot_be_written(root: Path) -> None:
    made = prepared("one", KEY, build)
    for path in (root / "one.lock", made.folder, root):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        assert prepared("one", KEY, never) == made
    finally:
        for path in (root, made.folder):
            path.chmod(0o700)


def test_a_folder_obeys_the_umask(root: Path) -> None:
    """Others of the group read what one of them prepared."""
    before = os.umask(0o027)
    try:
        made = prepared("one", KEY, build)
    finally:
        os.umask(before)
    assert made.folder.stat().st_mode & 0o777 == 0o750


def remove(folder: Path) -> None:
    (folder / "deep" / "text").unlink()


def shorten(folder: Path) -> None:
    (folder / "deep" / "text").write_bytes(b"fou")


def forget(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def garble(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove, "deep/text is missing. Delete this folder and prepare it again."),
        (shorten, "deep/text has 3 bytes, not 4. Delete this folder and prepare it again."),
        (forget, "there is no readable manifest.json in it. Delete this folder and prepare it again."),
        (garble, "there is no readable manifest.json in it. Delete this folder and prepare it again."),
    ],
)
def test_a_damaged_folder_is_named_and_left_alone(root: Path, damage: Any, message: str) -> None:
    made = prepared("one", KEY, build)
    damage(made.folder)
    with pytest.raises(DataError) as caught:
        prepared("one", KEY, never)
    assert str(caught.value) == f"{root / 'one'}: {message}"


def test_another_key_is_named_and_nothing_is_mixed(root: Path) -> None:
    made = prepared("one", KEY, build)
    with pytest.raises(DataError) as caught:
        prepared("one", {"revision": "abd", "sizes": [1, 2], "joiner": "eos"}, never)
    assert str(caught.value) == (
        f"{root / 'one'}: was made from joiner None, not 'eos'; revision 'abc', not 'abd'. Delete this folder and "
        "prepare it again, or use another --data."
    )
    assert find("one", KEY) == made


def test_a_failed_build_leaves_nothing(root: Path) -> None:
    def fail(folder: Path) -> dict[str, Any]:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepared("one", KEY, fail)
    assert [path.name for path in root.iterdir()] == ["one.lock"]
    assert prepared("one", KEY, build).details == {"lines": 1}


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk became full. Make space or name another folder with --data."),
        (
            errno.EROFS,
            "cannot be written (Read-only file system). Make it writable or name another folder with --data.",
        ),
    ],
)
def test_a_disk_that_takes_nothing_is_said_in_one_line(root: Path, number: int, message: str) -> None:
    def fail(folder: Path) -> dict[str, Any]:
        raise OSError(number, os.strerror(number))

    with pytest.raises(DataError) as caught:
        prepared("one", KEY, fail)
    assert str(caught.value) == f"{root / 'one'}: {message}"


def test_other_errors_of_the_system_are_not_hidden() -> None:
    def fail(folder: Path) -> dict[str, Any]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output error"):
        prepared("one", KEY, fail)


def append_slowly(log: Path, folder: Path) -> dict[str, Any]:
    with log.open("a") as file:
        file.write("built\n")
    time.sleep(0.3)
    (folder / "file").touch()
    return {}


def make_one(log: Path) -> None:
    prepared("one", KEY, lambda folder: append_slowly(log, folder))


def test_of_several_processes_one_builds_and_the_others_wait(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=make_one, args=(tmp_path / "log",)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "built\n"


def hang(folder: Path) -> None:
    (folder / "half").touch()
    time.sleep(60)


def test_a_killed_build_leaves_nothing_that_counts_and_is_cleared_away(root: Path) -> None:
    worker = multiprocessing.get_context("fork").Process(target=built_once, args=(root / "one", hang))
    worker.start()
    while not list(root.glob("one.partial-*/half")):
        time.sleep(0.01)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    assert not (root / "one").exists()
    assert prepared("one", KEY, build).details == {"lines": 1}
    assert sorted(path.name for path in root.iterdir()) == ["one", "one.lock"]


def test_names_that_differ_behind_a_dot_do_not_wait_for_each_other(root: Path) -> None:
    def other(folder: Path) -> dict[str, Any]:
        prepared("cs.AI", KEY, build)
        return {}

    prepared("cs.CL", KEY, other)
    assert {path.name for path in root.iterdir() if path.is_dir()} == {"cs.AI", "cs.CL"}


def test_what_is_missing_is_named_with_the_command_that_makes_it(root: Path) -> None:
    prepared("one", KEY, build)
    require(["one"], "xnli")
    with pytest.raises(DataError) as caught:
        require(["one", "two"], "xnli")
    assert str(caught.value) == (
        f"{root / 'two'}: is not prepared. Type `python -m benchmarks prepare xnli --data {root}` where there is a "
        "network."
    )
    assert prepare_command("xnli") == f"python -m benchmarks prepare xnli --data {root}"


def test_without_a_name_the_data_folder_is_the_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRAM_DATA")
    monkeypatch.setenv("TRAM_CACHE", str(tmp_path))
    assert data_root() == tmp_path / "data"


def test_a_cached_folder_is_kept_by_its_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRAM_CACHE", str(tmp_path))
    built: list[Path] = []
    first = cached("thing", {"a": 1}, built.append)
    assert cached("thing", {"a": 1}, built.append) == first
    assert cached("thing", {"a": 2}, built.append) != first
    assert len(built) == 2
    assert json.loads((first / "key.json").read_text()) == {"a": 1}
