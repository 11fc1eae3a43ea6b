"""What a picture file says about itself, read from its first bytes without decoding it.

A file of a few kilobytes can claim to be gigapixels. OpenCV only learns the size while it allocates the picture, so the
size is read here first. Layouts are from the formats' specifications: ITU-T T.81 (JPEG), PNG third edition, RFC 9649
(WebP), GIF89a, and Microsoft's BITMAPINFOHEADER (BMP).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_PNG_START = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers; C4, C8 and CC in the same range are tables, not frames.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """`kind` is the format's name; sizes are in stored pixels, before any rotation; `whole` is False where the file
    visibly lacks its end; `orientation` is EXIF's, 1 to 8, and is read for formats that can be transparent only."""

    kind: str
    width: int
    height: int
    has_alpha: bool = False
    whole: bool = True
    orientation: int = 1


def read_header(data: bytes) -> PictureHeader | None:
    """The header of a JPEG, PNG, WebP, GIF or BMP file, or None when `data` is none of these."""
    try:
        if data.startswith(_JPEG_START):
            return _jpeg(data)
        if data.startswith(_PNG_START):
            return _png(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:6] in (b"GIF87a", b"GIF89a"):
            width, height = struct.unpack_from("<HH", data, 6)
            return PictureHeader("GIF", width, height, has_alpha=True)
        if data[:2] == b"BM":
            return _bmp(data)
    except (struct.error, IndexError):  # it ends inside its own header
        return None
    return None


def _jpeg(data: bytes) -> PictureHeader | None:
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _JPEG_WITHOUT_LENGTH:
            at += 2
            continue
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            # A thumbnail inside the metadata has an end marker too, but stands before the frame.
            return PictureHeader("JPEG", width, height, whole=data.rfind(_JPEG_END) > at)
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None


def _png(data: bytes) -> PictureHeader:
    width, height, _depth, colour = struct.unpack_from(">IIBB", data, 16)
    transparent = colour in (4, 6) or b"tRNS" in data.partition(b"IDAT")[0]
    end = data.rfind(b"IEND")
    whole = 0 < end <= len(data) - 8  # the mark and its checksum
    return PictureHeader("PNG", width, height, transparent, whole, _orientation(data, b"eXIf"))


def _webp(data: bytes) -> PictureHeader | None:
    chunk = data[12:16]
    whole = len(data) >= struct.unpack_from("<I", data, 4)[0] + 8
    if chunk == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        return PictureHeader("WebP", width, height, bool(data[20] & 0x10), whole, _orientation(data, b"EXIF"))
    if chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return PictureHeader("WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), bool(bits >> 28 & 1), whole)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return PictureHeader("WebP", width & 0x3FFF, height & 0x3FFF, whole=whole)
    return None


def _bmp(data: bytes) -> PictureHeader:
    header_bytes = struct.unpack_from("<I", data, 14)[0]
    if header_bytes == 12:  # OS/2
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return PictureHeader("BMP", abs(width), abs(height))  # a negative height means top row first


def _orientation(data: bytes, chunk: bytes) -> int:
    """EXIF's orientation (tag 0x0112 of the first directory) from the TIFF block that follows the `chunk` mark."""
    at = data.find(chunk)
    starts = [found for order in (b"II*\0", b"MM\0*") if (found := data.find(order, at, at + 64)) >= 0]
    if at < 0 or not starts:
        return 1
    start = starts[0]
    order = "<" if data[start : start + 1] == b"I" else ">"
    try:
        directory = start + struct.unpack_from(f"{order}I", data, start + 4)[0]
        for entry in range(struct.unpack_from(f"{order}H", data, directory)[0]):
            tag, _type, _count, value = struct.unpack_from(f"{order}HHIH", data, directory + 2 + 12 * entry)
            if tag == 0x0112:
                return value if 1 <= value <= 8 else 1
    except struct.error:  # a broken EXIF block turns nothing
        return 1
    return 1
