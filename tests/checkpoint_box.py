"""Small checkpoints in the forms that people have them: folders, LoRA folders, a hub on a real local HTTP server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import loopback
import numpy as np
import numpy.typing as npt

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = {"model_type": "tiny", "architectures": ["TinyForCausalLM"]}
_WORDS = {"float16": "F16", "float32": "F32", "float64": "F64", "int64": "I64", "uint8": "U8"}
Arrays = Mapping[str, npt.NDArray[Any]]


def as_bfloat16(array: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """The upper halves of float32 numbers, cut off rather than rounded."""
    return (np.asarray(array, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def safetensors(arrays: Arrays) -> bytes:
    """A safetensors file. uint16 arrays are taken for bfloat16."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in arrays.items():
        word = "BF16" if array.dtype == np.uint16 else _WORDS[array.dtype.name]
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": word, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def write_folder(folder: Path, files: Mapping[str, bytes | dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(json.dumps(content).encode() if isinstance(content, dict) else content)
    return folder


def write_lora(folder: Path, arrays: Arrays, **config: Any) -> Path:
    described = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "org/base"} | config
    return write_folder(folder, {"adapter_config.json": described, "adapter_model.safetensors": safetensors(arrays)})


class Quiet:
    """Progress that is kept for the test: `labels` lists the files that were fetched."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.done = 0

    @contextmanager
    def transfer(self, label: str, total_bytes: int) -> Iterator[Any]:
        self.labels.append(label)

        def report(done: int) -> None:
            self.done = done

        yield report

    def say(self, text: str) -> None:
        self.labels.append(text)


@dataclass(slots=True)
class Hub:
    """One repository, `org/tiny`, at COMMIT and the branches in `refs`.

    `lfs` names the files that are listed with a SHA-256; others have a git blob id. `listed` overrides what the listing
    says about a file. `token` is what a reader must show for the files; `cut_after` ends the next answer after so many
    bytes of the file. `requests` lists (name, first byte) of the files asked for.
    """

    endpoint: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    lfs: frozenset[str] = frozenset({"model.safetensors"})
    listed: dict[str, dict[str, Any]] = field(default_factory=dict)
    token: str = ""
    cut_after: int | None = None
    requests: list[tuple[str, int]] = field(default_factory=list)

    def listing(self) -> dict[str, Any]:
        return {"id": "org/tiny", "sha": COMMIT, "siblings": [self._sibling(name) for name in self.files]}

    def _sibling(self, name: str) -> dict[str, Any]:
        content = self.files[name]
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
        if name in self.lfs:
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 130}
        return entry | self.listed.get(name, {})


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/models/"):
            repo, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            if repo != "org/tiny":
                self._refuse(401 if repo == "org/hidden" else 404, "RepoNotFound")
            elif (revision or "main") not in {*self.hub.refs, COMMIT}:
                self._refuse(404, "RevisionNotFound")
            else:
                self._answer(json.dumps(self.hub.listing()).encode())
            return
        prefix = f"/org/tiny/resolve/{COMMIT}/"
        name = path.removeprefix(prefix)
        if not path.startswith(prefix) or name not in self.hub.files:
            self._refuse(404, "EntryNotFound")
        elif self.hub.token and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self._refuse(401, "GatedRepo")
        else:
            self._answer(self.hub.files[name], name)

    def _answer(self, content: bytes, name: str | None = None) -> None:
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if first else 200)
        self.send_header("Content-Type", "application/json" if name is None else "application/octet-stream")
        self.send_header("Content-Length", str(len(content) - first))
        self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        stop = len(content)
        if name is not None:
            self.hub.requests.append((name, first))
            stop, self.hub.cut_after = self.hub.cut_after or stop, None
        self.wfile.write(content[first:stop])

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it)
        return


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Runs the hub on a free port of this machine; the server has stopped when the block ends."""
    with loopback.serving(loopback.bound(Handler, hub=hub)) as hub.endpoint:
        yield hub
