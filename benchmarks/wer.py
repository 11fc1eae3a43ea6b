"""Word error rate and speed over questions in voices that are not ours, and of our own voice: Moonshine and Whisper
alone, and the cascade of both, which is what the assistant uses.

    python benchmarks/wer.py [--json] [--quick] [--snr 10] [--beam 1] [--window 10] [--no-hint]

Every recording is heard by all three, one after the other. Needs espeak-ng and flite (`apt-get install espeak-ng
flite`) and the weights. The settings of Whisper were chosen on the sentences called SEEN; those called UNSEEN were
written afterwards and have changed nothing, and none of either was taken out because it was misheard. Read the rate
with its voices: espeak-ng is a formant synthesizer that people misunderstand too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from machine import describe_machine
from word_error import normalised_words

from lorgnette.assistant.config import load_config
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import load_sound
from lorgnette.device.wav import write_wav
from lorgnette.llm.evaluation.edit_distance import edit_distance
from lorgnette.speech.cascade import CascadeTranscriber
from lorgnette.speech.moonshine import MoonshineTranscriber
from lorgnette.speech.piper import PiperSynthesizer
from lorgnette.speech.transcriber import Transcriber
from lorgnette.speech.whisper import WhisperTranscriber

SEEN = """\
What is in front of me?
Is there a cat in the picture?
What is the person wearing?
How many people are there?
What colour is the car?
Describe what you see.
Is anybody riding a bicycle?
What is the dog doing?
Is there anything on the table?
Can you see a rocket?
Is the woman smiling?
Where is the motorcycle?
What kind of animal is this?
Is it safe to cross the road?
What does the sign say?
Is there a cup of coffee on the table?
Who is standing next to the tree?
What are the children playing with?
Is the door open or closed?
Tell me about this photo.
Do you see any food here?
What is behind the man in the red shirt?
Is this picture taken inside or outside?
Are there any buildings in the background?
What is the weather like?
How many wheels does it have?""".splitlines()

UNSEEN = """\
What animal is sitting on the chair?
Is the light green?
How many cups do you see?
Is there a person in front of me?
What is lying on the floor?
What is the boy holding in his hand?
Is the man wearing a hat?
Can you read the title of this book?
Are the people happy?
What is flying in the sky?
Where is my phone?
Is there any snow on the mountain?
What colour is her dress?
Describe the room to me.
What is the woman looking at?
Is the glass empty or full?
Which way does the arrow point?
Do I have something on my shirt?
What are they eating?
Is it day or night?""".splitlines()

VOICES = ("espeak-ng/en-us", "espeak-ng/en-gb", "espeak-ng/en-us+f3", "flite/slt", "flite/rms", "flite/awb")
OURS = "ours"


@dataclass(frozen=True, slots=True)
class Result:
    """One sentence in one voice; `wrong` and `words` count words, `sound_s` and `took_s` are seconds."""

    by: str
    voice: str
    said: str
    heard: str
    wrong: int
    words: int
    sound_s: float
    took_s: float


def spoken(text: str, voice: str, ours: PiperSynthesizer) -> AudioChunk:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        engine, _, name = voice.partition("/")
        if voice == OURS:
            write_wav(path, ours.synthesize(text))
        elif engine == "flite":
            subprocess.run(["flite", "-voice", name, "-t", text, "-o", str(path)], check=True)
        else:
            subprocess.run(["espeak-ng", "-v", name, "-s", "150", "-w", str(path), text], check=True)
        return load_sound(path, 60)


def with_noise(sound: AudioChunk, snr_db: float, seed: int) -> AudioChunk:
    """`sound` in noise whose power falls by 3 dB an octave."""
    noise = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(sound.samples)))
    noise = np.fft.irfft(noise / np.sqrt(np.arange(len(noise)) + 50), len(sound.samples))
    level = np.sqrt(np.mean(sound.samples**2) / np.mean(noise**2)) / 10 ** (snr_db / 20)
    return AudioChunk((sound.samples + noise * level).astype(np.float32), sound.rate_hz)


def measure(
    sentences: list[str],
    transcribers: Mapping[str, Transcriber],
    voice: PiperSynthesizer,
    quick: bool,
    snr_db: float | None,
) -> Iterator[Result]:
    first = spoken(sentences[0], OURS, voice)
    for transcriber in transcribers.values():
        transcriber.transcribe(first)  # the first run pays for the warm-up
    names = (*VOICES, OURS)
    for number, said in enumerate(sentences):
        for name in (names[number % len(names)],) if quick else names:
            sound = spoken(said, name, voice)
            sound = sound if snr_db is None else with_noise(sound, snr_db, number)
            for by, transcriber in transcribers.items():
                started_s = time.monotonic()
                heard = transcriber.transcribe(sound).text
                took_s = time.monotonic() - started_s
                words = normalised_words(said)
                wrong = edit_distance(words, normalised_words(heard))
                yield Result(by, name, said, heard, wrong, len(words), sound.duration_s, took_s)


def summary(results: list[Result]) -> dict[str, float]:
    took_s = sorted(r.took_s for r in results)
    return {
        "wer": round(sum(r.wrong for r in results) / sum(r.words for r in results), 4),
        "took_s_median": round(statistics.median(took_s), 3),
        "took_s_p95": round(took_s[int(0.95 * len(took_s))], 3),
        "real_time_factor": round(sum(took_s) / sum(r.sound_s for r in results), 3),
        "recordings": len(results),
    }


def summaries(results: list[Result]) -> dict[str, dict[str, float]]:
    groups = {name: [r for r in results if r.voice == name] for name in (*VOICES, OURS)}
    groups["seen"] = [r for r in results if r.voice != OURS and r.said in SEEN]
    groups["unseen"] = [r for r in results if r.voice != OURS and r.said in UNSEEN]
    return {name: summary(group) for name, group in groups.items() if group}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print every result for a program")
    parser.add_argument("--quick", action="store_true", help="each sentence in one voice only, by turns")
    parser.add_argument("--snr", type=float, help="with noise so many dB under the voice (default: none)")
    parser.add_argument("--beam", type=int, default=5, help="Whisper's beam size (default 5)")
    parser.add_argument("--window", type=float, default=15.0, help="its encoder's shortest window: 10, 15 or 30 s")
    parser.add_argument("--no-hint", action="store_true", help="do not tell it what sort of speech to expect")
    args = parser.parse_args()
    config = load_config()
    store = WeightStore.from_config(config)
    hint = {"hint": ""} if args.no_hint else {}
    # Two of them, because each remembers the last sound that it encoded.
    whisper, thorough = (
        WhisperTranscriber(
            store.path("whisper-base"), config.threads, beam_size=args.beam, shortest_window_s=args.window, **hint
        )
        for _ in range(2)
    )
    moonshine = MoonshineTranscriber(store.path("moonshine-tiny-en"), config.threads)
    transcribers = {"moonshine": moonshine, "whisper": whisper, "cascade": CascadeTranscriber(moonshine, thorough)}
    voice = PiperSynthesizer(store.path("piper-en-us-joe-medium"), config.threads)
    results = []
    for result in measure([*SEEN, *UNSEEN], transcribers, voice, args.quick, args.snr):
        results.append(result)
        if result.wrong and result.by == "cascade":
            print(f"{result.voice:20} {result.said}  ->  {result.heard}", file=sys.stderr)
    tables = {by: summaries([r for r in results if r.by == by]) for by in transcribers}
    machine = f"{describe_machine()}, {config.thread_count} threads"
    if args.json:
        print(json.dumps({"machine": machine, **tables, "results": [asdict(r) for r in results]}, indent=1))
        return
    print(machine)
    for by, rows in tables.items():
        for name, row in rows.items():
            speed = f"median {row['took_s_median']:.3f} s, 95 % {row['took_s_p95']:.3f} s"
            print(f"{by:10} {name:20} WER {row['wer']:6.1%}   {speed}")


if __name__ == "__main__":
    main()
