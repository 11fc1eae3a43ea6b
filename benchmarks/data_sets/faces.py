"""Typefaces to write signs in: those inside OpenCV 5, and whichever of a list of files this machine has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

FOLDER = Path("/usr/share/fonts")
PACKAGES = (
    "fonts-dejavu fonts-liberation fonts-lato fonts-open-sans fonts-bebas-neue fonts-lobstertwo fonts-ebgaramond"
    " fonts-roboto-slab fonts-play fonts-league-spartan fonts-comfortaa"
)
"""Debian packages with the files, all under free licences."""


@dataclass(frozen=True, slots=True)
class Face:
    """`file` is a font file, or the name of a face inside OpenCV; `weight` (100 to 900) matters to the latter only.
    A face of capitals draws small letters as capitals, too."""

    file: str
    weight: int = 400
    capitals: bool = False

    def open(self) -> Any:
        """OpenCV's font."""
        return cv2.FontFace(self.file)


BUILT_IN = (*(Face(name, weight) for name in ("sans", "italic") for weight in (300, 400, 600, 800)), Face("uni"))

_FILES = (
    "truetype/dejavu/DejaVuSans-Bold.ttf",
    "truetype/dejavu/DejaVuSansCondensed.ttf",
    "truetype/dejavu/DejaVuSansMono-Bold.ttf",
    "truetype/dejavu/DejaVuSerif-Bold.ttf",
    "truetype/dejavu/DejaVuSerifCondensed.ttf",
    "truetype/liberation/LiberationSans-Regular.ttf",
    "truetype/liberation/LiberationSans-Bold.ttf",
    "truetype/liberation/LiberationSansNarrow-Bold.ttf",
    "truetype/liberation/LiberationSerif-Bold.ttf",
    "truetype/liberation/LiberationSerif-Italic.ttf",
    "truetype/liberation/LiberationMono-Bold.ttf",
    "truetype/lato/Lato-Regular.ttf",
    "truetype/lato/Lato-Black.ttf",
    "truetype/lato/Lato-BoldItalic.ttf",
    "truetype/open-sans/OpenSans-Semibold.ttf",
    "truetype/open-sans/OpenSans-ExtraBold.ttf",
    "truetype/open-sans/OpenSans-CondBold.ttf",
    "truetype/comfortaa/Comfortaa-Bold.ttf",
    "opentype/lobstertwo/LobsterTwo-Bold.otf",
    "opentype/ebgaramond/EBGaramond12-Bold.otf",
    "opentype/roboto/slab/RobotoSlab-Bold.otf",
    "opentype/roboto/slab/RobotoSlab-Regular.otf",
    "opentype/play/Play-Bold.otf",
    "opentype/league-spartan/LeagueSpartan-Bold.otf",
)
_FILES_OF_CAPITALS = ("opentype/bebas-neue/BebasNeue-Bold.otf",)


def installed() -> tuple[Face, ...]:
    """The faces inside OpenCV and those of `PACKAGES` that are there, in a fixed order."""
    files = [Face(str(FOLDER / name)) for name in _FILES]
    files += [Face(str(FOLDER / name), capitals=True) for name in _FILES_OF_CAPITALS]
    return BUILT_IN + tuple(face for face in files if Path(face.file).is_file())
