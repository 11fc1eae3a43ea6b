"""What the tests of the conversation share: people who speak in tones, ears that understand them, a voice, a watcher.

All of it is real: implementations of the seams that need no weights. A phrase is a tone, so that what was said can be
read out of the sound, whatever became of it on the way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
from lamp import Lamp

from lorgnette.assistant.config import LiveConfig
from lorgnette.assistant.live.assistant import LiveAssistant, LiveDevices, LiveParts
from lorgnette.assistant.live.events import LiveEvent, SpeakingEnded, as_message
from lorgnette.assistant.simulator.faults import FaultSwitches, FaultyCamera, FaultyMicrophone
from lorgnette.assistant.trace import TraceLog
from lorgnette.assistant.turn import Turns
from lorgnette.device.camera import Camera, fresh
from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import DeviceError
from lorgnette.device.frame import Frame
from lorgnette.device.microphone import Microphone
from lorgnette.device.room import Room
from lorgnette.device.sound import AudioChunk
from lorgnette.device.speaker import Listener, LiveSpeaker
from lorgnette.llm.echo_engine import EchoEngine
from lorgnette.llm.engine import Engine
from lorgnette.speech.echo_canceller import Headset
from lorgnette.speech.end_of_turn import EndOfTurnModel
from lorgnette.speech.synthesizer import SilentSynthesizer, Synthesizer
from lorgnette.speech.transcriber import Transcriber, Transcript
from lorgnette.speech.voice_activity import FRAME_SAMPLES
from lorgnette.speech.wake_word import WakeWordDetector

RATE_HZ = 16_000
DEADLINE_S = 30.0
"""Nothing here takes so long, but on a machine with other work."""

Kind = TypeVar("Kind", bound=LiveEvent)

# What the tones mean. Each has a whole number of periods in a frame, so that its frame has one loudest frequency.
PHRASES = {
    500: "What is this?",
    750: "Is it red?",
    1000: "Stop.",
    1250: "Mm-hm.",
    1500: "Say that again.",
    1750: "And the cat?",
    2000: "Hey Jarvis.",
    2250: "What is the",
}
WHAT, RED, STOP, HUM, AGAIN, CAT, WAKE, OPENING = PHRASES


def answer_to(hertz: int) -> str:
    """What EchoEngine answers to PHRASES[hertz] about what a StillCamera sees."""
    return f"You asked: {PHRASES[hertz]} The picture is 64 x 48."


def tone(hertz: int, seconds: float, level: float = 0.3) -> AudioChunk:
    """Somebody saying PHRASES[hertz], whole frames long."""
    at = np.arange(round(seconds * RATE_HZ / FRAME_SAMPLES) * FRAME_SAMPLES)
    return AudioChunk((level * np.sin(2 * np.pi * hertz * at / RATE_HZ)).astype(np.float32), RATE_HZ)


def silence(seconds: float) -> AudioChunk:
    return AudioChunk(np.zeros(round(seconds * RATE_HZ / FRAME_SAMPLES) * FRAME_SAMPLES, np.float32), RATE_HZ)


def joined(*sounds: AudioChunk) -> AudioChunk:
    return AudioChunk(np.concatenate([sound.samples for sound in sounds]), RATE_HZ)


def is_loud(frame: npt.NDArray[np.float32]) -> bool:
    return bool(len(frame)) and float(np.sqrt(np.mean(frame**2))) > 0.02


class LoudnessDetector:
    """Takes everything loud for speech, and what is faint for what may be speech."""

    def probability(self, frame: npt.NDArray[np.float32]) -> float:
        return 0.95 if is_loud(frame) else 0.4 if np.abs(frame).max() > 0 else 0.05

    def reset(self) -> None:
        """It remembers nothing."""


class WakeTone:
    """Notices the tone that says "Hey Jarvis." after a tenth of a second of it."""

    phrase = "hey jarvis"

    def __init__(self) -> None:
        self._frames = 0

    def heard(self, frame: npt.NDArray[np.float32]) -> bool:
        self._frames = self._frames + 1 if tones(frame) == [WAKE] else 0
        return self._frames == 3

    def reset(self) -> None:
        self._frames = 0


def tones(samples: npt.NDArray[np.float32]) -> list[int]:
    """The phrases in a recording, each once, in order."""
    found: list[int] = []
    step = FRAME_SAMPLES // 2
    for at in range(0, len(samples) - step + 1, step):
        piece = samples[at : at + step]
        if is_loud(piece):
            loudest = int(np.argmax(np.abs(np.fft.rfft(piece * np.hanning(step)))))
            hertz = min(PHRASES, key=lambda known: abs(known - loudest * RATE_HZ / step))
            if not found or found[-1] != hertz:
                found.append(hertz)
    return list(dict.fromkeys(found))


class ToneTranscriber:
    """Understands tones. While `broken` it cannot."""

    def __init__(self) -> None:
        self.broken = False

    def transcribe(self, sound: AudioChunk, language: str | None = None, hint: str | None = None) -> Transcript:
        if self.broken:
            raise DeviceError("the transcriber broke", "mend it")
        words = " ".join(PHRASES[hertz] for hertz in tones(sound.samples))
        return Transcript(words, language or "en", 1.0, sound.duration_s, sound.duration_s)


class Hummer:
    """A voice that can be told from silence: a constant, of about the length that speech would have."""

    rate_hz = RATE_HZ
    LEVEL = 0.5

    def synthesize(self, text: str) -> Iterator[AudioChunk]:
        for sound in SilentSynthesizer(self.rate_hz).synthesize(text):
            yield replace(sound, samples=np.full_like(sound.samples, self.LEVEL))


class StillCamera:
    """Sees `pixels`, whatever they are at the moment. As a real one it stays open, lamp lit, until it is closed."""

    def __init__(self, gate: CaptureGate, width: int = 64, height: int = 48) -> None:
        self.pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
        self.broken = False
        self.taken = 0
        self.late_s = 0.0
        self._gate = gate
        self._open = ExitStack()
        self._is_open = False

    def latest(self, max_age_s: float) -> Frame:
        if self.broken:
            self.close()
            raise DeviceError("the camera stopped sending pictures", "was it unplugged?")
        if not self._is_open:
            self._open.enter_context(self._gate.capturing("camera"))
            self._is_open = True
        self.taken += 1
        return fresh(Frame(self.pixels, time.monotonic_ns() - round(self.late_s * 1e9)), max_age_s)

    def close(self) -> None:
        self._is_open = False
        self._open.pop_all().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BreakableSpeaker:
    """Another speaker, until it is `broken`."""

    def __init__(self, speaker: LiveSpeaker) -> None:
        self._speaker = speaker
        self.broken = False

    @property
    def volume(self) -> float:
        return self._speaker.volume

    @volume.setter
    def volume(self, volume: float) -> None:
        self._speaker.volume = volume

    @property
    def waiting_s(self) -> float:
        return self._speaker.waiting_s

    def play(self, chunk: AudioChunk) -> None:
        self._check()
        self._speaker.play(chunk)

    def clear(self) -> float:
        return self._speaker.clear()

    def monitor(self, listener: Listener) -> None:
        self._speaker.monitor(listener)

    def _check(self) -> None:
        if self.broken:
            raise DeviceError("the speaker stopped playing", "was it unplugged?")

    def __enter__(self) -> Self:
        self._check()
        self._speaker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._speaker.__exit__(kind, error, trace)


class Watch:
    """Hears all that a conversation tells, and waits for what a test is about."""

    def __init__(self) -> None:
        self._events: list[LiveEvent] = []
        self._changed = threading.Condition()

    def __call__(self, event: LiveEvent) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    @property
    def events(self) -> list[LiveEvent]:
        with self._changed:
            return list(self._events)

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]

    def wait(self, kind: type[Kind], count: int = 1, where: Callable[[Kind], bool] = lambda event: True) -> Kind:
        """The `count`-th event of that kind and condition, as soon as it is told."""

        def found() -> list[Kind]:
            return [event for event in self._events if isinstance(event, kind) and where(event)]

        with self._changed:
            came = self._changed.wait_for(lambda: len(found()) >= count, DEADLINE_S)
            told = "\n".join(str(as_message(event)) for event in self._events)
            assert came, f"no {kind.__name__} number {count}; told was:\n{told}"
            return found()[count - 1]


def eventually(done: Callable[[], bool], what: str = "") -> None:
    """Wait for `done`; fail where it does not come true."""
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < deadline, what or "it did not happen"
        time.sleep(0.005)


@dataclass
class Conversation:
    """A live assistant in a room, and what is around it."""

    assistant: LiveAssistant
    room: Room
    watch: Watch
    lamp: Lamp
    gate: CaptureGate
    switches: FaultSwitches
    camera: StillCamera
    speaker: BreakableSpeaker
    transcriber: ToneTranscriber

    def say(self, hertz: int, seconds: float = 0.5, delay_s: float = 0.0) -> None:
        """Somebody says PHRASES[hertz]."""
        self.room.say(tone(hertz, seconds), delay_s=delay_s)

    def heard_to_the_end(self, text: str, count: int = 1) -> SpeakingEnded:
        """Wait until `text` has been said to its end for the `count`-th time."""
        return self.watch.wait(SpeakingEnded, count, lambda event: event.said == text and not event.interrupted)


@contextmanager
def conversation(
    settings: LiveConfig,
    engine: Callable[[], Engine] = EchoEngine,
    voice: Callable[[], Synthesizer] = SilentSynthesizer,
    end_of_turn: EndOfTurnModel | None = None,
    wake_word: WakeWordDetector | None = None,
    pace: float = 8.0,
    microphone: Callable[[Microphone, Lamp], Microphone] = lambda microphone, lamp: microphone,
    camera: Callable[[Camera, Lamp], Camera] = lambda camera, lamp: camera,
    traces: Path | None = None,
) -> Iterator[Conversation]:
    """One that has been started. `microphone` and `camera` may put something around the room's own."""
    lamp, watch, switches, listener = Lamp(), Watch(), FaultSwitches(), ToneTranscriber()
    gate = CaptureGate(lamp)
    room = Room(gate, pace)
    still, speaker = StillCamera(gate), BreakableSpeaker(room.speaker)
    understands: Transcriber = listener
    engine_, voice_ = engine(), voice()
    parts = LiveParts(
        Turns(lambda: engine_, lambda: understands, lambda: voice_),
        LoudnessDetector(),
        Headset(),
        end_of_turn,
        wake_word,
        "en",
    )
    devices = LiveDevices(
        FaultyCamera(camera(still, lamp), switches),
        FaultyMicrophone(microphone(room.microphone, lamp), switches),
        speaker,
    )
    log = TraceLog(traces) if traces else None
    with LiveAssistant(parts, devices, settings, watch, log) as assistant:
        yield Conversation(assistant, room, watch, lamp, gate, switches, still, speaker, listener)
