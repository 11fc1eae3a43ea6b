"""Our preprocessing against transformers' own image processor, pixel by pixel."""

from __future__ import annotations

import importlib
from typing import Any, cast

import numpy as np

from lorgnette.device.picture import load_picture
from lorgnette.export.checkpoint.folder import Checkpoint
from lorgnette.export.verification.cases import PHOTOS
from lorgnette.llm.manifest import Preprocessing
from lorgnette.llm.preprocessing import preprocessor

_PICTURES = ("cat.jpg", "astronaut.jpg")


def pixel_difference(checkpoint: Checkpoint, facts: Preprocessing) -> float:
    """The greatest difference between two pixels, on a scale from 0 to 1, over example pictures whole and in tiles.

    Raises ImportError where transformers is not installed, ValueError where its processor cannot be used.
    """
    from PIL import Image

    transformers = cast(Any, importlib.import_module("transformers"))
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(checkpoint.folder, backend="pil")
    except (OSError, ValueError) as error:
        raise ValueError(str(error).splitlines()[0]) from error
    worst = 0.0
    scale = np.array(facts.std, np.float32)[None, :, None, None] / 255
    for tiles in {1, facts.max_tiles}:
        ours = preprocessor(facts, tiles)
        for name in _PICTURES:
            frame = load_picture(PHOTOS / name)
            options = {"do_image_splitting": tiles > 1} if facts.layout == "NTCHW" else {}
            found = processor(images=[Image.fromarray(frame.pixels)], return_tensors="np", **options)["pixel_values"]
            expected = np.asarray(found, np.float32).reshape(-1, 3, facts.height, facts.width)
            actual = ours.normalise(ours.resize(frame))
            if actual.shape != expected.shape:
                raise ValueError(f"the processor makes {len(expected)} tiles of {name}, we make {len(actual)}")
            worst = max(worst, float((np.abs(actual - expected) * scale).max()))
    return worst
