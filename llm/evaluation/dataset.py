"""Photographs with captions, as the training sees them: a folder or a tar with `index.jsonl` beside the pictures.

One JSON record a line: `image` (path inside the folder or tar), `captions` (list of text) and `split`.
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import InputError


@dataclass(frozen=True, slots=True)
class Photo:
    image: str
    captions: tuple[str, ...]
    split: str


class PhotoSet:
    """Random access to the pictures of one data set; `photos` holds the records in file order."""

    def __init__(self, path: Path) -> None:
        self._folder = path if path.is_dir() else None
        self._tar = None
        self._members: dict[str, tarfile.TarInfo] = {}
        if self._folder is None:
            try:
                self._tar = tarfile.open(path)  # noqa: SIM115 (kept open for random access)
            except (OSError, tarfile.TarError) as error:
                raise InputError(f"cannot open the data set {path}", "give a folder or tar with index.jsonl") from error
            self._members = {m.name.removeprefix("./"): m for m in self._tar if m.isfile()}
        records = (json.loads(line) for line in self._read("index.jsonl").decode().splitlines())
        self.photos = [Photo(r["image"], tuple(r["captions"]), r["split"]) for r in records]

    def _read(self, name: str) -> bytes:
        if self._folder is not None:
            return (self._folder / name).read_bytes()
        assert self._tar is not None
        file = self._tar.extractfile(self._members[name])
        assert file is not None
        return file.read()

    def pixels(self, photo: Photo) -> npt.NDArray[np.uint8]:
        """The picture as RGB uint8 [height, width, 3]. Raises InputError where it cannot be decoded."""
        bgr = cv2.imdecode(np.frombuffer(self._read(photo.image), np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise InputError(f"{photo.image} is not a picture", "leave it out of index.jsonl")
        return np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8)
