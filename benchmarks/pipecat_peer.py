"""Pipecat's side of `live_pipecat.py`, run in an environment of its own: a pipeline with the same models.

Reads a line of JSON for each turn ({"example": 3, "number": 17}) and writes one with when the first sound came. It is
put together as Pipecat's own examples are, of its own parts with their own defaults: Silero for speech, the user
aggregator with Smart Turn v3 for its end, its Whisper and Piper services. What it has none of is our engine, a small
service here: it looks at the camera's newest frame when the turn ends, and streams tokens.

A microphone's frames of 20 ms come when their last sample was spoken. The loudspeaker takes frames at the pace at
which it plays them, and a sample counts as heard when it is handed over: no sound card's delay is added.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from live_room import PATIENCE_S, HandheldCamera, NoLamp, loud_span, questions
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    UserStoppedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.piper.tts import PiperTTSService
from pipecat.services.settings import LLMSettings
from pipecat.services.whisper.stt import WhisperSTTService
from pipecat.transcriptions.language import Language
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

from lorgnette.assistant.config import load_config
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.sound_file import SPEECH_RATE_HZ, load_sound
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Engine, Prompt

_FRAME_S = 0.02
_FRAME_SAMPLES = round(_FRAME_S * SPEECH_RATE_HZ)
_LEAD_S = 0.5
_STAGES = {
    VADUserStoppedSpeakingFrame: "speech over",
    TranscriptionFrame: "transcript",
    UserStoppedSpeakingFrame: "turn over",
    LLMTextFrame: "first token",
    TTSAudioRawFrame: "first sound made",
}


class Microphone(BaseInputTransport):
    """Takes frames from whoever pushes them."""

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)


class Loudspeaker(BaseOutputTransport):
    """Remembers what was handed over, and when (monotonic ns)."""

    def __init__(self, params: TransportParams) -> None:
        super().__init__(params)
        self.handed: list[tuple[int, np.ndarray]] = []
        self._free_at_s = 0.0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        samples = np.frombuffer(frame.audio, np.int16)
        now_s = time.monotonic()
        self.handed.append((time.monotonic_ns(), samples))
        self._free_at_s = max(now_s, self._free_at_s) + len(samples) / frame.sample_rate
        await asyncio.sleep(self._free_at_s - now_s)
        return True

    def first_loud_ns(self) -> int | None:
        """When the first sample above -40 dB of the peak was handed over."""
        span = loud_span(np.concatenate([samples for _, samples in self.handed])) if self.handed else None
        if span is None:
            return None
        sample = span[0]
        for at_ns, samples in self.handed:
            if sample < len(samples):
                return at_ns + round(sample * 1e9 / self.sample_rate)
            sample -= len(samples)
        return None


class SeeingService(LLMService):
    """Our engine: the user's last words and the newest frame in, tokens out."""

    def __init__(self, engine: Engine, camera: HandheldCamera) -> None:
        unset = {field.name: None for field in dataclasses.fields(LLMSettings) if field.init}
        super().__init__(settings=LLMSettings(**unset | {"model": engine.name, "extra": {}}))
        self._engine = engine
        self._camera = camera

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        try:
            await self._answer(str(frame.context.get_messages()[-1]["content"]))
        finally:
            await self.push_frame(LLMFullResponseEndFrame())

    async def _answer(self, question: str) -> None:
        loop, tokens, cancel = asyncio.get_running_loop(), asyncio.Queue(), CancelScope()

        def work() -> None:
            for token in self._engine.stream(Prompt(question, self._camera.latest(1.0)), cancel):
                loop.call_soon_threadsafe(tokens.put_nowait, token.text)

        answer = asyncio.create_task(asyncio.to_thread(work))
        answer.add_done_callback(lambda _: tokens.put_nowait(None))
        try:
            while (text := await tokens.get()) is not None:
                if text:
                    await self._push_llm_text(text)
            await answer
        finally:
            cancel.next()


class Stopwatch(BaseObserver):
    """When each stage was first seen in a turn (monotonic ns), and that the answer is over."""

    def __init__(self) -> None:
        super().__init__(observe_every_push=False)
        self.seen_ns: dict[str, int] = {}
        self.over = asyncio.Event()

    def reset(self) -> None:
        self.seen_ns = {}
        self.over.clear()

    async def on_push_frame(self, data: FramePushed) -> None:
        stage = _STAGES.get(type(data.frame))
        if stage is not None:
            self.seen_ns.setdefault(stage, time.monotonic_ns())
        elif isinstance(data.frame, BotStoppedSpeakingFrame):
            self.over.set()


class Peer:
    def __init__(self, wiring: Wiring) -> None:
        speech, store = wiring.config.speech, wiring.store()
        self.camera = HandheldCamera(wiring.gate)
        self.stopwatch = Stopwatch()
        voice = next(store.path(speech.voice).glob("*.onnx"))
        synthesizer = PiperTTSService(download_dir=voice.parent, settings=PiperTTSService.Settings(voice=voice.stem))
        rate_hz = synthesizer._voice.config.sample_rate  # the loudspeaker's, too: nothing is resampled
        params = TransportParams(audio_in_enabled=True, audio_out_enabled=True)
        self.microphone, self.loudspeaker = Microphone(params), Loudspeaker(params)
        transcriber = WhisperSTTService(
            device="cpu",
            compute_type="int8",
            settings=WhisperSTTService.Settings(model=str(store.path(speech.transcriber)), language=Language.EN),
        )
        detector = SileroVADAnalyzer()
        user, assistant = LLMContextAggregatorPair(
            LLMContext(), user_params=LLMUserAggregatorParams(vad_analyzer=detector)
        )
        engine = SeeingService(wiring.engine(), self.camera)
        pipeline = Pipeline([self.microphone, transcriber, user, engine, synthesizer, self.loudspeaker, assistant])
        self.worker = PipelineWorker(
            pipeline,
            params=PipelineParams(audio_in_sample_rate=SPEECH_RATE_HZ, audio_out_sample_rate=rate_hz),
            observers=[self.stopwatch],
            idle_timeout_secs=None,
        )
        self.configuration = {
            "pipecat-ai": importlib.metadata.version("pipecat-ai"),
            "speech": f"SileroVADAnalyzer, {detector.params}",
            "end of turn": "default strategies: TurnAnalyzerUserTurnStopStrategy(LocalSmartTurnAnalyzerV3), 1 thread",
            "transcriber": f"WhisperSTTService, {speech.transcriber}, int8, en, faster-whisper's beam of 5",
            "voice": f"PiperTTSService, {voice.stem}, sentence by sentence, {rate_hz} Hz",
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
        }

    async def turn(self, example: int, number: int) -> dict[str, Any]:
        """Ask a question and hear the answer out. Milliseconds after the end of speech."""
        asked = questions(example + 1)[example]
        self.camera.show(asked.example, number)
        self.stopwatch.reset()
        self.loudspeaker.handed.clear()
        sound = load_sound(asked.example.audio, 60.0)
        lead = np.zeros(round(_LEAD_S * SPEECH_RATE_HZ), np.float32)
        samples = (np.concatenate([lead, sound.samples]) * 32767).astype(np.int16)
        span = loud_span(samples)
        assert span is not None
        begun_s = time.monotonic()
        end_ns = round((begun_s + span[1] / SPEECH_RATE_HZ) * 1e9)
        listening = asyncio.create_task(self._listen(samples, begun_s))
        try:
            await asyncio.wait_for(self.stopwatch.over.wait(), len(samples) / SPEECH_RATE_HZ + PATIENCE_S)
        except TimeoutError:
            return {"heard_s": None}
        finally:
            listening.cancel()
        first_ns = self.loudspeaker.first_loud_ns()
        return {
            "heard_s": None if first_ns is None else (first_ns - end_ns) / 1e9,
            "stages_ms": {name: (at_ns - end_ns) / 1e6 for name, at_ns in self.stopwatch.seen_ns.items()},
        }

    async def _listen(self, samples: np.ndarray, begun_s: float) -> None:
        number = 0
        while True:
            start = number * _FRAME_SAMPLES
            frame = samples[start : start + _FRAME_SAMPLES]
            frame = np.pad(frame, (0, _FRAME_SAMPLES - len(frame)))
            number += 1
            await asyncio.sleep(max(0.0, begun_s + number * _FRAME_S - time.monotonic()))
            await self.microphone.push_audio_frame(InputAudioRawFrame(frame.tobytes(), SPEECH_RATE_HZ, 1))


async def serve(settings: list[str], answers: Any) -> None:
    peer = Peer(Wiring(load_config(None, settings), indicator=NoLamp()))
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(peer.worker)
    running = asyncio.create_task(runner.run())
    _write(answers, peer.configuration)
    while line := await asyncio.to_thread(sys.stdin.readline):
        _write(answers, await peer.turn(**json.loads(line)))
    await runner.cancel()
    await running


def _write(answers: Any, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--set", metavar="A.B=C", action="append", default=[])
    parser.add_argument("--log", type=Path, help="a file for what Pipecat logs")
    args = parser.parse_args()
    logger.remove()
    if args.log:
        logger.add(args.log, level="INFO")
    # The answers keep standard output to themselves, whatever libraries print.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    asyncio.run(serve(args.set, answers))


if __name__ == "__main__":
    main()
