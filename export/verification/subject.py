"""A bundle in one precision of each part, driven session by session: what is compared."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from lorgnette.device.provider import AUTOMATIC, CPU, choose_provider
from lorgnette.device.session import Array, OnnxSession
from lorgnette.export.precision import Precision
from lorgnette.export.whole_prompt import whole_prompt
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.decoder import Decoder
from lorgnette.llm.kv_cache import KvCache
from lorgnette.llm.tokenizer import Tokenizer

FloatArray = npt.NDArray[np.float32]
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A prompt in ids with its picture as `pixels` f32 [tiles, 3, height, width] (None: it has none).

    `picture` and `question` are for people to read.
    """

    picture: str
    question: str
    ids: tuple[int, ...]
    pixels: FloatArray | None


class Model(Protocol):
    """What is compared: a bundle, or the model in PyTorch."""

    def features(self, pixels: FloatArray) -> FloatArray:
        """Rows [tiles * tokens, hidden] of a picture's tiles."""
        ...

    def logits(self, case: Case, answer: list[int]) -> FloatArray:
        """Logits [len(answer) + 1, vocabulary]: those before each token of `answer`, and those after it."""
        ...

    def greedy(self, case: Case, count: int) -> list[int]:
        """At most `count` likeliest tokens, one after the other, up to and with a token that ends the answer."""
        ...


class Remembered:
    """A model that is asked each thing once: what it answered is kept, in the memory that these are in."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._answers: dict[Hashable, Any] = {}

    def features(self, pixels: FloatArray) -> FloatArray:
        return self._once(("features", id(pixels)), lambda: self._model.features(pixels))

    def logits(self, case: Case, answer: list[int]) -> FloatArray:
        return self._once(("logits", case, tuple(answer)), lambda: self._model.logits(case, answer))

    def greedy(self, case: Case, count: int) -> list[int]:
        return self._once(("greedy", case, count), lambda: self._model.greedy(case, count))

    def _once(self, question: Hashable, ask: Callable[[], Answer]) -> Answer:
        if question not in self._answers:
            self._answers[question] = ask()
        answer: Answer = self._answers[question]
        return answer


class Subject:
    """The sessions of `bundle` in the given precisions, each where it would be run here.

    `vision` is None for a model of text alone.
    """

    def __init__(self, bundle: ModelBundle, vision: Precision | None, decoder: Precision) -> None:
        self._bundle = bundle
        self._image = Tokenizer(bundle.path("tokenizer")).template_ids(bundle.prompt.image_token)
        self._precisions = {"vision_encoder": vision, "embed_tokens": decoder, "decoder_model_merged": decoder}
        self._sessions: dict[str, OnnxSession] = {}
        self._last: tuple[FloatArray, FloatArray] | None = None

    def features(self, pixels: FloatArray) -> FloatArray:
        session = self._session("vision_encoder")
        five = len(session.inputs["pixel_values"].shape) == 5
        feeds: dict[str, Array] = {"pixel_values": pixels[None] if five else pixels}
        if "pixel_attention_mask" in session.inputs:
            side = pixels.shape[-2:]
            feeds["pixel_attention_mask"] = np.ones((1, len(pixels), *side), np.bool_)
        found = session.run(feeds)["image_features"]
        return np.asarray(found, np.float32).reshape(-1, found.shape[-1])

    def rows(self, case: Case, answer: list[int]) -> FloatArray:
        """The embedding rows [n, hidden] of the prompt and `answer`, image features in their places."""
        ids = np.array([[*case.ids, *answer]], np.int64)
        rows = np.asarray(self._session("embed_tokens").run({"input_ids": ids})["inputs_embeds"][0], np.float32)
        if case.pixels is not None:
            rows[np.flatnonzero(ids[0] == self._image[0])] = self._seen(case.pixels)
        return rows

    def logits(self, case: Case, answer: list[int]) -> FloatArray:
        session = self._session("decoder_model_merged")
        feeds = whole_prompt(session, self.rows(case, answer), len(answer) + 1)
        return np.asarray(session.run(feeds)["logits"][0], np.float32)

    def greedy(self, case: Case, count: int) -> list[int]:
        cache = self.decoder.new_cache(len(case.ids) + count)
        logits = self.decoder.append(self.rows(case, []), cache)
        chosen: list[int] = []
        while True:
            chosen.append(int(logits.argmax()))
            if len(chosen) >= count or chosen[-1] in self._bundle.prompt.stop_ids:
                return chosen
            logits = self.append([chosen[-1]], cache)

    def append(self, ids: list[int], cache: KvCache) -> FloatArray:
        """Logits [vocabulary] after `ids` behind what is in `cache`."""
        rows = self._session("embed_tokens").run({"input_ids": np.array([ids], np.int64)})["inputs_embeds"][0]
        return self.decoder.append(rows, cache)

    @cached_property
    def decoder(self) -> Decoder:
        return Decoder(self._session("decoder_model_merged"), self._bundle.decoder)

    def _seen(self, pixels: FloatArray) -> FloatArray:
        """The features of a picture; those of the last one are kept."""
        if self._last is None or self._last[0] is not pixels:
            self._last = (pixels, self.features(pixels))
        return self._last[1]

    def _session(self, role: str) -> OnnxSession:
        if role not in self._sessions:
            precision = self._precisions[role]
            assert precision is not None, "a model of text alone is never shown a picture"
            provider = CPU if role == "embed_tokens" else choose_provider(AUTOMATIC, half=precision.half)
            self._sessions[role] = OnnxSession(self._bundle.path(role, precision.suffix), provider=provider)
        return self._sessions[role]
