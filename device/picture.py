"""Pictures from files: any common format to one upright RGB frame, and a clear line for everything else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import InputError
from lorgnette.device.frame import Frame
from lorgnette.device.picture_header import PictureHeader, read_header
from lorgnette.device.source import read_source, source_name

MAX_PIXELS = 64_000_000
"""Larger pictures are refused before they are decoded: 64 megapixels are 192 MB as RGB."""

MAX_BYTES = 64 * 2**20

_SILENT = 0
_FORMATS_HINT = "give a JPEG, PNG, WebP, GIF or BMP picture"


def load_picture(source: str | Path) -> Frame:
    """The picture in the file `source`, or on standard input when it is `-`.

    EXIF rotation is applied, transparency is laid on white, grey and CMYK become RGB, 16 bits become 8, and of an
    animation the first picture is taken. Raises InputError with what is wrong.
    """
    return decode_picture(read_source(source, "picture", MAX_BYTES), source_name(source))


def decode_picture(data: bytes, name: str = "the picture") -> Frame:
    """The picture encoded in `data`, as `load_picture` does; `name` is used in the errors."""
    header = read_header(data)
    if header is None:
        raise InputError(f"{name} is not a picture that can be read", _FORMATS_HINT)
    if header.width == 0 or header.height == 0:
        raise InputError(f"{name} has no pixels", _FORMATS_HINT)
    if header.width * header.height > MAX_PIXELS:
        raise InputError(
            f"{name} is too large: {header.width} x {header.height} pixels",
            f"scale it down to at most {MAX_PIXELS // 1_000_000} megapixels",
        )
    if not header.whole:
        raise InputError(f"{name} is cut short", "fetch or copy it again")
    return Frame(_decode(data, header, name))


def _decode(data: bytes, header: PictureHeader, name: str) -> npt.NDArray[np.uint8]:
    encoded = np.frombuffer(data, np.uint8)
    # What OpenCV would log about a broken file is told in our own line.
    level = cv2.utils.logging.setLogLevel(_SILENT)
    # OpenCV's colour modes apply the EXIF rotation but lose transparency; IMREAD_UNCHANGED the other way round.
    try:
        decoded: npt.NDArray[np.generic] | None
        pixels: npt.NDArray[np.uint8] | None = None
        if header.has_alpha:
            decoded = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
            if decoded is not None and decoded.ndim == 3 and decoded.shape[2] == 4:
                pixels = _upright(_on_white(decoded), header.orientation)
        if pixels is None:
            decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
            pixels = None if decoded is None else decoded.astype(np.uint8, copy=False)
    except (cv2.error, MemoryError) as error:
        raise InputError(f"{name} is a broken {header.kind} picture", _FORMATS_HINT) from error
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None:
        raise InputError(f"{name} is a broken {header.kind} picture", _FORMATS_HINT)
    return np.ascontiguousarray(pixels, dtype=np.uint8)


def _on_white(bgra: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Transparent BGRA pixels of 8 or 16 bits, composited on white, as RGB of 8 bits."""
    if bgra.dtype == np.uint16:
        bgra = (bgra.astype(np.uint32) // 257).astype(np.uint8)
    alpha = bgra[:, :, 3:].astype(np.uint16)
    rgb = bgra[:, :, 2::-1].astype(np.uint16)
    return ((rgb * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _upright(stored: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Undo EXIF orientation 1 to 8: the even-numbered middle ones are mirrored, 5 and above lie on their side."""
    if orientation >= 5:
        stored = stored.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    return stored
