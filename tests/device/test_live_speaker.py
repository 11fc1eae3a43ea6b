"""What every loudspeaker of a conversation keeps to: the room's, and a real one through PortAudio.

The real one plays into a PulseAudio server of its own, whose sink leads nowhere and can be recorded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from lamp import Lamp
from live_box import eventually

from lorgnette.assistant.background import Pending
from lorgnette.device.capture import CaptureGate
from lorgnette.device.portaudio_speaker import PortAudioSpeaker
from lorgnette.device.room import Room
from lorgnette.device.sound import AudioChunk
from lorgnette.device.speaker import LiveSpeaker

RATE_HZ = 16_000
LOSS_S = 0.12
"""A sink that has just been woken swallows so much, and a recorder is so much behind."""


@dataclass(frozen=True)
class Heard:
    """A speaker, and what has been heard of it so far: mono samples at `rate_hz`."""

    speaker: LiveSpeaker
    samples: Callable[[], npt.NDArray[np.float32]]
    rate_hz: int
    pace: float = 1.0

    def seconds(self, level: float) -> float:
        """How much was heard at about this level."""
        return int(np.count_nonzero(np.abs(self.samples() - level) < 0.02)) / self.rate_hz

    def levels(self) -> list[float]:
        """The levels that lasted for 10 ms, one after the other, without silence."""
        samples = self.samples()
        size = self.rate_hz // 100
        blocks = samples[: len(samples) // size * size].reshape(-1, size)
        steady = blocks[np.ptp(blocks, axis=1) < 0.02].mean(axis=1).round(1)
        loud = steady[steady != 0]
        return [float(one) for number, one in enumerate(loud) if number == 0 or one != loud[number - 1]]


@dataclass(frozen=True)
class SoundServer:
    """PulseAudio with a sink and nothing else."""

    folder: Path

    def command(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, env=os.environ | self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    @property
    def environment(self) -> dict[str, str]:
        return {
            "XDG_RUNTIME_DIR": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder),
            "PULSE_SERVER": f"unix:{self.folder / 'socket'}",
            "PULSE_LATENCY_MSEC": "20",
            "ALSA_CONFIG_PATH": str(self.folder / "asound.conf"),
        }


@pytest.fixture(scope="module")
def sound_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoundServer]:
    """Seen by this process, too, as long as the fixture lives."""
    if missing := [name for name in ("pulseaudio", "pactl", "parec") if shutil.which(name) is None]:
        pytest.skip(f"no sound without a sound card here: {', '.join(missing)} missing (pulseaudio, pulseaudio-utils)")
    if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        pytest.skip("ALSA has no way to PulseAudio here (libasound2-plugins)")
    sounddevice = pytest.importorskip("sounddevice", reason="PortAudio is missing (libportaudio2)", exc_type=OSError)
    server = SoundServer(tmp_path_factory.mktemp("pulse"))
    (server.folder / "asound.conf").write_text(
        "</usr/share/alsa/alsa.conf>\npcm.!default { type pulse }\nctl.!default { type pulse }\n"
    )
    daemon = server.command(
        "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes",
        "-L", f"module-native-protocol-unix socket={server.folder / 'socket'} auth-anonymous=1",
        "-L", "module-null-sink sink_name=nowhere rate=48000 channels=1",
    )  # fmt: skip
    try:
        eventually(lambda: server.command("pactl", "info").wait() == 0, "PulseAudio does not start")
        with pytest.MonkeyPatch.context() as environment:
            for name, value in server.environment.items():
                environment.setenv(name, value)
            _look_again(sounddevice)
            yield server
        _look_again(sounddevice)
    finally:
        daemon.terminate()
        daemon.communicate(timeout=30)


def _look_again(sounddevice: object) -> None:
    """PortAudio looks for devices once, when it is loaded."""
    sounddevice._terminate()  # type: ignore[attr-defined]
    sounddevice._initialize()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def recording(sound_server: SoundServer) -> Iterator[Callable[[], npt.NDArray[np.float32]]]:
    """All that has reached the sink, 48000 samples a second."""
    path = sound_server.folder / "heard.raw"
    recorder = sound_server.command(
        "parec", "--device=nowhere.monitor", "--raw", "--format=float32le", "--rate=48000", "--channels=1",
        "--latency-msec=20", str(path),
    )  # fmt: skip

    def samples() -> npt.NDArray[np.float32]:
        data = path.read_bytes() if path.exists() else b""
        return np.frombuffer(data[: len(data) // 4 * 4], np.float32)

    try:
        eventually(lambda: len(samples()) > 4800, "the recorder hears nothing")
        yield samples
    finally:
        recorder.terminate()
        recorder.communicate(timeout=30)


@pytest.fixture(params=["room", "portaudio"])
def heard(request: pytest.FixtureRequest) -> Iterator[Heard]:
    if request.param == "room":
        place = Room(CaptureGate(Lamp()), pace=4.0)
        yield Heard(place.speaker, lambda: place.heard().samples, RATE_HZ, place.pace)
    else:
        recording = request.getfixturevalue("recording")
        before = len(recording())
        yield Heard(PortAudioSpeaker(ahead_s=0.1), lambda: recording()[before:], 48_000)


def level(value: float, seconds: float, rate_hz: int = RATE_HZ) -> AudioChunk:
    return AudioChunk(np.full(round(seconds * rate_hz), value, np.float32), rate_hz)


def test_leaving_waits_until_all_was_heard(heard: Heard) -> None:
    with heard.speaker as speaker:
        for _ in range(6):
            speaker.play(level(0.5, 0.1))
    eventually(lambda: heard.seconds(0.5) > 0.6 - LOSS_S)
    assert heard.speaker.waiting_s == 0
    assert heard.seconds(0.5) <= 0.61


def test_what_is_handed_over_waits_until_it_is_heard(heard: Heard) -> None:
    with heard.speaker as speaker:
        eventually(lambda: speaker.waiting_s == 0)
        playing = Pending(lambda: speaker.play(level(0.5, 0.6)), "play")
        eventually(lambda: speaker.waiting_s > 0.2)
        eventually(lambda: speaker.waiting_s == 0)
        playing.get()
        eventually(lambda: heard.seconds(0.5) > 0.6 - LOSS_S)


def test_chunks_with_another_rate(heard: Heard) -> None:
    with heard.speaker as speaker:
        for _ in range(12):
            speaker.play(level(0.5, 0.05, 22_050))
    eventually(lambda: heard.seconds(0.5) > 0.6 - LOSS_S)
    assert heard.seconds(0.5) <= 0.62


def test_what_was_taken_back_is_not_heard(heard: Heard) -> None:
    with heard.speaker as speaker:
        playing = Pending(lambda: speaker.play(level(0.5, 2.0)), "play")
        eventually(lambda: heard.seconds(0.5) > 0.2)
        dropped = speaker.clear()
        playing.get()
        eventually(lambda: speaker.waiting_s == 0)
        assert speaker.clear() == 0
        speaker.play(level(-0.5, 0.5))
    eventually(lambda: heard.seconds(-0.5) > 0.5 - LOSS_S)
    assert 0 < dropped < 2.0
    assert heard.seconds(0.5) + dropped == pytest.approx(2.0, abs=LOSS_S)


def test_nothing_to_take_back(heard: Heard) -> None:
    with heard.speaker as speaker:
        assert speaker.clear() == 0


def test_the_volume_changes_what_is_heard_from_then_on(heard: Heard) -> None:
    with heard.speaker as speaker:
        playing = Pending(lambda: speaker.play(level(0.8, 1.4)), "play")
        eventually(lambda: heard.seconds(0.8) > 0.2)
        speaker.volume = 0.25
        eventually(lambda: heard.seconds(0.2) > 0.2)
        speaker.volume = 1.0
        playing.get()
    eventually(lambda: heard.seconds(0.8) + heard.seconds(0.2) > 1.4 - LOSS_S - 0.05)
    assert heard.levels() == pytest.approx([0.8, 0.2, 0.8])


def test_a_change_of_volume_makes_no_click(heard: Heard) -> None:
    with heard.speaker as speaker:
        playing = Pending(lambda: speaker.play(level(0.8, 1.0)), "play")
        eventually(lambda: heard.seconds(0.8) > 0.2)
        speaker.volume = 0.25
        playing.get()
    eventually(lambda: heard.seconds(0.2) > 0.05)
    samples = heard.samples()
    quiet = int(np.flatnonzero(np.abs(samples - 0.2) < 0.02)[-1])
    last_loud = int(np.flatnonzero(np.abs(samples[:quiet] - 0.8) < 0.02)[-1])
    between = samples[last_loud:quiet]
    assert np.count_nonzero((between > 0.25) & (between < 0.75)) / heard.rate_hz > 0.002, "it takes milliseconds"


def test_a_listener_is_told_all_that_is_heard_at_its_volume_and_the_silence_between(heard: Heard) -> None:
    told: list[AudioChunk] = []
    heard.speaker.monitor(told.append)
    with heard.speaker as speaker:
        began_s = time.monotonic()
        speaker.play(level(0.8, 0.2))
        eventually(lambda: speaker.waiting_s == 0)
        speaker.volume = 0.5
        playing = Pending(lambda: speaker.play(level(0.8, 2.0)), "play")
        eventually(lambda: heard.seconds(0.4) > 0.2)
        speaker.clear()
        playing.get()
        eventually(lambda: speaker.waiting_s == 0)
        passed_s = (time.monotonic() - began_s) * heard.pace
    sound = np.concatenate([chunk.samples for chunk in told])
    rate_hz = told[0].rate_hz
    loud, quiet = (np.flatnonzero(np.abs(sound - wanted) < 0.02) / rate_hz for wanted in (0.8, 0.4))
    eventually(lambda: heard.seconds(0.4) > len(quiet) / rate_hz - LOSS_S)
    assert len(loud) / rate_hz == pytest.approx(0.2, abs=0.02)
    assert len(quiet) / rate_hz == pytest.approx(heard.seconds(0.4), abs=LOSS_S)
    assert len(sound) / rate_hz == pytest.approx(passed_s, abs=0.3)


def test_left_by_an_error_it_stops_at_once(heard: Heard) -> None:
    with pytest.raises(ZeroDivisionError), heard.speaker as speaker:
        Pending(lambda: speaker.play(level(0.5, 3.0)), "play")
        eventually(lambda: heard.seconds(0.5) > 0.1)
        raise ZeroDivisionError
    with heard.speaker as speaker:
        speaker.play(level(-0.5, 0.3))
    eventually(lambda: heard.seconds(-0.5) > 0.3 - LOSS_S)
    assert heard.seconds(0.5) < 2.0


def test_it_may_be_opened_again(heard: Heard) -> None:
    for count in (1, 2):
        with heard.speaker as speaker:
            speaker.play(level(0.5, 0.4))
        eventually(lambda count=count: heard.seconds(0.5) > count * (0.4 - LOSS_S))  # type: ignore[misc]
