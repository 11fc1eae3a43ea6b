"""From a person's settings to the parts that do the work. Heavy imports wait until a part is wanted."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lorgnette.assistant.background import Errand, Pending
from lorgnette.assistant.config import Config
from lorgnette.assistant.honesty import Honesty
from lorgnette.assistant.trace import TraceLog
from lorgnette.assistant.turn import Turns
from lorgnette.device.capture import CaptureGate, Indicator, TerminalIndicator
from lorgnette.device.heap import use_few_heaps, use_huge_pages

if TYPE_CHECKING:
    from lorgnette.assistant.live.assistant import LiveParts
    from lorgnette.assistant.live.events import LiveEvent
    from lorgnette.assistant.weights.store import WeightStore
    from lorgnette.device.camera import Camera
    from lorgnette.device.microphone import Microphone
    from lorgnette.device.speaker import LiveSpeaker
    from lorgnette.llm.bundle import ModelBundle
    from lorgnette.llm.engine import Engine
    from lorgnette.llm.onnx_engine import EngineSettings
    from lorgnette.speech.echo_canceller import EchoCanceller
    from lorgnette.speech.recorder import Recorder
    from lorgnette.speech.synthesizer import Synthesizer
    from lorgnette.speech.transcriber import Transcriber
    from lorgnette.vision.text_reader import TextReader

Progress = Callable[[str, float], None]


class Wiring:
    """Opens parts as `config` describes them; each call opens a new one. `progress` hears of a bundle being built.

    `engine.bundle=echo` and `speech.voice=silent` stand for the parts that need no weights. `indicator` shows what
    is being captured (None: a line on the terminal).
    """

    def __init__(
        self,
        config: Config,
        progress: Progress = lambda stage, done: None,
        indicator: Indicator | None = None,
    ) -> None:
        self.config = config
        self._progress = progress
        self._store: WeightStore | None = None
        self._bundle: ModelBundle | None = None
        self.gate = CaptureGate(indicator or TerminalIndicator())

    def turns(self, *, hear: bool, speak: bool) -> Turns:
        """Whatever is needed to take turns, loading in the background from now on.

        What has to be fetched or built is done first, one after the other, so that its progress can be seen.
        """
        self.make_ready(hear=hear, speak=speak)
        engine = Pending(self.engine, "engine")
        transcriber = Pending(self.transcriber, "transcriber") if hear else None
        synthesizer = Pending(self.synthesizer, "voice") if speak else None
        return Turns(
            engine.get,
            transcriber.get if transcriber else None,
            synthesizer.get if synthesizer else None,
            self.config.speech.language or None,
            self.honesty(),
        )

    def live_parts(self) -> LiveParts:
        """What a conversation takes, loaded and warm. Fetches and builds what is missing first."""
        use_few_heaps()
        from lorgnette.assistant.live.assistant import LiveParts
        from lorgnette.speech.end_of_turn import SmartTurn
        from lorgnette.speech.voice_activity import SileroDetector
        from lorgnette.speech.wake_word import MicroWakeWord

        live = self.config.live
        if live.end_of_turn:
            self.store().pull([live.end_of_turn])
        turns = self.turns(hear=True, speak=True)
        turns.ready()
        # It takes a second and needs nobody to wait: until it is done, tokens come a little slower.
        Errand(use_huge_pages, "huge-pages")
        return LiveParts(
            turns,
            detector=SileroDetector(),
            echo=self.echo_canceller(),
            end_of_turn=SmartTurn(self.store().path(live.end_of_turn), threads=1) if live.end_of_turn else None,
            wake_word=MicroWakeWord(live.wake_word) if live.start == "wake" else None,
            language=self.config.speech.language or None,
        )

    def echo_canceller(self) -> EchoCanceller:
        from lorgnette.speech.echo_canceller import Headset, WebRtcEchoCanceller

        return WebRtcEchoCanceller() if self.config.live.echo == "cancel" else Headset()

    def weights(self) -> list[str]:
        """Names of the weights that the settings need for a spoken answer to a spoken question."""
        voice = self.config.speech.voice
        names = [*self._transcribers(), *([] if voice in VOICES else [voice])]
        reader = self.config.reading.reader
        return names if self.config.engine.bundle else [*names, *EMBEDDED_WEIGHTS, *([reader] if reader else [])]

    def make_ready(self, *, hear: bool, speak: bool) -> None:
        """Have all weights and the bundle on this machine. Raises WeightsError or BundleError."""
        voice = self.config.speech.voice
        wanted = self._transcribers() if hear else []
        wanted += [voice] if speak and voice not in VOICES else []
        if wanted:
            self.store().pull(wanted)
        if self.config.engine.bundle not in ENGINES:
            self.bundle()
        if self._reads() and not self.config.offline:  # offline, it is missed only once there is something to read
            self.store().pull([self.config.reading.reader])

    def fetch_for_reading(self, *, speak: bool) -> None:
        """Have the weights on this machine that reading a page aloud takes. Raises WeightsError."""
        voice = self.config.speech.voice
        self.store().pull([self.config.reading.reader, *([voice] if speak and voice not in VOICES else [])])

    def store(self) -> WeightStore:
        from lorgnette.assistant.weights.store import WeightStore

        if self._store is None:
            self._store = WeightStore.from_config(self.config)
        return self._store

    def bundle(self) -> ModelBundle:
        """The model's bundle; fetches weights and builds it when that was not done yet (about 20 s)."""
        from lorgnette.assistant.embedded_bundle import ready_bundle

        if self._bundle is None:
            self._bundle = ready_bundle(self.config, self.store(), self._progress)
        return self._bundle

    def engine(self, plain: Engine | None = None) -> Engine:
        """The engine that the settings name, which judges frames and reads before it answers; or `plain` with that."""
        from lorgnette.llm.attentive_engine import AttentiveEngine, AttentiveScoringEngine
        from lorgnette.llm.engine import ScoringEngine
        from lorgnette.vision.quality import assess

        config = self.config
        engine = plain or ENGINES.get(config.engine.bundle, _onnx_engine)(self)
        kind = AttentiveScoringEngine if isinstance(engine, ScoringEngine) else AttentiveEngine
        # The reader loads meanwhile; where it fails to, only questions that need it fail.
        reader = Errand(self.reader, "reader").get if self._reads() else None
        return kind(engine, assess if config.engine.advice else None, reader, Errand, config.reading.ahead)

    def reader(self) -> TextReader:
        """What reads text in pictures. Raises WeightsError or SessionError."""
        from lorgnette.vision.text_reader import TextReader

        return TextReader.open(self.store().path(self.config.reading.reader), self.config.thread_count)

    def _reads(self) -> bool:
        """Whether the model takes what is written in a picture, and it is to be read."""
        config = self.config
        return bool(config.reading.reader) and config.engine.bundle not in ENGINES and self.bundle().prompt.takes_text

    def honesty(self) -> Honesty:
        from lorgnette.llm.confidence import Calibration

        chosen = self.config.engine
        calibration = None if chosen.bundle in ENGINES else Calibration.of(self.bundle().confidence)
        return Honesty(calibration, chosen.hesitate_below)

    def transcriber(self) -> Transcriber:
        from lorgnette.speech.cascade import CascadeTranscriber
        from lorgnette.speech.moonshine import MoonshineTranscriber
        from lorgnette.speech.whisper import WhisperTranscriber

        threads = self.config.thread_count
        *quick, thorough = (self.store().path(name) for name in self._transcribers())
        whisper = WhisperTranscriber(thorough, threads, beam_size=self.config.speech.beam_size)
        return CascadeTranscriber(MoonshineTranscriber(quick[0], threads), whisper) if quick else whisper

    def _transcribers(self) -> list[str]:
        """The quick one, where it knows the language, and the thorough one."""
        speech = self.config.speech
        is_quick = speech.quick_transcriber and speech.language in ("", "en")
        return [speech.quick_transcriber, speech.transcriber] if is_quick else [speech.transcriber]

    def synthesizer(self) -> Synthesizer:
        return VOICES.get(self.config.speech.voice, _piper)(self)

    def recorder(self) -> Recorder:
        from lorgnette.speech.recorder import Recorder
        from lorgnette.speech.voice_activity import SileroDetector

        audio = self.config.audio
        return Recorder(self.microphone(), SileroDetector(), audio.end_silence_s, limit_s=audio.max_question_s)

    def microphone(self) -> Microphone:
        from lorgnette.device.portaudio_microphone import PortAudioMicrophone

        return PortAudioMicrophone(self.gate, self.config.audio.input_device)

    def speaker(self, ahead_s: float = 5.0) -> LiveSpeaker:
        """`ahead_s` is how much sound it takes before it is heard."""
        from lorgnette.device.portaudio_speaker import PortAudioSpeaker

        return PortAudioSpeaker(self.config.audio.output_device, ahead_s)

    def camera(self) -> Camera:
        from lorgnette.device.opencv_camera import OpenCvCamera

        camera = self.config.camera
        return OpenCvCamera(camera.index, self.gate, (camera.width, camera.height))

    def watched(self, watch: Callable[[LiveEvent], None]) -> Callable[[LiveEvent], None]:
        """`watch`, and with it whatever the telemetry settings name. Raises MetricsError or TelemetryError."""
        watchers = [watch, *self._telemetry()]
        if len(watchers) == 1:
            return watch

        def tell_all(event: LiveEvent) -> None:
            for tell in watchers:
                tell(event)

        return tell_all

    def _telemetry(self) -> Iterator[Callable[[LiveEvent], None]]:
        chosen = self.config.telemetry
        if chosen.metrics_port:
            from lorgnette.assistant.metrics import Metrics

            metrics = Metrics()
            metrics.serve(chosen.metrics_port)
            yield metrics.watch
        if chosen.collector:
            from lorgnette.assistant.telemetry import Telemetry

            telemetry = Telemetry(chosen.collector)
            atexit.register(telemetry.close)
            yield telemetry.watch

    def traces(self) -> TraceLog | None:
        trace = self.config.trace
        return TraceLog(Path(trace.folder).expanduser() if trace.folder else None) if trace.enabled else None


def engine_settings(config: Config) -> EngineSettings:
    from lorgnette.llm.onnx_engine import EngineSettings
    from lorgnette.llm.sampling import SamplingSettings

    chosen = config.engine
    sampling = SamplingSettings(chosen.temperature, chosen.top_p, chosen.seed)
    threads = config.thread_count
    return EngineSettings(
        chosen.max_new_tokens, sampling, threads=threads, tiles=chosen.tiles, provider=chosen.provider
    )


def _onnx_engine(wiring: Wiring) -> Engine:
    from lorgnette.llm.onnx_engine import OnnxEngine

    return OnnxEngine(wiring.bundle(), engine_settings(wiring.config))


def _echo_engine(wiring: Wiring) -> Engine:
    from lorgnette.llm.echo_engine import EchoEngine

    return EchoEngine(wiring.config.engine.max_new_tokens)


def _piper(wiring: Wiring) -> Synthesizer:
    from lorgnette.speech.piper import PiperSynthesizer

    config = wiring.config
    return PiperSynthesizer(wiring.store().path(config.speech.voice), config.thread_count, config.speech.speed)


def _silent(wiring: Wiring) -> Synthesizer:
    from lorgnette.speech.synthesizer import SilentSynthesizer

    return SilentSynthesizer()


# What the embedded model's bundle is built from.
EMBEDDED_WEIGHTS = ("smollm2-135m-instruct", "efficientnet-lite2")
# Parts that need no weights, by the name that stands in the settings where a bundle or a voice would.
ENGINES: dict[str, Callable[[Wiring], Engine]] = {"echo": _echo_engine}
VOICES: dict[str, Callable[[Wiring], Synthesizer]] = {"silent": _silent}
