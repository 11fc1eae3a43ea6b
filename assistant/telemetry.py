"""Turns as OpenTelemetry spans, sent to a collector that the wearer names. Without one nothing leaves the machine."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from lorgnette.assistant.live.events import LiveEvent, TurnDone
from lorgnette.assistant.trace import TurnTrace
from lorgnette.device.errors import LorgnetteError

_TIMEOUT_S = 5.0
_EVERY_MS = 1000.0

# Moments of a turn that begin or end no stage.
_MOMENTS = {
    "woken": "wake_at_ns",
    "picture taken": "capture_at_ns",
    "last partial transcript": "last_partial_at_ns",
    "answer begun": "soft_end_at_ns",
    "question ended": "asked_at_ns",
}


class TelemetryError(LorgnetteError):
    """Spans cannot be sent."""


class Telemetry:
    """Sends each turn as one tree of spans to `address`, the collector's full URL for traces over OTLP/HTTP, as in
    http://127.0.0.1:4318/v1/traces. Sending happens in the background; `close` waits for it, up to `timeout_s`."""

    def __init__(self, address: str, timeout_s: float = _TIMEOUT_S) -> None:
        """Raises TelemetryError for an address that is none, and where the OpenTelemetry packages are missing."""
        if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
            raise TelemetryError(f"{address!r} is no address of a collector", "as in http://127.0.0.1:4318/v1/traces")
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            hint = "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
            raise TelemetryError("OpenTelemetry is not installed", hint) from error
        exporter = OTLPSpanExporter(endpoint=address, timeout=timeout_s)
        self._provider = TracerProvider(resource=Resource.create({"service.name": "lorgnette"}), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_EVERY_MS))
        self._tracer = self._provider.get_tracer("lorgnette")
        self._timeout_s = timeout_s

    def watch(self, event: LiveEvent) -> None:
        """Take in what happened; only a turn that is done is sent."""
        if isinstance(event, TurnDone):
            self.send(event.trace)

    def send(self, trace: TurnTrace) -> None:
        """Hand over one turn of this run of the program (its times are monotonic); returns at once."""
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        to_wall_ns = time.time_ns() - time.monotonic_ns()
        stages = trace.stages()
        moments = {name: at_ns for name, field in _MOMENTS.items() if (at_ns := getattr(trace, field)) is not None}
        # A picture may be much older than the turn: it does not begin with that.
        ours = [trace.wake_at_ns or trace.asked_at_ns, trace.asked_at_ns]
        bounds = [*ours, *(stage.start_ns for stage in stages), *(stage.end_ns for stage in stages)]
        turn = self._tracer.start_span("turn", start_time=min(bounds) + to_wall_ns, attributes=_facts(trace))
        for name, at_ns in sorted(moments.items(), key=lambda moment: moment[1]):
            turn.add_event(name, timestamp=at_ns + to_wall_ns)
        for stage in stages:
            inside = set_span_in_context(turn)
            self._tracer.start_span(stage.name, inside, start_time=stage.start_ns + to_wall_ns).end(
                stage.end_ns + to_wall_ns
            )
        if trace.outcome == "failed":
            turn.set_status(Status(StatusCode.ERROR))
        turn.end(max(bounds) + to_wall_ns)

    def close(self) -> None:
        """Send what waits."""
        self._provider.force_flush(round(self._timeout_s * 1000))
        self._provider.shutdown()


def _facts(trace: TurnTrace) -> dict[str, str | bool | int | float]:
    facts: dict[str, str | bool | int | float | None] = {
        "engine": trace.engine,
        "outcome": trace.outcome,
        "spoken": trace.spoken,
        "tokens": trace.tokens,
        "tokens_per_s": trace.tokens_per_s,
        "confidence": trace.confidence,
        "picture_cached": trace.picture_cached,
        "frame_age_s": trace.frame_age_s,
        "first_audio_s": trace.first_audio_s,
        "audio_s": trace.audio_s,
        "revisions": trace.revisions,
    }
    return {f"lorgnette.{name}": value for name, value in facts.items() if value is not None}
