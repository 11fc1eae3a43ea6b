"""The wearer's voice, and the sounds and sights of a scenario."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lamp import Lamp

from lorgnette.assistant.examples import shipped_examples
from lorgnette.assistant.scenario.scenario import Pause, View
from lorgnette.assistant.scenario.scene import SceneCamera, paint
from lorgnette.assistant.scenario.sounds import NOISES, cough, noise
from lorgnette.assistant.scenario.wearer import WEARER_RMS, is_installed, recorded, speak
from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import InputError
from lorgnette.device.frame import Frame
from lorgnette.vision.quality import assess

VOICES = ("flite/slt", "espeak-ng/en-us")


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize("voice", VOICES)
def test_a_voice_speaks_at_its_level(voice: str) -> None:
    if not is_installed(voice):
        pytest.skip(f"apt-get install {voice.partition('/')[0]}")
    sound = speak(["What is this?"], voice)
    assert sound.rate_hz == 16_000
    assert 0.4 < sound.duration_s < 3
    assert rms(sound.samples) == pytest.approx(WEARER_RMS, rel=0.01)
    paused = speak(["What is this?", Pause(1.5), "What is this?"], voice)
    assert paused.duration_s == pytest.approx(2 * sound.duration_s + 1.5, abs=0.01)
    middle = len(sound.samples) + 100
    assert not paused.samples[middle : middle + 16_000].any()


@pytest.mark.parametrize("voice", ["flite", "flite/", "nobody/slt", "espeak-ng/not-a-voice"])
def test_voices_that_there_are_not(voice: str) -> None:
    if not is_installed("espeak-ng/en-us"):
        pytest.skip("apt-get install espeak-ng")
    with pytest.raises(InputError):
        speak(["What is this?"], voice)


def test_words_are_no_options() -> None:
    if not is_installed(VOICES[0]):
        pytest.skip("apt-get install flite")
    assert speak(["-h --version; $(exit)"], VOICES[0]).duration_s > 0.3


def test_a_recording_is_as_loud_as_a_voice() -> None:
    assert rms(recorded(shipped_examples()["cat"].audio).samples) == pytest.approx(WEARER_RMS, rel=0.01)


@pytest.mark.parametrize("kind", NOISES)
def test_noise_is_so_much_under_the_voice(kind: str) -> None:
    assert rms(noise(kind, 10).samples) == pytest.approx(WEARER_RMS / 10**0.5, rel=0.01)
    assert rms(noise(kind, 30).samples) == pytest.approx(WEARER_RMS / 10**1.5, rel=0.01)


def test_a_recording_may_be_the_noise() -> None:
    sound = noise(str(shipped_examples()["cat"].audio), 20)
    assert rms(sound.samples) == pytest.approx(WEARER_RMS / 10, rel=0.01)


def test_a_cough_is_short_and_loud() -> None:
    assert cough().duration_s < 0.5
    assert rms(cough().samples) == pytest.approx(WEARER_RMS, rel=0.01)


@pytest.mark.parametrize("spoiled", ["dark", "covered", "blurred"])
def test_spoiled_pictures_are_what_they_are_called(spoiled: str) -> None:
    photo = shipped_examples()["photographer"].photo
    assert assess(Frame(paint(View(photo)))).problem is None
    problem = assess(Frame(paint(View(photo, spoiled=spoiled)))).problem
    assert problem == spoiled or (spoiled == "covered" and problem in ("covered", "dark"))


def test_the_camera_stays_open_until_it_is_closed(tmp_path: Path) -> None:
    lamp = Lamp()
    with SceneCamera(View(sign="Exit"), CaptureGate(lamp)) as camera:
        assert lamp.lit == set()
        exit_sign = camera.latest(1.0)
        assert lamp.lit == {"camera"}
        camera.show(View(sign="Entrance"))
        assert not np.array_equal(camera.latest(1.0).pixels, exit_sign.pixels)
        assert lamp.lit == {"camera"}
        camera.close()
        assert lamp.lit == set()
        camera.latest(1.0)
    assert lamp.lit == set()
    with pytest.raises(InputError):
        camera.show(View(tmp_path / "nothing.jpg"))
