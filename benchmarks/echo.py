"""Does the assistant hear itself? Echo cancellers in a synthetic room: what they take away, and what they leave.

    python benchmarks/echo.py --cache /tmp/speech
    python benchmarks/echo.py --cache /tmp/speech --rooms 12 --json

Our own voice comes out of a small loudspeaker (no bass, soft clipping), passes a room (20 to 250 ms of delay, a
decaying tail) and reaches a noisy microphone; other synthesizers' voices are the wearer. What is played is handed over
in bursts of 20 to 60 ms, slightly before it is heard. "Echo loss" (ERLE) is how much quieter the echo alone has become:
in the first 2 s, and after that. "Fires" is how many seconds in a minute of echo alone the voice detector takes for
speech: what makes an assistant answer itself. In double talk: after how long the wearer is noticed (speech for four
frames, 0.13 s; the median, and how many are noticed at all), the word error rate of the wearer's question through
Whisper, and SDR (scale-invariant), how far the wearer's voice stands over everything else. Peers (pywebrtc-audio,
pyaec) are measured where they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from machine import describe_machine
from rich.console import Console
from rich.table import Table
from rooms import Scene, make_scene
from voices import Samples, SpeechFolder, at_rate
from word_error import normalised_words

from lorgnette.assistant.config import load_config
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ
from lorgnette.llm.evaluation.edit_distance import edit_distance
from lorgnette.speech.echo_canceller import EchoCanceller, Headset, PacedEchoCanceller, WebRtcEchoCanceller
from lorgnette.speech.voice_activity import FRAME_S, FRAME_SAMPLES, SileroDetector
from lorgnette.speech.whisper import WhisperTranscriber

NEAR_OVER_ECHO_DB = (-5.0, 0.0, 10.0)
_PLAYED_HZ = 22_050
_NOTICED_FRAMES = 4


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one canceller; the double-talk ones in the order of NEAR_OVER_ECHO_DB."""

    name: str
    echo_loss_first_db: float
    echo_loss_db: float
    fires_s_a_minute: float
    longest_fire_s: float
    noticed_s: tuple[float, ...]
    noticed: tuple[float, ...]
    word_error: tuple[float, ...]
    si_sdr_db: tuple[float, ...]
    cpu_ms_a_frame: float


def cleaned(scene: Scene, canceller: EchoCanceller) -> tuple[Samples, float]:
    """What is left of the microphone's sound, in time with the scene, and milliseconds of CPU time a frame."""
    fine = at_rate(scene.played, _PLAYED_HZ)
    pieces, waiting, late = [], list(scene.bursts), 0.0
    started_s = time.process_time()
    for at in range(0, len(scene.microphone) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        while waiting and waiting[0][0] <= (at + FRAME_SAMPLES) / SPEECH_RATE_HZ:
            _, first, end = waiting.pop(0)
            first, end = (round(place * _PLAYED_HZ / SPEECH_RATE_HZ) for place in (first, end))
            canceller.played(AudioChunk(fine[first:end], _PLAYED_HZ))
        stamp_ns = 10**12 + at * 1_000_000_000 // SPEECH_RATE_HZ
        piece = canceller.clean(AudioChunk(scene.microphone[at : at + FRAME_SAMPLES], SPEECH_RATE_HZ, stamp_ns))
        late = (stamp_ns - piece.timestamp_ns) / 1e9
        pieces.append(piece.samples)
    cpu_ms = (time.process_time() - started_s) * 1000 / len(pieces)
    samples = np.concatenate(pieces)[round(late * SPEECH_RATE_HZ) :]
    return np.pad(samples, (0, len(scene.microphone) - len(samples))), cpu_ms


class PyWebRtcBlocks:
    """The same WebRTC code in another wheel, pywebrtc-audio 0.2.0."""

    late_samples = 281

    def __init__(self) -> None:
        from pywebrtc_audio import AudioProcessor

        self._processor = AudioProcessor(echo_cancellation=True, noise_suppression=True, high_pass_filter=True)

    def cancel(self, near: Samples, far: Samples) -> Samples:
        cleaned: Samples = self._processor.process(near, far)
        return cleaned


class SpeexBlocks:
    """SpeexDSP's canceller with its own noise suppression, from pyaec 1.0.1; its filter is 300 ms long."""

    late_samples = 160

    def __init__(self) -> None:
        from pyaec import Aec

        self._canceller = Aec(160, 4800, SPEECH_RATE_HZ, True)

    def cancel(self, near: Samples, far: Samples) -> Samples:
        pieces = [(np.clip(piece, -1, 1) * 32767).astype(np.int16).tolist() for piece in (near, far)]
        return np.array(self._canceller.cancel_echo(*pieces), np.float32) / 32767


CANCELLERS: dict[str, tuple[str, Callable[[], EchoCanceller]]] = {
    "none": ("numpy", Headset),
    "WebRTC": ("livekit", lambda: WebRtcEchoCanceller(False, False)),
    "WebRTC + noise": ("livekit", lambda: WebRtcEchoCanceller(True, False)),
    "WebRTC + gain": ("livekit", lambda: WebRtcEchoCanceller(False, True)),
    "pywebrtc-audio + noise": ("pywebrtc_audio", lambda: PacedEchoCanceller(PyWebRtcBlocks())),
    "Speex (pyaec)": ("pyaec", lambda: PacedEchoCanceller(SpeexBlocks())),
}


def fires_s(samples: Samples, detector: SileroDetector) -> tuple[float, float]:
    """Seconds that the detector takes for speech: all, and the longest in a row."""
    detector.reset()
    starts = range(0, len(samples) - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    longest = run = total = 0
    for at in starts:
        run = run + 1 if detector.probability(samples[at : at + FRAME_SAMPLES]) >= 0.5 else 0
        longest, total = max(longest, run), total + (run > 0)
    return total * FRAME_S, longest * FRAME_S


def noticed_s(samples: Samples, span: tuple[int, int], detector: SileroDetector) -> float:
    """How long after the first sample of `span` four frames in a row were taken for speech; infinite for never."""
    detector.reset()
    run = 0
    for at in range(0, span[1], FRAME_SAMPLES):
        run = run + 1 if detector.probability(samples[at : at + FRAME_SAMPLES]) >= 0.5 else 0
        if run >= _NOTICED_FRAMES and at > span[0]:
            return (at + FRAME_SAMPLES - span[0]) / SPEECH_RATE_HZ
    return float("inf")


def si_sdr_db(wanted: Samples, heard: Samples) -> float:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019), at the best of the lags within 10 ms."""
    lags = range(-160, 161, 2)
    heard = heard - heard.mean()
    best = max(lags, key=lambda lag: abs(float(np.dot(np.roll(wanted, lag), heard))))
    wanted = np.roll(wanted, best) - wanted.mean()
    target = wanted * (np.dot(heard, wanted) / np.dot(wanted, wanted))
    return float(10 * np.log10(np.square(target).sum() / np.square(heard - target).sum()))


def measure(
    name: str, make: Callable[[], EchoCanceller], speech: SpeechFolder, rooms: int, whisper: WhisperTranscriber
) -> Row:
    detector = SileroDetector()
    first, later, fires, longest, cpu = [], [], 0.0, 0.0, []
    echo_s = 0.0
    for number in range(rooms):
        scene = make_scene(number, None, speech)
        result, cpu_ms = cleaned(scene, make())
        cpu.append(cpu_ms)
        split, end = 2 * SPEECH_RATE_HZ, len(result) - SPEECH_RATE_HZ
        first.append(_loss_db(scene.microphone[:split], result[:split]))
        later.append(_loss_db(scene.microphone[split:end], result[split:end]))
        seconds, most = fires_s(result[:end], detector)
        fires, longest, echo_s = fires + seconds, max(longest, most), echo_s + end / SPEECH_RATE_HZ
    errors, ratios, waits = [], [], []
    for level_db in NEAR_OVER_ECHO_DB:
        wrong = words = 0
        sdr, wait_s = [], []
        for number in range(rooms):
            scene = make_scene(number, level_db, speech)
            result, _ = cleaned(scene, make())
            start, end = scene.question_span
            sdr.append(si_sdr_db(scene.near[start:end], result[start:end]))
            wait_s.append(noticed_s(result, scene.question_span, detector))
            margin = SPEECH_RATE_HZ // 5
            heard = whisper.transcribe(AudioChunk(result[start - margin : end + margin], SPEECH_RATE_HZ), "en")
            said = normalised_words(scene.question)
            wrong, words = wrong + edit_distance(said, normalised_words(heard.text)), words + len(said)
        errors.append(wrong / words)
        ratios.append(float(np.mean(sdr)))
        waits.append(wait_s)
    return Row(
        name,
        float(np.mean(first)),
        float(np.mean(later)),
        60 * fires / echo_s,
        longest,
        tuple(float(np.median(wait_s)) for wait_s in waits),
        tuple(float(np.isfinite(wait_s).mean()) for wait_s in waits),
        tuple(errors),
        tuple(ratios),
        float(np.mean(cpu)),
    )


def _loss_db(before: Samples, after: Samples) -> float:
    return float(10 * np.log10(np.square(before).mean() / max(1e-12, np.square(after).mean())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the synthesized speech")
    parser.add_argument("--rooms", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    config = load_config()
    whisper = WhisperTranscriber(WeightStore.from_config(config).path("whisper-base"), config.threads)
    speech = SpeechFolder(args.cache)
    there = {name: make for name, (module, make) in CANCELLERS.items() if importlib.util.find_spec(module)}
    rows = [measure(name, make, speech, args.rooms, whisper) for name, make in there.items()]
    machine = f"{describe_machine()}; {args.rooms} rooms"
    if args.json:
        print(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1))
        return
    levels = [f"{level:+.0f} dB" for level in NEAR_OVER_ECHO_DB]
    table = Table("canceller", "echo loss, dB", "fires", title=machine)
    titles = [f"noticed {level}" for level in levels]
    for title in (*titles, *(f"WER {level}" for level in levels), *(f"SDR {level}" for level in levels), "CPU ms"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.echo_loss_first_db:.1f}, {row.echo_loss_db:.1f}",
            f"{row.fires_s_a_minute:.1f} ({row.longest_fire_s:.2f})",
            *(f"{s:.2f} s, {share:.0%}" for s, share in zip(row.noticed_s, row.noticed, strict=True)),
            *(f"{error:.0%}" for error in row.word_error),
            *(f"{ratio:.1f}" for ratio in row.si_sdr_db),
            f"{row.cpu_ms_a_frame:.2f}",
        )
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
