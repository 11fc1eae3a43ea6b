"""Profiles: for a kind of device, the precision of each part, what it can do, and what a bundle may cost there.

A profile is data: `profiles/NAME.toml` here, or a person's own file. Places for NPUs (QNN, CoreML, OpenVINO) are
profiles that name their provider first; the graphs are the same.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from lorgnette.device.errors import InputError
from lorgnette.export.assembly import Plan
from lorgnette.export.precision import PRECISIONS, precision
from lorgnette.llm.manifest_reader import ManifestError, read_record

FOLDER = Path(__file__).parent / "profiles"


@dataclass(frozen=True, slots=True)
class Device:
    """What the device can do, to estimate what it has not been measured doing: `gflops` for the products of a picture
    (10^9 operations a second, as the vision precision runs), `bandwidth_gbs` for reading the weights of each token."""

    cores: int
    gflops: float
    bandwidth_gbs: float


@dataclass(frozen=True, slots=True)
class Budget:
    """The most memory (10^6 bytes), the longest wait for the first token with one tile (s), the slowest decoding."""

    memory_mb: float
    first_token_s: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class Profile:
    """`vision` and `decoder` are names of precisions, the first of each is run. `context` and `max_tiles` are at most
    the model's own (0: those). `calibrated` rounds 4-bit matrices by GPTQ, `rowwise` 8-bit ones of the decoder by whole
    rows. `threads` is what to run it with (0: one for each core)."""

    name: str
    summary: str
    vision: tuple[str, ...]
    decoder: tuple[str, ...]
    providers: tuple[str, ...]
    device: Device
    budget: Budget
    table_bits: int = 8
    symmetric: bool = True
    calibrated: bool = True
    share_table: bool = True
    rowwise: bool = False
    context: int = 0
    max_tiles: int = 0
    threads: int = 0

    def plan(self) -> Plan:
        """What `assemble` is to write."""
        return Plan(
            decoder=tuple(precision(name) for name in self.decoder),
            vision=tuple(precision(name) for name in self.vision),
            table_bits=self.table_bits,
            symmetric=self.symmetric,
            share_table=self.share_table,
            rowwise=self.rowwise,
            profile=self.name,
        )


def profile_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_profile(name: str) -> Profile:
    """One of ours by its name, or a TOML file. Raises InputError with the place of what is wrong in it."""
    path = FOLDER / f"{name}.toml" if name in profile_names() else Path(name)
    if not path.is_file():
        raise InputError(f"there is no profile {name!r}", f"choose from {', '.join(profile_names())}, or give a file")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the profile {path}: {error}", "give a TOML file") from error
    try:
        profile = read_record(Profile, {"name": path.stem} | values, path.name)
    except ManifestError as error:
        raise InputError(f"the profile is not as it should be: {error}", f"look at {FOLDER / 'cpu.toml'}") from error
    for part in ("vision", "decoder"):
        for one in getattr(profile, part):
            if one not in PRECISIONS:
                raise InputError(f"{path.name}: {part} {one!r} is no precision", f"choose from {', '.join(PRECISIONS)}")
    if profile.table_bits not in (4, 8):
        raise InputError(f"{path}: table_bits must be 4 or 8, not {profile.table_bits}")
    return profile
