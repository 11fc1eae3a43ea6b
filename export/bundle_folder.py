"""Write a bundle's folder so that it is there whole or not at all, and by one process at a time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from lorgnette.llm.bundle import BundleError

_PARTIAL = ".partial"


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the right to write `out`; another process that asks for it waits."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BundleError(f"cannot make the folder {out.parent}: {error}", "choose another place with --out") from error
    with FileLock(out.parent / f".{out.name}.lock"):
        yield


@contextmanager
def replacing(out: Path, inputs: str = "") -> Iterator[Path]:
    """Give an empty folder beside `out` to write into; on success it takes the place of `out`, on failure it is gone.

    With `inputs`, the hash of what the bundle is made of, an interruption leaves what was written, and the next writer
    of `out` with the same inputs is given that. Raises `BundleError` if the disk is full or not writable, or if `out`
    holds something that is no bundle.
    """
    check_place(out)
    work: Path | None = None
    interrupted = False
    try:
        work = _take_up(out, inputs) if inputs else Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        work.chmod(0o755)
        fresh = work / "new"
        fresh.mkdir(exist_ok=True)
        yield fresh
        _swap(fresh, out, work / "old")
    except OSError as error:
        raise BundleError(f"cannot write the bundle {out}: {error}", "free some space or use another folder") from error
    except (KeyboardInterrupt, SystemExit):
        interrupted = True
        raise
    finally:
        if work is not None and not (interrupted and inputs):
            shutil.rmtree(work, ignore_errors=True)


def _take_up(out: Path, inputs: str) -> Path:
    """The folder of these inputs; those that other inputs have left are removed."""
    mine = out.parent / f".{out.name}.{inputs[:16]}{_PARTIAL}"
    for left in out.parent.glob(f".{out.name}.*{_PARTIAL}"):
        if left != mine:
            shutil.rmtree(left, ignore_errors=True)
    mine.mkdir(exist_ok=True)
    return mine


def check_place(out: Path) -> None:
    """Raises `BundleError` if `out` holds something that is no bundle."""
    if out.exists() and not (out / "manifest.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise BundleError(f"{out} is there already and is no bundle", "choose an empty or new folder with --out")


def put_in_place(fresh: Path, out: Path) -> None:
    """Rename the finished folder `fresh`, which lies beside `out`, to `out`, whose bundle it replaces. OSError as the
    disk gives it; then both are as they were."""
    aside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        _swap(fresh, out, aside / "old")
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _swap(fresh: Path, out: Path, aside: Path) -> None:
    if out.exists():
        out.rename(aside)
    try:
        fresh.rename(out)
    except OSError:
        if aside.exists():
            aside.rename(out)
        raise
