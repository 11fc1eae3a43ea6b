"""The frozen image encoder's output for every training photograph, computed once and kept on disk.

The file is a float16 array [photos, 2, cells, channels] (cells = 10 x 10, channels = 1280): each photograph as it is
and mirrored. An interrupted run goes on where it stopped: rows that are done are listed beside the array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from lorgnette.device.frame import Frame
from lorgnette.device.session import OnnxSession
from lorgnette.export.embedded import PREPROCESSING
from lorgnette.export.encoder_graph import OUT_CHANNELS, STRIDE, encoder_model
from lorgnette.export.legacy_checkpoint import read_legacy_checkpoint
from lorgnette.llm.evaluation.dataset import PhotoSet
from lorgnette.vision.preprocess import Preprocessor

_CELLS = (PREPROCESSING.width // STRIDE) ** 2


def encode_photos(photos: PhotoSet, encoder: Path, out: Path, threads: int = 2) -> npt.NDArray[np.float16]:
    """Features of all `photos`, memory-mapped from `out`; computed where they are missing."""
    shape = (len(photos.photos), 2, _CELLS, OUT_CHANNELS)
    done_path = out.with_suffix(".done.npy")
    if out.exists() and done_path.exists():
        features = np.lib.format.open_memmap(out, mode="r+")
        done = np.load(done_path)
        if features.shape == shape and done.all():
            return features
    else:
        features = np.lib.format.open_memmap(out, mode="w+", dtype=np.float16, shape=shape)
        done = np.zeros(len(photos.photos), bool)
    graph = out.with_name("encoder.onnx")
    graph.write_bytes(encoder_model(read_legacy_checkpoint(encoder), PREPROCESSING.width).SerializeToString())
    session = OnnxSession(graph, threads)
    facts = PREPROCESSING
    preprocessor = Preprocessor(facts.width, facts.height, facts.mean, facts.std)
    for row in track(np.flatnonzero(~done), "encoding photographs"):
        x = preprocessor.normalise(preprocessor.resize(Frame(photos.pixels(photos.photos[row]))))
        pair = np.concatenate([x, x[:, :, :, ::-1]])
        y = session.run({"pixel_values": pair})["features"]
        features[row] = y.reshape(2, OUT_CHANNELS, _CELLS).transpose(0, 2, 1)
        done[row] = True
        if row % 200 == 199:
            features.flush()
            np.save(done_path, done)
    features.flush()
    np.save(done_path, done)
    return features


@dataclass(frozen=True, slots=True)
class EncodedSplit:
    """One split of a data set: `captions` of each photo, and its rows in the `features` of the whole set."""

    captions: Sequence[Sequence[str]]
    rows: npt.NDArray[np.int64]
    features: npt.NDArray[np.float16]

    @classmethod
    def of(cls, photos: PhotoSet, features: npt.NDArray[np.float16], split: str) -> EncodedSplit:
        rows = np.array([i for i, photo in enumerate(photos.photos) if photo.split == split], np.int64)
        return cls([photos.photos[i].captions for i in rows], rows, features)

    def cells(self, places: Sequence[int], mirrored: Sequence[int]) -> npt.NDArray[np.float32]:
        """float32 [n, cells, channels] of the photos at `places` in this split, mirrored where `mirrored` is 1."""
        chosen = [self.features[self.rows[place], flip] for place, flip in zip(places, mirrored, strict=True)]
        return np.stack(chosen).astype(np.float32)
