"""The PortAudio library: loaded only when sound hardware is wanted, with its errors made clear."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from lorgnette.device.errors import DeviceError


@dataclass(frozen=True, slots=True)
class SoundDevices:
    """Names of the microphones and speakers that PortAudio found."""

    microphones: tuple[str, ...]
    speakers: tuple[str, ...]


def load_portaudio() -> Any:
    """The `sounddevice` module. Raises DeviceError where the system's PortAudio library is missing."""
    try:
        import sounddevice
    except OSError as error:  # the wheel for Linux does not carry the library
        raise DeviceError(
            "the sound library PortAudio is not installed", "sudo apt-get install libportaudio2"
        ) from error
    except ImportError as error:
        raise DeviceError("the Python package sounddevice is not installed", "pip install sounddevice") from error
    return sounddevice


def find_sound_devices() -> SoundDevices:
    """What is connected; empty where there is nothing. Raises DeviceError where PortAudio is missing."""
    library = load_portaudio()
    with translated("sound hardware"):
        devices = library.query_devices()
    return SoundDevices(
        tuple(device["name"] for device in devices if device["max_input_channels"] > 0),
        tuple(device["name"] for device in devices if device["max_output_channels"] > 0),
    )


def device_key(name: str) -> int | str | None:
    """What PortAudio calls the device that a person named: "" is the default one, digits are its number."""
    return int(name) if name.isdecimal() else name or None


def default_rate_hz(library: Any, kind: Literal["input", "output"], device: int | str | None) -> int:
    """The rate that a device prefers. Raises DeviceError where there is no such device."""
    noun, hint = ("microphone", "give --audio FILE") if kind == "input" else ("speaker", "write a file with --out FILE")
    try:
        return int(library.query_devices(device, kind)["default_samplerate"])
    except (library.PortAudioError, ValueError) as error:
        named = "" if device is None else f" {device!r}"
        raise DeviceError(f"there is no {noun}{named}", f"plug one in, or {hint}") from error


@contextmanager
def translated(noun: str) -> Iterator[None]:
    """PortAudio's errors inside this context become DeviceError about `noun`."""
    library = load_portaudio()
    try:
        yield
    except library.PortAudioError as error:
        # Its text is "Error opening InputStream: Device unavailable [PaErrorCode -9985]".
        reason = str(error.args[0]).partition(" [")[0] if error.args else "unknown reason"
        raise DeviceError(f"the {noun} failed: {reason}", "is it plugged in, and free?") from error
