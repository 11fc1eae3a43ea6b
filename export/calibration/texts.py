"""Texts to calibrate on: what the model itself says to a few questions, with and without pictures.

Its own words are the distribution that it will run on, whatever it was trained for, and they need no data set.
"""

from __future__ import annotations

import numpy as np

from lorgnette.device.picture import load_picture
from lorgnette.export.llama import FloatArray
from lorgnette.export.verification.cases import PHOTOS
from lorgnette.export.verification.subject import Case, Subject
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.engine import Prompt
from lorgnette.llm.preprocessing import preprocessor
from lorgnette.llm.prompt import PromptWriter
from lorgnette.llm.sampling import Sampler, SamplingSettings
from lorgnette.llm.tokenizer import Tokenizer

_TOKENS = 96
_SAMPLING = SamplingSettings(temperature=0.8, seed=0)
# None of them is among those that bundles are compared on.
_SEEN = (
    ("astronaut.jpg", "What is in this picture?"),
    ("photographer.jpg", "Describe it in one sentence."),
    ("clock.jpg", "What is written here?"),
)
_ASKED = (
    "Tell me about the sea.",
    "What is a bicycle made of?",
    "Write a short letter to a friend.",
    "Explain how rain forms.",
    "List five animals that live in forests.",
    "How do you cook rice?",
    "What should I see in Paris?",
    "Describe a street at night.",
    "Who was Marie Curie?",
    "Give advice for learning the piano.",
    "What does the word honest mean?",
    "Describe a dog running on a beach.",
    "How many legs does a spider have?",
    "What colour is the sky at sunset?",
    "Tell a story about a lost key.",
    "What can be read on a road sign?",
)


def calibration_texts(bundle: ModelBundle, speaker: Subject) -> list[FloatArray]:
    """Embedding rows f32 [S, hidden] of prompts with answers that `speaker` draws, the same for the same model."""
    writer = PromptWriter(bundle.prompt, Tokenizer(bundle.path("tokenizer")), bundle.decoder.context)
    cases = [Case("", question, writer.write(Prompt(question)).rest, None) for question in _ASKED]
    facts = bundle.preprocessing
    if facts is not None:
        prepare = preprocessor(facts, 1)
        for name, question in _SEEN:
            frame = load_picture(PHOTOS / name)
            ids = writer.write(Prompt(question, frame), prepare.grid(frame))
            pixels = prepare.normalise(prepare.resize(frame))
            cases.append(Case(name, question, (*ids.beginning, *ids.rest), pixels))
    return [speaker.rows(case, _answer(case, speaker, bundle.prompt.stop_ids)) for case in cases]


def _answer(case: Case, speaker: Subject, stop_ids: tuple[int, ...]) -> list[int]:
    sampler = Sampler(_SAMPLING)
    cache = speaker.decoder.new_cache(len(case.ids) + _TOKENS)
    logits = speaker.decoder.append(speaker.rows(case, []), cache)
    chosen: list[int] = []
    while len(chosen) < _TOKENS:
        token, _ = sampler.choose(np.asarray(logits, np.float32))
        if token in stop_ids:
            break
        chosen.append(token)
        logits = speaker.append([token], cache)
    return chosen
