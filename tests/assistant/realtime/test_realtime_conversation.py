"""OpenAI's own client holds a conversation with the endpoint, over a real socket."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from realtime_box import PCM_HZ, TOKEN, Talk, data_url, recording, running, serving, talking
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from lorgnette.assistant.examples import shipped_examples
from lorgnette.assistant.realtime.parts import RealtimeParts
from lorgnette.assistant.realtime.route import realtime_route
from lorgnette.assistant.trace import TurnTrace
from lorgnette.assistant.turn import Turns
from lorgnette.device.frame import Frame
from lorgnette.device.sound import AudioChunk
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.echo_engine import EchoEngine
from lorgnette.llm.engine import Exchange, Look, Prompt, Token
from lorgnette.speech.sentences import stream_sentences
from lorgnette.speech.synthesizer import SilentSynthesizer
from lorgnette.speech.transcriber import Transcript
from lorgnette.speech.voice_activity import SileroDetector

EXAMPLE = shipped_examples()["coffee"]
PICTURE = data_url(EXAMPLE.photo)
ANSWER = "You asked: Is there a cup? The picture is {0.width} x {0.height}."


class Listener:
    """Hears the same words whatever is said, and nothing in silence."""

    def __init__(self, words: str = "What is this?") -> None:
        self._words = words

    def transcribe(self, sound: AudioChunk, language: str | None = None, hint: str | None = None) -> Transcript:
        words = self._words if np.abs(sound.samples).max() > 0.01 else ""
        return Transcript(words, language or "en", 1.0, sound.duration_s, sound.duration_s)


class Remembering(EchoEngine):
    """Echoes, and keeps what it was asked and how often it had to look."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts: list[Prompt] = []
        self.looks: list[Look] = []

    def look(self, picture: Frame) -> Look:
        self.looks.append(super().look(picture))
        return self.looks[-1]

    def stream(self, prompt: Prompt, cancel: CancelScope) -> Iterator[Token]:
        self.prompts.append(prompt)
        return super().stream(prompt, cancel)


class Storyteller(EchoEngine):
    """Goes on until it is stopped."""

    def stream(self, prompt: Prompt, cancel: CancelScope) -> Iterator[Token]:
        for token in self._answer(["One", "sentence", "here."] * 1_000, cancel, cancel.generation):
            time.sleep(0.002)
            yield token

    def __init__(self) -> None:
        super().__init__(max_new_tokens=3_000)


def parts(engine: EchoEngine | None = None, **others: Any) -> RealtimeParts:
    answering = engine or EchoEngine()
    listener = Listener()
    turns = Turns(lambda: answering, lambda: listener, SilentSynthesizer)
    return replace(RealtimeParts(turns, SileroDetector), **others)


def said_s(text: str) -> float:
    """How long the voice takes for it, clause by clause."""
    voice = SilentSynthesizer()
    return sum(chunk.duration_s for clause in stream_sentences([text]) for chunk in voice.synthesize(clause))


async def manual(talk: Talk, **others: Any) -> None:
    """No turn detection, and answers in writing unless `others` say so."""
    settings = {"type": "realtime", "output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}}
    await talk.connection.session.update(session=settings | others)  # type: ignore[arg-type]
    await talk.until("session.updated")


def test_a_written_question_about_a_picture_is_answered_in_writing() -> None:
    async def converse(url: str) -> None:
        async with talking(url) as talk:
            await manual(talk)
            await talk.show(PICTURE, "Is there a cup?")
            await talk.connection.response.create()
            done = await talk.until("response.done")
            assert talk.kinds()[2:] == [
                "conversation.item.added",
                "conversation.item.done",
                "response.created",
                "response.output_item.added",
                "conversation.item.added",
                "response.content_part.added",
                *["response.output_text.delta"] * len(talk.deltas("response.output_text")),
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
                "conversation.item.done",
                "response.done",
            ]
            (item,) = done["response"]["output"]
            answer = item["content"][0]["text"]
            assert answer == "You asked: Is there a cup? The picture is 600 x 400."
            assert "".join(talk.deltas("response.output_text")) == answer
            assert len(talk.deltas("response.output_text")) > 5  # while it is written, not at the end
            assert done["response"]["status"] == item["status"] == "completed"
            identities = [event["event_id"] for event in talk.heard]
            assert len(set(identities)) == len(identities)

    with serving(parts()) as url:
        asyncio.run(converse(url))


def test_a_spoken_question_is_noticed_understood_and_answered_aloud() -> None:
    traces: list[TurnTrace] = []

    async def converse(url: str) -> None:
        async with talking(url) as talk:
            settings: Any = {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
            await talk.connection.session.update(session=settings)
            await talk.show(PICTURE)
            await talk.say(recording(EXAMPLE.audio), silence_s=0.8)
            done = await talk.until("response.done")
            kinds = talk.kinds()
            order = [
                "input_audio_buffer.speech_started",
                "input_audio_buffer.speech_stopped",
                "input_audio_buffer.committed",
                "conversation.item.input_audio_transcription.completed",
                "response.output_audio_transcript.delta",
                "response.output_audio.delta",
                "response.output_audio.done",
            ]
            assert [kinds.index(kind) for kind in order] == sorted(kinds.index(kind) for kind in order)
            # The first clause is heard while the rest is still being written.
            assert kinds.index("response.output_audio.delta") < kinds.index("response.output_audio_transcript.done") - 4
            started, stopped, committed = (talk.heard[kinds.index(kind)] for kind in order[:3])
            assert started["item_id"] == stopped["item_id"] == committed["item_id"]
            assert 0 <= started["audio_start_ms"] < stopped["audio_end_ms"]
            (item,) = done["response"]["output"]
            transcript = item["content"][0]["transcript"]
            assert transcript == "You asked: What is this? The picture is 600 x 400."
            assert len(talk.sound()) / 2 == pytest.approx(PCM_HZ * said_s(transcript), abs=4)

    with serving(parts(traced=traces.append)) as url:
        asyncio.run(converse(url))
    (trace,) = traces
    assert trace.outcome == "answered"
    assert trace.spoken
    assert trace.asked_at_ns <= (trace.transcribe_start_at_ns or 0) <= (trace.transcript_at_ns or 0)
    assert next(stage.name for stage in trace.stages()) == "listen"


def test_sound_that_the_client_commits_itself() -> None:
    async def converse(url: str) -> None:
        async with talking(url) as talk:
            await manual(talk)
            await talk.show(PICTURE)
            await talk.say(recording(EXAMPLE.audio))
            await talk.connection.input_audio_buffer.commit()
            committed = await talk.until("input_audio_buffer.committed")
            await talk.connection.response.create()
            await talk.until("response.done")
            assert "input_audio_buffer.speech_started" not in talk.kinds()
            assert "".join(talk.deltas("response.output_text")).startswith("You asked: What is this?")
            await talk.connection.conversation.item.retrieve(item_id=committed["item_id"])
            retrieved = await talk.until("conversation.item.retrieved")
            (content,) = retrieved["item"]["content"]
            assert content["transcript"] == "What is this?"
            sent_s = recording(EXAMPLE.audio).duration_s
            assert len(base64.b64decode(content["audio"])) / 2 / PCM_HZ == pytest.approx(sent_s, abs=0.02)
            await talk.say(recording(EXAMPLE.audio))
            await talk.connection.input_audio_buffer.clear()
            await talk.until("input_audio_buffer.cleared")
            await talk.connection.input_audio_buffer.commit()
            while (event := await talk.next())["type"] != "error":
                pass
            assert event["error"]["code"] == "input_audio_buffer_commit_empty"

    with serving(parts()) as url:
        asyncio.run(converse(url))


def test_a_second_question_is_about_the_same_picture() -> None:
    engine = Remembering()

    async def converse(url: str) -> None:
        async with talking(url) as talk:
            await manual(talk)
            await talk.show(PICTURE, "Is there a cup?")
            await talk.connection.response.create()
            await talk.until("response.done")
            await talk.write("What colour is it?")
            await talk.connection.response.create()
            await talk.until("response.done")

    with serving(parts(engine, remember=1)) as url:
        asyncio.run(converse(url))
    first, second = engine.prompts
    assert second.question == "What colour is it?"
    assert first.picture is not None
    assert second.picture is first.picture
    assert engine.looks[-1].cached
    assert first.history == ()
    answer = "You asked: Is there a cup? The picture is 600 x 400."
    assert second.history == (Exchange("Is there a cup?", answer),)


def test_a_client_cancels_an_answer() -> None:
    traces: list[TurnTrace] = []

    async def converse(url: str) -> None:
        async with talking(url) as talk:
            await manual(talk)
            await talk.show(PICTURE, "Tell me a story.")
            await talk.connection.response.create()
            await talk.until("response.output_text.delta")
            await talk.connection.response.cancel()
            done = await talk.until("response.done")
            assert done["response"]["status"] == "cancelled"
            assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
            assert done["response"]["output"][0]["status"] == "incomplete"
            await talk.connection.response.cancel()
            error = await talk.next()  # nothing of the cancelled answer comes in between
            assert error["error"]["code"] == "response_cancel_not_active"
            await talk.write("And now?")
            await talk.connection.response.create()
            await talk.until("response.output_text.delta")

    with serving(parts(Storyteller(), traced=traces.append)) as url:
        asyncio.run(converse(url))
    assert traces[0].outcome == "cancelled"


def test_a_client_that_hangs_up_stops_its_answer() -> None:
    stopped = threading.Event()

    async def converse(url: str) -> None:
        async with talking(url) as talk:
            await manual(talk)
            await talk.show(PICTURE, "Tell me a story.")
            await talk.connection.response.create()
            await talk.until("response.output_text.delta")

    with serving(parts(Storyteller(), traced=lambda trace: stopped.set())) as url:
        asyncio.run(converse(url))
        assert stopped.wait(20)


def test_speech_interrupts_an_answer_and_the_client_says_how_much_was_heard() -> None:
    async def converse(url: str) -> None:
        async with talking(url) as talk:
            await talk.show(PICTURE, "Tell me a story.")
            await talk.connection.response.create()
            for _ in range(20):
                await talk.until("response.output_audio.delta")
            await talk.say(recording(EXAMPLE.audio))
            done = await talk.until("response.done")
            assert "input_audio_buffer.speech_started" in talk.kinds()
            assert done["response"]["status_details"]["reason"] == "turn_detected"
            (item,) = done["response"]["output"]
            assert item["content"][0]["transcript"].startswith("One sentence here.")
            heard_ms = 1500  # a clause of 18 letters takes 1080 to 1140 ms
            await talk.connection.conversation.item.truncate(item_id=item["id"], content_index=0, audio_end_ms=heard_ms)
            truncated = await talk.until("conversation.item.truncated")
            assert truncated["audio_end_ms"] == heard_ms
            await talk.connection.conversation.item.retrieve(item_id=item["id"])
            kept = (await talk.until("conversation.item.retrieved"))["item"]["content"][0]["transcript"]
            assert kept == "One sentence here. One"
            await talk.connection.conversation.item.truncate(item_id=item["id"], content_index=0, audio_end_ms=9_000)
            while (event := await talk.next())["type"] != "error":
                pass
            assert event["error"]["param"] == "audio_end_ms"

    with serving(parts(Storyteller())) as url:
        asyncio.run(converse(url))


def test_an_answer_ends_at_the_number_of_tokens_that_was_asked_for() -> None:
    async def converse(url: str) -> None:
        async with talking(url) as talk:
            await manual(talk)
            await talk.show(PICTURE, "Tell me a story.")
            await talk.connection.response.create(response={"max_output_tokens": 4, "metadata": {"topic": "story"}})
            response = (await talk.until("response.done"))["response"]
            assert response["status"] == "incomplete"
            assert response["status_details"]["reason"] == "max_output_tokens"
            assert response["metadata"] == {"topic": "story"}
            assert response["output"][0]["content"][0]["text"] == "One sentence here. One"

    with serving(parts(Storyteller())) as url:
        asyncio.run(converse(url))


def test_a_question_out_of_band_leaves_the_conversation_as_it_was() -> None:
    engine = Remembering()

    async def converse(url: str) -> None:
        async with talking(url) as talk:
            await manual(talk)
            await talk.show(PICTURE)
            shown = (await talk.until("conversation.item.done"))["item"]["id"]
            message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "One word?"}]}
            aside: Any = {"conversation": "none", "input": [{"type": "item_reference", "id": shown}, message]}
            await talk.connection.response.create(response=aside)
            done = await talk.until("response.done")
            assert done["response"]["conversation_id"] is None
            assert done["response"]["status"] == "completed"
            assert talk.kinds().count("conversation.item.added") == 1

    with serving(parts(engine, remember=3)) as url:
        asyncio.run(converse(url))
    assert [prompt.question for prompt in engine.prompts] == ["One word?"]


@pytest.mark.parametrize("law", ["audio/pcmu", "audio/pcma"])
def test_a_telephone_may_call(law: str) -> None:
    async def converse(url: str) -> None:
        async with talking(url) as talk:
            form = {"type": law}
            audio = {"input": {"format": form, "turn_detection": None}, "output": {"format": form}}
            await manual(talk, output_modalities=["audio"], audio=audio)
            await talk.show(PICTURE, "Is there a cup?")
            await talk.connection.response.create()
            done = await talk.until("response.done")
            transcript = done["response"]["output"][0]["content"][0]["transcript"]
            assert len(talk.sound()) == pytest.approx(8000 * said_s(transcript), abs=4)

    with serving(parts()) as url:
        asyncio.run(converse(url))


def test_without_a_picture_the_wearer_s_own_is_asked_about() -> None:
    async def ask(url: str) -> dict[str, Any]:
        async with talking(url) as talk:
            await manual(talk)
            await talk.write("What is this?")
            await talk.connection.response.create()
            return dict((await talk.until("response.done"))["response"])

    with serving(parts()) as url:
        failed = asyncio.run(ask(url))
    assert failed["status"] == "failed"
    assert "no picture" in failed["status_details"]["error"]["message"]
    assert failed["output"] == []
    frame = Frame(np.zeros((48, 64, 3), np.uint8))
    with serving(parts(picture=lambda: frame)) as url:
        answered = asyncio.run(ask(url))
    assert answered["output"][0]["content"][0]["text"].endswith("The picture is 64 x 48.")


def test_two_sessions_take_turns_and_share_nothing() -> None:
    async def ask(url: str, question: str) -> str:
        async with talking(url) as talk:
            await manual(talk)
            await talk.show(PICTURE, question)
            await talk.connection.response.create()
            done = await talk.until("response.done")
            return str(done["response"]["output"][0]["content"][0]["text"])

    async def both(url: str) -> list[str]:
        return await asyncio.gather(*(ask(url, f"Is this number {number}?") for number in range(6)))

    with serving(parts()) as url:
        answers = asyncio.run(both(url))
    assert answers == [f"You asked: Is this number {n}? The picture is 600 x 400." for n in range(6)]


@pytest.mark.parametrize("token", ["wrong", TOKEN + "x", TOKEN[:-1]])
def test_without_the_token_nobody_comes_in(token: str) -> None:
    async def knock(url: str) -> None:
        async with talking(url, token):
            pass

    with serving(parts()) as url, pytest.raises(InvalidStatus) as refused:
        asyncio.run(knock(url))
    assert refused.value.response.status_code == 401


def test_a_browser_hands_the_token_over_as_a_protocol() -> None:
    async def knock(url: str, token: str) -> str:
        protocols = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{token}")]
        async with connect(url.replace("http", "ws") + "/realtime", subprotocols=protocols) as socket:
            assert socket.subprotocol == "realtime"
            return str(json.loads(await socket.recv())["type"])

    with serving(parts()) as url:
        assert asyncio.run(knock(url, TOKEN)) == "session.created"
        with pytest.raises(InvalidStatus):
            asyncio.run(knock(url, "wrong"))


def test_a_fastapi_application_carries_it_beside_its_own_routes() -> None:
    async def ask(url: str) -> None:
        async with talking(url) as talk:
            await manual(talk)

    app = FastAPI()
    app.get("/health")(lambda: "well")
    app.router.routes.append(realtime_route(parts(), TOKEN))
    with running(app) as url:
        asyncio.run(ask(url))
