"""What Prometheus would read, read by Prometheus' own parser."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lorgnette.assistant.live.events import (
    PartialHeard,
    QuestionHeard,
    SpeakingEnded,
    State,
    StateChanged,
    Trouble,
    TurnDone,
)
from lorgnette.assistant.metrics import Metrics
from lorgnette.assistant.trace import TurnTrace

S = 1_000_000_000


def turn(**others: object) -> TurnTrace:
    facts: dict[str, object] = {
        "began": "2026-01-01T00:00:00+00:00",
        "engine": "echo",
        "outcome": "answered",
        "spoken": True,
        "asked_at_ns": 10 * S,
        "look_start_at_ns": 9 * S,
        "look_end_at_ns": 9 * S + S // 5,
        "answer_start_at_ns": 10 * S,
        "first_token_at_ns": 10 * S + S // 4,
        "last_token_at_ns": 11 * S,
        "first_audio_at_ns": 10 * S + S // 2,
        "last_audio_at_ns": 11 * S,
        "tokens": 12,
        "audio_s": 2.5,
    }
    return TurnTrace(**(facts | others))  # type: ignore[arg-type]


def samples(metrics: Metrics) -> dict[str, float]:
    """Every sample by name and labels: lorgnette_turns_total{outcome=answered}."""
    found = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_turns_are_counted_by_how_they_ended() -> None:
    metrics = Metrics()
    for trace in (turn(), turn(), turn(outcome="cancelled", revisions=2), turn(spoken=False, first_audio_at_ns=None)):
        metrics.watch(TurnDone(1, "What is this?", "A cup.", trace))
    found = samples(metrics)
    assert found["lorgnette_turns_total{asked=aloud,engine=echo,outcome=answered}"] == 2
    assert found["lorgnette_turns_total{asked=aloud,engine=echo,outcome=cancelled}"] == 1
    assert found["lorgnette_turns_total{asked=in_writing,engine=echo,outcome=answered}"] == 1
    assert found["lorgnette_tokens_total{engine=echo}"] == 48
    assert found["lorgnette_answer_sound_seconds_total"] == 10.0
    assert found["lorgnette_revisions_total"] == 2
    assert found["lorgnette_first_audio_seconds_count"] == 3
    assert found["lorgnette_first_audio_seconds_bucket{le=0.3}"] == 0
    assert found["lorgnette_first_audio_seconds_bucket{le=0.5}"] == 3
    assert found["lorgnette_stage_seconds_sum{stage=look}"] == pytest.approx(0.8)
    assert found["lorgnette_stage_seconds_sum{stage=read_the_question}"] == pytest.approx(1.0)


def test_state_interruptions_and_troubles() -> None:
    metrics = Metrics()
    metrics.watch(StateChanged(State.LISTENING, "button"))
    metrics.watch(SpeakingEnded(1, "A cup.", interrupted=True))
    metrics.watch(SpeakingEnded(2, "A cup.", interrupted=False))
    metrics.watch(Trouble("microphone", "it went away"))
    metrics.watch(Trouble("camera", "it is busy"))
    metrics.watch(Trouble("microphone", "it is back", over=True))
    found = samples(metrics)
    assert found["lorgnette_state{lorgnette_state=listening}"] == 1
    assert found["lorgnette_state{lorgnette_state=idle}"] == 0
    assert found["lorgnette_interruptions_total"] == 1
    assert found["lorgnette_troubles_total{part=microphone}"] == 1
    assert found["lorgnette_in_trouble{part=microphone}"] == 0
    assert found["lorgnette_in_trouble{part=camera}"] == 1


def test_no_word_of_anybody_is_in_them_and_two_do_not_mix() -> None:
    metrics, other = Metrics(), Metrics()
    metrics.watch(QuestionHeard(1, 0, "Where are my keys?", "question"))
    metrics.watch(PartialHeard(1, "Where are", "my keys"))
    metrics.watch(TurnDone(1, "Where are my keys?", "On the table.", turn()))
    metrics.watch(SpeakingEnded(1, "On the table.", interrupted=True))
    text = metrics.text().decode()
    assert "keys" not in text
    assert "table" not in text
    assert "lorgnette_turns_total{asked=aloud,engine=echo,outcome=answered}" not in samples(other)
    assert metrics.content_type.startswith("text/plain")
