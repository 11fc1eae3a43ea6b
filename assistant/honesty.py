"""When an answer is given with a word of doubt."""

from __future__ import annotations

from dataclasses import dataclass

from lorgnette.llm.confidence import Calibration, Confidence
from lorgnette.llm.engine import Token

HESITATION = Token(-1, " But I am not sure.", 0.0)
"""Comes behind the answer, since its beginning is spoken before its end is known. No model wrote it."""


@dataclass(frozen=True, slots=True)
class Honesty:
    """`calibration` is the model's (None: nobody measured it). Answers whose calibrated confidence is less than
    `hesitate_below` are followed by `HESITATION`; 0 is never."""

    calibration: Calibration | None = None
    hesitate_below: float = 0.0

    def hesitates(self, answer: Confidence | None) -> bool:
        return answer is not None and answer.calibrated is not None and answer.calibrated < self.hesitate_below
