"""The promise of the indicator: lit exactly while something is captured, and nothing without it."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lorgnette.device.capture import CaptureGate, CaptureRefused, TerminalIndicator
from lorgnette.device.errors import DeviceError

ROOT = Path(__file__).parents[2]


class Lamp:
    """An indicator that can break."""

    def __init__(self) -> None:
        self.lit: set[str] = set()
        self.broken = False

    def light(self, source: str) -> None:
        if self.broken:
            raise OSError("the lamp is broken")
        self.lit.add(source)

    def dark(self, source: str) -> None:
        if self.broken:
            raise OSError("the lamp is broken")
        self.lit.discard(source)


def test_lit_while_capturing() -> None:
    lamp = Lamp()
    gate = CaptureGate(lamp)
    with gate.capturing("camera"):
        assert lamp.lit == {"camera"} and gate.is_capturing("camera")
        with gate.capturing("camera"), gate.capturing("microphone"):
            assert lamp.lit == {"camera", "microphone"}
        assert lamp.lit == {"camera"}
    assert not lamp.lit and not gate.is_capturing("camera")


def test_dark_after_a_failed_capture() -> None:
    lamp = Lamp()
    with pytest.raises(KeyError), CaptureGate(lamp).capturing("camera"):
        raise KeyError
    assert not lamp.lit


def test_nothing_is_captured_without_a_lamp() -> None:
    lamp = Lamp()
    lamp.broken = True
    captured = []
    with pytest.raises(CaptureRefused, match="the camera stays off"), CaptureGate(lamp).capturing("camera"):
        captured.append("a picture")
    assert not captured


def test_a_lamp_that_stays_on_is_reported() -> None:
    lamp = Lamp()
    with pytest.raises(DeviceError, match="could not be put out"), CaptureGate(lamp).capturing("camera"):
        lamp.broken = True


def test_terminal_indicator() -> None:
    stream = io.StringIO()
    with CaptureGate(TerminalIndicator(stream)).capturing("camera"):
        assert stream.getvalue() == "[camera on]\n"
    assert stream.getvalue() == "[camera on]\n[camera off]\n"
    stream.close()
    with pytest.raises(CaptureRefused), CaptureGate(TerminalIndicator(stream)).capturing("camera"):
        pass


class GateMachine(RuleBasedStateMachine):
    """Captures begin and end in any order while the lamp breaks and is mended."""

    def __init__(self) -> None:
        super().__init__()
        self.lamp = Lamp()
        self.gate = CaptureGate(self.lamp)
        self.running: list[tuple[str, object]] = []

    @rule(source=st.sampled_from(["camera", "microphone"]))
    def begin(self, source: str) -> None:
        capture = self.gate.capturing(source)
        try:
            capture.__enter__()
        except CaptureRefused:
            assert self.lamp.broken
        else:
            self.running.append((source, capture))

    @precondition(lambda self: self.running and not self.lamp.broken)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        _, capture = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        capture.__exit__(None, None, None)  # type: ignore[attr-defined]

    @rule(broken=st.booleans())
    def set_broken(self, broken: bool) -> None:
        self.lamp.broken = broken

    def teardown(self) -> None:
        self.lamp.broken = False
        for _, capture in self.running:
            capture.__exit__(None, None, None)  # type: ignore[attr-defined]
        assert not self.lamp.lit

    @invariant()
    def lit_exactly_while_capturing(self) -> None:
        assert self.lamp.lit == {source for source, _ in self.running}


TestGateMachine = GateMachine.TestCase
TestGateMachine.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)


CAPTURE_CALLS = {"VideoCapture", "InputStream", "RawInputStream", "Stream", "RawStream", "rec", "playrec"}


def test_only_gated_drivers_open_capture_hardware() -> None:
    """Whoever opens a camera or a microphone is one of two files, and both take a gate."""
    opening = set()
    for package in ("device", "vision", "speech", "llm", "export", "assistant"):
        for file in (ROOT / package).rglob("*.py"):
            nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            called = {
                node.func.attr for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            }
            if called & CAPTURE_CALLS:
                opening.add(file.relative_to(ROOT).as_posix())
    assert opening == {"device/opencv_camera.py", "device/portaudio_microphone.py"}
    for name in opening:
        assert "self._gate.capturing(" in (ROOT / name).read_text(encoding="utf-8")
