"""Writing a data set: pictures, and `index.jsonl` with one record a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_sets.optics import Pixels

Example = tuple[Pixels, Mapping[str, Any]]
"""A picture and its record but for `image`."""


def write_folder(folder: Path, examples: Iterable[Example], quality: int | None = None) -> int:
    """Write `examples` into `folder`, as JPEG of `quality` (None: between 70 and 93, by number). Returns how many.

    A picture has the name of its number, so that a set of the same size can be written over an older one; index.jsonl
    comes last.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (pixels, record) in enumerate(examples):
        name = f"images/{number:05d}.jpg"
        level = quality if quality is not None else 70 + number * 7 % 24
        done, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(pixels[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, level])
        assert done
        (folder / name).write_bytes(jpeg.tobytes())
        lines.append(json.dumps({"image": name, **record}, ensure_ascii=False))
    (folder / "index.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)
