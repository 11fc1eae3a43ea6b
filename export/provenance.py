"""With what a bundle was made: versions of this program and of what it leans on, and the command."""

from __future__ import annotations

import importlib.metadata
import shlex
import sys

_MATTER = ("lorgnette", "onnx", "onnxruntime", "numpy", "tokenizers")


def provenance() -> dict[str, str]:
    """Versions by distribution, and `command` where it was one of ours. Says nothing of when and where, so that the
    same input gives the same bundle."""
    found = {name: importlib.metadata.version(name) for name in _MATTER}
    words = sys.argv if sys.argv and sys.argv[0].endswith("lorgnette") else []
    return found | ({"command": shlex.join(["lorgnette", *words[1:]])} if words else {})
