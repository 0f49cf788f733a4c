"""A small hub on this machine: enough of the Hugging Face hub's protocol for its client to list and download files.

It serves the folders `<root>/datasets/<owner>/<name>` and `<root>/models/<owner>/<name>` as repositories of one commit
each, large files through a redirect, as the hub does, and misbehaves on demand.
"""

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest

from benchmarks.sources import Repository

LARGE_BYTES = 4096
"""From this size on a file is one of Git LFS: its SHA-256 is told, and it comes from another address."""


@dataclass
class Hub:
    """The server, and what it does wrong: names of repositories, or of files in any of them."""

    root: Path
    commits: dict[str, str] = field(default_factory=dict)
    """Full commit hashes by repository name; what is not here has one that its content decides."""
    gated: set[str] = field(default_factory=set)
    cut: dict[str, int] = field(default_factory=dict)
    """Files whose transfer ends after so many bytes, once."""
    altered: set[str] = field(default_factory=set)
    """Files that arrive with their first byte changed."""
    status: int | None = None
    """Answers everything, where it is set."""
    requests: list[str] = field(default_factory=list)
    """What was asked, as `GET /path`."""

    def __enter__(self) -> "Hub":
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def folder(self, kind: str, name: str) -> Path:
        """Where the files of a repository lie; `kind` is `dataset` or `model`."""
        return self.root / f"{kind}s" / name

    def commit(self, kind: str, name: str) -> str:
        """The full hash of the repository's only commit."""
        if name in self.commits:
            return self.commits[name]
        content = hashlib.sha1(f"{kind}/{name}".encode())
        for path in _files(self.folder(kind, name)):
            content.update(path.name.encode() + path.read_bytes())
        return content.hexdigest()

    def pin(self, repository: Repository) -> None:
        """Makes the revision that `repository` names, where it does, the commit that is served."""
        if repository.revision is not None:
            self.commits[repository.name] = repository.revision

    def downloads(self) -> list[str]:
        """The files whose content was asked for, in order."""
        asked = (re.fullmatch(r"GET /.*/(?:resolve|large)/[0-9a-f]{40}/(.*)", request) for request in self.requests)
        return [unquote(found[1]) for found in asked if found]


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.hub.requests.append(f"{self.command} {path}")
        if self.hub.status is not None:
            return self._fail(self.hub.status, "")
        if found := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path):
            return self._describe(*found.groups())
        if found := re.fullmatch(r"/(datasets/|)([^/]+/[^/]+)/(resolve|large)/([^/]+)/(.+)", path):
            prefix, name, what, revision, file = found.groups()
            return self._file(prefix, name, what, revision, unquote(file))
        return self._fail(404, "")

    def _describe(self, kinds: str, name: str, what: str | None, revision: str | None) -> None:
        commit = self._commit(kinds, name, unquote(revision or "main"))
        if commit is None:
            return
        folder = self.hub.root / kinds / name
        if what == "tree":
            tree = [self._entry(path, path.relative_to(folder).as_posix()) for path in _files(folder)]
            self._answer(200, json.dumps(tree).encode(), {"Content-Type": "application/json"})
        else:
            info = {"id": name, "sha": commit, "private": False, "tags": [], "siblings": [], "downloads": 0, "likes": 0}
            self._answer(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _entry(self, path: Path, name: str) -> dict[str, Any]:
        content = path.read_bytes()
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": blob}
        if len(content) >= LARGE_BYTES:
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        return entry

    def _file(self, prefix: str, name: str, what: str, revision: str, file: str) -> None:
        kinds = "datasets" if prefix else "models"
        commit = self._commit(kinds, name, unquote(revision))
        if commit is None:
            return None
        path = self.hub.root / kinds / name / file
        if not path.is_file():
            return self._fail(404, "EntryNotFound")
        content = path.read_bytes()
        large = len(content) >= LARGE_BYTES
        digest = hashlib.sha256(content).hexdigest() if large else hashlib.sha1(content).hexdigest()
        headers = {"X-Repo-Commit": commit, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        if large and what == "resolve":
            target = (
                f"{self.hub.endpoint.replace('127.0.0.1', 'localhost')}/{prefix}{name}/large/{commit}/{quote(file)}"
            )
            linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content)), "Location": target}
            return self._answer(302, b"", headers | linked)
        if file in self.hub.altered:
            content = bytes([content[0] ^ 1]) + content[1:]
        return self._content(content, headers, self.hub.cut.pop(file, None) if self.command == "GET" else None)

    def _content(self, content: bytes, headers: dict[str, str], cut: int | None) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked:
            begin = int(asked[1])
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            content = content[begin:]
        self._answer(206 if asked else 200, content, headers, cut)

    def _commit(self, kinds: str, name: str, revision: str) -> str | None:
        """The repository's commit; None, answered, where there is no such repository or revision or it is gated."""
        if not (self.hub.root / kinds / name).is_dir():
            self._fail(401, "RepoNotFound")
            return None
        if name in self.hub.gated:
            self._fail(403, "GatedRepo")
            return None
        commit = self.hub.commit(kinds.removesuffix("s"), name)
        if revision not in ("main", commit):
            self._fail(404, "RevisionNotFound")
            return None
        return commit

    def _fail(self, status: int, code: str) -> None:
        self._answer(status, b"{}", {"X-Error-Code": code} if code else {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True


def point_to(hub: Hub, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this process and its children use `hub`, nothing else, and keep what they make in `data`."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("TRAM_DATA", str(data))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    home = data.with_name("hub-cache")
    for name in ("HF_HOME", "HF_HUB_CACHE", "HF_TOKEN_PATH"):
        monkeypatch.setenv(name, str(home / name))
        monkeypatch.setattr(constants, name, str(home / name))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
