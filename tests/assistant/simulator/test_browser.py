"""The page in a real Chromium, with a recording for a microphone and a photograph for a camera."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from parrot import Rig, running

from lorgnette.assistant.config import load_config
from lorgnette.assistant.examples import shipped_examples
from lorgnette.assistant.simulator.protocol import HEADER_BYTES, Kind, unpack
from lorgnette.assistant.simulator.tape_file import unpack_tape
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import load_sound
from lorgnette.device.wav import write_wav

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"),
]

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
LEAD_IN_S = 3.0


@dataclass
class Visit:
    """A page, whatever went wrong on it, and what its WebSocket carried."""

    page: Any
    wrong: list[str] = field(default_factory=list)
    sent: list[str | bytes] = field(default_factory=list)
    received: list[str | bytes] = field(default_factory=list)

    async def put_on(self) -> None:
        await self.page.set_checked("#echo", False, force=True)  # the recording is to arrive as it is
        await self.page.click("#put-on")
        await self.page.wait_for_selector("body:not([data-state=away])")

    def down(self, kind: Kind) -> list[bytes]:
        return [data[HEADER_BYTES:] for data in self.received if isinstance(data, bytes) and data[0] == kind]

    def commands(self, name: str) -> list[dict[str, Any]]:
        texts = [json.loads(text) for text in self.sent if isinstance(text, str)]
        return [command for command in texts if command["type"] == name]


@asynccontextmanager
async def browsing(address: str, folder: Path, sound: AudioChunk, photo: Path, **options: Any) -> AsyncIterator[Visit]:
    """Chromium with `sound` once at its microphone, after `LEAD_IN_S`, and `photo` in front of its camera."""
    silence = np.zeros(round(LEAD_IN_S * sound.rate_hz), np.float32)
    write_wav(folder / "said.wav", [AudioChunk(np.concatenate([silence, sound.samples, silence]), sound.rate_hz)])
    pixels = cv2.resize(cv2.imread(str(photo)), (640, 480))
    (folder / "seen.mjpeg").write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes() * 10)
    files = [
        f"--use-file-for-fake-audio-capture={folder / 'said.wav'}%noloop",
        f"--use-file-for-fake-video-capture={folder / 'seen.mjpeg'}",
    ]
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *files])
        try:
            # Headless, a browser refuses whatever was not permitted beforehand.
            settings = {"viewport": WIDE, "permissions": ["camera", "microphone"]} | options
            visit = Visit(await (await browser.new_context(**settings)).new_page())
            visit.page.on("console", lambda line: visit.wrong.append(line.text) if line.type == "error" else None)
            visit.page.on("pageerror", lambda error: visit.wrong.append(str(error)))
            visit.page.on("websocket", lambda socket: _listen(visit, socket))
            await visit.page.goto(address)
            yield visit
        finally:
            await browser.close()


def _listen(visit: Visit, socket: Any) -> None:
    socket.on("framesent", lambda data: visit.sent.append(data))
    socket.on("framereceived", lambda data: visit.received.append(data))


def browse(work: Callable[[Rig, Visit], Awaitable[None]], folder: Path, **options: Any) -> None:
    """Visit the simulator of a conversation that repeats what it hears; nothing may go wrong on the page."""

    async def run() -> None:
        seconds = np.arange(16_000) / 16_000
        sweep = AudioChunk(np.sin(2 * np.pi * (200 + 600 * seconds) * seconds).astype(np.float32) * 0.5, 16_000)
        photo = shipped_examples()["coffee"].photo
        async with running() as rig, browsing(rig.server.address, folder, sweep, photo, **options) as visit:
            await work(rig, visit)
            assert visit.wrong == []

    asyncio.run(run())


async def until(true: Callable[[], object], limit_s: float = 20.0) -> None:
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(0.05)


def since_loud(visit: Visit) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What came back of the sound, from its first loud sample on."""
    sound = downlink(visit).astype(np.float32)
    return sound[np.argmax(np.abs(sound) > 8_000) :]


def test_sound_goes_up_and_comes_back_and_is_played(tmp_path: Path) -> None:
    async def work(rig: Rig, visit: Visit) -> None:
        await visit.put_on()
        assert "token" not in visit.page.url
        await visit.page.wait_for_selector("#says-microphone[data-on=true]")
        await until(lambda: np.abs(downlink(visit)).max(initial=0) > 8_000)
        await until(lambda: visit.commands("played"))
        played = visit.commands("played")
        assert played[-1]["position"] > played[0]["position"] or await visit.page.wait_for_timeout(500) is None
        await until(lambda: len(since_loud(visit)) >= 4_000)
        loud = since_loud(visit)[:4_000]
        spectrum = np.abs(np.fft.rfft(loud))
        assert 150 < np.argmax(spectrum) * 16_000 / len(loud) < 1_500, "the sweep"
        await until(lambda: len(echoed(visit)) >= 4_000)
        assert np.abs(echoed(visit)[:4_000] - loud).max() <= 2, "the program is told all that was played"

    browse(work, tmp_path)


def echoed(visit: Visit) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the page says that it played, from its first loud sample on."""
    sent = [unpack(data) for data in visit.sent if isinstance(data, bytes)]
    sound = b"".join(packet.body for packet in sent if packet.kind == Kind.SOUND_PLAYED)
    samples = np.frombuffer(sound, "<i2").astype(np.float32)
    return samples[np.argmax(np.abs(samples) > 8_000) :] if np.abs(samples).max(initial=0) > 8_000 else samples[:0]


def downlink(visit: Visit) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.frombuffer(b"".join(visit.down(Kind.SOUND_TO_PLAY)), "<i2")


def test_the_lamps_follow_the_program_and_go_out_when_folded(tmp_path: Path) -> None:
    async def work(rig: Rig, visit: Visit) -> None:
        page = visit.page
        await visit.put_on()
        assert not [data for data in visit.sent if isinstance(data, bytes) and data[0] == Kind.PICTURE_SEEN]
        await page.click("#press")
        await page.wait_for_selector("#says-camera[data-on=true]")
        await page.wait_for_selector("#looked:not([hidden])")
        assert (await page.get_attribute("#looked-picture", "src")).startswith("blob:")
        assert "on" in (await page.get_attribute("#lamp-camera", "class")).split()
        await page.click("#fold")
        for source in ("microphone", "camera"):
            await page.wait_for_selector(f"#says-{source}[data-on=false]")
            assert "on" not in (await page.get_attribute(f"#lamp-{source}", "class")).split()
        assert await page.text_content("#state") == "Asleep"
        sent = len(visit.sent)
        await asyncio.sleep(0.5)
        assert not [data for data in visit.sent[sent:] if isinstance(data, bytes)], "folded, nothing is captured"
        assert await page.evaluate("document.getElementById('video').srcObject === null")
        await page.click("#fold")
        await page.wait_for_selector("#says-microphone[data-on=true]")

    browse(work, tmp_path)


def test_writing_faults_and_coming_back(tmp_path: Path) -> None:
    async def work(rig: Rig, visit: Visit) -> None:
        page = visit.page
        await visit.put_on()
        await page.fill("#question", "Is <b>this</b> safe?")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#turns li .fall tbody tr >> nth=0", state="attached", timeout=5_000)
        assert "Is <b>this</b> safe?" in await page.inner_text("#log")
        await page.check("#camera-lost", force=True)
        await page.click("#press")
        assert "stopped sending pictures" in await page.inner_text("#notice-camera")
        await page.click("#mend")
        await page.wait_for_selector("#camera-lost:not(:checked)", state="attached")
        assert visit.commands("faults")[-1]["camera_lost"] is False
        async with page.expect_download() as downloading:
            await page.click("#export")
        tape = unpack_tape(Path(await (await downloading.value).path()).read_bytes())
        assert [command["type"] for _, command in tape.commands] == ["ask", "faults", "press_button", "faults"]
        await page.reload()
        await visit.put_on()
        assert "Is <b>this</b> safe?" in await page.inner_text("#log"), "the conversation is still there"

    browse(work, tmp_path)


def test_a_picture_file_stands_in_for_the_camera(tmp_path: Path) -> None:
    photo = shipped_examples()["rocket"].photo

    async def work(rig: Rig, visit: Visit) -> None:
        page = visit.page
        await visit.put_on()
        await page.set_input_files("#file", str(photo))
        await page.wait_for_selector("#still:not([hidden])")
        await page.click("#press")
        await page.wait_for_selector("#looked:not([hidden])")
        seen = cv2.imdecode(np.frombuffer(visit.down(Kind.PICTURE_LOOKED_AT)[-1], np.uint8), cv2.IMREAD_COLOR)
        meant = cv2.imread(str(photo))
        assert seen.shape == meant.shape
        assert cv2.PSNR(seen, meant) > 28

    browse(work, tmp_path)


def test_the_keyboard_reaches_and_works_everything(tmp_path: Path) -> None:
    async def work(rig: Rig, visit: Visit) -> None:
        page = visit.page
        await visit.put_on()
        reached = set()
        await page.evaluate("document.activeElement.blur()")
        for _ in range(60):
            await page.keyboard.press("Tab")
            reached.add(await page.evaluate("document.activeElement.id || document.activeElement.value"))
        wanted = set(
            await page.evaluate(
                "[...document.querySelectorAll('button, input, select')].filter(e => !e.matches(':disabled')"
                " && !e.hidden && e.offsetParent && e.type !== 'radio').map(e => e.id).filter(Boolean)"
            )
        )
        assert wanted - reached == set()
        assert "normal" in reached
        await page.focus("#press")
        await page.keyboard.press("Space")
        await until(lambda: ("press_button", None) in rig.parrots[0].calls)
        await page.keyboard.down("Enter")
        await asyncio.sleep(0.6)
        await page.keyboard.up("Enter")
        await until(lambda: ("hold_button", False) in rig.parrots[0].calls)
        held = [call for call in rig.parrots[0].calls if call[0] in ("press_button", "hold_button")]
        assert held == [("press_button", None), ("hold_button", True), ("hold_button", False)]

    browse(work, tmp_path)


NAMELESS = """() => [...document.querySelectorAll('button, input, select, [role], img, video, a')].filter(e => {
  if (e.hidden || e.closest('[hidden], [aria-hidden=true]')) return false;
  const by = (e.getAttribute('aria-labelledby') ?? '').split(' ').map(id => document.getElementById(id)?.textContent);
  const labels = [...(e.labels ?? [])].map(label => label.textContent);
  const inside = e.matches('input, select') || e.getAttribute('role') === 'log' ? '' : e.textContent;
  return ![e.getAttribute('aria-label'), by.join(''), labels.join(''), e.alt, inside].some(name => name?.trim())
    && !['status', 'alert'].includes(e.getAttribute('role'));
}).map(e => e.outerHTML.slice(0, 100))"""

FAINT = """() => {
  const parse = text => {
    const figures = text.match(/-?[\\d.]+(e-?\\d+)?/g).map(Number);
    const rgb = text.startsWith('color(') ? figures.slice(0, 3) : figures.slice(0, 3).map(one => one / 255);
    return [...rgb, figures[3] ?? 1];
  };
  const over = (top, under) => [0, 1, 2].map(at => top[at] * top[3] + under[at] * (1 - top[3]));
  const ground = e => {
    if (!e) return parse(getComputedStyle(document.body).backgroundColor);
    const own = parse(getComputedStyle(e).backgroundColor);
    return own[3] === 1 ? own : [...over(own, ground(e.parentElement)), 1];
  };
  const light = rgb => {
    const [r, g, b] = rgb.map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [];
  for (const e of document.body.querySelectorAll('*')) {
    const own = [...e.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest(':disabled, .unseen, svg, noscript, :has(> :disabled)')) continue;
    const style = getComputedStyle(e), behind = ground(e);
    const [a, b] = [light(over(parse(style.color), behind)), light(behind)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05), large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)} ${e.outerHTML.slice(0, 80)}`);
  }
  return faint;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(tmp_path: Path, scheme: str) -> None:
    async def work(rig: Rig, visit: Visit) -> None:
        page = visit.page
        assert await page.evaluate(NAMELESS) == []
        assert await page.evaluate(FAINT) == []
        await visit.put_on()
        await page.fill("#question", "What is this?")
        await page.keyboard.press("Enter")
        await page.click("#press")
        await page.wait_for_selector("#looked:not([hidden])")
        await page.check("#microphone-lost", force=True)
        await page.wait_for_selector("#notice-microphone")
        for viewport in (WIDE, {"width": 1000, "height": 800}, NARROW):
            await page.set_viewport_size(viewport)
            assert await page.evaluate(NAMELESS) == []
            assert await page.evaluate(FAINT) == []
            assert await page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        identities = await page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(identities) == len(set(identities))
        missing = await page.evaluate(
            "[...document.querySelectorAll('[for], [aria-labelledby], [aria-describedby]')].flatMap(e =>"
            " [e.htmlFor?.value ?? e.htmlFor, e.getAttribute('aria-labelledby'), e.getAttribute('aria-describedby')])"
            ".filter(id => id && !document.getElementById(id))"
        )
        assert missing == []
        assert await page.evaluate("document.documentElement.lang") == "en"
        assert await page.locator("h1").count() == 1

    browse(work, tmp_path, color_scheme=scheme, reduced_motion="reduce")


def test_a_second_window_takes_over_and_gives_back(tmp_path: Path) -> None:
    async def work(rig: Rig, visit: Visit) -> None:
        await visit.put_on()
        await visit.page.fill("#question", "First window?")
        await visit.page.keyboard.press("Enter")
        await visit.page.wait_for_selector("#log article")
        second = Visit(await visit.page.context.new_page())
        await second.page.goto(rig.address)  # the cookie is enough
        await second.put_on()
        await visit.page.wait_for_selector("#notice-link")
        assert "worn in another window" in await visit.page.inner_text("#notice-link")
        assert await visit.page.is_disabled("#press")
        assert await visit.page.locator("[data-on=true]").count() == 0
        await visit.page.click("#notice-link button")
        await second.page.wait_for_selector("#notice-link")
        await visit.page.wait_for_selector("#says-microphone[data-on=true]")
        assert "First window?" in await visit.page.inner_text("#log")
        assert await visit.page.locator("#notice-link").count() == 0

    browse(work, tmp_path)


def test_a_browser_without_devices_can_still_ask_in_writing(tmp_path: Path) -> None:
    async def work(rig: Rig, visit: Visit) -> None:
        page = visit.page
        await visit.put_on()
        assert "permission was not given" in await page.inner_text("#cover")
        await page.wait_for_selector("#notice-microphone")
        assert "permission was not given" in await page.inner_text("#notice-microphone")
        await page.fill("#question", "Still here?")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#log article")

    browse(work, tmp_path, permissions=[])


@pytest.mark.weights
def test_a_spoken_question_gets_a_spoken_answer(tmp_path: Path) -> None:
    """The real command with the real models: what the page's player got, heard again, is what the page wrote."""
    example = shipped_examples()["photographer"]

    async def run() -> None:
        lorgnette = (sys.executable, "-m", "lorgnette.assistant.command_line.main")
        command = (*lorgnette, "simulate", "--no-browser", "--camera", str(example.photo), "--set", "live.start=open")
        program = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert program.stdout is not None
        try:
            async with asyncio.timeout(240):
                address = (await program.stdout.readline()).decode().strip()
                sound = load_sound(example.audio, 60, 48_000)
                async with browsing(address, tmp_path, sound, example.photo) as visit:
                    await visit.put_on()
                    await visit.page.wait_for_selector("#turns .first.there", timeout=120_000)
                    await visit.page.wait_for_selector("#log .meta:not([hidden])", timeout=60_000)
                    asked = await visit.page.inner_text("#log .you span:last-child")
                    answer = await visit.page.inner_text("#log .it span:last-child")
                    await visit.page.click("#fold")
                    await visit.page.wait_for_selector("#says-microphone[data-on=false]")
                    assert visit.wrong == []
                    opened = [json.loads(text) for text in visit.received if isinstance(text, str)]
                    (rate_hz,) = {one["rate_hz"] for one in opened if one["type"] == "open" and "rate_hz" in one}
                    samples = downlink(visit).astype(np.float32) / 32768
        finally:
            program.terminate()
            await program.wait()
        assert shared(asked, example.text) >= 0.8
        assert len(answer.split()) >= 3
        write_wav(tmp_path / "answer.wav", [AudioChunk(samples, rate_hz)])
        heard = Wiring(load_config()).transcriber().transcribe(load_sound(tmp_path / "answer.wav", 60.0))
        assert shared(heard.text, answer) >= 0.7

    asyncio.run(run())


def shared(said: str, meant: str) -> float:
    """The part of `meant`'s different words that `said` has too."""
    words, wanted = (set(re.findall(r"[a-z']+", text.lower())) for text in (said, meant))
    return len(words & wanted) / max(1, len(wanted))
