"""The whole way with the real weights, and no network: a spoken question about a photograph gets a spoken answer."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorgnette.assistant.command_line.main import main
from lorgnette.assistant.config import load_config
from lorgnette.assistant.examples import shipped_examples
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.picture import load_picture
from lorgnette.device.sound_file import load_sound
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Prompt

pytestmark = pytest.mark.weights


class Network(Exception):
    """Something tried to reach beyond this machine."""


@pytest.fixture(autouse=True, scope="module")
def weights() -> None:
    """All weights and the bundle, before the network is cut."""
    Wiring(load_config()).make_ready(hear=True, speak=True)


# An audit hook cannot be taken out again, so it is told when it counts.
_cut = False


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if not _cut:
        return
    if event == "socket.getaddrinfo":
        raise Network(f"looked up {arguments[0]}")
    if event == "socket.connect":
        _, address = arguments
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):
            raise Network(f"connected to {address}")


sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def no_network(weights: None) -> Iterator[None]:
    global _cut
    _cut = True
    yield
    _cut = False


def test_the_guard_works() -> None:
    with pytest.raises(Network), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as beyond:
        beyond.connect(("192.0.2.1", 9))
    with pytest.raises(Network):
        socket.getaddrinfo("example.org", 80)


def test_a_spoken_question_gets_a_spoken_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the answer's sound says, heard again, is what was written."""
    example = shipped_examples()["photographer"]
    out = tmp_path / "answer.wav"
    code = main(["ask", str(example.photo), "--audio", str(example.audio), "--out", str(out), "--json", "--offline"])
    report = json.loads(capsys.readouterr().out)
    assert code == 0
    assert shared_words(report["question"], example.text) >= 0.8
    assert len(report["answer"].split()) >= 3
    heard = Wiring(load_config()).transcriber().transcribe(load_sound(out, 60.0))
    assert heard.language == "en"
    assert shared_words(heard.text, report["answer"]) >= 0.7


def test_the_answer_is_about_the_picture(capsys: pytest.CaptureFixture[str]) -> None:
    examples = shipped_examples()
    answers = set()
    for name in ("photographer", "coffee", "astronaut"):
        assert main(["ask", str(examples[name].photo), "--text", "Describe the picture.", "--offline"]) == 0
        answers.add(capsys.readouterr().out.strip())
    assert len(answers) == 3


def test_a_second_question_does_not_look_again() -> None:
    engine = Wiring(load_config()).engine()
    picture = load_picture(shipped_examples()["coffee"].photo)
    assert not engine.look(picture).cached
    first = "".join(token.text for token in engine.stream(Prompt("Is there a cup?", picture), CancelScope()))
    assert engine.look(picture).cached
    again = "".join(token.text for token in engine.stream(Prompt("Is there a cup?", picture), CancelScope()))
    assert first == again
    assert first


def shared_words(said: str, meant: str) -> float:
    """The part of `meant`'s different words that `said` has too."""
    words, wanted = (set(re.findall(r"[a-z']+", text.lower())) for text in (said, meant))
    return len(words & wanted) / max(1, len(wanted))
