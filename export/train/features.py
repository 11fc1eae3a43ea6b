"""The frozen encoder's output for every training photograph, in several views, computed once and kept on disk.

The file is an int8 array [photos, views, cells, channels] (cells = 10 x 10; channels as in `encoder_graph`). An
interrupted run goes on where it stopped: rows that are done are listed beside the array.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.progress import track

from lorgnette.device.frame import Frame
from lorgnette.device.session import OnnxSession
from lorgnette.export.embedded import PREPROCESSING
from lorgnette.export.encoder_graph import STRIDE, channels, encoder_model
from lorgnette.export.legacy_checkpoint import read_legacy_checkpoint
from lorgnette.llm.evaluation.dataset import PhotoSet
from lorgnette.vision.preprocess import Preprocessor

Pixels = npt.NDArray[np.uint8]
View = Callable[[Pixels, random.Random], Pixels]

CELLS = (PREPROCESSING.width // STRIDE) ** 2
_LARGEST = 6.0  # all of the encoder's channels end there (ReLU6), or nearly
_SAVE_EVERY = 400
_SMALLEST_CROP = 0.75  # of a side


def to_bytes(cells: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    """Encoder output in 8 bits, a quarter of the disk and memory; steps of 0.047, where channels spread by about 1."""
    steps: npt.NDArray[np.float32] = np.clip(np.rint(cells * (127 / _LARGEST)), -127, 127)
    return steps.astype(np.int8)


def from_bytes(kept: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    """What `to_bytes` was given, to within half a step."""
    return kept.astype(np.float32) * np.float32(_LARGEST / 127)


def as_it_is(pixels: Pixels, rng: random.Random) -> Pixels:
    return pixels


def mirrored(pixels: Pixels, rng: random.Random) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1])


def cropped(pixels: Pixels, rng: random.Random) -> Pixels:
    """A part of the picture, of another aspect ratio as a rule, mirrored half of the time."""
    height, width = pixels.shape[:2]
    h, w = (max(1, round(side * rng.uniform(_SMALLEST_CROP, 1.0))) for side in (height, width))
    y, x = rng.randint(0, height - h), rng.randint(0, width - w)
    part = pixels[y : y + h, x : x + w]
    return mirrored(part, rng) if rng.random() < 0.5 else part


def darkened(pixels: Pixels, rng: random.Random) -> Pixels:
    """Too little light: a few steps of brightness are left, and noise."""
    noise = np.random.default_rng(rng.randrange(2**32)).normal(0, rng.uniform(1, 4), pixels.shape)
    return np.clip(pixels * rng.uniform(0.0, 0.06) + noise, 0, 255).astype(np.uint8)


def blurred(pixels: Pixels, rng: random.Random) -> Pixels:
    """So far out of focus that only patches of colour are left."""
    sigma = max(pixels.shape[:2]) * rng.uniform(0.06, 0.15)
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def blank(pixels: Pixels, rng: random.Random) -> Pixels:
    """A surface in the picture's mean colour, a little brighter at one end."""
    slope = np.linspace(-1, 1, pixels.shape[1])[None, :, None] * rng.uniform(0, 30)
    surface: npt.NDArray[np.float64] = pixels.mean((0, 1)) + slope + np.zeros(pixels.shape)
    return surface.clip(0, 255).astype(np.uint8)


GOOD_VIEWS: tuple[View, ...] = (as_it_is, mirrored, cropped, cropped)
BAD_VIEWS: tuple[View, ...] = (darkened, blurred, blank)


def encode_photos(
    photos: PhotoSet,
    rows: Sequence[int],
    views: Sequence[View],
    encoder: Path,
    out: Path,
    threads: int = 2,
) -> npt.NDArray[np.int8]:
    """Features of the `views` of the photos at `rows`, memory-mapped from `out`; computed where they are missing."""
    weights = read_legacy_checkpoint(encoder)
    shape = (len(rows), len(views), CELLS, channels(weights))
    done_path = out.with_suffix(".done.npy")
    if out.exists() and done_path.exists():
        features = np.lib.format.open_memmap(out, mode="r+")
        done = np.load(done_path)
        if features.shape == shape and done.all():
            return features
    else:
        features = np.lib.format.open_memmap(out, mode="w+", dtype=np.int8, shape=shape)
        done = np.zeros(len(rows), bool)
    graph = out.with_suffix(".encoder.onnx")
    graph.write_bytes(encoder_model(weights, PREPROCESSING.width).SerializeToString())
    # One thread for each picture beats several for one: nobody waits for anybody.
    session = OnnxSession(graph, 1)
    facts = PREPROCESSING
    preprocessor = Preprocessor(facts.width, facts.height, facts.mean, facts.std)

    def encode(place: int, pixels: Pixels) -> None:
        rng = random.Random(place)
        for number, view in enumerate(views):
            x = preprocessor.normalise(preprocessor.resize(Frame(view(pixels, rng))))
            y = session.run({"pixel_values": x})["features"]
            features[place, number] = to_bytes(y.reshape(shape[3], CELLS).T)
        done[place] = True

    with ThreadPoolExecutor(threads) as pool:
        missing = np.flatnonzero(~done)
        batches = [missing[start : start + _SAVE_EVERY] for start in range(0, len(missing), _SAVE_EVERY)]
        for batch in track(batches, f"encoding {photos.name}"):
            jobs = [pool.submit(encode, int(place), photos.pixels(photos.photos[rows[place]])) for place in batch]
            for job in jobs:
                job.result()
            features.flush()
            np.save(done_path, done)
    return features
