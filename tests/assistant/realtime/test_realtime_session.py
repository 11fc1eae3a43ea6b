"""What a client may send and what it may not: every refusal is an `error` event, and the session goes on."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from typing import Any

import numpy as np
import pytest
from realtime_box import PCM_HZ, check, data_url, recording, serving, talking

from lorgnette.assistant.examples import shipped_examples
from lorgnette.assistant.realtime.parts import RealtimeParts
from lorgnette.assistant.realtime.session import Session
from lorgnette.assistant.turn import Turns
from lorgnette.device.errors import InputError
from lorgnette.device.sound import AudioChunk
from lorgnette.device.wav import pcm16
from lorgnette.llm.echo_engine import EchoEngine
from lorgnette.speech.synthesizer import SilentSynthesizer
from lorgnette.speech.transcriber import Transcript
from lorgnette.speech.voice_activity import SileroDetector

EXAMPLE = shipped_examples()["coffee"]
PICTURE = {"type": "input_image", "image_url": data_url(EXAMPLE.photo)}
MANUAL = {"type": "session.update", "session": {"audio": {"input": {"turn_detection": None}}}}


class Deaf:
    def transcribe(self, sound: AudioChunk, language: str | None = None, hint: str | None = None) -> Transcript:
        raise InputError("nothing can be heard here")


class Words:
    def transcribe(self, sound: AudioChunk, language: str | None = None, hint: str | None = None) -> Transcript:
        return Transcript("What is this?", language or "en", 1.0, sound.duration_s, sound.duration_s)


class Patient:
    """Takes no pause for the end before `end_s`."""

    def __init__(self, end_s: float) -> None:
        self._end_s = end_s

    def probability(self, sound: AudioChunk) -> float:
        return 0.9 if sound.duration_s >= self._end_s else 0.1


class Line:
    """A session without a socket. Every event that it sends is checked."""

    def __init__(self, engine: EchoEngine | None = None, transcriber: Any = Words, **parts: Any) -> None:
        answering = engine or EchoEngine()
        turns = Turns(lambda: answering, transcriber, SilentSynthesizer)
        self._said = threading.Condition()
        self.heard: list[dict[str, Any]] = []
        self._session = Session(RealtimeParts(turns, SileroDetector, **parts), self._hear)
        self._session.begin()

    def _hear(self, event: dict[str, Any]) -> None:
        with self._said:
            self.heard.append(check(json.loads(json.dumps(event))))
            self._said.notify_all()

    def send(self, *messages: dict[str, Any] | str) -> list[dict[str, Any]]:
        """What comes at once. Anything that comes from other threads may be among it."""
        before = len(self.heard)
        for message in messages:
            self._session.receive(message if isinstance(message, str) else json.dumps(message))
        return self.heard[before:]

    def error(self, message: dict[str, Any] | str) -> dict[str, Any]:
        (event,) = self.send(message)
        assert event["type"] == "error"
        return dict(event["error"])

    def wait(self, kind: str) -> dict[str, Any]:
        with self._said:
            assert self._said.wait_for(lambda: any(event["type"] == kind for event in self.heard), 20)
        return next(event for event in self.heard if event["type"] == kind)

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.heard]


def message(*content: dict[str, Any], role: str = "user", **others: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": {"type": "message", "role": role, "content": content} | others}


def written(text: str, **others: Any) -> dict[str, Any]:
    return message({"type": "input_text", "text": text}, **others)


def appended(samples: np.ndarray) -> dict[str, Any]:
    return carried(pcm16(samples).tobytes())


def carried(data: bytes) -> dict[str, Any]:
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(data).decode()}


def silence(duration_s: float) -> dict[str, Any]:
    return appended(np.zeros(round(duration_s * PCM_HZ), np.float32))


def test_a_session_begins_with_what_is_in_force() -> None:
    session = Line().heard[0]["session"]
    assert session["output_modalities"] == ["audio"]
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": PCM_HZ}
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
    assert session["audio"]["input"]["transcription"] is None


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    line = Line(end_of_turn=Patient(0.0))
    (first,) = line.send(
        {"type": "session.update", "session": {"audio": {"input": {"turn_detection": {"threshold": 0.7}}}}}
    )
    assert first["session"]["audio"]["input"]["turn_detection"]["threshold"] == 0.7
    assert first["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
    update: dict[str, Any] = {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}}
    (second,) = line.send({"type": "session.update", "session": update | {"output_modalities": ["text"]}})
    assert second["session"]["audio"]["input"]["turn_detection"]["eagerness"] == "high"
    assert "threshold" not in second["session"]["audio"]["input"]["turn_detection"]
    assert second["session"]["output_modalities"] == ["text"]
    (third,) = line.send(MANUAL)
    assert third["session"]["audio"]["input"]["turn_detection"] is None
    assert third["session"]["output_modalities"] == ["text"]


def test_what_has_no_effect_is_taken_and_does_not_come_back() -> None:
    voice = {"voice": "marin", "speed": 1.2}
    update = {"instructions": "Be brief.", "model": "gpt-realtime", "tracing": "auto", "audio": {"output": voice}}
    (updated,) = Line().send({"type": "session.update", "session": update})
    session = updated["session"]
    assert session["instructions"] == ""
    assert session["model"] == session["audio"]["output"]["voice"] == "lorgnette"


def test_functions_may_be_declared_and_are_never_called() -> None:
    line = Line()
    tool = {"type": "function", "name": "call_home", "description": "Call home.", "parameters": {"type": "object"}}
    (updated,) = line.send({"type": "session.update", "session": {"tools": [tool], "tool_choice": "auto"}})
    assert updated["session"]["tools"] == [tool]
    assert updated["session"]["tool_choice"] == "none"
    line.send(MANUAL, message(PICTURE, {"type": "input_text", "text": "Call home!"}), {"type": "response.create"})
    (item,) = line.wait("response.done")["response"]["output"]
    assert item["type"] == "message"
    assert line.error({"type": "session.update", "session": {"tool_choice": "required"}})["param"] == (
        "session.tool_choice"
    )


@pytest.mark.parametrize(
    ("sent", "code", "param"),
    [
        ("{", "invalid_json", None),
        ("[1]", "invalid_json", None),
        ("[" * 100_000, "invalid_json", None),
        ({}, "missing_required_parameter", "type"),
        ({"type": "response.crate"}, "invalid_value", "type"),
        ({"type": "output_audio_buffer.clear"}, "invalid_value", "type"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "?"}, "invalid_base64", "audio"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
        ({"type": "session.update", "session": {"turn_detecton": None}}, "unknown_parameter", "session.turn_detecton"),
        ({"type": "session.update", "session": {"type": "transcription"}}, "invalid_value", "session.type"),
        (
            {"type": "session.update", "session": {"audio": {"input": {"format": {"rate": 16_000}}}}},
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        (
            {"type": "session.update", "session": {"output_modalities": ["text", "audio"]}},
            "invalid_value",
            "session.output_modalities",
        ),
        (
            {"type": "session.update", "session": {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}},
            "unsupported",
            None,
        ),
        ({"type": "conversation.item.delete", "item_id": "x"}, "item_not_found", "item_id"),
        ({"type": "conversation.item.retrieve", "item_id": "x"}, "item_not_found", "item_id"),
        (written("Hello?", role="system"), "invalid_value", "item.role"),
        (message({"type": "output_text", "text": "Hello."}), "invalid_value", "item.content"),
        (
            message({"type": "input_image", "image_url": "file:///etc/passwd"}),
            "invalid_value",
            "item.content.image_url",
        ),
        (message(PICTURE | {"image_url": "data:image/png;base64,AAAA"}), "invalid_value", None),
        (message({"type": "input_audio", "audio": "AAAA"}), "invalid_value", "item.content.audio"),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "function_call_output", "call_id": "1", "output": ""},
            },
            "invalid_value",
            "item.type",
        ),
        (written("Hello?") | {"previous_item_id": "x"}, "item_not_found", "item_id"),
        ({"type": "response.cancel"}, "response_cancel_not_active", "response_id"),
        ({"type": "response.create", "response": {"max_output_tokens": 0}}, "invalid_value", None),
    ],
)
def test_what_is_wrong_is_said_and_the_session_goes_on(sent: Any, code: str, param: str | None) -> None:
    line = Line()
    named = sent if isinstance(sent, str) else sent | {"event_id": "mine"}
    error = line.error(named)
    assert error["code"] == code
    assert error["type"] == "invalid_request_error"
    assert error["event_id"] == (None if isinstance(sent, str) else "mine")
    if param is not None:
        assert error["param"] == param
    assert [event["type"] for event in line.send(MANUAL)] == ["session.updated"]


def test_an_error_repeats_nothing_of_what_was_said() -> None:
    error = Line().error({"type": "conversation.item.create", "item": "my secret", "event_id": "1"})
    assert "secret" not in json.dumps(error)


def test_a_malformed_message_does_not_end_the_connection() -> None:
    async def converse(url: str) -> None:
        async with talking(url) as talk:
            await talk.connection.send_raw("not JSON")
            assert (await talk.next())["error"]["code"] == "invalid_json"
            await talk.connection.send_raw(b"\x00\xff")
            assert (await talk.next())["error"]["code"] == "invalid_json"
            await talk.connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
            await talk.until("session.updated")

    engine = EchoEngine()
    with serving(RealtimeParts(Turns(lambda: engine), SileroDetector)) as url:
        asyncio.run(converse(url))


def test_items_are_put_where_the_client_wants_them_and_taken_out_again() -> None:
    line = Line()
    line.send(written("One?", id="one"))
    (added, _) = line.send(written("Two?", id="two"))
    assert added["previous_item_id"] == "one"
    (added, _) = line.send(written("Zero?", id="zero") | {"previous_item_id": "root"})
    assert added["previous_item_id"] is None
    (added, _) = line.send(written("Half?", id="half") | {"previous_item_id": "zero"})
    assert added["previous_item_id"] == "zero"
    assert line.error(written("Again?", id="one"))["code"] == "item_id_taken"
    (deleted,) = line.send({"type": "conversation.item.delete", "item_id": "one"})
    assert deleted["item_id"] == "one"
    assert line.error({"type": "conversation.item.retrieve", "item_id": "one"})["code"] == "item_not_found"
    (added, _) = line.send(written("Three?"))
    assert added["previous_item_id"] == "two"


def test_a_picture_comes_back_only_when_it_is_asked_for() -> None:
    line = Line()
    added, _ = line.send(message(PICTURE, id="photo"))
    assert added["item"]["content"] == [{"type": "input_image", "image_url": None}]
    (retrieved,) = line.send({"type": "conversation.item.retrieve", "item_id": "photo"})
    assert retrieved["item"]["content"] == [PICTURE]


def test_only_one_answer_at_a_time() -> None:
    class Slow(EchoEngine):
        def look(self, picture: Any) -> Any:
            gate.wait(20)
            return super().look(picture)

    gate = threading.Event()
    line = Line(Slow())
    line.send(MANUAL, message(PICTURE, {"type": "input_text", "text": "Is there a cup?"}), {"type": "response.create"})
    assert line.error({"type": "response.create"})["code"] == "conversation_already_has_active_response"
    gate.set()
    assert line.wait("response.done")["response"]["status"] == "completed"


def test_nothing_asked_is_a_failed_response_without_an_answer() -> None:
    line = Line()
    line.send(MANUAL, message(PICTURE), {"type": "response.create"})
    response = line.wait("response.done")["response"]
    assert response["status"] == "failed"
    assert response["output"] == []


def test_what_cannot_be_transcribed_is_said_for_the_sound_and_for_the_answer() -> None:
    line = Line(transcriber=Deaf)
    line.send({"type": "session.update", "session": {"audio": {"input": {"transcription": {"model": "ours"}}}}})
    line.send(
        MANUAL, message(PICTURE), silence(0.5), {"type": "input_audio_buffer.commit"}, {"type": "response.create"}
    )
    failed = line.wait("conversation.item.input_audio_transcription.failed")
    assert "nothing can be heard" in failed["error"]["message"]
    assert line.wait("response.done")["response"]["status"] == "failed"


def test_a_pause_in_a_sentence_does_not_end_a_semantic_turn() -> None:
    """The same recording with a second of silence in its middle is one turn or two."""
    samples = recording(EXAMPLE.audio).samples
    middle = len(samples) // 2
    spoken = [appended(samples[:middle]), silence(1.0), appended(samples[middle:]), silence(1.5)]
    detection = {"type": "semantic_vad", "eagerness": "low", "create_response": False}
    update = {"type": "session.update", "session": {"audio": {"input": {"turn_detection": detection}}}}

    def turns(end_s: float) -> int:
        line = Line(end_of_turn=Patient(end_s))
        line.send(update, *spoken)
        assert "response.created" not in line.kinds()
        return line.kinds().count("input_audio_buffer.committed")

    assert turns(0.0) == 2
    assert turns(middle / PCM_HZ + 1.0) == 1


def test_a_turn_that_is_not_to_be_answered_is_only_noted() -> None:
    line = Line()
    detection = {"create_response": False, "silence_duration_ms": 300}
    line.send({"type": "session.update", "session": {"audio": {"input": {"turn_detection": detection}}}})
    line.send(appended(recording(EXAMPLE.audio).samples), silence(0.5))
    committed = line.wait("input_audio_buffer.committed")
    assert "response.created" not in line.kinds()
    line.send({"type": "conversation.item.retrieve", "item_id": committed["item_id"]})
    (content,) = line.wait("conversation.item.retrieved")["item"]["content"]
    assert 0.5 < len(base64.b64decode(content["audio"])) / 2 / PCM_HZ <= recording(EXAMPLE.audio).duration_s + 0.5


def retrieved_sounds(line: Line) -> list[bytes]:
    """Every sound that was committed, as it comes back."""
    sounds = []
    for committed in [event for event in line.heard if event["type"] == "input_audio_buffer.committed"]:
        (answer,) = line.send({"type": "conversation.item.retrieve", "item_id": committed["item_id"]})
        sounds.append(base64.b64decode(answer["item"]["content"][0]["audio"]))
    return sounds


def test_speech_soon_after_a_turn_is_a_turn_of_its_own() -> None:
    line = Line()
    detection = {"create_response": False, "silence_duration_ms": 300}
    line.send({"type": "session.update", "session": {"audio": {"input": {"turn_detection": detection}}}})
    samples = recording(EXAMPLE.audio).samples
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    question = appended(samples[loud[0] : loud[-1]])
    line.send(question, silence(0.5), question, silence(0.5))
    first, second = retrieved_sounds(line)
    assert len(second) == pytest.approx(len(first), rel=0.3)


def test_a_sample_may_be_cut_in_two_on_its_way() -> None:
    data = pcm16(recording(EXAMPLE.audio).samples).tobytes()
    line = Line()
    line.send(MANUAL, carried(data), {"type": "input_audio_buffer.commit"})
    line.send(*(carried(data[at : at + 4801]) for at in range(0, len(data), 4801)))
    line.send({"type": "input_audio_buffer.commit"})
    whole, pieces = retrieved_sounds(line)
    assert np.abs(np.frombuffer(whole, "<i2").astype(int)[:40_000] - np.frombuffer(pieces, "<i2")[:40_000]).max() <= 64
