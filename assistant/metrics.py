"""Counters and histograms of the conversation in Prometheus' format. Words and pixels have no part in them."""

from __future__ import annotations

from lorgnette.assistant.live.events import LiveEvent, SpeakingEnded, State, StateChanged, Trouble, TurnDone
from lorgnette.assistant.trace import TurnTrace
from lorgnette.device.errors import LorgnetteError

_FIRST_AUDIO_S = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_STAGE_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)


class MetricsError(LorgnetteError):
    """Metrics cannot be kept."""


class Metrics:
    """Hears events and keeps count. A registry of its own: two of them do not get in each other's way."""

    def __init__(self) -> None:
        """Raises MetricsError where prometheus_client is missing."""
        try:
            from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram
        except ImportError as error:
            raise MetricsError("prometheus_client is not installed", "pip install prometheus-client") from error
        registry = self._registry = CollectorRegistry()
        self._turns = Counter("lorgnette_turns", "Turns", ["outcome", "engine", "asked"], registry=registry)
        self._first_audio = Histogram(
            "lorgnette_first_audio_seconds",
            "From the end of the question to the first sound of the answer",
            buckets=_FIRST_AUDIO_S,
            registry=registry,
        )
        self._stages = Histogram(
            "lorgnette_stage_seconds", "Stages of turns", ["stage"], buckets=_STAGE_S, registry=registry
        )
        self._tokens = Counter("lorgnette_tokens", "Tokens of answers", ["engine"], registry=registry)
        self._speech_s = Counter("lorgnette_answer_sound_seconds", "Sound made of answers", registry=registry)
        self._revisions = Counter("lorgnette_revisions", "Drafts thrown away: speech went on", registry=registry)
        self._interruptions = Counter("lorgnette_interruptions", "Answers that were interrupted", registry=registry)
        self._state = Enum(
            "lorgnette_state", "What the assistant is doing", states=[state.value for state in State], registry=registry
        )
        self._troubles = Counter("lorgnette_troubles", "Failures", ["part"], registry=registry)
        self._in_trouble = Gauge("lorgnette_in_trouble", "1 while a part is failing", ["part"], registry=registry)

    def watch(self, event: LiveEvent) -> None:
        """Take in what happened, from any thread."""
        match event:
            case TurnDone(trace=trace):
                self.count(trace)
            case StateChanged(state):
                self._state.state(state.value)
            case SpeakingEnded(interrupted=True):
                self._interruptions.inc()
            case Trouble(part, over=over):
                self._in_trouble.labels(part).set(0 if over else 1)
                self._troubles.labels(part).inc(0 if over else 1)

    def count(self, trace: TurnTrace) -> None:
        """Take in a turn."""
        engine = trace.engine or "none"
        self._turns.labels(trace.outcome, engine, "aloud" if trace.spoken else "in_writing").inc()
        self._tokens.labels(engine).inc(trace.tokens)
        self._speech_s.inc(trace.audio_s)
        self._revisions.inc(trace.revisions)
        if trace.first_audio_s is not None:
            self._first_audio.observe(trace.first_audio_s)
        for stage in trace.stages():
            self._stages.labels(stage.name.replace(" ", "_")).observe(stage.duration_ms / 1000)

    def serve(self, port: int) -> None:
        """Have Prometheus find them at http://127.0.0.1:`port`/metrics until the program ends; the library does so on a
        thread of its own. Raises MetricsError where the port is taken."""
        from prometheus_client import start_http_server

        try:
            start_http_server(port, "127.0.0.1", self._registry)
        except OSError as error:
            raise MetricsError(
                f"metrics cannot be served on port {port}: {error.strerror}", "choose another telemetry.metrics_port"
            ) from error

    def text(self) -> bytes:
        """All of it, as `content_type`."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)

    @property
    def content_type(self) -> str:
        """What `text` is, for an answer's header."""
        from prometheus_client import CONTENT_TYPE_LATEST

        return CONTENT_TYPE_LATEST
