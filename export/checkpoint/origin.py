"""Where a checkpoint came from, for the manifest of what is made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorgnette.export.llama import WeightsFormatError
from lorgnette.llm.bundle import hash_file


class FileHashes(Mapping[str, str]):
    """SHA-256 in hexadecimal by file name. A file is hashed when it is first asked for, and once."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = {path.name: path for path in paths}
        self._known: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if name not in self._known:
            path = self.paths[name]
            try:
                self._known[name] = hash_file(path)
            except OSError as error:
                raise WeightsFormatError(f"cannot read {path}: {error.strerror}", "fetch the file again") from error
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self.paths

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True, slots=True)
class Origin:
    """`name` is a repository ("org/name") or the folder as the person wrote it; `revision` a commit, "" for a folder.

    `licence` is the word of the model card's front matter ("" where it has none). `files` maps the names of the files
    of weights to their SHA-256. `lora` is the folder of the adapter that was merged, "" for none; then `files` holds
    the adapter's files too.
    """

    name: str
    revision: str
    licence: str
    files: Mapping[str, str]
    lora: str = ""


def read_licence(card: Path) -> str:
    """The licence in the front matter of a model card, its `license_name` where it is "other"; "" where none is said.

    Several licences are joined with commas.
    """
    try:
        text = card.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # a checkpoint without a card is still a checkpoint
    front = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    if front is None:
        return ""
    # Not worth a YAML parser: the hub takes one word, or a list of words.
    said = dict(re.findall(r"^(license|license_name):([^\n#]*(?:\n\s*- [^\n]+)*)", front[1], re.MULTILINE))
    licence = ", ".join(re.findall(r"\w[\w.+-]*", said.get("license", "")))
    return said.get("license_name", "").strip(" '\"") or licence if licence == "other" else licence
