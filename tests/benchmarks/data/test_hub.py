"""Downloads against a small hub on this machine: what is fetched, how often, and what is said when it cannot be."""

import hashlib
import os
import shutil
import socket
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.data.hub import UnreachableError, fetch, fetched_by, pretrained
from benchmarks.data.prepared import data_root
from benchmarks.errors import DataError
from benchmarks.sources import Repository
from benchmarks.task import silent
from tests.hub import LARGE_BYTES, Hub

SMALL, LARGE = b"small\n", bytes(range(256)) * (LARGE_BYTES // 64)
REPOSITORY = Repository("dataset", "someone/corpus")
MODEL = Repository("model", "someone/model")


@pytest.fixture(autouse=True)
def repositories(hub: Hub) -> None:
    for path, content in {
        "datasets/someone/corpus/README.md": SMALL,
        "datasets/someone/corpus/data/a one.bin": LARGE,
        "datasets/someone/corpus/data/b.txt": SMALL,
        "models/someone/model/config.json": b"{}",
        "models/someone/model/model.safetensors": LARGE,
        "models/someone/model/pytorch_model.bin": LARGE,
        "models/someone/pickled/model.bin": LARGE,
        "models/someone/pickled/config.json": b"{}",
    }.items():
        (hub.root / path).parent.mkdir(parents=True, exist_ok=True)
        (hub.root / path).write_bytes(content)


def test_what_matches_is_fetched_whole_at_the_newest_commit(hub: Hub) -> None:
    reports: list[tuple[str, int, int]] = []
    fetched = fetch(REPOSITORY, ["data/*", "README.md"], lambda *what: reports.append(what))
    assert fetched.revision == hub.commit("dataset", "someone/corpus")
    assert fetched.files == ("data/a one.bin", "data/b.txt", "README.md")
    assert fetched.folder.is_relative_to(data_root())
    assert [(fetched.folder / name).read_bytes() for name in fetched.files] == [LARGE, SMALL, SMALL]
    total = len(LARGE) + 2 * len(SMALL)
    assert {(stage, of) for stage, _, of in reports} == {("download someone/corpus", total)}
    done = [done for _, done, _ in reports]
    assert done == sorted(done)
    assert done[-1] == total


def test_what_is_there_is_not_fetched_again_and_a_pinned_commit_asks_nothing(hub: Hub) -> None:
    pinned = Repository("dataset", "someone/corpus", hub.commit("dataset", "someone/corpus"))
    first = fetch(pinned, ["data/b.txt"], silent)
    assert hub.downloads() == ["data/b.txt"]
    fetch(pinned, ["data/*"], silent)
    assert hub.downloads() == ["data/b.txt", "data/a one.bin"]
    hub.requests.clear()
    assert fetch(pinned, ["data/b.txt"], silent) == first
    assert hub.requests == []
    fetch(REPOSITORY, ["data/*"], silent)
    assert hub.downloads() == []


def test_another_commit_has_another_folder(hub: Hub) -> None:
    first = fetch(REPOSITORY, ["README.md"], silent)
    (hub.root / "datasets/someone/corpus/README.md").write_bytes(b"other\n")
    second = fetch(REPOSITORY, ["README.md"], silent)
    assert first.revision != second.revision
    assert (first.folder / "README.md").read_bytes() == SMALL
    assert (second.folder / "README.md").read_bytes() == b"other\n"


def test_an_interrupted_transfer_goes_on_where_it_was(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.cut["data/a one.bin"] = 100
    fetched = fetch(REPOSITORY, ["data/a one.bin"], silent)
    assert (fetched.folder / "data/a one.bin").read_bytes() == LARGE
    assert hub.downloads() == ["data/a one.bin"] * 2


def test_an_altered_file_is_deleted_and_fetched_again(hub: Hub) -> None:
    hub.altered.add("data/a one.bin")
    with pytest.raises(DataError) as caught:
        fetch(REPOSITORY, ["data/*"], silent)
    altered = hashlib.sha256(bytes([LARGE[0] ^ 1]) + LARGE[1:]).hexdigest()[:12]
    right = hashlib.sha256(LARGE).hexdigest()[:12]
    assert str(caught.value) == (
        f"someone/corpus: a one.bin arrived as sha256 {altered}, not {right}. It is deleted: type the same again."
    )
    hub.altered.clear()
    fetched = fetch(REPOSITORY, ["data/*"], silent)
    assert (fetched.folder / "data/a one.bin").read_bytes() == LARGE


@pytest.mark.parametrize("content", [b"", LARGE + b"more", bytes([LARGE[0] ^ 1]) + LARGE[1:]])
def test_a_file_that_was_damaged_on_disk_does_not_count(hub: Hub, content: bytes) -> None:
    fetched = fetch(REPOSITORY, ["data/*"], silent)
    (fetched.folder / "data/a one.bin").write_bytes(content)
    if len(content) == len(LARGE):
        with pytest.raises(DataError, match="It is deleted"):
            fetch(REPOSITORY, ["data/*"], silent)
    fetch(REPOSITORY, ["data/*"], silent)
    assert (fetched.folder / "data/a one.bin").read_bytes() == LARGE


def closed_endpoint() -> str:
    """An address on this machine where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def offline(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def no_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", closed_endpoint())


def server_error(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.status = 500


def gated(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated.add("someone/corpus")
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint.replace("127.0.0.1", "localhost"))


def full_disk(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 2**28 - 1))


def nothing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    pass


BAD = {
    "offline": (
        REPOSITORY,
        offline,
        "someone/corpus: the list of its files is not here, and HF_HUB_OFFLINE is set.",
    ),
    "no network": (
        REPOSITORY,
        no_network,
        "someone/corpus: the list of its files is not here, and the hub is out of reach "
        "([Errno 111] Connection refused).",
    ),
    "server error": (
        REPOSITORY,
        server_error,
        "someone/corpus: the list of its files is not here, and the hub is out of reach "
        "(Server error '500 Internal Server Error' for url '{endpoint}/api/datasets/someone/corpus').",
    ),
    "unknown repository": (
        Repository("dataset", "someone/corpse"),
        nothing,
        "someone/corpse: the hub has no such dataset, or it is private. Correct its name in the benchmark's row, or "
        "set HF_TOKEN.",
    ),
    "unknown revision": (
        Repository("dataset", "someone/corpus", "0" * 40),
        nothing,
        f"someone/corpus: there is no revision {'0' * 40} of it. Take one of "
        "{endpoint}/datasets/someone/corpus/commits/main.",
    ),
    "gated": (
        REPOSITORY,
        gated,
        "someone/corpus: is gated. Accept its conditions on {endpoint}/datasets/someone/corpus, then set HF_TOKEN.",
    ),
    "full disk": (
        REPOSITORY,
        full_disk,
        "someone/corpus: 256 MiB are needed in {data} and 256 MiB are free. Make space or name another folder with "
        "--data.",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_fetched_is_said_in_one_line(hub: Hub, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    repository, arrange, message = BAD[what]
    arrange(hub, monkeypatch)
    with pytest.raises(DataError) as caught:
        fetch(repository, ["data/b.txt"], silent)
    assert str(caught.value) == message.format(endpoint=os.environ["HF_ENDPOINT"], data=data_root())


@pytest.mark.parametrize("arrange", [offline, no_network, server_error])
def test_a_hub_out_of_reach_names_the_file_and_the_command(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, arrange: Callable[[Hub, pytest.MonkeyPatch], None]
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    pinned = Repository("dataset", "someone/corpus", hub.commit("dataset", "someone/corpus"))
    fetch(pinned, ["README.md"], silent)
    arrange(hub, monkeypatch)
    with pytest.raises(UnreachableError, match=r"^someone/corpus@\w{12}: data/b.txt is not here, and "):
        fetch(pinned, ["README.md", "data/b.txt"], silent)
    with pytest.raises(DataError) as caught, fetched_by("m2d2-wiki"):
        fetch(pinned, ["data/b.txt"], silent)
    command = f"python -m benchmarks prepare m2d2-wiki --data {data_root()}"
    assert str(caught.value).endswith(f" Type `{command}` where there is a network.")
    assert "\n" not in str(caught.value)


def test_a_pattern_that_matches_nothing_names_the_nearest(hub: Hub) -> None:
    with pytest.raises(DataError) as caught:
        fetch(REPOSITORY, ["data/c.txt"], silent)
    assert str(caught.value) == (
        "someone/corpus: no file matches data/c.txt; the nearest are data/b.txt, data/a one.bin. Correct the name in "
        "the benchmark's row."
    )


def test_a_model_is_prepared_once_and_then_needs_no_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pretrained(MODEL, ["config.json", "*.safetensors"], silent)
    assert made.folder == data_root() / "models" / "someone--model"
    assert made.details == {"revision": hub.commit("model", "someone/model")}
    assert (made.folder / "model.safetensors").read_bytes() == LARGE
    assert made.checksums["model.safetensors"] == hashlib.sha256(LARGE).hexdigest()
    assert not (made.folder / "pytorch_model.bin").exists()
    shutil.rmtree(data_root() / "hub")
    hub.requests.clear()
    offline(hub, monkeypatch)
    assert pretrained(MODEL, ["config.json", "*.safetensors"], silent) == made
    assert hub.requests == []


@pytest.mark.parametrize(
    ("name", "patterns", "message"),
    [
        (
            "someone/model",
            ["*"],
            "someone/model: pytorch_model.bin can run code when it is read. Ask for safetensors and JSON only.",
        ),
        (
            "someone/pickled",
            ["*.json"],
            "someone/pickled: there are no safetensors weights in it. Name a repository that has them.",
        ),
    ],
)
def test_only_safetensors_are_weights(hub: Hub, name: str, patterns: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        pretrained(Repository("model", name), patterns, silent)
    assert str(caught.value) == message
    assert not (data_root() / "models" / name.replace("/", "--")).exists()


def test_a_listing_cannot_lead_outside(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    evil = RepoFile(path="data/../../evil", size=1, oid="0")
    monkeypatch.setattr(HfApi, "list_repo_tree", lambda *args, **options: [evil])
    with pytest.raises(DataError) as caught:
        fetch(REPOSITORY, ["*"], silent)
    assert str(caught.value) == (
        "someone/corpus: lists data/../../evil, which is outside its folder. Use another repository."
    )
