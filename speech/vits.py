"""A VITS voice cut in two, so that its first sound comes before the whole clause has been computed.

VITS (Kim et al. 2021) turns phonemes into frames (text encoder, durations, flow), and a HiFi-GAN decoder turns frames
into samples. The decoder is convolutional, so stretches of frames may be decoded one after the other: with enough of
their neighbours around them they give the very samples that decoding all at once gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lorgnette.device.session import Array, OnnxSession, SessionError

Samples = npt.NDArray[np.float32]

_DECODER = "/dec/conv_pre/Conv"
"""The decoder's first node in every voice that Piper exports."""

_CONTEXT_FRAMES = 10
"""Frames on each side that reach into a stretch: with 10 the samples agree to 120 dB, with 8 to 60 dB."""

_FIRST_FRAMES = 24
"""A quarter of a second: decoded in a few ms, and heard for longer than the next stretch takes."""

_LONGEST_FRAMES = 192


class VitsVoice:
    """The voice in `model_file`. One of several speakers is not cut: its decoder is
    told who speaks, too. Raises SessionError."""

    def __init__(self, model_file: Path, threads: int = 0) -> None:
        cut = _cut(model_file)
        if cut is None:
            self._whole: OnnxSession | None = OnnxSession(model_file, threads)
            return
        self._whole = None
        self._frames = OnnxSession(model_file, threads, cut[0])
        self._decoder = OnnxSession(model_file, threads, cut[1])

    def synthesize(
        self, phoneme_ids: Sequence[int], noise: float, length: float, noise_width: float
    ) -> Iterator[Samples]:
        """The sound of `phoneme_ids`, float32 of shape (n,) at the voice's rate, in growing pieces. The scales are
        those of the voice's configuration."""
        feeds: dict[str, Array] = {
            "input": np.array([phoneme_ids], np.int64),
            "input_lengths": np.array([len(phoneme_ids)], np.int64),
            "scales": np.array([noise, length, noise_width], np.float32),
        }
        if self._whole is not None:
            if "sid" in self._whole.inputs:
                feeds["sid"] = np.zeros(1, np.int64)
            yield np.asarray(next(iter(self._whole.run(feeds).values()))).reshape(-1)
            return
        yield from self._decode(next(iter(self._frames.run(feeds).values())))

    def _decode(self, frames: Array) -> Iterator[Samples]:
        """`frames` is float32 [1, channels, n]."""
        (name,) = self._decoder.inputs
        count, start, size = frames.shape[2], 0, _FIRST_FRAMES
        while start < count:
            end = min(start + size, count)
            first, last = max(0, start - _CONTEXT_FRAMES), min(count, end + _CONTEXT_FRAMES)
            sound = next(iter(self._decoder.run({name: frames[:, :, first:last]}).values())).reshape(-1)
            hop = len(sound) // (last - first)
            yield np.asarray(sound[(start - first) * hop : (end - first) * hop], np.float32)
            start, size = end, min(2 * size, _LONGEST_FRAMES)


def _cut(model_file: Path) -> tuple[bytes, bytes] | None:
    """The graph up to the decoder's input and from there on; None where more than frames goes into the decoder."""
    import onnx
    from google.protobuf.message import DecodeError
    from onnx.utils import Extractor

    try:
        model: Any = onnx.load(str(model_file))
    except DecodeError as error:
        raise SessionError(f"cannot open the model {model_file}: it is no ONNX file", "fetch it again") from error
    first = next((node for node in model.graph.node if node.name == _DECODER), None)
    inputs = [one.name for one in model.graph.input]
    if first is None or "sid" in inputs:
        return None
    edge, extractor = first.input[0], Extractor(model)
    outputs = [one.name for one in model.graph.output]
    before = extractor.extract_model(inputs, [edge])
    after = extractor.extract_model([edge], outputs)
    return before.SerializeToString(), after.SerializeToString()
