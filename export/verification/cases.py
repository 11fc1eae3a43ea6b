"""The prompts that models are compared on: questions about the example pictures, and some without a picture."""

from __future__ import annotations

from pathlib import Path

from lorgnette.device.picture import load_picture
from lorgnette.export.verification.subject import Case
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.engine import Prompt
from lorgnette.llm.preprocessing import preprocessor
from lorgnette.llm.prompt import PromptWriter
from lorgnette.llm.tokenizer import Tokenizer

# `examples` lies beside `export`, in a checkout as in an installed wheel.
PHOTOS = Path(__file__).resolve().parents[2] / "examples" / "photos"
_ASKED = (
    ("cat.jpg", "What is in this picture?", 1),
    ("cat.jpg", "What colour is it?", 1),
    ("coffee.jpg", "Describe what you see.", 1),
    ("rocket.jpg", "How many people are there?", 5),
)
_ALONE = ("How do I boil an egg?", "Name three colours.", "Who wrote Hamlet?")


def cases(bundle: ModelBundle) -> list[Case]:
    """Four about pictures, one of them in tiles where the model takes tiles, and one without; or three without."""
    writer = PromptWriter(bundle.prompt, Tokenizer(bundle.path("tokenizer")), bundle.decoder.context)
    alone = [Case("", question, writer.write(Prompt(question)).rest, None) for question in _ALONE]
    facts = bundle.preprocessing
    if facts is None:
        return alone
    found: list[Case] = []
    for name, question, most in _ASKED:
        prepare = preprocessor(facts, most)
        frame = load_picture(PHOTOS / name)
        ids = writer.write(Prompt(question, frame), prepare.grid(frame))
        # One array for each picture, so that it is encoded once for all its questions.
        known = next((case.pixels for case in found if case.picture == name), None)
        pixels = prepare.normalise(prepare.resize(frame)) if known is None else known
        found.append(Case(name, question, (*ids.beginning, *ids.rest), pixels))
    return [*found, alone[0]]
