"""What works on this machine and what does not: each check says so in one line and never raises."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lorgnette.assistant.wiring import ENGINES, VOICES, Wiring
from lorgnette.device.errors import DeviceError, LorgnetteError
from lorgnette.device.sound import AudioChunk

State = Literal["ok", "missing", "broken"]

_PACKAGES = (
    "numpy",
    "onnxruntime",
    "tokenizers",
    "opencv-python-headless",
    "faster-whisper",
    "ctranslate2",
    "piper-tts",
)
_OPTIONAL_PACKAGES = ("sounddevice",)


@dataclass(frozen=True, slots=True)
class Finding:
    """One result. "missing" is something that one can do without or fetch, "broken" something that ought to work."""

    name: str
    state: State
    detail: str
    hint: str = ""


def check_machine(wiring: Wiring) -> Iterator[Finding]:
    """Python, processor, packages, devices, weights and bundle, without starting a model or a capture."""
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("processor", "ok", f"{os.cpu_count()} cores, {wiring.config.thread_count} threads for the models")
    yield _gpu()
    for name in (*_PACKAGES, *_OPTIONAL_PACKAGES):
        yield _package(name)
    yield _sound_devices()
    yield _cameras()
    yield from _weights(wiring)


def self_test(wiring: Wiring) -> Iterator[Finding]:
    """Say a question, hear it, and answer it about a picture: the whole way without microphone, camera and speaker.

    Needs the weights; builds the bundle if that was not done.
    """
    import numpy as np

    from lorgnette.device.frame import Frame
    from lorgnette.llm.cancel import CancelScope
    from lorgnette.llm.engine import Prompt

    question = "Is there a dog in the picture?"
    sound: list[AudioChunk] = []

    def say() -> str:
        sound.extend(wiring.synthesizer().synthesize(question))
        return f"{sum(chunk.duration_s for chunk in sound):.1f} s of sound" if sound else ""

    yield _attempt("say", say)
    if sound and wiring.config.speech.voice not in VOICES:
        yield _attempt("hear", lambda: _compared(question, wiring.transcriber().transcribe(sound[0]).text))
    # Coloured tiles: a picture on which there is something to see, or it would get advice and the model no question.
    tiles = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    picture = Frame(tiles.repeat(20, axis=0).repeat(20, axis=1))
    yield _attempt(
        "answer", lambda: "".join(t.text for t in wiring.engine().stream(Prompt(question, picture), CancelScope()))
    )


def _attempt(name: str, work: Callable[[], str]) -> Finding:
    try:
        result = work()
    except LorgnetteError as error:
        return Finding(f"self-test: {name}", "broken", error.message, error.hint)
    if not result.strip():
        return Finding(f"self-test: {name}", "broken", "nothing came out", "lorgnette models verify")
    return Finding(f"self-test: {name}", "ok", result)


def _compared(said: str, heard: str) -> str:
    """`heard`, or nothing when it is not even half of what was said."""
    wanted, got = (set(re.findall(r"\w+", text.lower())) for text in (said, heard))
    return heard if len(wanted & got) * 2 >= len(wanted) else ""


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        state: State = "missing" if name in _OPTIONAL_PACKAGES else "broken"
        return Finding(name, state, "not installed", "install lorgnette again: pip install lorgnette")


def _gpu() -> Finding:
    from lorgnette.device.provider import gpu_name, why_no_cuda

    problem = why_no_cuda()
    if problem:
        return Finding("gpu", "missing", f"none is used: {problem}", "docs/gpu.md")
    return Finding("gpu", "ok", gpu_name())


def _sound_devices() -> Finding:
    from lorgnette.device.portaudio import find_sound_devices

    try:
        devices = find_sound_devices()
    except DeviceError as error:
        return Finding("sound", "missing", error.message, error.hint)
    state: State = "ok" if devices.microphones and devices.speakers else "missing"
    found = (
        f"microphones: {', '.join(devices.microphones) or 'none'}; speakers: {', '.join(devices.speakers) or 'none'}"
    )
    return Finding("sound", state, found, "" if state == "ok" else "files do as well: --audio Q.wav --out A.wav")


def _cameras() -> Finding:
    # Not opened: a check is no reason to capture.
    found = sorted(str(path) for path in Path("/dev").glob("video*")) if platform.system() == "Linux" else []
    if platform.system() != "Linux":
        return Finding("camera", "missing", "cameras are only listed on Linux", "try: lorgnette ask camera --text hi")
    return Finding("camera", "ok" if found else "missing", ", ".join(found) or "none", "" if found else "give a file")


def _weights(wiring: Wiring) -> Iterator[Finding]:
    try:
        store = wiring.store()
        states = [store.status(name) for name in wiring.weights()]
    except LorgnetteError as error:
        yield Finding("weights", "broken", error.message, error.hint)
        return
    for status in states:
        size = f"{status.weight.size / 1e6:.0f} MB"
        installed = status.state == "installed"
        hint = "" if installed else f"lorgnette models pull {status.weight.name}"
        yield Finding(status.weight.name, "ok" if installed else "missing", f"{status.state}, {size}", hint)
    chosen = wiring.config.engine.bundle
    if chosen and chosen not in ENGINES:
        yield _bundle(wiring)


def _bundle(wiring: Wiring) -> Finding:
    try:
        return Finding("bundle", "ok", f"{wiring.bundle().name} in {wiring.bundle().folder}")
    except LorgnetteError as error:
        return Finding("bundle", "broken", error.message, error.hint)
