"""The endpoint with the real weights: a recorded question about a photograph, and what comes back is heard again."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import numpy as np
import pytest
from realtime_box import PCM_HZ, data_url, recording, serving, talking

from lorgnette.assistant.config import load_config
from lorgnette.assistant.examples import shipped_examples
from lorgnette.assistant.realtime.parts import RealtimeParts
from lorgnette.assistant.realtime.sound_format import FORMATS
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.sound import AudioChunk
from lorgnette.speech.voice_activity import SileroDetector

pytestmark = pytest.mark.weights


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z']+", text.lower()))


def test_a_spoken_question_gets_an_answer_that_can_be_understood() -> None:
    wiring = Wiring(load_config())
    turns = wiring.turns(hear=True, speak=True)
    example = shipped_examples()["photographer"]
    said: dict[str, Any] = {}

    async def converse(url: str) -> None:
        async with talking(url) as talk:
            settings: Any = {"type": "realtime", "audio": {"input": {"transcription": {"language": "en"}}}}
            await talk.connection.session.update(session=settings)
            await talk.show(data_url(example.photo))
            await talk.say(recording(example.audio), silence_s=1.0)
            heard = await talk.until("conversation.item.input_audio_transcription.completed")
            done = await talk.until("response.done")
            said["question"] = heard["transcript"]
            said["answer"] = done["response"]["output"][0]["content"][0]["transcript"]
            said["sound"] = FORMATS["audio/pcm"].decode(talk.sound())

    with serving(RealtimeParts(turns, SileroDetector)) as url:
        asyncio.run(converse(url))
    assert len(words(said["question"]) & words(example.text)) >= 0.8 * len(words(example.text))
    assert len(words(said["answer"])) >= 3
    assert np.abs(said["sound"]).max() > 0.05
    again = turns.transcriber().transcribe(AudioChunk(said["sound"], PCM_HZ), "en").text
    assert len(words(again) & words(said["answer"])) >= 0.7 * len(words(said["answer"]))
