"""Whether a performance was as expected. The same sound and the same events always get the same verdict."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lorgnette.assistant.live.events import QuestionHeard, SpeakingBegan, SpeakingEnded, StateChanged
from lorgnette.assistant.scenario.event_log import Happened
from lorgnette.assistant.scenario.scenario import Expectation
from lorgnette.assistant.scenario.window import Performance, Window
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ
from lorgnette.speech.transcriber import Transcriber

Samples = npt.NDArray[np.float32]

_AUDIBLE = 0.001
_AT_ONCE_S = 0.1
"""What still sounds after an event that silences it: the chunk that is being played, and the event's way here."""
_GAP_S, _KEPT_GAP_S = 0.8, 0.4


@dataclass(frozen=True, slots=True)
class StepReport:
    """`heard` is what the loudspeaker said, transcribed again where that was asked for (else ""); `first_sound_ms` is
    from the wearer's last sound to the loudspeaker's first, in room time (None where there was none)."""

    number: int
    heard: str
    first_sound_ms: float | None
    within_ms: float | None
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`breaches` are moments at which something was captured and the indicator was dark."""

    name: str
    steps: tuple[StepReport, ...]
    breaches: tuple[str, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """Everything that was not as expected; empty where the scenario is passed."""
        return (*(f"step {step.number}: {failure}" for step in self.steps for failure in step.failures), *self.breaches)


def judge(performance: Performance, transcriber: Transcriber | None, strict: bool = False) -> Verdict:
    """Hold a performance against what its scenario expects. `transcriber` hears the answers again; without one, words
    of the sound are not judged. Only with `strict` is an answer that comes later than `within_ms` a failure."""
    steps = tuple(
        _report(number, window, _sound(performance.heard, window), transcriber, strict)
        for number, window in enumerate(performance.windows, 1)
    )
    return Verdict(performance.scenario.name, steps, performance.breaches)


def unmet(expect: Expectation, happened: Sequence[Happened]) -> list[str]:
    """What is expected to happen and has not yet."""
    events = [one.event for one in happened]
    said = _plain(" ".join(event.said for event in events if isinstance(event, SpeakingEnded)))
    understood = _plain(" ".join(event.text for event in events if isinstance(event, QuestionHeard)))
    states = [event.state.value for event in events if isinstance(event, StateChanged)]
    missing = [f"{entry} was not said: {said!r}" for entry in _absent_words(expect.said, said)]
    missing += [f"{entry} was not understood: {understood!r}" for entry in _absent_words(expect.understood, understood)]
    missing += [f"no event {pattern}" for pattern in expect.events if not any(map(pattern.matches, events))]
    if _finished(events) < _wanted(expect):
        missing.append(f"{_finished(events)} answers instead of {_wanted(expect)}")
    if not _in_order(expect.states, states):
        missing.append(f"not the states {', '.join(expect.states)} but {', '.join(states)}")
    if expect.interrupted and not _cut_short(events):
        missing.append("no answer was interrupted")
    if expect.silent_after and not any(map(expect.silent_after.matches, events)):
        missing.append(f"no event {expect.silent_after}")
    return missing


def _report(number: int, window: Window, sound: Samples, transcriber: Transcriber | None, strict: bool) -> StepReport:
    expect = window.step.expect or Expectation()
    failures = [f"{window.missed} did not come before"] if window.missed else []
    failures += unmet(expect, window.happened)
    failures += _forbidden(expect, window, sound)
    heard = ""
    if transcriber is not None and (expect.answer or expect.answer_not):
        heard = _transcribe(sound, transcriber)
        failures += [f"{entry} was not heard: {heard!r}" for entry in _absent_words(expect.answer, heard)]
        failures += [f"{word!r} was heard: {heard!r}" for word in expect.answer_not if _contains(heard, word)]
    first_ms = _first_sound_ms(window, sound)
    if strict and expect.within_ms is not None and (first_ms is None or first_ms > expect.within_ms):
        failures.append(f"the first sound came after {first_ms} ms, not within {expect.within_ms:g} ms")
    return StepReport(number, heard, first_ms, expect.within_ms, tuple(failures))


def _forbidden(expect: Expectation, window: Window, sound: Samples) -> Iterator[str]:
    """What happened and should not have."""
    events = [one.event for one in window.happened]
    began = sum(isinstance(event, SpeakingBegan) for event in events)
    if expect.absent and (began or len(_audible(sound))):
        yield f"something was said: {_said(events)!r}"
    if expect.answers is not None and began > expect.answers:
        yield f"{began} answers instead of {expect.answers}: {_said(events)!r}"
    if expect.interrupted is False and _cut_short(events):
        yield f"an answer was interrupted after {_cut_short(events)[-1].said!r}"
    if expect.said_less_than is not None:
        for event in _cut_short(events):
            if len(event.said.split()) >= expect.said_less_than:
                yield f"{event.said!r} was said before the answer was interrupted"
    yield from (f"event {pattern}" for pattern in expect.events_not if any(map(pattern.matches, events)))
    if expect.lit is not None and tuple(sorted(expect.lit)) != window.lit:
        yield f"the indicator was lit for {', '.join(window.lit) or 'nothing'}"
    if expect.silent_after is not None:
        silence = [one.at_s for one in window.happened if expect.silent_after.matches(one.event)]
        late_s = len(sound) and _audible(sound)[-1:] / SPEECH_RATE_HZ + window.begin_s
        if silence and np.size(late_s) and np.max(late_s) > silence[0] + _AT_ONCE_S:
            yield f"there was sound {float(np.max(late_s)) - silence[0]:.2f} s after {expect.silent_after}"


def _wanted(expect: Expectation) -> int:
    if expect.answers is not None:
        return expect.answers
    return int(bool(expect.answer or expect.within_ms))


def _finished(events: Sequence[object]) -> int:
    """How many answers began and ended."""
    began = finished = 0
    for event in events:
        began += isinstance(event, SpeakingBegan)
        finished += isinstance(event, SpeakingEnded) and finished < began
    return finished


def _cut_short(events: Sequence[object]) -> list[SpeakingEnded]:
    return [event for event in events if isinstance(event, SpeakingEnded) and event.interrupted]


def _said(events: Sequence[object]) -> str:
    return " ".join(event.said for event in events if isinstance(event, SpeakingEnded))


def _in_order(wanted: Sequence[str], found: Sequence[str]) -> bool:
    """Whether `wanted` come in this order, with others between them perhaps."""
    rest = iter(found)
    return all(state in rest for state in wanted)


def _sound(heard: AudioChunk, window: Window) -> Samples:
    return heard.samples[round(window.begin_s * SPEECH_RATE_HZ) : round(window.end_s * SPEECH_RATE_HZ)]


def _audible(sound: Samples) -> npt.NDArray[np.intp]:
    return np.flatnonzero(np.abs(sound) > _AUDIBLE)


def _first_sound_ms(window: Window, sound: Samples) -> float | None:
    after = _audible(sound) / SPEECH_RATE_HZ + window.begin_s - window.asked_s
    after = after[after >= 0]
    return round(float(after[0]) * 1000) if len(after) else None


def _transcribe(sound: Samples, transcriber: Transcriber) -> str:
    audible = _audible(sound)
    if len(audible) == 0:
        return ""
    # Long silences make a transcriber invent words: they are shortened.
    cuts = np.flatnonzero(np.diff(audible) > _GAP_S * SPEECH_RATE_HZ)
    silence = np.zeros(round(_KEPT_GAP_S * SPEECH_RATE_HZ), np.float32)
    pieces = [silence]
    for part in np.split(audible, cuts + 1):
        pieces += [sound[part[0] : part[-1] + 1], silence]
    return transcriber.transcribe(AudioChunk(np.concatenate(pieces), SPEECH_RATE_HZ), "en").text


def _absent_words(wanted: Sequence[Sequence[str]], text: str) -> list[str]:
    return [" or ".join(entry) for entry in wanted if not any(_contains(text, words) for words in entry)]


def _contains(text: str, words: str) -> bool:
    return f" {_plain(words)} " in f" {_plain(text)} "


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9']+", text.lower().replace("\u2019", "'")))
