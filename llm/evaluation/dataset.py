"""A data set of photographs, as training and evaluation see it: a folder or tar with `index.jsonl` beside the pictures.

A folder without an index whose sub-folders hold pictures is a set of labelled pictures: the folder's name is the label.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import InputError
from lorgnette.device.picture import decode_picture
from lorgnette.llm.evaluation.record import Photo, QuestionAnswer, read_photo

__all__ = ["Photo", "PhotoSet", "QuestionAnswer"]

_INDEXES = ("index.jsonl", "metadata.jsonl")
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
_SPLITS = {"train": "train", "training": "train", "val": "dev", "valid": "dev", "validation": "dev", "dev": "dev"}
_SPLITS |= {"test": "test", "testing": "test"}
_HINT = "give a folder or tar with index.jsonl, or one with a sub-folder of pictures for each label"


class PhotoSet:
    """Random access to the pictures of one data set; `photos` holds the records in file order. For one thread.

    Raises InputError for anything that is not a data set, with the file and the line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = path if path.is_dir() else None
        self._tar: tarfile.TarFile | None = None
        self._members: dict[str, tarfile.TarInfo] = {}
        if self._folder is None:
            self._open_tar(path)
        self.photos: list[Photo] = self._records()
        if not self.photos:
            raise InputError(f"{path} holds no photographs", _HINT)

    @property
    def name(self) -> str:
        """The folder's or tar's name without its ending."""
        return self.path.resolve().name.removesuffix(".gz").removesuffix(".tgz").removesuffix(".tar")

    def pixels(self, photo: Photo) -> npt.NDArray[np.uint8]:
        """The picture, upright, as RGB uint8 [height, width, 3]. Raises InputError where it cannot be decoded."""
        return decode_picture(self._read(photo.image), f"{self.path}: {photo.image}").pixels

    def _open_tar(self, path: Path) -> None:
        try:
            self._tar = tarfile.open(path)  # noqa: SIM115 (kept open for random access)
            self._members = {m.name.removeprefix("./"): m for m in self._tar if m.isfile()}
        except (OSError, tarfile.TarError, EOFError) as error:
            raise InputError(f"cannot open the data set {path}: {_reason(error)}", _HINT) from error

    def _records(self) -> list[Photo]:
        index = next((name for name in _INDEXES if self._has(name)), None)
        if index is None:
            return self._labelled_folders()
        try:
            lines = self._read(index).decode("utf-8-sig").split("\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path}: {index} is not UTF-8 text", "save it as UTF-8") from error
        photos = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            place = f"{self.path}: {index} line {number}"
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{place} is not JSON", "write one JSON object a line") from error
            photo = read_photo(record, place)
            if not self._has(photo.image):
                raise InputError(f"{place}: there is no file {photo.image}", "paths count from the folder of the index")
            photos.append(photo)
        return photos

    def _labelled_folders(self) -> list[Photo]:
        """<label>/<picture>, or <split>/<label>/<picture>."""
        photos = []
        for name in self._names():
            *folders, file = PurePosixPath(name).parts
            if not folders or PurePosixPath(file).suffix.lower() not in _PICTURES or file.startswith("."):
                continue
            split = _SPLITS.get(folders[0].lower(), "") if len(folders) > 1 else ""
            photos.append(Photo(name, label=" ".join(folders[-1].replace("_", " ").split()), split=split))
        if not photos:
            raise InputError(f"{self.path} is not a data set: it has no index.jsonl", _HINT)
        return photos

    def _names(self) -> list[str]:
        if self._folder is None:
            return sorted(self._members)
        return sorted(file.relative_to(self._folder).as_posix() for file in self._folder.rglob("*") if file.is_file())

    def _has(self, name: str) -> bool:
        return name in self._members if self._folder is None else (self._folder / name).is_file()

    def _read(self, name: str) -> bytes:
        try:
            if self._folder is not None:
                return (self._folder / name).read_bytes()
            assert self._tar is not None
            file = self._tar.extractfile(self._members[name])
            assert file is not None
            return file.read()
        except (OSError, tarfile.TarError, EOFError) as error:
            raise InputError(f"{self.path}: cannot read {name}: {_reason(error)}", "fetch or copy it again") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
