"""A hub on a real local HTTP server that takes uploads as huggingface_hub 2.4 makes them, and gives them out again.

It speaks what that library calls: repos/create, branch, preupload, validate-yaml, the LFS batch with its PUT and
verify, the commit as lines of JSON, and for reading model info, tree and resolve with ranges.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

import loopback

Files = dict[str, bytes]


@dataclass(slots=True)
class Repository:
    """`commits` are the files of each commit, `branches` the commit each is at, `lfs` the names kept apart from git."""

    private: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    lfs: set[str] = field(default_factory=set)

    def commit(self, branch: str, files: Files) -> str:
        told = f"{len(self.commits)} {branch} {sorted(files)}"
        commit = hashlib.sha1(told.encode()).hexdigest()
        self.commits[commit], self.branches[branch] = files, commit
        return commit

    def at(self, revision: str) -> str | None:
        return self.branches.get(revision) or (revision if revision in self.commits else None)


@dataclass(slots=True)
class HubBox:
    """`token` is what a writer must show; `readers_need_it` asks readers for it too. Requests are listed by method and
    path. The next request whose path contains `cut` is answered with a closed connection, after `cut_after` bytes."""

    token: str = "hf_right"
    readers_need_it: bool = False
    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    cut: str = ""
    cut_after: int = 0

    def files(self, repo: str, revision: str = "main") -> Files:
        repository = self.repositories[repo]
        return repository.commits[repository.branches[revision]]


class Refusal(Exception):
    def __init__(self, status: int, code: str = "", message: str = "", body: bytes = b"") -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.body = status, code, message, body


class Handler(BaseHTTPRequestHandler):
    box: HubBox
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def _serve(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        self.box.requests.append(f"{method} {path}")
        if self.box.cut and self.box.cut in path and method != "GET":
            self.box.cut = ""
            self.close_connection = True
            return
        length = self.headers.get("Content-Length")
        body = self._chunks() if length is None and method != "GET" else self.rfile.read(int(length or 0))
        try:
            for pattern, answer in _ROUTES[method]:
                found = re.fullmatch(pattern, path)
                if found:
                    answer(self, body, *found.groups())
                    return
            raise Refusal(404, message=f"this hub has no {method} {path}")
        except Refusal as refusal:
            self._send(refusal.status, refusal.body, {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message})

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _json(self, record: object) -> None:
        self._send(200, json.dumps(record).encode(), {"Content-Type": "application/json"})

    def _check(self, *, writes: bool) -> None:
        shown = self.headers.get("Authorization")
        if (writes or self.box.readers_need_it) and shown != f"Bearer {self.box.token}":
            raise Refusal(401, message="Invalid credentials in Authorization header")

    def _repository(self, name: str) -> Repository:
        if name not in self.box.repositories:
            raise Refusal(404, "RepoNotFound")
        return self.box.repositories[name]

    def create(self, body: bytes) -> None:
        self._check(writes=True)
        asked = json.loads(body)
        name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
        if name.startswith("others/"):
            raise Refusal(403, message="You don't have the rights to create a model under this namespace")
        url = {"url": f"{self.box.endpoint}/{name}"}
        if name in self.box.repositories:
            raise Refusal(409, body=json.dumps(url).encode())
        repository = self.box.repositories[name] = Repository(private=asked.get("visibility") == "private")
        repository.commit("main", {".gitattributes": b"*.onnx filter=lfs\n"})
        self._json(url | {"id": name})

    def branch(self, body: bytes, name: str, branch: str) -> None:
        self._check(writes=True)
        repository = self._repository(name)
        if branch in repository.branches:
            raise Refusal(409)
        repository.branches[branch] = repository.branches["main"]
        self._json({})

    def preupload(self, body: bytes, name: str, revision: str) -> None:
        self._check(writes=True)
        repository = self._repository(name)
        commit = repository.at(revision)
        if commit is None:
            raise Refusal(404, "RevisionNotFound")
        answers = []
        for file in json.loads(body)["files"]:
            assert len(base64.b64decode(file["sample"])) == min(file["size"], 512)
            there = repository.commits[commit].get(file["path"])
            large = file["path"].endswith((".onnx", ".onnx_data"))
            oid = None if there is None else _oid(there, large=large)
            mode = "lfs" if large else "regular"
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._json({"files": answers})

    def batch(self, body: bytes, name: str) -> None:
        self._check(writes=True)
        self._repository(name)
        asked = json.loads(body)
        assert asked["operation"] == "upload" and "basic" in asked["transfers"] and asked["hash_algo"] == "sha256"
        answers = []
        for one in asked["objects"]:
            answer = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self.box.objects:
                href = {step: {"href": f"{self.box.endpoint}/lfs/{step}/{one['oid']}"} for step in ("upload", "verify")}
                answer["actions"] = href
            answers.append(answer)
        self._json({"transfer": "basic", "objects": answers})

    def upload(self, body: bytes, oid: str) -> None:
        """As object storage does, which knows no tokens."""
        if hashlib.sha256(body).hexdigest() != oid:
            raise Refusal(400, message="the content has another hash")
        self.box.objects[oid] = body
        self._json({})

    def verify(self, body: bytes, oid: str) -> None:
        self._check(writes=True)
        asked = json.loads(body)
        if len(self.box.objects.get(oid, b"")) != asked["size"]:
            raise Refusal(404, "EntryNotFound")
        self._json({})

    def validate(self, body: bytes) -> None:
        """The front matter has to be there; of licences a few words are known."""
        content = json.loads(body)["content"]
        front = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
        licence = re.search(r"^license: (.*)$", front[1], re.MULTILINE) if front else None
        known = licence is None or licence[1] in ("apache-2.0", "mit", "other")
        errors = [] if known else [{"message": '"license" must be one of apache-2.0, mit, other'}]
        self._send(400 if errors else 200, json.dumps({"errors": errors, "warnings": []}).encode(), {})

    def commit(self, body: bytes, name: str, branch: str) -> None:
        self._check(writes=True)
        repository = self._repository(name)
        if branch not in repository.branches:
            raise Refusal(404, "RevisionNotFound")
        header, *lines = (json.loads(line) for line in body.splitlines())
        assert header["key"] == "header" and header["value"]["summary"]
        files = dict(repository.commits[repository.branches[branch]])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.box.objects:
                    raise Refusal(400, message="an object is missing")
                files[value["path"]] = self.box.objects[value["oid"]]
                repository.lfs.add(value["path"])
            else:
                raise Refusal(400, message=f"what is {line['key']}?")
        commit = repository.commit(branch, files)
        url = f"{self.box.endpoint}/{name}/commit/{commit}"
        self._json({"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})

    def info(self, body: bytes, name: str, revision: str | None) -> None:
        self._check(writes=False)
        repository = self._repository(name)
        commit = repository.at(revision or "main")
        if commit is None:
            raise Refusal(404, "RevisionNotFound")
        siblings: list[dict[str, Any]] = []
        for path, content in repository.commits[commit].items():
            entry: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": _oid(content, large=False)}
            if path in repository.lfs:
                entry["lfs"] = {"sha256": _oid(content, large=True), "size": len(content), "pointerSize": 130}
            siblings.append(entry)
        self._json({"id": name, "sha": commit, "private": repository.private, "siblings": siblings})

    def tree(self, body: bytes, name: str, revision: str) -> None:
        self._check(writes=False)
        repository = self._repository(name)
        files = repository.commits[repository.at(revision) or ""]
        self._json(
            [
                {"type": "file", "path": path, "size": len(content), "oid": _oid(content, large=False)}
                for path, content in files.items()
            ]
        )

    def resolve(self, body: bytes, name: str, revision: str, path: str) -> None:
        self._check(writes=False)
        repository = self._repository(name)
        content = repository.commits[repository.at(revision) or ""].get(path)
        if content is None:
            raise Refusal(404, "EntryNotFound")
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        stop = len(content)
        if self.box.cut and self.box.cut in path:
            stop, self.box.cut, self.close_connection = first + self.box.cut_after, "", True
        self.wfile.write(content[first:stop])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it)
        return


def _oid(content: bytes, *, large: bool) -> str:
    if large:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


_REPO = r"([^/]+/[^/]+)"
_ROUTES: dict[str, list[tuple[str, Any]]] = {
    "GET": [
        (rf"/api/models/{_REPO}(?:/revision/(.+))?", Handler.info),
        (rf"/api/models/{_REPO}/tree/([^/]+)/?", Handler.tree),
        (rf"/{_REPO}/resolve/([^/]+)/(.+)", Handler.resolve),
    ],
    "POST": [
        (r"/api/repos/create", Handler.create),
        (r"/api/validate-yaml", Handler.validate),
        (rf"/api/models/{_REPO}/branch/(.+)", Handler.branch),
        (rf"/api/models/{_REPO}/preupload/(.+)", Handler.preupload),
        (rf"/api/models/{_REPO}/commit/(.+)", Handler.commit),
        (rf"/{_REPO}\.git/info/lfs/objects/batch", Handler.batch),
        (r"/lfs/verify/([0-9a-f]{64})", Handler.verify),
    ],
    "PUT": [(r"/lfs/upload/([0-9a-f]{64})", Handler.upload)],
}


@contextmanager
def serving(box: HubBox) -> Iterator[HubBox]:
    """Runs the hub on a free port of this machine; the server has stopped when the block ends."""
    with loopback.serving(loopback.bound(Handler, box=box)) as box.endpoint:
        yield box
