"""One response: a turn, told in the events of the Realtime API while it is being made."""

from __future__ import annotations

import base64
import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from lorgnette.assistant.background import Pending
from lorgnette.assistant.realtime.conversation import Asked, Conversation, Item, Part, new_id, what_is_asked
from lorgnette.assistant.realtime.parts import RealtimeParts
from lorgnette.assistant.realtime.settings import MostTokens
from lorgnette.assistant.realtime.sound_format import Samples, SoundFormat
from lorgnette.assistant.trace import TurnTrace
from lorgnette.assistant.turn import Answered, Question, Spoken, Written
from lorgnette.device.errors import LorgnetteError
from lorgnette.device.resample import Resampler
from lorgnette.device.sound import AudioChunk
from lorgnette.llm.cancel import CancelScope

_log = logging.getLogger(__name__)

_DELTA_S = 0.2
"""Of sound in one event: whoever interrupts has little to throw away."""


class Say(Protocol):
    """Sends an event of type `kind`. Responses call it under the session's lock."""

    def __call__(self, kind: str, **fields: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """`items` is what the response is about; it joins `conversation` (None: it stays out of it). `asked_at_ns` is when
    the asking ended (monotonic)."""

    items: tuple[Item, ...]
    conversation: Conversation | None
    spoken: bool
    form: SoundFormat
    most_tokens: MostTokens
    metadata: dict[str, str] | None
    asked_at_ns: int


class Response:
    """`start` returns at once; the work is done on a thread of its own, every event is sent under `lock`."""

    def __init__(
        self, plan: ResponsePlan, parts: RealtimeParts, lock: AbstractContextManager[object], say: Say
    ) -> None:
        self.id = new_id("resp")
        self._plan = plan
        self._parts = parts
        self._lock = lock
        self._say = say
        self._scope = CancelScope()
        self._status = "in_progress"
        self._details: dict[str, Any] | None = None
        self._part = Part("output_audio" if plan.spoken else "output_text")
        self._item: Item | None = None
        self._tokens = 0
        self._resampler = Resampler(plan.form.rate_hz)

    @property
    def is_active(self) -> bool:
        return self._status == "in_progress"

    def writes(self, item: Item) -> bool:
        """Whether `item` is the answer that is still being made."""
        return self.is_active and item is self._item

    def start(self) -> None:
        with self._lock:
            self._say("response.created", response=self._described())
        Pending(self._run, "response")

    def cancel(self, reason: str) -> None:
        """End it now: nothing of it is sent any more once this returns. Does nothing where it has ended."""
        self._finish("cancelled", {"reason": reason})

    def _run(self) -> None:
        try:
            asked = what_is_asked(self._plan.items, self._parts.picture, self._parts.remember)
            with self._parts.answering:
                trace = self._answer(asked)
            if trace is not None:
                self._parts.traced(trace)
        except LorgnetteError as error:
            if not self.is_active:
                _log.warning("after a response: %s", error)
            self._fail(type(error).__name__, str(error))
        except BaseException:
            _log.exception("a response broke off")
            self._fail("server_error", "the answer broke off")
            raise

    def _answer(self, asked: Asked) -> TurnTrace | None:
        turns = self._parts.turns if self._plan.spoken else self._parts.turns.in_writing()
        question = Question(asked.words, asked.picture, asked.history, self._plan.asked_at_ns)
        trace: TurnTrace | None = None
        with self._lock:  # a turn that begins after its scope has moved on would not know
            events = turns.take(question, self._scope) if self.is_active else ()
        for event in events:
            match event:
                case Written(token):
                    self._write(token.text)
                case Spoken(sentence, sound, begins):
                    self._speak(sentence, self._resampler.push(sound.samples, sound.rate_hz), begins)
                case Answered(trace=made):
                    trace = made
                    self._complete()
        if trace is None or asked.understood is None:
            return trace
        heard = asked.understood
        return replace(trace, spoken=True, transcribe_start_at_ns=heard.start_ns, transcript_at_ns=heard.end_ns)

    def _write(self, text: str) -> None:
        with self._lock:
            if not self.is_active:
                return
            self._open()
            if self._tokens == self._plan.most_tokens:
                self._scope.next()
                return
            self._tokens += 1
            if text:
                self._part.text += text
                kind = "response.output_audio_transcript.delta" if self._plan.spoken else "response.output_text.delta"
                self._tell(kind, content_index=0, delta=text)

    def _speak(self, sentence: str, samples: Samples, begins: bool) -> None:
        with self._lock:
            if not self.is_active:
                return
            step = round(_DELTA_S * self._plan.form.rate_hz)
            for at in range(0, len(samples), step):
                delta = base64.b64encode(self._plan.form.encode(samples[at : at + step])).decode()
                self._tell("response.output_audio.delta", content_index=0, delta=delta)
            end_s = self._part.spoken_s + len(samples) / self._plan.form.rate_hz
            if not begins:
                self._part.spoken.pop()
            self._part.spoken.append((sentence, end_s))
            sound = AudioChunk(samples, self._plan.form.rate_hz)
            self._part.sound = _joined(self._part.sound, sound)

    def _complete(self) -> None:
        """The turn is over. An answer that was cut short at its limit is one that its scope knows to be stale."""
        with self._lock:
            if self.is_active and self._part.spoken:
                self._speak(self._part.spoken[-1][0], self._resampler.flush(), begins=False)
            if self._scope.stale(0):
                self._finish("incomplete", {"reason": "max_output_tokens"})
            else:
                self._open()
                self._finish("completed", None)

    def _fail(self, code: str, message: str) -> None:
        self._finish("failed", {"error": {"type": "server_error", "code": code, "message": message}})

    def _open(self) -> None:
        """The answer's item appears with its first word: a response that fails before has none."""
        if self._item is not None:
            return
        self._item = Item("assistant", [], status="in_progress")
        before = self._plan.conversation.add(self._item) if self._plan.conversation else None
        self._tell("response.output_item.added", item=self._item.described())
        if self._plan.conversation is not None:
            self._say("conversation.item.added", item=self._item.described(), previous_item_id=before)
        self._item.parts.append(self._part)
        self._tell("response.content_part.added", content_index=0, part=self._piece(""))

    def _finish(self, status: str, details: dict[str, Any] | None) -> None:
        with self._lock:
            if not self.is_active:
                return
            self._scope.next()
            self._close(status)
            self._status = status
            self._details = {"type": status} | details if details else None
            self._say("response.done", response=self._described())
            if self._plan.spoken and status != "completed":
                self._part.truncate(self._part.spoken_s)  # what was written and not spoken has not been said

    def _close(self, status: str) -> None:
        if self._item is None:
            return
        self._item.status = "completed" if status == "completed" else "incomplete"
        text = self._part.text
        if self._plan.spoken:
            self._tell("response.output_audio.done", content_index=0)
            self._tell("response.output_audio_transcript.done", content_index=0, transcript=text)
        else:
            self._tell("response.output_text.done", content_index=0, text=text)
        self._tell("response.content_part.done", content_index=0, part=self._piece(text))
        self._tell("response.output_item.done", item=self._item.described())
        if self._plan.conversation is not None:
            self._say("conversation.item.done", item=self._item.described())

    def _tell(self, kind: str, **fields: Any) -> None:
        assert self._item is not None
        about = {"response_id": self.id, "output_index": 0}
        self._say(kind, **about, **(fields if "item" in fields else fields | {"item_id": self._item.id}))

    def _piece(self, text: str) -> dict[str, str]:
        return {"type": "audio", "transcript": text} if self._plan.spoken else {"type": "text", "text": text}

    def _described(self) -> dict[str, Any]:
        audio = {"output": {"format": {"type": self._plan.form.name}, "voice": self._parts.voice}}
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": self._status,
            "status_details": self._details,
            "output": [self._item.described()] if self._item else [],
            "output_modalities": ["audio" if self._plan.spoken else "text"],
            "audio": audio if self._plan.spoken else None,
            "conversation_id": self._plan.conversation.id if self._plan.conversation else None,
            "max_output_tokens": self._plan.most_tokens,
            "metadata": self._plan.metadata,
            "usage": None,
        }


def _joined(before: AudioChunk | None, after: AudioChunk) -> AudioChunk:
    return after if before is None else replace(before, samples=np.concatenate([before.samples, after.samples]))
