"""The simulator's server: a real uvicorn, real sockets, and a conversation that repeats what it hears."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import numpy as np
import pytest
from parrot import Page, Rig, make_jpeg, picture_packet, running, sound_packet
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from lorgnette.assistant.simulator.protocol import HEADER_BYTES, Kind
from lorgnette.assistant.simulator.recording import Tape
from lorgnette.assistant.simulator.server import CameraFile, SimulatorServer
from lorgnette.assistant.simulator.tape_file import pack_tape, unpack_tape
from lorgnette.device.errors import InputError


def with_rig(work: Callable[[Rig], Awaitable[None]], camera_file: CameraFile | None = None) -> None:
    async def run() -> None:
        async with running(camera_file) as rig:
            await work(rig)

    asyncio.run(run())


async def fetch(
    rig: Rig, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None, token: bool = True
) -> tuple[int, http.client.HTTPMessage, bytes]:
    def ask() -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", rig.server.port, timeout=20)
        given = {"Authorization": f"Bearer {rig.server.token}"} if token else {}
        connection.request("POST" if body is not None else "GET", path, body, given | dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    return await asyncio.to_thread(ask)


def test_the_token_opens_the_page_and_becomes_a_cookie() -> None:
    async def work(rig: Rig) -> None:
        status, headers, _ = await fetch(rig, f"/?token={rig.server.token}", token=False)
        assert status == 303 and headers["Location"] == "/"
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
        status, headers, page = await fetch(rig, "/", {"Cookie": cookie.partition(";")[0]}, token=False)
        assert status == 200 and b"<title>Lorgnette simulator</title>" in page
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"

    with_rig(work)


def test_without_the_token_nothing_is_given() -> None:
    async def work(rig: Rig) -> None:
        for path in ("/", "/app.js", "/tape", "/camera", "/?token=", "/?token=wrong", "/?token=%F0%9F%91%93"):
            assert (await fetch(rig, path, token=False))[0] == 403
        for header in ({"Cookie": f"lorgnette_{rig.server.port}=x"}, {"Cookie": "="}, {"Authorization": "Bearer x"}):
            assert (await fetch(rig, "/", header, token=False))[0] == 403
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{rig.server.port}/glasses")
        assert refused.value.response.status_code == 403
        assert not rig.parrots

    with_rig(work)


def test_strangers_names_and_pages_are_refused() -> None:
    async def work(rig: Rig) -> None:
        port = rig.server.port
        for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1:{port + 1}", "127.0.0.1", ""):
            assert (await fetch(rig, "/", {"Host": host}))[0] == 421, host
        for host in (f"localhost:{port}", f"127.0.0.1:{port}"):
            assert (await fetch(rig, "/", {"Host": host}))[0] == 200
        for origin in ("http://evil.example", "null", f"http://127.0.0.1:{port + 1}", f"https://127.0.0.1:{port}"):
            assert (await fetch(rig, "/", {"Origin": origin}))[0] == 403
            with pytest.raises(InvalidStatus):
                await connect(f"ws://127.0.0.1:{port}/glasses?token={rig.server.token}", origin=origin)  # type: ignore[arg-type]

    with_rig(work)


def test_a_server_for_the_whole_network_goes_by_figures_only() -> None:
    async def run() -> None:
        async with running(host="0.0.0.0") as rig:
            port = rig.server.port
            assert rig.server.address.startswith(f"http://127.0.0.1:{port}/")
            for host, status in (
                (f"192.0.2.7:{port}", 200),
                (f"[2001:db8::7]:{port}", 200),
                (f"evil.example:{port}", 421),
            ):
                assert (await fetch(rig, "/", {"Host": host}))[0] == status
            assert (await fetch(rig, "/", {"Host": f"192.0.2.7:{port}"}, token=False))[0] == 403

    asyncio.run(run())


def test_every_part_of_the_page_is_served_and_nothing_else() -> None:
    async def work(rig: Rig) -> None:
        _, _, page = await fetch(rig, "/")
        assert b"http://" not in page.replace(b"http://www.w3.org", b"") and b"https://" not in page
        for name in ("app.js", "style.css", "icon.svg", "microphone-worklet.js", "protocol.schema.json"):
            assert (await fetch(rig, f"/{name}"))[0] == 200
        for name in ("server.py", "../server.py", "%2e%2e/server.py", "page/index.html", "nothing"):
            assert (await fetch(rig, f"/{name}"))[0] == 404
        assert (await fetch(rig, "/camera"))[0] == 404

    with_rig(work)


def test_the_camera_file() -> None:
    async def work(rig: Rig) -> None:
        status, headers, data = await fetch(rig, "/camera")
        assert (status, headers["Content-Type"], data) == (200, "image/jpeg", make_jpeg())
        async with rig.visit() as socket:
            assert (await Page(socket).until("hello"))["camera_file"] == "seen.jpg"

    with_rig(work, CameraFile("seen.jpg", "image/jpeg", make_jpeg()))


def test_a_port_that_is_taken() -> None:
    async def work(rig: Rig) -> None:
        with pytest.raises(InputError, match="cannot listen on"):
            SimulatorServer(rig.session, port=rig.server.port)

    with_rig(work)


def test_sound_goes_round() -> None:
    async def work(rig: Rig) -> None:
        async with rig.visit() as socket:
            page = Page(socket)
            hello = await page.until("hello")
            assert hello["capture"] == [] and hello["state"] == "idle"
            lit = await page.until("capture_changed", source="microphone")
            assert lit["on"]
            opened = await page.until("open", device="microphone")
            samples = np.arange(512, dtype=np.int16) * 30
            for at in range(3):
                await socket.send(sound_packet(opened["stream"], at, samples))
            speaker = await page.until("open", device="speaker")
            assert speaker["rate_hz"] == 16_000
            played = await page.packet(Kind.SOUND_TO_PLAY)
            assert np.abs(np.frombuffer(played[HEADER_BYTES:], "<i2") - samples).max() <= 1
            await page.say("fold", folded=True)
            assert not (await page.until("capture_changed", source="microphone"))["on"]

    with_rig(work)


def test_a_picture_is_asked_for_looked_at_and_shown() -> None:
    async def work(rig: Rig) -> None:
        async with rig.visit() as socket:
            page = Page(socket)
            await page.say("press_button")
            opened = await page.until("open", device="camera")
            kinds = [(one["type"], one.get("source")) for one in page.seen]
            assert ("capture_changed", "camera") in kinds, "the lamp is lit before the camera is asked for"
            await socket.send(picture_packet(opened["stream"], make_jpeg()))
            shown = await page.packet(Kind.PICTURE_LOOKED_AT)
            assert shown[HEADER_BYTES:] == make_jpeg()
            looked = await page.until("looked")
            assert looked["picture"]["timestamp_ns"] == int.from_bytes(shown[8:16], "little")
            await page.say("fold", folded=True)
            await page.until("close", device="camera")
            await page.until("capture_changed", source="camera", on=False)

    with_rig(work)


def test_what_is_no_message_is_answered_and_the_rest_goes_on() -> None:
    async def work(rig: Rig) -> None:
        async with rig.visit() as socket:
            page = Page(socket)
            for nonsense in ("{", "[]", '{"type": "explode"}', b"", b"\xff" * 40, b"a" * (2**21 + 100), "x" * 70_000):
                await socket.send(nonsense)
                error = await page.until("error")
                assert error["message"] and error["hint"]
            await socket.send(picture_packet(1, b"no picture"))
            assert "not a JPEG" in (await page.until("error"))["message"]
            await page.say("ask", text="Still there?")
            assert (await page.until("turn_done"))["answer"] == "Still there?"

    with_rig(work)


def test_a_flood_of_nonsense_and_a_huge_message_end_the_connection_only() -> None:
    async def work(rig: Rig) -> None:
        for nonsense, count, code in (("{", 60, 1008), (bytes(5 * 2**20), 1, 1009)):
            async with rig.visit() as socket:
                page = Page(socket)
                await page.until("hello")
                with pytest.raises(ConnectionClosed) as closed:
                    for _ in range(count):
                        await socket.send(nonsense)
                    await page.until("never")
                assert closed.value.rcvd is not None and closed.value.rcvd.code == code
        async with rig.visit() as socket:
            await Page(socket).until("hello")

    with_rig(work)


def test_a_second_window_takes_over() -> None:
    async def work(rig: Rig) -> None:
        async with rig.visit() as first, rig.visit() as second:
            with pytest.raises(ConnectionClosed) as closed:
                await Page(first).until("never")
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
                4001,
                "these glasses are worn in another window now",
            )
            await Page(second).say("ask", text="Who?")
            await Page(second).until("turn_done")
        assert len(rig.parrots) == 1

    with_rig(work)


def test_a_lost_connection_loses_nothing() -> None:
    async def work(rig: Rig) -> None:
        async with rig.visit() as socket:
            page = Page(socket)
            await page.until("open", device="microphone")
            await page.say("battery", level=0.25)
            await page.say("ask", text="Remember me")
            await page.until("turn_done")
            socket.transport.abort()
        async with rig.visit() as socket:
            page = Page(socket)
            hello = await page.until("hello")
            assert [turn["answer"] for turn in hello["turns"]] == ["Remember me"]
            assert hello["glasses"]["battery"] == 0.25
            await page.until("open", device="microphone")
            await page.until("capture_changed", source="microphone", on=True)
        assert len(rig.parrots) == 1

    with_rig(work)


def test_faults_reach_the_devices() -> None:
    async def work(rig: Rig) -> None:
        async with rig.visit() as socket:
            page = Page(socket)
            hello = await page.until("hello")
            await page.say("faults", **(hello["faults"] | {"camera_lost": True}))
            await page.say("press_button")
            assert "stopped sending pictures" in (await page.until("trouble", part="camera"))["message"]

    with_rig(work)


def test_what_the_browser_does_not_give_is_said() -> None:
    async def work(rig: Rig) -> None:
        async with rig.visit() as socket:
            page = Page(socket)
            await page.say("device", device="microphone", available=False, reason="permission was not given")
            assert "permission was not given" in (await page.until("trouble", part="microphone"))["message"]
            await page.say("device", device="microphone", available=True, reason="")
            await page.until("open", device="microphone")

    with_rig(work)


def test_a_conversation_is_exported_and_replayed() -> None:
    async def work(rig: Rig) -> None:
        async with rig.visit() as socket:
            page = Page(socket)
            opened = await page.until("open", device="microphone")
            loud = np.full(512, 9_000, np.int16)
            for at in range(10):
                await socket.send(sound_packet(opened["stream"], at, loud))
                await asyncio.sleep(0.032)
            await page.say("ask", text="Once more")
            await page.until("turn_done")
            await page.say("press_button")
            camera = await page.until("open", device="camera")
            await socket.send(picture_packet(camera["stream"], make_jpeg(4)))
            await page.until("looked")

            status, _, packed = await fetch(rig, "/tape")
            assert status == 200
            tape = unpack_tape(packed)
            assert np.count_nonzero(tape.sound[:, 0] == 9_000) >= 9 * 512
            assert np.count_nonzero(tape.sound[:, 1] > 8_000) >= 9 * 512
            assert [picture for _, picture in tape.pictures] == [make_jpeg(4)]
            assert [command["type"] for _, command in tape.commands] == ["ask", "press_button"]

            status, _, _ = await fetch(rig, "/tape", body=packed)
            assert status == 200
            hello = await page.until("hello")
            assert hello["turns"] == []
            assert (await page.until("replay"))["running"]
            assert (await page.until("turn_done"))["answer"] == "Once more"
            assert (await page.packet(Kind.PICTURE_LOOKED_AT))[HEADER_BYTES:] == make_jpeg(4)
            await page.say("stop_replay")
            await page.until("replay", running=False)
        assert len(rig.parrots) == 2

    with_rig(work)


def test_a_tape_from_the_command_line_is_played_to_the_first_page() -> None:
    async def run() -> None:
        commands = ((0.1, {"type": "ask", "text": "From the tape"}),)
        async with running(tape=Tape(np.zeros((8_000, 2), np.int16), (), (), commands)) as rig, rig.visit() as socket:
            assert (await Page(socket).until("turn_done"))["question"] == "From the tape"

    asyncio.run(run())


def test_a_file_that_is_no_tape_changes_nothing() -> None:
    async def work(rig: Rig) -> None:
        async with rig.visit() as socket:
            await Page(socket).until("hello")
            status, _, answer = await fetch(rig, "/tape", body=b"no zip")
            assert status == 400 and "not an exported conversation" in json.loads(answer)["message"]
        empty = pack_tape(Tape(np.zeros((160, 2), np.int16), (), (), ()))
        with suppress(ConnectionClosed):
            await socket.recv()
        await asyncio.sleep(0.2)
        status, _, answer = await fetch(rig, "/tape", body=empty)
        assert status == 409 and "nobody to play it to" in json.loads(answer)["message"]
        assert len(rig.parrots) == 1

    with_rig(work)
