"""Does a bundle load on arm64, and does it answer there as it does here? On an x86-64 Debian, in qemu's emulation.

    apt-get install qemu-user-static     # the one thing that needs root; on Debian 12 with -t bookworm-backports
    python benchmarks/arm64.py bundle/ [--root FOLDER] [--tokens 8] [--json]

A folder (200 MB to fetch once; lorgnette's cache, or --root) gets an extracted arm64 Debian with Python and the arm64
wheels that `OnnxEngine` needs; nothing is installed. `arm64_answers.py` then runs twice with the same versions of all
libraries, here and as a Cortex-A76, the second time led through the answers of the first: each token is chosen behind
the same ones. Kernels of another processor round otherwise: a choice between two tokens at most 0.25 nats apart is a
near-tie. Exits with 0 if all others are the same, 1 if not, 2 if it could not be tried. It shows that a bundle loads
and what it answers; times in an emulation say nothing of a device.

qemu 7.2 (Debian 12) runs no onnxruntime after 1.27, which on arm64 rounds an int4 decoder more than others (against
products in fp32: KL 0.046 nats; 0.007 from 1.29 on, and here). qemu 10 runs the installed version: believe that one.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from arm64_answers import LIBRARIES
from machine import describe_machine
from rich.console import Console
from rich.table import Table

from lorgnette.assistant.weights.cache import cache_folder
from lorgnette.device.errors import LorgnetteError
from lorgnette.export.verification.comparison import NEAR_TIE, Flip
from lorgnette.llm.sampling import log_softmax

Floats = npt.NDArray[np.floating[Any]]
_REPOSITORY = Path(__file__).resolve().parents[1]
_CPU = "cortex-a76"  # that of a Raspberry Pi 5; by default qemu has features, and so the runtime kernels, that it lacks
_OLD_QEMU, _RUNTIME_FOR_OLD_QEMU = 10, "1.27.0"  # tried: 7.2 crashes in 1.28 to 1.32, 10.0 runs all of them
_DEBIAN = ("python3-minimal", "libpython3-stdlib", "libstdc++6")


@dataclass(frozen=True, slots=True)
class Compared:
    """One question. `here` and `there` are the tokens chosen behind those of `here`; `flips` where they are not the
    same; `mean_kl` in nats; `rows_cosine` of the first rows of the prompt, image features where it has a picture."""

    question: str
    picture: str
    text: str
    here: tuple[int, ...]
    there: tuple[int, ...]
    flips: tuple[Flip, ...]
    mean_kl: float
    rows_cosine: float
    here_s: float
    there_s: float


def find_flips(here: Floats, there: Floats) -> tuple[Flip, ...]:
    """Where logits [tokens, vocabulary] choose otherwise; the margins are those of `here`."""
    pairs = enumerate(zip(here.argmax(-1), there.argmax(-1), strict=True))
    return tuple(
        Flip(place, int(wanted), int(chosen), float(here[place, wanted] - here[place, chosen]))
        for place, (wanted, chosen) in pairs
        if wanted != chosen
    )


def compare(
    asked: dict[str, Any], there_s: float, here: tuple[Floats, Floats], there: tuple[Floats, Floats]
) -> Compared:
    """Compare the (logits, rows) of one question."""
    pairs = zip(here[0], there[0], strict=True)
    kl = [float((np.exp(log_softmax(a)) * (log_softmax(a) - log_softmax(b))).sum()) for a, b in pairs]
    one, other = here[1].astype(np.float64), there[1].astype(np.float64)
    return Compared(
        asked["question"],
        asked["picture"],
        asked["text"],
        tuple(map(int, here[0].argmax(-1))),
        tuple(map(int, there[0].argmax(-1))),
        find_flips(here[0], there[0]),
        float(np.mean(kl)),
        float((one * other).sum() / (np.linalg.norm(one) * np.linalg.norm(other))),
        asked["s"],
        there_s,
    )


def find_qemu() -> tuple[str, str]:
    """The emulator and its version, such as "7.2.22"."""
    qemu = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if qemu is None:
        raise LorgnetteError("qemu is not here", "apt-get install qemu-user-static")
    return qemu, call([qemu, "--version"], "qemu").partition("version ")[2].split()[0]


def make_root(folder: Path) -> Path:
    """An extracted arm64 Debian of this machine's release in `folder`; apt keeps its state there too."""
    root = folder / "root"
    if root.is_dir():
        return root
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise LorgnetteError("apt-get or dpkg-deb is not here", "run this on a Debian")
    apt, archives, part = folder / "apt", folder / "apt" / "cache" / "archives", folder / "root.part"
    for place in (apt / "state" / "lists" / "partial", archives / "partial"):
        place.mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()  # nothing is installed: apt names every package that is needed
    options = ["APT::Architecture=arm64", "APT::Architectures=arm64", "APT::Sandbox::User=root"]
    options += [f"Dir::State={apt / 'state'}", f"Dir::State::status={apt / 'status'}", f"Dir::Cache={apt / 'cache'}"]
    command = ["apt-get", "--quiet", "--yes", *(f"--option={option}" for option in options)]
    # A source without arm64 is no harm: whether the packages are there is seen next.
    subprocess.run([*command, "update"], check=False, capture_output=True)
    install = [*command, "install", "--download-only", "--no-install-recommends", *_DEBIAN]
    call(install, "apt found no arm64 Python", "apt's sources must name a Debian archive that has arm64")
    shutil.rmtree(part, ignore_errors=True)
    for package in sorted(archives.glob("*.deb")):
        call(["dpkg-deb", "--extract", str(package), str(part)], f"cannot extract {package.name}")
    if not (part / "lib").exists():  # releases from 13 on have it all below usr
        (part / "lib").symlink_to("usr/lib")
    part.rename(root)
    shutil.rmtree(apt)
    return root


def make_wheels(folder: Path, machine: str, python: str, versions: dict[str, str]) -> Path:
    """The libraries in these versions for Python `python` ("3.11") on `machine`, unzipped."""
    place = folder / f"wheels-{machine}"
    wanted = "\n".join([f"python {python}", *(f"{name}=={version}" for name, version in versions.items())])
    note = place / "unzipped.txt"
    if note.is_file() and note.read_text("utf-8") == wanted:
        return place
    shutil.rmtree(place, ignore_errors=True)
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(17, 37)] + [f"manylinux2014_{machine}"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--implementation=cp", f"--python-version={python}", *(f"--platform={name}" for name in platforms)]
    with tempfile.TemporaryDirectory(dir=folder) as fetched:
        call([*command, f"--dest={fetched}", *wanted.splitlines()[1:]], f"pip found no wheels for {machine}")
        for wheel in Path(fetched).glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(place)
    note.write_text(wanted, "utf-8")
    return place


def call(command: list[str], what: str, hint: str = "") -> str:
    """What `command` prints. Raises LorgnetteError with the last line of its complaint."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise LorgnetteError(f"{what}: {last}", hint)
    return done.stdout


def answers(python: list[str], wheels: Path, folder: Path, out: Path, arguments: list[str]) -> dict[str, Any]:
    """What `arm64_answers.py` writes when `python` runs it with `wheels`."""
    paths = f"{wheels}{os.pathsep}{_REPOSITORY / '.typing'}"
    # Nothing of this machine's environment is meant for the other one.
    environment = {"PATH": os.defpath, "PYTHONPATH": paths, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    program = str(Path(__file__).with_name("arm64_answers.py"))
    done = subprocess.run(
        [*python, "-S", program, *arguments[:1], str(out), *arguments[1:]], env=environment, check=False
    )
    if done.returncode:
        raise LorgnetteError(f"{Path(python[0]).name} ended with {done.returncode}", "read what it said above")
    with np.load(out) as found:
        return {name: json.loads(str(found[name])) if name == "facts" else found[name] for name in found.files}


def measure(bundle: Path, folder: Path, tokens: int) -> tuple[dict[str, Any], list[Compared]]:
    """Facts of both runs, and the questions."""
    if platform.machine() != "x86_64":
        raise LorgnetteError(f"this is a {platform.machine()} machine, not an x86_64", "run it on one of those")
    qemu, version = find_qemu()
    folder.mkdir(parents=True, exist_ok=True)
    with Console(stderr=True).status("fetching an arm64 Debian and wheels"):
        root = make_root(folder)
        python = next(path for path in root.glob("usr/bin/python3.*") if path.name[9:].isdigit())
        versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
        if int(version.split(".")[0]) < _OLD_QEMU:
            versions["onnxruntime"] = _RUNTIME_FOR_OLD_QEMU
        ours = make_wheels(folder, "x86_64", "{}.{}".format(*sys.version_info), versions)
        theirs = make_wheels(folder, "aarch64", python.name.removeprefix("python"), versions)
    with tempfile.TemporaryDirectory() as results:
        first, second = Path(results, "here.npz"), Path(results, "there.npz")
        arguments = [str(bundle), f"--tokens={tokens}"]
        here = answers([sys.executable], ours, folder, first, arguments)
        emulated = [qemu, "-cpu", _CPU, "-L", str(root), str(python)]
        there = answers(emulated, theirs, folder, second, [*arguments, f"--follow={first}"])
    pairs = zip(here["facts"]["answers"], there["facts"]["answers"], strict=True)
    compared = [
        compare(one, other["s"], *((run[f"logits_{number}"], run[f"rows_{number}"]) for run in (here, there)))
        for number, (one, other) in enumerate(pairs)
    ]
    facts = {"emulator": f"qemu {version}, {_CPU}", "machine": describe_machine(), "bundle": bundle.name}
    return facts | {"here": here["facts"], "there": there["facts"]}, compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--root", type=Path, help="where the arm64 Debian and the wheels lie (default: in the cache)")
    parser.add_argument("--tokens", type=int, default=8, help="of each answer")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    try:
        facts, compared = measure(args.bundle.resolve(), (args.root or cache_folder() / "arm64").resolve(), args.tokens)
    except LorgnetteError as error:
        parser.exit(2, f"{error}\n")
    flips = [flip for one in compared for flip in one.flips]
    finite = all(np.isfinite(one.mean_kl) for one in compared)
    count, ties = sum(len(one.here) for one in compared), sum(flip.margin <= NEAR_TIE for flip in flips)
    verdict = {"tokens": count, "same": count - len(flips), "near_ties": ties, "agrees": ties == len(flips) and finite}
    if args.json:
        print(json.dumps(facts | {"compared": [asdict(one) for one in compared]} | verdict, indent=2))
    else:
        show(facts, compared)
        print(f"{verdict['same']} of {count} tokens are the same, {ties} are near-ties. Speed is not shown by this.")
    sys.exit(0 if verdict["agrees"] else 1)


def show(facts: dict[str, Any], compared: list[Compared]) -> None:
    files = ", ".join(f"{role}{suffix}" for role, suffix in facts["here"]["files"].items())
    machines = Table("", facts["machine"], facts["emulator"], title=f"{facts['bundle']}: {files}")
    rows = [
        {"machine": run["machine"], "python": run["python"], **run["versions"], "open, s": f"{run['open_s']:.1f}"}
        for run in (facts["here"], facts["there"])
    ]
    for name, value in rows[0].items():
        machines.add_row(name, value, rows[1][name])
    answers = Table("question", "tokens here", "tokens there", "KL, nats", "cosine", "here, s", "there, s")
    for one in compared:
        margins = {flip.place: f" (margin {flip.margin:.3f})" for flip in one.flips}
        tokens = " ".join(f"{token}{margins.get(place, '')}" for place, token in enumerate(one.there))
        figures = (f"{one.mean_kl:.1g}", f"{one.rows_cosine:.5f}", f"{one.here_s:.1f}", f"{one.there_s:.1f}")
        answers.add_row(f"{one.question} {one.picture}", " ".join(map(str, one.here)), tokens, *figures)
    Console().print(machines, answers)


if __name__ == "__main__":
    main()
