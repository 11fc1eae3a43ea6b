"""The realtime endpoint on a real loopback socket, OpenAI's own client to it, and its types to check every event."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
import typing
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel
from starlette.applications import Starlette

from lorgnette.assistant.realtime.parts import RealtimeParts
from lorgnette.assistant.realtime.route import realtime_route
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import load_sound
from lorgnette.device.wav import pcm16

TOKEN = "a-token-for-tests"
PCM_HZ = 24_000

# Whoever waits longer for an event waits for ever.
_LONGEST_S = 60.0

_union, *_ = typing.get_args(RealtimeServerEvent)
_MODELS = {typing.get_args(model.model_fields["type"].annotation)[0]: model for model in typing.get_args(_union)}
# The session's own names, which OpenAI's server sends too and its types leave out.
_KNOWN_EXTRAS = {"id", "object"}


@contextmanager
def serving(parts: RealtimeParts) -> Iterator[str]:
    """The base URL of a server with the endpoint and nothing else."""
    with running(Starlette(routes=[realtime_route(parts, TOKEN)])) as url:
        yield url


@contextmanager
def running(app: Starlette) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        thread.join()


def check(event: dict[str, Any]) -> dict[str, Any]:
    """The event, if it is one of OpenAI's: all that is required, and nothing that their types do not know."""
    model = _MODELS[event["type"]].model_validate(event)
    unknown = sorted(_extras(model))
    assert not unknown, (event["type"], unknown)
    return event


def _extras(value: object) -> Iterator[str]:
    if isinstance(value, BaseModel):
        known = _KNOWN_EXTRAS if type(value).__name__ == "RealtimeSessionCreateRequest" else set()
        yield from set(value.model_extra or {}) - known
        for name in type(value).model_fields:
            yield from _extras(getattr(value, name))
    elif isinstance(value, list):
        for one in value:
            yield from _extras(one)


@dataclass(slots=True)
class Talk:
    """A connection of OpenAI's client. Every event that comes is checked and kept in `heard`."""

    connection: AsyncRealtimeConnection
    heard: list[dict[str, Any]] = field(default_factory=list)

    async def next(self) -> dict[str, Any]:
        data = await asyncio.wait_for(self.connection.recv_bytes(), _LONGEST_S)
        self.connection.parse_event(data)
        self.heard.append(check(json.loads(data)))
        return self.heard[-1]

    async def until(self, kind: str) -> dict[str, Any]:
        """The next event of this kind; on the way no error is expected."""
        while True:
            event = await self.next()
            if event["type"] == kind:
                return event
            assert event["type"] != "error", event["error"]

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.heard]

    def deltas(self, kind: str) -> list[str]:
        return [event["delta"] for event in self.heard if event["type"] == f"{kind}.delta"]

    def sound(self) -> bytes:
        """All that was said, as bytes of the session's format."""
        return b"".join(base64.b64decode(delta) for delta in self.deltas("response.output_audio"))

    async def show(self, picture: str, *questions: str) -> None:
        content: list[Any] = [{"type": "input_text", "text": question} for question in questions]
        content.append({"type": "input_image", "image_url": picture})
        await self.connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})

    async def write(self, question: str) -> None:
        content: list[Any] = [{"type": "input_text", "text": question}]
        await self.connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})

    async def say(self, sound: AudioChunk, silence_s: float = 0.0) -> None:
        """Append a sound at 24 kHz and silence behind it, in pieces of 100 ms, as fast as the line takes them."""
        samples = np.concatenate([sound.samples, np.zeros(round(silence_s * PCM_HZ), np.float32)])
        for at in range(0, len(samples), PCM_HZ // 10):
            piece = pcm16(samples[at : at + PCM_HZ // 10]).tobytes()
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())


@asynccontextmanager
async def talking(url: str, token: str = TOKEN) -> AsyncIterator[Talk]:
    """A conversation that has begun."""
    async with (
        AsyncOpenAI(base_url=url, api_key=token) as client,
        client.realtime.connect(model="lorgnette") as connection,
    ):
        talk = Talk(connection)
        await talk.until("session.created")
        yield talk


def data_url(picture: Path) -> str:
    kind = {".jpg": "jpeg", ".png": "png"}[picture.suffix]
    return f"data:image/{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"


def recording(file: Path) -> AudioChunk:
    return load_sound(file, 60.0, PCM_HZ)
