"""One client's session: what it sends is obeyed in order, and what happens is said in events."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from lorgnette.assistant.background import Errand
from lorgnette.assistant.realtime import client_events as sent
from lorgnette.assistant.realtime.conversation import Conversation, Item, Part, Understood, new_id
from lorgnette.assistant.realtime.input_buffer import InputBuffer, SpeechStarted, SpeechStopped
from lorgnette.assistant.realtime.item_reader import encode_sound, read_item
from lorgnette.assistant.realtime.parts import RealtimeParts
from lorgnette.assistant.realtime.refusal import Refusal
from lorgnette.assistant.realtime.response import Response, ResponsePlan
from lorgnette.assistant.realtime.settings import SessionSettings
from lorgnette.device.errors import LorgnetteError
from lorgnette.device.sound import AudioChunk


class Session:
    """`receive` is called by one thread, one message after the other; responses and transcripts are made on others.
    `send` is called from any of them, but never twice at a time."""

    def __init__(self, parts: RealtimeParts, send: Callable[[dict[str, Any]], None]) -> None:
        self._parts = parts
        self._send = send
        self._lock = threading.RLock()
        self._id = new_id("sess")
        self._settings = SessionSettings()
        self._conversation = Conversation()
        self._buffer = InputBuffer(self._settings.audio.input, parts)
        self._next_item = new_id("item")
        self._response: Response | None = None

    def begin(self) -> None:
        with self._lock:
            self._say("session.created", session=self._described())

    def receive(self, text: str) -> None:
        """Obey one message. What is wrong with it comes back as an `error` event; nothing is raised."""
        event_id = None
        with self._lock:
            try:
                message = _parsed(text)
                event_id = message["event_id"] if isinstance(message.get("event_id"), str) else None
                self._obey(sent.read_event(message))
            except Refusal as refusal:
                self._say("error", error=refusal.described(event_id))
            except LorgnetteError as error:
                self._say("error", error=Refusal("invalid_value", error.message, error.hint).described(event_id))

    def close(self) -> None:
        """The client is gone."""
        if self._response is not None:
            self._response.cancel("client_cancelled")

    def _obey(self, event: sent.AnyClientEvent) -> None:
        match event:
            case sent.SessionUpdate(session=changes):
                self._update(changes)
            case sent.Append(audio=audio):
                self._append(audio)
            case sent.Commit():
                self._commit(self._buffer.take())
            case sent.Clear():
                self._buffer.clear()
                self._say("input_audio_buffer.cleared")
            case sent.ItemCreate(item=message, previous_item_id=after):
                self._add(read_item(message, self._settings.audio.input.format.format), after)
            case sent.ItemTruncate(item_id=item_id, audio_end_ms=end_ms):
                self._truncate(item_id, end_ms)
            case sent.ItemDelete(item_id=item_id):
                self._conversation.delete(self._at_rest(item_id).id)
                self._say("conversation.item.deleted", item_id=item_id)
            case sent.ItemRetrieve(item_id=item_id):
                form = self._settings.audio.input.format.format
                item = self._conversation.find(item_id).described(lambda sound: encode_sound(sound, form))
                self._say("conversation.item.retrieved", item=item)
            case sent.ResponseCreate(response=wanted):
                self._respond(wanted or sent.ResponseSettings(), time.monotonic_ns())
            case sent.ResponseCancel(response_id=response_id):
                self._cancel(response_id)

    def _update(self, changes: dict[str, Any]) -> None:
        try:
            settings = self._settings.updated(changes)
        except ValidationError as error:
            raise sent.refused(error, "session") from error
        before, after = self._settings.audio.input, settings.audio.input
        if (before.format, before.turn_detection) != (after.format, after.turn_detection):
            self._buffer = InputBuffer(after, self._parts, self._buffer.written_samples)
        self._settings = settings
        self._say("session.updated", session=self._described())

    def _append(self, audio: str) -> None:
        for event in self._buffer.append(audio):
            detection = self._settings.audio.input.turn_detection
            assert detection is not None
            match event:
                case SpeechStarted(at_ms):
                    self._say("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=self._next_item)
                    if self._response is not None and detection.interrupt_response:
                        self._response.cancel("turn_detected")
                case SpeechStopped(at_ms, None):
                    self._say("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=self._next_item)
                    self._say("input_audio_buffer.cleared")
                case SpeechStopped(at_ms, sound, ended_at_ns):
                    self._say("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=self._next_item)
                    assert sound is not None
                    self._commit(sound)
                    if detection.create_response:
                        self._respond(sent.ResponseSettings(), ended_at_ns)

    def _commit(self, sound: AudioChunk) -> None:
        item = Item("user", [Part("input_audio", sound=sound)], self._next_item)
        self._next_item = new_id("item")
        before = self._conversation.add(item)
        self._say("input_audio_buffer.committed", item_id=item.id, previous_item_id=before)
        self._announce(item, before)

    def _add(self, item: Item, after: str | None) -> None:
        self._announce(item, self._conversation.add(item, after))

    def _announce(self, item: Item, before: str | None) -> None:
        for kind in ("conversation.item.added", "conversation.item.done"):
            self._say(kind, item=item.described(), previous_item_id=before)
        self._prepare(item)

    def _prepare(self, item: Item) -> None:
        """Begin with what can be known before anything is asked."""
        for index, part in enumerate(item.parts):
            if part.sound is not None:
                part.understood = self._understand(item.id, index, part, part.sound)
            if (picture := part.picture) is not None:
                Errand(lambda picture=picture: self._parts.turns.look(picture), "look")  # type: ignore[misc]

    def _understand(self, item_id: str, index: int, part: Part, sound: AudioChunk) -> Errand[Understood]:
        """Transcribe, and tell the client if it wants to know."""
        wanted = self._settings.audio.input.transcription
        language = (wanted.language if wanted else None) or self._parts.language

        def tell(kind: str, **fields: Any) -> None:
            if wanted is not None:
                about = {"item_id": item_id, "content_index": index}
                self._say(f"conversation.item.input_audio_transcription.{kind}", **about, **fields)

        def understand() -> Understood:
            start_ns = time.monotonic_ns()
            try:
                transcript = self._parts.turns.transcriber().transcribe(sound, language)
            except LorgnetteError as error:
                with self._lock:
                    tell("failed", error={"type": "server_error", "code": "transcription", "message": str(error)})
                raise
            with self._lock:
                part.text = transcript.text
                tell("delta", delta=transcript.text)
                usage = {"type": "duration", "seconds": sound.duration_s}
                tell("completed", transcript=transcript.text, usage=usage)
            return Understood(transcript, start_ns, time.monotonic_ns())

        return Errand(understand, "transcript")

    def _respond(self, wanted: sent.ResponseSettings, asked_at_ns: int) -> None:
        if self._response is not None and self._response.is_active:
            raise Refusal(
                "conversation_already_has_active_response", "an answer is being made already", "wait, or cancel it"
            )
        settings = self._settings
        plan = ResponsePlan(
            items=tuple(self._conversation if wanted.input is None else self._given(wanted.input)),
            conversation=self._conversation if wanted.conversation == "auto" else None,
            spoken=(wanted.output_modalities or settings.output_modalities) == ["audio"],
            form=settings.audio.output.format.format,
            most_tokens=wanted.max_output_tokens or settings.max_output_tokens,
            metadata=wanted.metadata,
            asked_at_ns=asked_at_ns,
        )
        self._response = Response(plan, self._parts, self._lock, self._say)
        self._response.start()

    def _given(self, messages: list[sent.Message | sent.Reference]) -> list[Item]:
        """The items that a response is asked for instead of the conversation's."""
        items = []
        for message in messages:
            if isinstance(message, sent.Reference):
                items.append(self._conversation.find(message.id))
            else:
                items.append(read_item(message, self._settings.audio.input.format.format))
                self._prepare(items[-1])
        return items

    def _cancel(self, response_id: str | None) -> None:
        running = self._response if self._response is not None and self._response.is_active else None
        if running is None or response_id not in (None, running.id):
            raise Refusal("response_cancel_not_active", "no such response is being made", param="response_id")
        running.cancel("client_cancelled")

    def _truncate(self, item_id: str, end_ms: int) -> None:
        item = self._at_rest(item_id)
        part = item.parts[0]
        if part.kind != "output_audio":
            raise Refusal("invalid_value", "only spoken answers can be truncated", param="item_id")
        if end_ms > part.spoken_s * 1000 + 1:
            message = f"the answer lasts {part.spoken_s * 1000:.0f} ms, {end_ms} ms cannot have been heard"
            raise Refusal("invalid_value", message, param="audio_end_ms")
        part.truncate(end_ms / 1000)
        self._say("conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=end_ms)

    def _at_rest(self, item_id: str) -> Item:
        """The item, which nobody is writing."""
        item = self._conversation.find(item_id)
        if self._response is not None and self._response.writes(item):
            raise Refusal("item_in_progress", "the answer is still being made", "send response.cancel first", "item_id")
        return item

    def _described(self) -> dict[str, Any]:
        return self._settings.described(self._id, self._parts.model, self._parts.voice)

    def _say(self, kind: str, **fields: Any) -> None:
        self._send({"type": kind, "event_id": new_id("event")} | fields)


def _parsed(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal("invalid_json", "the message is not JSON", "send one JSON object a message") from error
    if not isinstance(message, dict):
        raise Refusal("invalid_json", "the message is not a JSON object")
    return message
