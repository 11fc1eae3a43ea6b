"""The sound seams over files, and PortAudio where there is no sound hardware."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from lamp import Lamp

from lorgnette.device.capture import CaptureGate, CaptureRefused
from lorgnette.device.errors import DeviceError, InputError
from lorgnette.device.microphone import CHUNK_SAMPLES, WavMicrophone
from lorgnette.device.portaudio import device_key, find_sound_devices
from lorgnette.device.portaudio_microphone import PortAudioMicrophone
from lorgnette.device.portaudio_speaker import PortAudioSpeaker
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import load_sound
from lorgnette.device.speaker import WavSpeaker
from lorgnette.device.wav import write_wav


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "noise.wav"
    write_wav(path, [AudioChunk(np.random.default_rng(0).uniform(-0.5, 0.5, 2000).astype(np.float32), 16_000)])
    return path


def test_wav_microphone(recording: Path) -> None:
    lamp = Lamp()
    with closing(WavMicrophone(recording, CaptureGate(lamp)).chunks()) as chunks:
        assert not lamp.lit
        heard = list(islice(chunks, 6))
        assert lamp.lit == {"microphone"}
    assert not lamp.lit
    assert all(chunk.samples.shape == (CHUNK_SAMPLES,) and chunk.rate_hz == 16_000 for chunk in heard)
    samples = np.concatenate([chunk.samples for chunk in heard])
    assert np.array_equal(samples[:2000], load_sound(recording, 60).samples) and not samples[2000:].any()
    steps = np.diff([chunk.timestamp_ns for chunk in heard])
    assert np.all(steps == 32_000_000)


def test_wav_microphone_without_lamp_or_file(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(CaptureRefused):
        next(WavMicrophone(recording, CaptureGate(Lamp(broken=True))).chunks())
    lamp = Lamp()
    with pytest.raises(InputError, match="there is no file"):
        next(WavMicrophone(tmp_path / "none.wav", CaptureGate(lamp)).chunks())
    assert not lamp.lit


def test_wav_speaker(tmp_path: Path) -> None:
    path = tmp_path / "said.wav"
    samples = np.linspace(-0.5, 0.5, 1000, dtype=np.float32)
    with WavSpeaker(path) as speaker:
        speaker.play(AudioChunk(samples[:500], 16_000))
        assert not path.exists()
        speaker.play(AudioChunk(samples[500:], 16_000))
        assert speaker.duration_s == 1000 / 16_000
    assert np.abs(load_sound(path, 60).samples - samples).max() < 1e-4


def test_wav_speaker_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), WavSpeaker(tmp_path / "said.wav") as speaker:
        speaker.play(AudioChunk(np.zeros(10, np.float32), 16_000))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_device_key() -> None:
    assert [device_key(name) for name in ("", "3", "USB Audio")] == [None, 3, "USB Audio"]


def test_a_device_that_does_not_exist() -> None:
    lamp = Lamp()
    with pytest.raises(DeviceError, match=r"there is no microphone|libportaudio2"):
        next(PortAudioMicrophone(CaptureGate(lamp), "no such thing").chunks())
    with pytest.raises(DeviceError, match=r"there is no speaker|libportaudio2"), PortAudioSpeaker("no such thing"):
        pass
    assert not lamp.lit


def test_machine_without_sound_hardware() -> None:
    try:
        found = find_sound_devices()
    except DeviceError as error:
        assert "apt-get install libportaudio2" in error.hint
        return
    if not found.microphones:
        with pytest.raises(DeviceError, match=r"there is no microphone \(plug one in"):
            next(PortAudioMicrophone(CaptureGate(Lamp())).chunks())
    if not found.speakers:
        with pytest.raises(DeviceError, match=r"there is no speaker \(plug one in"), PortAudioSpeaker():
            pass


def test_missing_portaudio_is_explained(tmp_path: Path) -> None:
    """In a Python where no system library is found, as on a machine without libportaudio2."""
    (tmp_path / "ctypes_without_libraries.py").write_text(
        "import ctypes.util\nctypes.util.find_library = lambda name: None\n"
        "from lorgnette.device.portaudio import load_portaudio\n"
        "from lorgnette.device.errors import DeviceError\n"
        "try:\n    load_portaudio()\nexcept DeviceError as error:\n    print(error)\n"
    )
    script = tmp_path / "ctypes_without_libraries.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "the sound library PortAudio is not installed (sudo apt-get install libportaudio2)\n"


def test_drivers_import_without_portaudio() -> None:
    """Importing the drivers must not load the library: the command line imports them on machines without sound."""
    code = (
        "import sys; import lorgnette.device.portaudio_speaker, lorgnette.device.portaudio_microphone; "
        "assert 'sounddevice' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
