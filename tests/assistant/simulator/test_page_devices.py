"""The browser's devices as ours: what the page is told, what comes of its packets, and what happens without it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any, TypeVar, cast

import numpy as np
import pytest
from lamp import Lamp
from parrot import make_jpeg

from lorgnette.assistant.live.events import CaptureChanged
from lorgnette.assistant.simulator.indicator import PageIndicator
from lorgnette.assistant.simulator.link import TAKEN_OVER, Goodbye, Link, Outbox
from lorgnette.assistant.simulator.page_camera import PageCamera
from lorgnette.assistant.simulator.page_microphone import PageMicrophone
from lorgnette.assistant.simulator.page_speaker import PageSpeaker
from lorgnette.assistant.simulator.protocol import Kind, Packet, ProtocolError
from lorgnette.device.camera import StaleFrame
from lorgnette.device.capture import CaptureGate, CaptureRefused
from lorgnette.device.errors import DeviceError
from lorgnette.device.microphone import CHUNK_SAMPLES
from lorgnette.device.sound import AudioChunk

Value = TypeVar("Value")


class Desk:
    """A link with a page on the other end, whose messages are read one by one."""

    def __init__(self) -> None:
        self.link = Link()
        self.lamp = Lamp()
        self.gate = CaptureGate(self.lamp)
        self.outbox = Outbox()
        self.link.attach(self.outbox)

    async def message(self) -> Any:
        async with asyncio.timeout(20):
            message = await self.outbox.get()
        return json.loads(message) if isinstance(message, str) else message


def at_the_desk(work: Callable[[Desk], Awaitable[None]]) -> None:
    async def run() -> None:
        await work(Desk())

    asyncio.run(run())


def sound(stream: int, at: int, samples: np.ndarray[Any, np.dtype[np.int16]]) -> Packet:
    return Packet(Kind.SOUND_HEARD, stream, at, at * len(samples), samples.astype("<i2").tobytes())


def test_a_microphone_hears_what_is_sent_between_open_and_close() -> None:
    async def work(desk: Desk) -> None:
        microphone = PageMicrophone(desk.link, desk.gate)
        ramp = np.arange(3 * CHUNK_SAMPLES, dtype=np.int16)
        microphone.receive(sound(1, 0, ramp))  # nobody asked
        chunks = cast(Any, microphone.chunks())
        first = asyncio.create_task(asyncio.to_thread(next, chunks))
        opened = await desk.message()
        assert opened == {"type": "open", "device": "microphone", "stream": microphone.stream}
        assert desk.lamp.lit == {"microphone"}
        for at, piece in enumerate(np.split(ramp, 6)):  # packets need not be chunks
            microphone.receive(sound(opened["stream"] + 1, at, piece * 0 + 7))  # of another opening
            microphone.receive(sound(opened["stream"], at, piece))
        taken = [await first, await asyncio.to_thread(next, chunks), await asyncio.to_thread(next, chunks)]
        heard = np.concatenate([chunk.samples for chunk in taken]) * 32768
        assert np.array_equal(heard.astype(np.int16), ramp)
        times = [chunk.timestamp_ns for chunk in taken]
        assert times == sorted(times) and times[-1] + 32_000_000 <= time.monotonic_ns()  # heard before it arrived
        chunks.close()
        assert await desk.message() == {"type": "close", "device": "microphone", "stream": opened["stream"]}
        assert not desk.lamp.lit and microphone.stream is None

    at_the_desk(work)


def test_a_microphone_without_a_page_or_permission() -> None:
    async def work(desk: Desk) -> None:
        microphone = PageMicrophone(desk.link, desk.gate)
        microphone.refusal = "permission was not given"
        with pytest.raises(DeviceError, match="permission was not given"):
            next(iter(microphone.chunks()))
        microphone.refusal = ""
        desk.link.detach(desk.outbox)
        with pytest.raises(DeviceError, match="no page is connected"):
            next(iter(microphone.chunks()))
        assert not desk.lamp.lit

    at_the_desk(work)


@pytest.mark.parametrize("how", ["page", "permission", "silence"])
def test_a_microphone_that_goes_away_while_it_listens(how: str) -> None:
    async def work(desk: Desk) -> None:
        microphone = PageMicrophone(desk.link, desk.gate)
        listening = asyncio.create_task(asyncio.to_thread(next, iter(microphone.chunks())))
        await desk.message()
        if how == "page":
            desk.link.detach(desk.outbox)
        elif how == "permission":
            microphone.refusal = "it was unplugged"
        with pytest.raises(DeviceError, match=r"went away|sends no sound"):
            await listening
        assert not desk.lamp.lit

    at_the_desk(work)


def test_a_camera_sees_what_is_sent_between_open_and_close() -> None:
    async def work(desk: Desk) -> None:
        camera = PageCamera(desk.link, desk.gate, longest_px=640)
        camera.receive(Packet(Kind.PICTURE_SEEN, 1, 0, 0, make_jpeg(1)))  # nobody asked
        looking = asyncio.create_task(asyncio.to_thread(camera.latest, 5.0))
        opened = await desk.message()
        assert opened == {"type": "open", "device": "camera", "stream": 1, "longest_px": 640, "frame_rate_hz": 5.0}
        assert desk.lamp.lit == {"camera"}
        camera.receive(Packet(Kind.PICTURE_SEEN, 1, 0, 250_000, make_jpeg(2)))
        frame = await looking
        assert (frame.width, frame.height) == (64, 48)
        assert (time.monotonic_ns() - frame.timestamp_ns) / 1e9 >= 0.25
        assert camera.encoded(frame) == make_jpeg(2)
        assert camera.latest(60.0) is frame
        with pytest.raises(StaleFrame):
            camera.latest(0.1)
        camera.receive(Packet(Kind.PICTURE_SEEN, 1, 1, 0, make_jpeg(3)))
        assert camera.latest(60.0) is not frame
        camera.close()
        assert await desk.message() == {"type": "close", "device": "camera", "stream": 1}
        assert not desk.lamp.lit
        camera.close()

    at_the_desk(work)


def test_a_camera_takes_no_picture_of_an_earlier_opening() -> None:
    async def work(desk: Desk) -> None:
        camera = PageCamera(desk.link, desk.gate)
        for stream in (1, 2):
            looking = asyncio.create_task(asyncio.to_thread(camera.latest, 5.0))
            await desk.message()
            camera.receive(Packet(Kind.PICTURE_SEEN, stream - 1, 0, 0, make_jpeg(9)))
            camera.receive(Packet(Kind.PICTURE_SEEN, stream, 0, 0, make_jpeg(stream)))
            assert camera.encoded(await looking) == make_jpeg(stream)
            camera.close()
            await desk.message()

    at_the_desk(work)


def test_a_camera_that_sends_nothing_or_nonsense() -> None:
    async def work(desk: Desk) -> None:
        camera = PageCamera(desk.link, desk.gate)
        with pytest.raises(StaleFrame, match="sends no pictures"):
            await asyncio.to_thread(camera.latest, 5.0)
        assert not desk.lamp.lit
        for data in (b"text", b"\x89PNG\r\n\x1a\n" + bytes(30)):
            with pytest.raises(ProtocolError, match="not a JPEG"):
                camera.receive(Packet(Kind.PICTURE_SEEN, 1, 0, 0, data))
        looking = asyncio.create_task(asyncio.to_thread(camera.latest, 5.0))
        while (await desk.message())["type"] != "open" or camera.stream != 2:
            pass
        camera.receive(Packet(Kind.PICTURE_SEEN, 2, 0, 0, make_jpeg()[:-40]))
        with pytest.raises(DeviceError, match="cut short"):
            await looking

    at_the_desk(work)


def test_a_camera_without_a_page_or_permission() -> None:
    async def work(desk: Desk) -> None:
        camera = PageCamera(desk.link, desk.gate)
        looking = asyncio.create_task(asyncio.to_thread(camera.latest, 5.0))
        await desk.message()
        camera.receive(Packet(Kind.PICTURE_SEEN, 1, 0, 0, make_jpeg()))
        await looking
        camera.refusal = "it was unplugged"
        with pytest.raises(DeviceError, match="it was unplugged"):
            camera.latest(5.0)
        assert not desk.lamp.lit
        camera.refusal = ""
        desk.link.detach(desk.outbox)
        with pytest.raises(DeviceError, match="no page is connected"):
            camera.latest(5.0)

    at_the_desk(work)


def test_nothing_is_captured_where_no_page_shows_the_lamp() -> None:
    told: list[CaptureChanged] = []

    async def work(desk: Desk) -> None:
        indicator = PageIndicator(desk.link, told.append)
        gate = CaptureGate(indicator)
        with gate.capturing("camera"):
            assert indicator.lit == {"camera"}
        desk.link.detach(desk.outbox)
        with pytest.raises(CaptureRefused, match="no page shows it"), gate.capturing("camera"):
            pass
        assert not indicator.lit

    at_the_desk(work)
    assert told == [CaptureChanged("camera", True), CaptureChanged("camera", False)]


def tone(seconds: float) -> AudioChunk:
    return AudioChunk(np.full(round(22_050 * seconds), 0.5, np.float32), 22_050)


def test_a_speaker_sends_sound_and_believes_the_page_how_much_was_heard() -> None:
    async def work(desk: Desk) -> None:
        speaker = PageSpeaker(desk.link)
        speaker.play(tone(0.1))
        opened = await desk.message()
        assert opened == {"type": "open", "device": "speaker", "stream": 1, "rate_hz": 22_050, "level": 1.0}
        packet = await desk.message()
        assert packet == Packet(Kind.SOUND_TO_PLAY, 1, 0, 0, np.full(2_205, 16384, "<i2").tobytes()).packed()
        speaker.play(tone(0.1))
        assert (await desk.message())[4:16] == Packet(Kind.SOUND_TO_PLAY, 1, 1, 2_205, b"").packed()[4:16]
        speaker.played(1, 4_410, 0.0)
        assert speaker.waiting_s == 0.0
        assert speaker.clear() == 0.0

    at_the_desk(work)


def test_what_is_taken_back_is_dropped_at_once() -> None:
    async def work(desk: Desk) -> None:
        speaker = PageSpeaker(desk.link)
        speaker.play(tone(0.3))
        speaker.played(1, 1_000, 0.0)
        dropped_s = speaker.clear()
        assert 0.0 <= dropped_s <= 0.3 - 1_000 / 22_050 + 0.01
        assert speaker.waiting_s == 0.0
        speaker.played(1, 2_000, 0.0)  # a report that was on its way
        assert speaker.waiting_s == 0.0
        await desk.message(), await desk.message()
        assert await desk.message() == {"type": "clear", "device": "speaker", "stream": 2}
        speaker.play(tone(0.1))
        assert (await desk.message())[2:4] == b"\x02\x00"

    at_the_desk(work)


def test_the_volume_is_told_when_it_changes() -> None:
    async def work(desk: Desk) -> None:
        speaker = PageSpeaker(desk.link)
        for volume in (1.0, 0.2, 0.2, 1.0):
            speaker.volume = volume
        assert [await desk.message(), await desk.message()] == [
            {"type": "volume", "level": 0.2},
            {"type": "volume", "level": 1.0},
        ]

    at_the_desk(work)


def test_whoever_listens_is_told_what_the_page_has_played() -> None:
    async def work(desk: Desk) -> None:
        told: list[AudioChunk] = []
        speaker = PageSpeaker(desk.link)
        played = Packet(Kind.SOUND_PLAYED, 0, 0, 22_050, np.array([16_384, -32_768], "<i2").tobytes())
        speaker.heard(played)  # to nobody
        speaker.monitor(told.append)
        speaker.heard(played)
        assert [(chunk.samples.tolist(), chunk.rate_hz) for chunk in told] == [([0.5, -1.0], 22_050)]

    at_the_desk(work)


def test_a_speaker_waits_for_room_and_for_the_end() -> None:
    async def work(desk: Desk) -> None:
        speaker = PageSpeaker(desk.link)
        began_s = time.monotonic()

        def talk() -> None:
            with speaker:
                for _ in range(5):
                    speaker.play(tone(0.25))

        await asyncio.to_thread(talk)
        assert time.monotonic() - began_s >= 1.2  # the clock stands in for a page that reports nothing
        assert speaker.waiting_s == 0.0

    at_the_desk(work)


def test_a_speaker_that_stops_or_goes_away() -> None:
    async def work(desk: Desk) -> None:
        speaker = PageSpeaker(desk.link)
        playing = asyncio.create_task(asyncio.to_thread(speaker.play, tone(30)))
        await asyncio.sleep(0.1)
        speaker.played(1, 100, 0.0)
        with pytest.raises(DeviceError, match="stopped playing"):
            await playing
        playing = asyncio.create_task(asyncio.to_thread(speaker.play, tone(30)))
        await asyncio.sleep(0.1)
        desk.link.detach(desk.outbox)
        with pytest.raises(DeviceError, match="went away with the page"):
            await playing
        with pytest.raises(DeviceError, match="no page is connected"):
            speaker.play(tone(0.1))

    at_the_desk(work)


def test_a_second_page_takes_over_and_a_slow_one_is_let_go() -> None:
    async def work(desk: Desk) -> None:
        second = Outbox()
        desk.link.attach(second)
        assert await desk.message() == Goodbye(TAKEN_OVER, "these glasses are worn in another window now")
        assert not desk.link.detach(desk.outbox) and desk.link.connected
        for number in range(6_000):
            desk.link.send({"number": number})
        last = None
        for _ in range(4_097):
            last = await second.get()
        assert isinstance(last, Goodbye)

    at_the_desk(work)


def test_chunks_can_be_closed_before_anything_came() -> None:
    async def work(desk: Desk) -> None:
        with closing(cast(Any, PageMicrophone(desk.link, desk.gate).chunks())):
            pass
        assert not desk.lamp.lit

    at_the_desk(work)
