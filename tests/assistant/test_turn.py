"""One turn, from sound and picture to words and sound, with parts that need no weights."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lorgnette.assistant.honesty import Honesty
from lorgnette.assistant.trace import TraceError, TraceLog, TurnTrace
from lorgnette.assistant.turn import Answered, Heard, Question, Seen, Spoken, Turns, Written
from lorgnette.device.errors import InputError
from lorgnette.device.frame import Frame
from lorgnette.device.sound import AudioChunk
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.confidence import Calibration, Confidence
from lorgnette.llm.echo_engine import EchoEngine
from lorgnette.llm.engine import Exchange, Prompt, Token
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine
from lorgnette.speech.synthesizer import SilentSynthesizer
from lorgnette.speech.transcriber import Transcript

TINY = Path(__file__).parents[1] / "models" / "tiny_vlm"
PICTURE = Frame(np.zeros((48, 64, 3), np.uint8))
SOUND = AudioChunk(np.zeros(16_000, np.float32), 16_000)


class Listener:
    """Hears the same words whatever is said."""

    def __init__(self, words: str) -> None:
        self._words = words

    def transcribe(self, sound: AudioChunk, language: str | None = None, hint: str | None = None) -> Transcript:
        return Transcript(self._words, language or "en", 1.0, sound.duration_s, sound.duration_s)


class Storyteller(EchoEngine):
    """Goes on and on, sentence after sentence."""

    def stream(self, prompt: Prompt, cancel: CancelScope) -> Iterator[Token]:
        return self._answer(["One", "sentence", "here.", "And", "another", "one."] * 30, cancel, cancel.generation)


def turns(words: str = "What is this?") -> Turns:
    return Turns(EchoEngine, lambda: Listener(words), SilentSynthesizer)


def test_a_spoken_question_gets_a_spoken_answer() -> None:
    events = list(turns().take(Question(SOUND, PICTURE), CancelScope()))
    kinds = [type(event) for event in events]
    assert kinds[:2] == [Heard, Seen]
    assert kinds[-1] is Answered
    text = "".join(event.token.text for event in events if isinstance(event, Written))
    assert text == "You asked: What is this? The picture is 64 x 48."
    assert [e.sentence for e in events if isinstance(e, Spoken)] == [
        "You asked:",
        "What is this?",
        "The picture is 64 x 48.",
    ]
    last = events[-1]
    assert isinstance(last, Answered)
    assert last.exchange == Exchange("What is this?", text)
    assert last.trace.outcome == "answered"
    assert last.trace.spoken


def test_the_first_sentence_is_spoken_before_the_answer_is_whole() -> None:
    kinds = [type(event) for event in turns().take(Question("Hello?", PICTURE), CancelScope())]
    assert kinds.index(Spoken) < len(kinds) - 1 - kinds[::-1].index(Written)


def test_a_written_question_needs_no_transcriber() -> None:
    events = list(Turns(EchoEngine).take(Question("Hello?", PICTURE), CancelScope()))
    assert not any(isinstance(event, Heard | Spoken) for event in events)
    with pytest.raises(InputError, match="transcriber"):
        list(Turns(EchoEngine).take(Question(SOUND, PICTURE), CancelScope()))


def test_silence_is_no_question() -> None:
    with pytest.raises(InputError, match="no speech"):
        list(turns("").take(Question(SOUND, PICTURE), CancelScope()))


def test_what_a_part_raises_while_looking_reaches_the_caller() -> None:
    class Blind(EchoEngine):
        def look(self, picture: Frame) -> None:  # type: ignore[override]
            raise InputError("too dark")

    with pytest.raises(InputError, match="too dark"):
        list(Turns(Blind).take(Question("Hello?", PICTURE), CancelScope()))


class Guesser(EchoEngine):
    """Says the same two words, each with probability 1/4."""

    def stream(self, prompt: Prompt, cancel: CancelScope) -> Iterator[Token]:
        yield from (Token(0, "A", math.log(0.25)), Token(1, " dog.", math.log(0.25)))


def answered(honesty: Honesty | None) -> Answered:
    *_, last = Turns(Guesser, None, SilentSynthesizer, None, honesty).take(Question("What?", PICTURE), CancelScope())
    assert isinstance(last, Answered)
    return last


def test_an_answer_says_how_sure_it_is() -> None:
    plain = answered(None)
    assert plain.confidence == Confidence(pytest.approx(math.log(0.25)), None)
    measured = answered(Honesty(Calibration(1.0, math.log(4.0)), 0.4))
    assert measured.confidence == Confidence(pytest.approx(math.log(0.25)), pytest.approx(0.5))
    assert measured.trace.confidence == pytest.approx(0.5)
    assert measured.trace.mean_log_probability == pytest.approx(math.log(0.25))
    assert measured.exchange.answer == plain.exchange.answer == "A dog."


def test_doubt_is_said_behind_the_answer_if_wanted() -> None:
    honesty = Honesty(Calibration(1.0, math.log(4.0)), 0.6)
    taken = Turns(Guesser, None, SilentSynthesizer, None, honesty).take(Question("What?", PICTURE), CancelScope())
    assert [event.sentence for event in taken if isinstance(event, Spoken)] == ["A dog.", "But I am not sure."]
    # The doubt itself does not count.
    assert answered(honesty).confidence == Confidence(pytest.approx(math.log(0.25)), pytest.approx(0.5))


def test_cancelling_stops_words_and_sound() -> None:
    cancel = CancelScope()
    after: list[object] = []
    engine = Storyteller(max_new_tokens=1000)
    for event in Turns(lambda: engine, None, SilentSynthesizer).take(Question("Tell me.", PICTURE), cancel):
        if cancel.generation:
            after.append(event)
        if isinstance(event, Spoken):
            cancel.next()
    assert len(after) == 1
    assert isinstance(after[0], Answered)
    assert after[0].trace.outcome == "cancelled"


def test_times_are_in_order() -> None:
    """With the tiny model, so that every stage takes some time."""
    engine = OnnxEngine(ModelBundle.open(TINY), EngineSettings(max_new_tokens=8))
    parts = Turns(lambda: engine, lambda: Listener("What?"), SilentSynthesizer)
    before_ns = time.monotonic_ns()
    *_, last = parts.take(Question(SOUND, PICTURE), CancelScope())
    assert isinstance(last, Answered)
    trace = last.trace
    marks = [trace.asked_at_ns, trace.transcribe_start_at_ns, trace.transcript_at_ns, trace.answer_start_at_ns]
    marks += [trace.first_token_at_ns, trace.last_token_at_ns]
    times = [mark for mark in marks if mark is not None]
    assert len(times) == 6
    assert times == sorted(times)
    assert before_ns <= times[0]
    assert trace.tokens > 0
    assert trace.picture_cached is False
    assert trace.encode_ns and trace.prefill_ns
    *_, again = parts.take(Question(SOUND, PICTURE), CancelScope())
    assert isinstance(again, Answered)
    assert again.trace.picture_cached is True
    assert again.trace.encode_ns is None


def test_traces_are_kept_and_read_again(tmp_path: Path) -> None:
    log = TraceLog(tmp_path / "state")
    assert log.last(3) == []
    written: list[TurnTrace] = []
    for _ in range(4):
        *_, last = turns().take(Question(SOUND, PICTURE), CancelScope())
        assert isinstance(last, Answered)
        log.append(last.trace)
        written.append(last.trace)
    assert log.last(3) == written[1:]


def test_a_trace_holds_no_words(tmp_path: Path) -> None:
    log = TraceLog(tmp_path)
    *_, last = turns("Where is my passport?").take(Question(SOUND, PICTURE), CancelScope())
    assert isinstance(last, Answered)
    log.append(last.trace)
    assert "passport" not in log.path.read_text(encoding="utf-8")


def test_a_full_log_begins_anew(tmp_path: Path) -> None:
    log = TraceLog(tmp_path)
    log.path.write_bytes(b"x" * (5 * 2**20))
    log.append(TurnTrace("2026-01-01T00:00:00+00:00", "echo", "answered", False, 1))
    assert len(log.last(10)) == 1


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TraceError, match="cannot write"):
        TraceLog(tmp_path / "file").append(TurnTrace("", "echo", "answered", False, 1))
