"""A registry and a hub in a box: small wheels in a folder that real pip reads, files on a real local HTTP server."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from lorgnette.assistant.weights.catalogue import load_catalogue
from lorgnette.assistant.weights.progress import SilentProgress
from lorgnette.assistant.weights.store import WeightStore

REVISION = "0123456789abcdef0123456789abcdef01234567"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file_entry(path: str, content: bytes) -> dict[str, Any]:
    return {"path": path, "size": len(content), "sha256": sha256(content)}


def weight_entry(files: dict[str, bytes], sources: list[dict[str, Any]], entry: str = "") -> dict[str, Any]:
    return {
        "title": "A test weight",
        "use": "testing",
        "entry": entry,
        "licence": {"id": "CC0-1.0", "url": "https://example.org", "attribution": "nobody"},
        "files": [file_entry(path, content) for path, content in files.items()],
        "sources": sources,
    }


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(slots=True)
class Registry:
    """A folder of wheels that pip is told to look in, and in nothing else."""

    folder: Path

    def publish(
        self, name: str, members: dict[str, bytes], version: str = "1.0", platform: str = "any"
    ) -> dict[str, Any]:
        """Puts a wheel there and returns its entry for a catalogue."""
        folder_name = name.replace("-", "_")
        info = f"{folder_name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: not-there\n"
        files = members | {
            f"{info}/METADATA": metadata.encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-"
            + platform.encode()
            + b"\n",
        }
        wheel = self.folder / f"{folder_name}-{version}-py3-none-{platform}.whl"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in files.items():
                archive.writestr(path, content)
            archive.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in files) + f"{info}/RECORD,,\n")
        content = wheel.read_bytes()
        entry = {"name": name, "version": version, "size": len(content), "sha256": sha256(content)}
        return entry if platform == "any" else entry | {"platform": platform}

    def withdraw(self, name: str) -> None:
        for wheel in self.folder.glob(f"{name.replace('-', '_')}-*.whl"):
            wheel.unlink()


@dataclass(slots=True)
class Hub:
    """The part of the hub that downloads touch: /<repo>/resolve/<revision>/<name>, with Range.

    `stall_after` stops the first answer after so many bytes until `go_on` is set. `requests` lists (name, first byte).
    """

    endpoint: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, int]] = field(default_factory=list)
    stall_after: int | None = None
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def source(self, files: dict[str, bytes], own_files: bool = False) -> dict[str, Any]:
        """Publishes `files` under up/<path> and returns the entry for a catalogue."""
        self.files |= {f"up/{path}": content for path, content in files.items()}
        source: dict[str, Any] = {
            "kind": "hub",
            "repo": "somebody/something",
            "revision": REVISION,
            "names": {path: f"up/{path}" for path in files},
        }
        return source | ({"files": [file_entry(path, content) for path, content in files.items()]} if own_files else {})


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        prefix = f"/somebody/something/resolve/{REVISION}/"
        name = self.path.removeprefix(prefix)
        content = self.hub.files.get(name)
        if not self.path.startswith(prefix) or content is None:
            self.send_error(404)
            return
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.hub.requests.append((name, first))
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        stop, self.hub.stall_after = self.hub.stall_after, None
        try:
            if stop is not None:
                self.wfile.write(content[first:stop])
                self.wfile.flush()
                first = stop
                self.hub.stalled.set()
                self.hub.go_on.wait(60)
            self.wfile.write(content[first:])
        except ConnectionError:
            return  # the reader was killed, which is the point of some tests

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it)
        return


@dataclass(slots=True)
class Box:
    """A catalogue file with the test's entries, and an empty cache."""

    catalogue: Path
    root: Path
    endpoint: str

    def describe(self, **weights: dict[str, Any]) -> None:
        self.catalogue.write_text(json.dumps({"spec": 1, "weights": weights}), "utf-8")

    def store(self, *, offline: bool = False, folder: Path | None = None) -> WeightStore:
        weights = load_catalogue(self.catalogue)
        return WeightStore(
            weights, self.root, folder=folder, endpoint=self.endpoint, offline=offline, progress=SilentProgress()
        )

    def start(self, *arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Starts the real command line on this catalogue and cache."""
        command = [*prefix, sys.executable, "-m", "lorgnette.assistant.command_line.main", *arguments]
        command += ["--set", f"weights.extra_catalogue={self.catalogue}"]
        command += ["--set", f"weights.hub_endpoint={self.endpoint}"]
        environment = os.environ | {"LORGNETTE_CACHE": str(self.root)}
        return subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            # A shell's background job ignores Ctrl-C, and so would what it starts: here it is to be heard.
            preexec_fn=_hear_interrupts,
        )

    def files(self) -> list[str]:
        """Everything in the cache but the locks."""
        found = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
        return sorted(str(path) for path in found if path.parts[0] != "locks")
