"""Pictures of every kind come in as upright RGB, and everything else as one clear line."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from lorgnette.device.errors import InputError
from lorgnette.device.picture import decode_picture, load_picture

FILES = Path(__file__).parent / "files"
RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)


def quarters(height: int = 32, width: int = 48) -> np.ndarray:
    """RGB: red, green above blue, yellow."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = RED, GREEN
    pixels[height // 2 :, : width // 2], pixels[height // 2 :, width // 2 :] = BLUE, YELLOW
    return pixels


def encoded(pixels: np.ndarray, suffix: str) -> bytes:
    """`pixels` (RGB, RGBA or grey) as a file's bytes."""
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}
    stored = pixels[:, :, order[pixels.shape[2]]] if pixels.ndim == 3 else pixels
    done, data = cv2.imencode(suffix, np.ascontiguousarray(stored))
    assert done
    return bytes(data)


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """Colours near the four corners, rounded to full or nothing: lossy formats do not keep them exactly."""
    height, width = pixels.shape[:2]
    places = [(4, 4), (4, width - 5), (height - 5, 4), (height - 5, width - 5)]
    return [tuple(255 if value > 127 else 0 for value in pixels[place]) for place in places]


def exif(orientation: int) -> bytes:
    return b"MM\0*\0\0\0\x08" + b"\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0) + b"\0\0\0\0"


def jpeg_with_exif(data: bytes, orientation: int) -> bytes:
    block = b"Exif\0\0" + exif(orientation)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with_exif(data: bytes, orientation: int) -> bytes:
    return data[:33] + png_chunk(b"eXIf", exif(orientation)) + data[33:]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".gif"])
def test_formats(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / "picture.dat"  # what it is decides, not what it is called
    file.write_bytes(encoded(quarters(), suffix))
    pixels = load_picture(file).pixels
    assert pixels.dtype == np.uint8 and pixels.shape == (32, 48, 3) and pixels.flags.c_contiguous
    assert corners(pixels) == [RED, GREEN, BLUE, YELLOW]


UPRIGHT = {
    1: [RED, GREEN, BLUE, YELLOW],
    2: [GREEN, RED, YELLOW, BLUE],
    3: [YELLOW, BLUE, GREEN, RED],
    4: [BLUE, YELLOW, RED, GREEN],
    5: [RED, BLUE, GREEN, YELLOW],
    6: [BLUE, RED, YELLOW, GREEN],
    7: [YELLOW, GREEN, BLUE, RED],
    8: [GREEN, YELLOW, RED, BLUE],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["jpeg", "png", "png with alpha"])
def test_exif_rotation(kind: str, orientation: int) -> None:
    if kind == "jpeg":
        data = jpeg_with_exif(encoded(quarters(), ".jpg"), orientation)
    else:
        alpha = np.full((32, 48, 1), 255, np.uint8)
        pixels = quarters() if kind == "png" else np.concatenate([quarters(), alpha], axis=2)
        data = png_with_exif(encoded(pixels, ".png"), orientation)
    upright = decode_picture(data).pixels
    assert upright.shape == ((48, 32, 3) if orientation >= 5 else (32, 48, 3))
    assert corners(upright) == UPRIGHT[orientation]


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparency_is_laid_on_white(suffix: str) -> None:
    alpha = np.full((32, 48, 1), 255, np.uint8)
    alpha[:16, :24] = 0
    pixels = decode_picture(encoded(np.concatenate([quarters(), alpha], axis=2), suffix)).pixels
    assert corners(pixels) == [(255, 255, 255), GREEN, BLUE, YELLOW]


def test_half_transparent_16_bit() -> None:
    rgba = np.concatenate([quarters(), np.full((32, 48, 1), 128, np.uint8)], axis=2).astype(np.uint16) * 257
    pixels = decode_picture(encoded(rgba, ".png")).pixels
    assert pixels[4, 4].tolist() == [255, 127, 127]


def test_16_bit_becomes_8() -> None:
    pixels = decode_picture(encoded(quarters().astype(np.uint16) * 257, ".png")).pixels
    assert pixels.dtype == np.uint8 and corners(pixels) == [RED, GREEN, BLUE, YELLOW]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_grey_becomes_rgb(suffix: str) -> None:
    pixels = decode_picture(encoded(np.full((20, 30), 90, np.uint8), suffix)).pixels
    assert pixels.shape == (20, 30, 3) and pixels[5, 5].tolist() == [90, 90, 90]


def test_cmyk_jpeg() -> None:
    """The file has the four quarters as CMYK; OpenCV cannot write one, so it is kept here."""
    assert corners(load_picture(FILES / "cmyk.jpg").pixels) == [RED, GREEN, BLUE, YELLOW]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(encoded(quarters(), ".png")))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert corners(load_picture("-").pixels) == [RED, GREEN, BLUE, YELLOW]


def bomb_png(side: int) -> bytes:
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")


def claiming(suffix: str, at: int, layout: str, *sides: int) -> bytes:
    data = bytearray(encoded(quarters(), suffix))
    struct.pack_into(layout, data, at, *sides)
    return bytes(data)


def jpeg_claiming(side: int) -> bytes:
    data = encoded(quarters(), ".jpg")
    return claiming(".jpg", data.index(b"\xff\xc0") + 5, ">HH", side, side)


BOMBS = {
    "png": bomb_png(30_000),
    "jpeg": jpeg_claiming(30_000),
    "bmp": claiming(".bmp", 18, "<ii", 30_000, -30_000),
    "gif": claiming(".gif", 6, "<HH", 30_000, 30_000),
    "webp": claiming(".webp", 21, "<I", 15_999 | 15_999 << 14),  # 14 bits each: WebP cannot claim more
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_are_refused_before_decoding(kind: str) -> None:
    with pytest.raises(InputError, match=r"too large: (30000 x 30000|16000 x 16000) pixels"):
        decode_picture(BOMBS[kind], "bomb")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".gif"])
@pytest.mark.parametrize("share", [0.002, 0.05, 0.5, 0.97])
def test_cut_short(suffix: str, share: float, capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    data = encoded(noise, suffix)
    with pytest.raises(InputError, match=r"cut short|broken|can be read"):
        decode_picture(data[: int(len(data) * share)], "half.jpg")
    assert capfd.readouterr().err == ""  # no library talks past our one line


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_never_crash(seed: int) -> None:
    random = np.random.default_rng(seed)
    suffix = [".jpg", ".png", ".webp", ".bmp", ".gif"][seed % 5]
    data = np.frombuffer(encoded(quarters(), suffix), np.uint8).copy()
    data[random.integers(0, len(data), 8)] = random.integers(0, 256, 8)
    try:
        frame = decode_picture(bytes(data))
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert frame.pixels.ndim == 3 and frame.pixels.shape[2] == 3


def test_text_called_jpg(tmp_path: Path) -> None:
    file = tmp_path / "notes.jpg"
    file.write_text("Dear diary, " * 100)
    with pytest.raises(InputError, match=r"notes.jpg is not a picture that can be read \(give a JPEG"):
        load_picture(file)


def test_empty_missing_and_folder(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match="is empty"):
        load_picture(tmp_path / "empty.png")
    with pytest.raises(InputError, match="there is no file"):
        load_picture(tmp_path / "missing.png")
    with pytest.raises(InputError, match="is a folder, not a picture"):
        load_picture(tmp_path)


def test_endless_input_is_cut_off() -> None:
    with pytest.raises(InputError, match="larger than 64 MiB"):
        load_picture("/dev/zero")
