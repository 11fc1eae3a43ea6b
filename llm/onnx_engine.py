"""The engine on this machine: a bundle's three sessions on ONNX Runtime."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import InputError
from lorgnette.device.frame import Frame
from lorgnette.device.provider import AUTOMATIC, choose_provider
from lorgnette.device.session import OnnxSession, Session
from lorgnette.llm.bundle import BundleError, ModelBundle
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.decoder import CachedDecoder, Decoder
from lorgnette.llm.detokenizer import Detokenizer
from lorgnette.llm.engine import Look, Prompt, Token
from lorgnette.llm.kv_cache import Conversation, Key, KvCache, PictureCache
from lorgnette.llm.preprocessing import preprocessor
from lorgnette.llm.prompt import PromptIds, PromptWriter
from lorgnette.llm.quote_constraint import QuoteConstraint
from lorgnette.llm.reading_request import asks_to_read
from lorgnette.llm.sampling import Logits, Sampler, SamplingSettings, is_looping, log_probability, log_softmax
from lorgnette.llm.tokenizer import Tokenizer
from lorgnette.llm.vocabulary import Vocabulary
from lorgnette.vision.encoder import VisionEncoder
from lorgnette.vision.tiles import Grid

# Long questions are computed in pieces, so that a cancelled one ends soon: a piece takes about a tenth of a second.
_PIECE = 128
_DECODER = "decoder_model_merged"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """`max_new_tokens` ends an answer, `pictures_kept` bounds the pictures whose computed beginning stays in memory,
    `threads` is the size of the thread pool (0: one for each core), `max_tiles` bounds the tiles that a picture is cut
    into (0: as the bundle says), `tiles` does for questions that need not read (0: as `max_tiles`). `provider` is where
    encoder and decoder compute: "cpu", "cuda", or "auto" (a GPU where there is one, for sessions in half precision)."""

    max_new_tokens: int = 96
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    pictures_kept: int = 4
    threads: int = 0
    max_tiles: int = 0
    tiles: int = 0
    provider: str = AUTOMATIC


class OnnxEngine:
    """Answers with the model in `bundle`; see `Engine` for the rules. Raises SessionError when the runtime fails.

    `embed` and `decoder` take the place of the bundle's own: another implementation of the same language model.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        settings: EngineSettings,
        *,
        embed: Session | None = None,
        decoder: CachedDecoder | None = None,
    ) -> None:
        self._settings = settings
        self._template = bundle.prompt
        self._context = bundle.decoder.context
        self._logits = bundle.decoder.vocabulary
        self._tokenizer = Tokenizer(bundle.path("tokenizer"))
        self._prompts = PromptWriter(bundle.prompt, self._tokenizer, self._context)
        self._image_token = self._tokenizer.template_ids(bundle.prompt.image_token)
        self._encoder = _encoder(bundle, settings)
        self._tiles = settings.tiles
        # Looking up rows is no work to share: another thread would only have to be woken for each token.
        self._embed = embed or OnnxSession(bundle.path("embed_tokens"), threads=1)
        self._decoder = decoder or Decoder(_session(bundle, _DECODER, settings), bundle.decoder)
        self._pictures = PictureCache(settings.pictures_kept)
        self._looked_at: dict[int, tuple[weakref.ref[Frame], str]] = {}
        self._look_lock = threading.Lock()
        self._conversation = Conversation(self._decoder.new_cache(256))
        self._answer_lock = threading.Lock()
        self._answers_started = 0
        self.name = bundle.name

    def look(self, picture: Frame) -> Look:
        """Encode `picture` and compute the beginning of its prompts, unless that is in the cache."""
        return self._look(picture)[0]

    def stream(self, prompt: Prompt, cancel: CancelScope) -> Iterator[Token]:
        """The answer's tokens, without the stop token. The prompt is checked at once, work begins with the first."""
        generation = cancel.generation
        ids = self._prompts.write(prompt, self._grid(prompt))
        return self._answer(ids, prompt, cancel, generation)

    def log_probabilities(self, prompt: Prompt, answers: Sequence[str]) -> list[float]:
        """See `ScoringEngine`. The prompt is computed once, in a cache of its own."""
        ids = self._prompts.write(prompt, self._grid(prompt))
        texts = [self._tokenizer.text_ids(answer.strip()) for answer in answers]
        if not all(texts):
            raise InputError("an answer is empty", "leave it out")
        if len(ids) + max(map(len, texts), default=0) > self._context:
            raise InputError("question and answers are too long for the model", "ask a shorter question")
        cache = self._decoder.new_cache(len(ids) + 32)
        if prompt.picture is not None:
            cache.copy_from(self._look(prompt.picture, prompt.question)[2])
        after_prompt = self._decoder.append(self._embeds(ids.rest), cache)
        start = cache.length
        sums = []
        for text in texts:
            cache.rewind(start)
            logits, total = after_prompt, 0.0
            for token_id in text:
                total += log_probability(logits, token_id)
                logits = self._decoder.append(self._embeds([token_id]), cache)
            sums.append(total + float(np.logaddexp.reduce(log_softmax(logits)[list(self._template.stop_ids)])))
        return sums

    def _look(self, picture: Frame, question: str = "") -> tuple[Look, str, KvCache]:
        # One at a time: whoever asks for a picture that is being looked at waits for it and finds it in the cache.
        with self._look_lock:
            started_ns = time.monotonic_ns()
            encoder = self._seeing(question)
            # A picture is looked at and then asked about: what was last seen in so many tiles is known by itself.
            tiles, image = encoder.preprocessor.max_tiles, None
            last, fingerprint = self._looked_at.get(tiles, (None, ""))
            if last is None or last() is not picture:
                image = encoder.prepare(picture)
                fingerprint = image.fingerprint
                self._looked_at[tiles] = weakref.ref(picture), fingerprint
            known = self._pictures.get(fingerprint)
            if known is not None:
                return Look(0, 0, cached=True), fingerprint, known
            image = image or encoder.prepare(picture)  # others have been looked at since
            features = encoder.encode(image).features
            encoded_ns = time.monotonic_ns()
            ids = self._prompts.beginning(image.grid)
            beginning = self._decoder.new_cache(len(ids))
            self._decoder.append(self._embeds(ids, features), beginning)
            self._pictures.put(fingerprint, beginning)
            look = Look(encoded_ns - started_ns, time.monotonic_ns() - encoded_ns, cached=False)
            return look, fingerprint, beginning

    def _seeing(self, question: str = "") -> VisionEncoder:
        """What looks at a picture for `question`: tiles cost a look each, and only what is to be read needs them."""
        if self._encoder is None:
            raise InputError(f"{self.name} sees no pictures", "ask without one, or use another bundle")
        return self._encoder if not self._tiles or asks_to_read(question) else self._encoder.with_tiles(self._tiles)

    def _grid(self, prompt: Prompt) -> Grid:
        if prompt.picture is None:
            return Grid()
        return self._seeing(prompt.question).preprocessor.grid(prompt.picture)

    def _answer(self, ids: PromptIds, prompt: Prompt, cancel: CancelScope, generation: int) -> Iterator[Token]:
        with self._answer_lock:
            self._answers_started += 1
            mine = self._answers_started
        sampler, detokenizer = Sampler(self._settings.sampling), Detokenizer(self._tokenizer)
        quotes = self._quote_constraint(prompt)
        chosen: list[int] = []
        pending = self._begin(ids, prompt, mine)
        limit = min(self._settings.max_new_tokens, self._context - len(ids))
        while pending and len(chosen) < limit:
            for piece in range(0, len(pending), _PIECE):
                with self._answer_lock:
                    if cancel.stale(generation) or mine != self._answers_started:
                        return
                    logits = self._append(pending[piece : piece + _PIECE])
            token_id, log_probability = sampler.choose(logits, quotes.allowed() if quotes else None)
            if token_id in self._template.stop_ids or cancel.stale(generation):
                break
            chosen.append(token_id)
            if quotes:
                quotes.push(token_id)
            yield Token(token_id, detokenizer.push(token_id), log_probability)
            if is_looping(chosen):
                break
            pending = [token_id]
        with self._answer_lock:
            if mine == self._answers_started:
                self._conversation.mark()

    def _quote_constraint(self, prompt: Prompt) -> QuoteConstraint | None:
        """What keeps quotations true, where the model is told what is written in the picture."""
        if prompt.text is None or not self._template.takes_text:
            return None
        lines = [line.quotable for line in prompt.text]
        return QuoteConstraint(self._vocabulary, lines, self._logits, self._template.stop_ids)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return self._tokenizer.vocabulary()

    def _begin(self, ids: PromptIds, prompt: Prompt, answer: int) -> list[int]:
        """Bring the conversation to the longest known beginning of the prompt; the ids still to be computed."""
        keys: list[Key] = []
        beginning = None
        if prompt.picture is not None:
            _, fingerprint, beginning = self._look(prompt.picture, prompt.question)
            keys = [fingerprint if [i] == self._image_token else i for i in ids.beginning]
        with self._answer_lock:
            if answer != self._answers_started:
                return []
            reused = self._conversation.reuse([*keys, *ids.rest])
            if beginning is not None and reused < len(keys):
                self._conversation.restart(beginning, keys)
                reused = len(keys)
        return list(ids.rest[reused - len(keys) :])

    def _append(self, ids: list[int]) -> Logits:
        logits = self._decoder.append(self._embeds(ids), self._conversation.cache)
        self._conversation.note(ids)
        return logits

    def _embeds(
        self, ids: list[int] | tuple[int, ...], features: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """Embedding rows [n, hidden] of `ids`, with those of the image placeholder replaced by `features`."""
        array = np.array([ids], dtype=np.int64)
        rows = np.asarray(self._embed.run({"input_ids": array})["inputs_embeds"][0], dtype=np.float32)
        if features is not None:
            places = np.flatnonzero(array[0] == self._image_token[0])
            if len(places) != len(features):
                raise BundleError(
                    f"the encoder gives {len(features)} rows for a picture, the template has {len(places)} places",
                    "build the bundle again",
                )
            rows[places] = features
        return rows


def _encoder(bundle: ModelBundle, settings: EngineSettings) -> VisionEncoder | None:
    facts = bundle.preprocessing
    if facts is None:
        return None
    return VisionEncoder(_session(bundle, "vision_encoder", settings), preprocessor(facts, settings.max_tiles))


def provider_for(bundle: ModelBundle, role: str, wanted: str = AUTOMATIC) -> str:
    """Where a session of `bundle` computes if `wanted` is a setting's value. Raises ProviderError."""
    return choose_provider(wanted, half=bundle.default_suffix.get(role, "").endswith("16"))


def _session(bundle: ModelBundle, role: str, settings: EngineSettings) -> OnnxSession:
    provider = provider_for(bundle, role, settings.provider)
    return OnnxSession(bundle.path(role), settings.threads, provider=provider, replays=role == _DECODER)
