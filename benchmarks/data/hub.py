"""Files of the Hugging Face hub: listed, downloaded, checked against the hub's sizes and checksums; never executed."""

import difflib
import errno
import fnmatch
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.data.prepared import Prepared, data_root, prepare_command, prepared, writable
from benchmarks.errors import DataError
from benchmarks.record import write_atomically
from benchmarks.sources import Repository
from benchmarks.task import Report

_COMMIT = re.compile("[0-9a-f]{40}")
_EXECUTABLE = ("*.bin", "*.ckpt", "*.h5", "*.msgpack", "*.ot", "*.pickle", "*.pkl", "*.pt", "*.pth", "*.py")
_SPARE_BYTES = 256 * 2**20
"""What stays free on the disk beside a download."""


class UnreachableError(DataError):
    """Something has to be downloaded, and the hub is out of reach or must not be asked."""


@dataclass(frozen=True)
class Fetched:
    """Files of one commit: each lies at `folder / name`; `revision` is the commit's full hash."""

    folder: Path
    revision: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class _File:
    size: int
    sha256: str | None
    """None for small files, of which the hub tells none."""


@dataclass(frozen=True)
class _Listing:
    revision: str
    files: Mapping[str, _File]


@contextmanager
def fetched_by(benchmark: str) -> Iterator[None]:
    """Adds to what is said of a hub out of reach the command that fetches all that `benchmark` needs."""
    try:
        yield
    except UnreachableError as error:
        raise DataError(f"{error} Type `{prepare_command(benchmark)}` where there is a network.") from error


def fetch(repository: Repository, patterns: Sequence[str], report: Report) -> Fetched:
    """The files of the repository that match the patterns, at its revision, downloaded unless they are there.

    They lie in a folder of their commit below the data folder. Where the revision is a full commit hash and everything
    was downloaded before, the hub is not asked. A file that was interrupted is begun again, those before it are kept.
    Raises DataError where a pattern matches nothing, the repository, revision or access is missing, the hub is out of
    reach (UnreachableError), the disk is too full, or a file is not what the hub lists.
    """
    folder = data_root() / "hub" / f"{repository.kind}s" / repository.name
    with writable(folder):
        listing = _listing(repository, folder)
        names = tuple(dict.fromkeys(name for pattern in patterns for name in _matching(repository, listing, pattern)))
        commit = folder / listing.revision
        missing = [name for name in names if not _has_size(commit / name, listing.files[name].size)]
        _check_space(repository, commit, sum(listing.files[name].size for name in missing))
        _download(repository, listing, missing, commit, report)
        for name in names:
            _check(repository, commit / name, listing.files[name])
    return Fetched(commit, listing.revision, names)


def pretrained(repository: Repository, patterns: Sequence[str], report: Report) -> Prepared:
    """The files of a pre-trained model, prepared as `models/<owner>--<name>`; details hold the `revision`.

    Weights are read as safetensors alone. Raises DataError as `fetch` does, where a pattern asks for a file that is
    executed or unpickled when read, and where no weights are among the files.
    """

    def build(folder: Path) -> dict[str, Any]:
        fetched = fetch(repository, patterns, report)
        unsafe = [name for name in fetched.files if any(fnmatch.fnmatch(name, pattern) for pattern in _EXECUTABLE)]
        if unsafe:
            raise DataError(
                f"{repository}: {unsafe[0]} can run code when it is read. Ask for safetensors and JSON only."
            )
        if not any(name.endswith(".safetensors") for name in fetched.files):
            raise DataError(f"{repository}: there are no safetensors weights in it. Name a repository that has them.")
        for name in fetched.files:
            _link(fetched.folder / name, folder / name)
        return {"revision": fetched.revision}

    key = {"repository": repository.name, "revision": repository.revision, "patterns": list(patterns)}
    return prepared(model_folder(repository), key, build)


def config_of(folder: Path) -> dict[str, Any]:
    """What the `config.json` of a pre-trained model says."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


def model_folder(repository: Repository) -> str:
    """The name of a pre-trained model's folder below the data folder."""
    return f"models/{repository.name.replace('/', '--')}"


def _listing(repository: Repository, folder: Path) -> _Listing:
    """What the hub lists at the revision; kept, so that the files of a full commit hash need no second question."""
    if repository.revision is not None and _COMMIT.fullmatch(repository.revision):
        kept = folder / f"{repository.revision}.json"
        if kept.is_file():
            files = json.loads(kept.read_text(encoding="utf-8"))
            return _Listing(repository.revision, {name: _File(**described) for name, described in files.items()})
    listing = _asked(repository)
    folder.mkdir(parents=True, exist_ok=True)
    described = {name: {"size": file.size, "sha256": file.sha256} for name, file in listing.files.items()}
    write_atomically(folder / f"{listing.revision}.json", json.dumps(described, indent=1).encode())
    return listing


def _asked(repository: Repository) -> _Listing:
    from huggingface_hub.hf_api import RepoFile

    with _explained(repository, "the list of its files"):
        api = _api()
        info = api.repo_info(repository.name, repo_type=repository.kind, revision=repository.revision)
        revision = info.sha
        tree = api.list_repo_tree(repository.name, recursive=True, revision=revision, repo_type=repository.kind)
        entries = [entry for entry in tree if isinstance(entry, RepoFile)]
    if revision is None or not _COMMIT.fullmatch(revision):
        raise DataError(f"{repository}: the hub names no commit for it. Try again, or check HF_ENDPOINT.")
    outside = [entry.path for entry in entries if ".." in Path(entry.path).parts or Path(entry.path).is_absolute()]
    if outside:
        raise DataError(f"{repository}: lists {outside[0]}, which is outside its folder. Use another repository.")
    return _Listing(revision, {e.path: _File(e.size, e.lfs.sha256 if e.lfs else None) for e in entries})


def _matching(repository: Repository, listing: _Listing, pattern: str) -> list[str]:
    names = sorted(fnmatch.filter(listing.files, pattern))
    if not names:
        nearest = difflib.get_close_matches(pattern, listing.files, n=3, cutoff=0.3) or sorted(listing.files)[:3]
        raise DataError(
            f"{repository}: no file matches {pattern}; the nearest are {', '.join(nearest) or 'none: it is empty'}. "
            "Correct the name in the benchmark's row."
        )
    return names


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _check_space(repository: Repository, folder: Path, needed: int) -> None:
    if not needed:
        return
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE_BYTES:
        raise DataError(
            f"{repository}: {_megabytes(needed + _SPARE_BYTES)} are needed in {data_root()} and {_megabytes(free)} are "
            "free. Make space or name another folder with --data."
        )


def _download(repository: Repository, listing: _Listing, names: Sequence[str], folder: Path, report: Report) -> None:
    total, before = sum(listing.files[name].size for name in names), 0
    for name in names:
        _download_one(repository, listing, name, folder, partial(_report_bytes, report, repository, before, total))
        before += listing.files[name].size
        _report_bytes(report, repository, 0, total, before)


def _report_bytes(report: Report, repository: Repository, before: int, total: int, done: int) -> None:
    report(f"download {repository.name}", min(before + done, total), total)


def _download_one(
    repository: Repository, listing: _Listing, name: str, folder: Path, report: Callable[[int], None]
) -> None:
    (folder / name).unlink(missing_ok=True)  # of another size: the library would take it as it is
    with _explained(repository, name):
        _api().hf_hub_download(
            repository.name,
            name,
            repo_type=repository.kind,
            revision=listing.revision,
            local_dir=folder,
            tqdm_class=_bar(report),
        )


def _check(repository: Repository, path: Path, file: _File) -> None:
    """Raises DataError, and deletes the file, where it is not the one that the hub lists."""
    if not _has_size(path, file.size):
        found = f"{path.stat().st_size:,} bytes" if path.is_file() else "nothing"
        wanted = f"{file.size:,} bytes"
    elif file.sha256 is not None and (digest := _sha256(path)) != file.sha256:
        found, wanted = f"sha256 {digest[:12]}", file.sha256[:12]
    else:
        return
    path.unlink(missing_ok=True)
    raise DataError(f"{repository}: {path.name} arrived as {found}, not {wanted}. It is deleted: type the same again.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _link(source: Path, target: Path) -> None:
    """The same file under another name, a copy where the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _api() -> Any:
    """The hub's client; the environment is read now, where the library reads it when imported."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, library_name="tram-benchmarks")


def _bar(report: Callable[[int], None]) -> type:
    """A progress bar, as the hub's client wants one, that draws nothing and reports the bytes of one file."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **(options | {"disable": True}))
            self._bytes = options.get("initial") or 0

        def update(self, n: float | None = 1) -> None:
            self._bytes += int(n or 0)
            report(self._bytes)

    return Bar


@contextmanager
def _explained(repository: Repository, wanted: str) -> Iterator[None]:
    """Turns what the hub's client raises while it fetches `wanted` into DataError."""
    from huggingface_hub import errors

    page = f"{os.environ.get('HF_ENDPOINT') or 'https://huggingface.co'}/{_path(repository)}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise DataError(f"{repository}: is gated. Accept its conditions on {page}, then set HF_TOKEN.") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise DataError(
            f"{repository}: the hub has no such {repository.kind}, or it is private. Correct its name in the "
            "benchmark's row, or set HF_TOKEN."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise DataError(
            f"{repository.name}: there is no revision {repository.revision} of it. Take one of {page}/commits/main."
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise UnreachableError(f"{repository}: {wanted} is not here, and HF_HUB_OFFLINE is set.") from error
    except (OSError, errors.HTTPError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        raise UnreachableError(
            f"{repository}: {wanted} is not here, and the hub is out of reach ({_first(error)})."
        ) from error


def _path(repository: Repository) -> str:
    return repository.name if repository.kind == "model" else f"datasets/{repository.name}"


def _first(error: Exception) -> str:
    """The first line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".: ") if lines else type(error).__name__


def _megabytes(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"
