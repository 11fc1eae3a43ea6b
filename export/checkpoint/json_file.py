"""The JSON files beside a checkpoint's weights: config.json, generation_config.json and their kin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lorgnette.export.llama import WeightsFormatError


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file at `path`, or an empty one where there is no such file.

    Raises `WeightsFormatError` if it cannot be read, is not JSON, or is JSON of another kind than an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise WeightsFormatError(f"cannot read {path}: {error.strerror}", "fetch the file again") from error
    except (ValueError, RecursionError) as error:
        raise WeightsFormatError(f"{path} is not JSON: {error}", "fetch the file again") from error
    if not isinstance(value, dict):
        raise WeightsFormatError(f"{path} holds no JSON object", "fetch the file again")
    return value
