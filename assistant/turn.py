"""One turn: a question and a picture in; the words that were heard, the answer and its sound out, as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from lorgnette.assistant.background import Pending
from lorgnette.assistant.honesty import HESITATION, Honesty
from lorgnette.assistant.trace import TurnTrace, wall_clock
from lorgnette.device.errors import InputError
from lorgnette.device.frame import Frame
from lorgnette.device.sound import AudioChunk
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.confidence import Confidence, confidence
from lorgnette.llm.engine import Engine, Exchange, Look, Prompt, Token
from lorgnette.speech.sentences import SentenceSplitter
from lorgnette.speech.synthesizer import Synthesizer
from lorgnette.speech.transcriber import Transcriber, Transcript


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, as sound or as text. `ended_at_ns` is when the asking ended (None: when the turn begins)."""

    asked: AudioChunk | str
    picture: Frame
    history: tuple[Exchange, ...] = ()
    ended_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """The question has been understood."""

    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Seen:
    """The picture has been looked at."""

    look: Look


@dataclass(frozen=True, slots=True)
class Written:
    """The next piece of the answer."""

    token: Token


@dataclass(frozen=True, slots=True)
class Spoken:
    """The next piece of the answer's sound, and the sentence that it belongs to: its first piece, or one more."""

    sentence: str
    sound: AudioChunk
    begins: bool = True


@dataclass(frozen=True, slots=True)
class Answered:
    """The end. `exchange` is what a later question may refer to; `confidence` is None where there is no answer."""

    exchange: Exchange
    trace: TurnTrace
    confidence: Confidence | None = None


Event = Heard | Seen | Written | Spoken | Answered


class Turns:
    """Takes turns. Its parts are given as functions and asked for when they are first needed, so that they may still
    be loading while others work. Without `synthesizer` answers are not spoken, without `transcriber` questions must be
    text. `language` is a code such as "en" (None: detected). Without `honesty`
    answers have no calibrated confidence."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        transcriber: Callable[[], Transcriber] | None = None,
        synthesizer: Callable[[], Synthesizer] | None = None,
        language: str | None = None,
        honesty: Honesty | None = None,
    ) -> None:
        self._engine = engine
        self._transcriber = transcriber
        self._synthesizer = synthesizer
        self._language = language
        self._honesty = honesty or Honesty()

    def ready(self) -> None:
        """Wait until every part is there. Raises what loading raised."""
        for part in (self._engine, self._transcriber, self._synthesizer):
            if part is not None:
                part()

    def transcriber(self) -> Transcriber:
        """What understands questions. Raises InputError where these turns take only written ones."""
        if self._transcriber is None:
            raise InputError("a spoken question needs a transcriber", "ask in writing")
        return self._transcriber()

    def synthesizer(self) -> Synthesizer:
        """What speaks the answers. Raises InputError where they are not spoken."""
        if self._synthesizer is None:
            raise InputError("these answers are not spoken", "read them")
        return self._synthesizer()

    def in_writing(self) -> Turns:
        """The same engine, with answers that are not spoken."""
        return Turns(self._engine, self._transcriber, None, self._language, self._honesty)

    def look(self, picture: Frame) -> Look:
        """Look at a picture before a question about it is known; the turn then finds it done."""
        return self._engine().look(picture)

    def take(self, question: Question, cancel: CancelScope) -> Iterator[Event]:
        """Answer `question`; ends early, with an `Answered` of what there is, when `cancel` moves on.

        The picture is looked at while the question is being understood. Raises InputError where nothing was asked.
        """
        turn = _Turn(question, cancel, self._language, self._honesty)
        return turn.run(self._engine, self.transcriber, self._synthesizer)


class _Turn:
    """The state of one turn while it runs."""

    def __init__(self, question: Question, cancel: CancelScope, language: str | None, honesty: Honesty) -> None:
        self._question = question
        self._cancel = cancel
        self._generation = cancel.generation
        self._language = language
        self._honesty = honesty
        self._answer: list[str] = []
        self._log_probabilities: list[float] = []
        self._confidence: Confidence | None = None
        self._trace = TurnTrace(
            began=wall_clock(),
            engine="",
            outcome="failed",
            spoken=isinstance(question.asked, AudioChunk),
            asked_at_ns=question.ended_at_ns or time.monotonic_ns(),
            capture_at_ns=question.picture.timestamp_ns or None,
        )

    def run(
        self,
        engine: Callable[[], Engine],
        transcriber: Callable[[], Transcriber],
        synthesizer: Callable[[], Synthesizer] | None,
    ) -> Iterator[Event]:
        seeing = Pending(lambda: self._see(engine()), "look")
        text = self._question.asked
        if isinstance(text, AudioChunk):
            transcript = self._hear(text, transcriber)
            yield Heard(transcript)
            text = transcript.text
        look, started_ns, ended_ns = seeing.get()
        self._note(look_start_at_ns=started_ns, look_end_at_ns=ended_ns, picture_cached=look.cached)
        if not look.cached:
            self._note(encode_ns=look.encode_ns, prefill_ns=look.prefill_ns)
        yield Seen(look)
        if not self._cancel.stale(self._generation):
            yield from self._reply(text, engine(), synthesizer)
        stale = self._cancel.stale(self._generation)
        self._note(outcome="cancelled" if stale else "answered", engine=engine().name)
        yield Answered(Exchange(text, "".join(self._answer).strip()), self._trace, self._confidence)

    def _see(self, engine: Engine) -> tuple[Look, int, int]:
        started_ns = time.monotonic_ns()
        return engine.look(self._question.picture), started_ns, time.monotonic_ns()

    def _hear(self, sound: AudioChunk, transcriber: Callable[[], Transcriber]) -> Transcript:
        listener = transcriber()
        self._note(transcribe_start_at_ns=time.monotonic_ns())
        transcript = listener.transcribe(sound, self._language)
        self._note(transcript_at_ns=time.monotonic_ns())
        if transcript.heard_nothing:
            raise InputError("no speech was heard in the question", "speak up, or check the recording")
        return transcript

    def _reply(
        self, text: str, engine: Engine, synthesizer: Callable[[], Synthesizer] | None
    ) -> Iterator[Written | Spoken]:
        splitter = SentenceSplitter()
        self._note(answer_start_at_ns=time.monotonic_ns())
        prompt = Prompt(text, self._question.picture, self._question.history)
        for token in self._honestly(engine.stream(prompt, self._cancel)):
            now_ns = time.monotonic_ns()
            first_ns = self._trace.first_token_at_ns or now_ns
            self._note(first_token_at_ns=first_ns, last_token_at_ns=now_ns, tokens=self._trace.tokens + 1)
            self._answer.append(token.text)
            yield Written(token)
            if synthesizer is not None:
                for sentence in splitter.push(token.text):
                    yield from self._speak(sentence, synthesizer())
        if synthesizer is not None:
            for sentence in splitter.flush():
                yield from self._speak(sentence, synthesizer())

    def _honestly(self, tokens: Iterator[Token]) -> Iterator[Token]:
        """The answer, and a word of doubt behind it where the model has reason to doubt."""
        for token in tokens:
            self._log_probabilities.append(token.log_probability)
            yield token
        self._confidence = sure = confidence(self._log_probabilities, self._honesty.calibration)
        if sure is not None:
            self._note(mean_log_probability=sure.mean_log_probability, confidence=sure.calibrated)
        if self._honesty.hesitates(sure) and not self._cancel.stale(self._generation):
            yield HESITATION

    def _speak(self, sentence: str, synthesizer: Synthesizer) -> Iterator[Spoken]:
        if self._trace.first_clause_at_ns is None:
            self._note(first_clause_at_ns=time.monotonic_ns())
        for number, sound in enumerate(synthesizer.synthesize(sentence)):
            if self._cancel.stale(self._generation):
                return
            now_ns = time.monotonic_ns()
            first_ns = self._trace.first_audio_at_ns or now_ns
            audio_s = self._trace.audio_s + sound.duration_s
            self._note(first_audio_at_ns=first_ns, last_audio_at_ns=now_ns, audio_s=audio_s)
            yield Spoken(sentence.strip(), sound, begins=number == 0)

    def _note(self, **facts: object) -> None:
        self._trace = replace(self._trace, **facts)  # type: ignore[arg-type]
