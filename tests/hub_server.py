"""A Hugging Face Hub on this machine: the HTTP that its client speaks, and faults."""

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest
from huggingface_hub import constants

WRITER, READER = "hf_writer", "hf_reader"
"""Tokens: of the account `me`, and of one that may read alone."""

_MODEL = r"/api/models/(?P<repo>[^/]+/[^/]+)"


@dataclass
class Repository:
    """A repository: branches lead to commits, and these hold files."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    titles: list[str] = field(default_factory=list)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Adds a commit of these files and no others; returns its name."""
        count = len(self.commits)
        sha = hashlib.sha1(f"{count} {sorted(files)}".encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        return sha

    def find(self, revision: str) -> str | None:
        sha = self.branches.get(revision, revision)
        return sha if sha in self.commits else None


@dataclass
class Fault:
    """What goes wrong with requests that match, so many times."""

    method: str
    path: str
    status: int
    times: int
    headers: Mapping[str, str]


class Hub:
    """The state of the server.

    Attributes:
        url: Its address.
        repositories: By "name/repo".
        log: "METHOD path" of each request.
        served: File -> what is sent instead of its content.
        listed: Names that every listing has besides.
        sizes: File -> size that a listing gives.
        cut: Files of which the next answer ends in the middle.
        large_files: By SHA-256, what was sent.
        store_tokens: Token of each request to the store of large files, another host.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.repositories: dict[str, Repository] = {}
        self.log: list[str] = []
        self.served: dict[str, bytes] = {}
        self.listed: list[str] = []
        self.sizes: dict[str, int] = {}
        self.cut: list[str] = []
        self.large_files: dict[str, bytes] = {}
        self.store_tokens: list[str] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def make(self, repo: str, files: dict[str, bytes], *, private: bool = False) -> str:
        """Makes a repository that holds files; returns the commit."""
        self.repositories[repo] = Repository(private)
        return self.repositories[repo].commit(files)

    def files(self, repo: str, branch: str = "main") -> dict[str, bytes]:
        """Returns what a branch holds."""
        one = self.repositories[repo]
        return one.commits[one.branches[branch]]

    def fail(
        self, method: str, path: str, status: int, times: int = 99, **headers: str
    ) -> None:
        """Answers the next requests to a path, a regular expression, with an error."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._faults.append(Fault(method, path, status, times, named))

    def next_fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.log.append(f"{method} {path}")
            for fault in self._faults:
                matches = fault.method == method and re.search(fault.path, path)
                if matches and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def asked(self, text: str) -> list[str]:
        """Returns the requests that contain a text."""
        return [line for line in self.log if text in line]


@contextlib.contextmanager
def serve(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Hub]:
    """Runs a Hub, and makes it the one that this process talks to, as the writer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = server.hub = Hub(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    # Made of the former when the client is imported.
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setenv("HF_TOKEN", WRITER)
    try:
        yield hub
    finally:
        huggingface_hub.close_session()
        server.shutdown()
        server.server_close()
        thread.join()


def blob_id(content: bytes) -> str:
    """Returns git's name for a content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _is_large(name: str) -> bool:
    """Whether .gitattributes would give the file to LFS."""
    return name.endswith((".safetensors", ".bin"))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Small answers must not wait for more.
    disable_nagle_algorithm = True

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._route()

    def do_HEAD(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def do_PUT(self) -> None:
        self._route()

    def _route(self) -> None:
        # Read in any case: what is left would be taken for the next request.
        self.body = self._read_body()
        path = unquote(urlsplit(self.path).path)
        fault = self.hub.next_fault(self.command, path)
        if fault is not None:
            self._error(fault.status, "a fault was ordered", **fault.headers)
            return
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in ("", WRITER, READER):
            self._error(401, "Invalid credentials in Authorization header")
            return
        self.token = token
        for method, pattern, answer in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in method:
                self._answer_route(answer, found.groupdict())
                return
        self._error(404, f"no {self.command} {path} here")

    def _answer_route(self, answer: Callable[..., None], parts: dict[str, str]) -> None:
        repo = parts.pop("repo", None)
        if repo is None:
            answer(self, **parts)
            return
        one = self.hub.repositories.get(repo)
        if one is None or (one.private and not self.token):
            # The real one does not tell strangers what is private.
            status = 404 if self.token else 401
            self._error(status, "Repository not found", X_Error_Code="RepoNotFound")
            return
        if self.command in ("POST", "PUT") and not self._may_write(repo):
            return
        if "revision" in parts:
            sha = one.find(parts["revision"] or "main")
            if sha is None:
                code = "RevisionNotFound"
                self._error(404, "Invalid rev id", X_Error_Code=code)
                return
            parts["revision"] = sha
        answer(self, repo, one, **parts)

    def _may_write(self, repo: str) -> bool:
        if self.token == WRITER and repo.startswith("me/"):
            return True
        self._error(403, "You don't have the rights to do this")
        return False

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while size := int(self.rfile.readline().strip(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _json(self, content: object) -> None:
        kind = {"Content-Type": "application/json"}
        self._send(200, json.dumps(content).encode(), kind)

    def _error(self, status: int, message: str, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = json.dumps({"error": message}).encode()
        self._send(status, body, {"X-Error-Message": message, **named})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def create(self) -> None:
        asked = json.loads(self.body)
        repo = f"{asked['organization']}/{asked['name']}"
        if not self._may_write(repo):
            return
        if repo in self.hub.repositories:
            self._error(409, "You already created this model repo")
            return
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.make(repo, {".gitattributes": b"*.safetensors\n"}, private=private)
        self._json({"url": f"{self.hub.url}/{repo}"})

    def info(self, repo: str, one: Repository, revision: str) -> None:
        self._json({"id": repo, "sha": revision, "private": one.private, "tags": []})

    def tree(self, repo: str, one: Repository, revision: str) -> None:
        files = one.commits[revision] | dict.fromkeys(self.hub.listed, b"")
        entries: list[dict[str, Any]] = [
            {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
            for folder in {name.rpartition("/")[0] for name in files if "/" in name}
        ]
        for name, content in files.items():
            size = self.hub.sizes.get(name, len(content))
            entry = {"type": "file", "path": name, "size": size}
            entry["oid"] = blob_id(content)
            if _is_large(name):
                oid = sha256(content)
                entry["lfs"] = {"oid": oid, "size": size, "pointerSize": 130}
            entries.append(entry)
        self._json(entries)

    def branch(self, repo: str, one: Repository, name: str) -> None:
        one.branches[name] = one.branches["main"]
        self._json({})

    def validate(self) -> None:
        self._json({"errors": [], "warnings": []})

    def preupload(self, repo: str, one: Repository, revision: str) -> None:
        held = one.commits[revision]
        answers = []
        for file in json.loads(self.body)["files"]:
            name = file["path"]
            large = _is_large(name)
            answer = {"path": name, "shouldIgnore": False}
            answer["uploadMode"] = "lfs" if large else "regular"
            if name in held:
                content = held[name]
                answer["oid"] = sha256(content) if large else blob_id(content)
            answers.append(answer)
        self._json({"files": answers})

    def lfs(self, repo: str, one: Repository) -> None:
        objects = [
            {
                **one_file,
                "actions": {
                    "upload": {"href": f"{self.hub.url}/large/{one_file['oid']}"},
                    "verify": {"href": f"{self.hub.url}/verify"},
                },
            }
            for one_file in json.loads(self.body)["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def put_large(self, oid: str) -> None:
        if sha256(self.body) != oid:
            self._error(400, "the content is not of this SHA-256")
            return
        self.hub.large_files[oid] = self.body
        self._send(200, b"", {})

    def verify(self) -> None:
        known = json.loads(self.body)["oid"] in self.hub.large_files
        self._send(200 if known else 404, b"", {})

    def commit(self, repo: str, one: Repository, revision: str) -> None:
        header, *operations = map(json.loads, self.body.splitlines())
        parent = header["value"].get("parentCommit", revision)
        if parent != revision:
            self._error(412, "A commit has happened since")
            return
        files = dict(one.commits[revision])
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.hub.large_files[value["oid"]]
            else:
                assert operation["key"] == "deletedFile"
                del files[value["path"]]
        branch = unquote(urlsplit(self.path).path.rpartition("/")[2])
        one.titles.append(header["value"]["summary"])
        sha = one.commit(files, branch)
        url = f"{self.hub.url}/{repo}/commit/{sha}"
        self._json({"commitUrl": url, "commitOid": sha, "pullRequestUrl": None})

    def resolve(self, repo: str, one: Repository, revision: str, name: str) -> None:
        content = one.commits[revision].get(name)
        if content is None:
            self._error(404, "Entry not found", X_Error_Code="EntryNotFound")
            return
        headers = {"X-Repo-Commit": revision}
        if not _is_large(name):
            headers["ETag"] = f'"{blob_id(content)}"'
            self._content(name, content, headers)
            return
        # A large file lies at another host; what it is called is told here.
        headers["X-Linked-ETag"] = f'"{sha256(content)}"'
        headers["X-Linked-Size"] = str(len(content))
        store = self.hub.url.replace("127.0.0.1", "localhost")
        headers["Location"] = f"{store}/store/{repo}/{revision}/{name}"
        self._send(302, b"", headers)

    def store(self, signed_for: str, revision: str, name: str) -> None:
        # As on the real one, the address itself is the permission.
        self.hub.store_tokens.append(self.token)
        self._content(name, self.hub.repositories[signed_for].commits[revision][name])

    def _content(
        self, name: str, content: bytes, headers: Mapping[str, str] = {}
    ) -> None:
        body = self.hub.served.get(name, content)
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if start:
            first = int(start[1])
            span = f"bytes {first}-{len(body) - 1}/{len(body)}"
            self._send(206, body[first:], {**headers, "Content-Range": span})
        elif name in self.hub.cut and self.command == "GET":
            self.hub.cut.remove(name)
            half = body[: len(body) // 2]
            self._send(200, half, {**headers, "Content-Length": str(len(body))})
            self.close_connection = True
        else:
            self._send(200, body, headers)


_ROUTES: list[tuple[tuple[str, ...], str, Callable[..., None]]] = [
    (("POST",), "/api/repos/create", _Handler.create),
    (("POST",), "/api/validate-yaml", _Handler.validate),
    (("GET",), f"{_MODEL}(/revision/(?P<revision>.+))?", _Handler.info),
    (("GET",), f"{_MODEL}/tree/(?P<revision>.+)", _Handler.tree),
    (("POST",), f"{_MODEL}/branch/(?P<name>.+)", _Handler.branch),
    (("POST",), f"{_MODEL}/preupload/(?P<revision>.+)", _Handler.preupload),
    (("POST",), f"{_MODEL}/commit/(?P<revision>.+)", _Handler.commit),
    (("POST",), r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", _Handler.lfs),
    (("PUT",), "/large/(?P<oid>.+)", _Handler.put_large),
    (("POST",), "/verify", _Handler.verify),
    (
        ("GET", "HEAD"),
        "/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)",
        _Handler.resolve,
    ),
    (
        ("GET",),
        "/store/(?P<signed_for>[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<name>.+)",
        _Handler.store,
    ),
]
