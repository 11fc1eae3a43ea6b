"""Spans as a collector on this machine gets them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from loopback import serving
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from lorgnette.assistant.live.events import PartialHeard, TurnDone
from lorgnette.assistant.telemetry import Telemetry, TelemetryError
from lorgnette.assistant.trace import TurnTrace

MS = 1_000_000


class Collector:
    """Takes what is sent to /v1/traces, and remembers the requests."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self.handler = Handler
        self.address = ""

    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    box = Collector()
    with serving(box.handler) as address:
        box.address = f"{address}/v1/traces"
        yield box


def turn(**others: Any) -> TurnTrace:
    """A spoken turn that has just ended; times before now in milliseconds: 1000 asked, 0 the last sound."""
    now_ns = time.monotonic_ns()
    facts: dict[str, Any] = {
        "began": "2026-01-01T00:00:00+00:00",
        "engine": "echo",
        "outcome": "answered",
        "spoken": True,
        "asked_at_ns": now_ns - 1000 * MS,
        "capture_at_ns": now_ns - 60_000 * MS,
        "soft_end_at_ns": now_ns - 900 * MS,
        "transcribe_start_at_ns": now_ns - 900 * MS,
        "transcript_at_ns": now_ns - 700 * MS,
        "answer_start_at_ns": now_ns - 700 * MS,
        "first_token_at_ns": now_ns - 600 * MS,
        "last_token_at_ns": now_ns - 200 * MS,
        "first_audio_at_ns": now_ns - 400 * MS,
        "last_audio_at_ns": now_ns,
        "tokens": 12,
        "picture_cached": True,
    }
    return TurnTrace(**(facts | others))


def attributes(span: Span) -> dict[str, Any]:
    values = ((each.key, each.value) for each in span.attributes)
    return {key: getattr(value, value.WhichOneof("value")) for key, value in values}


def test_a_turn_is_one_tree_of_spans_on_the_wall_clock(collector: Collector) -> None:
    before_ns = time.time_ns()
    trace = turn()
    telemetry = Telemetry(collector.address)
    telemetry.watch(PartialHeard(1, "Where are", "my keys"))
    telemetry.watch(TurnDone(1, "Where are my keys?", "On the table.", trace))
    telemetry.close()
    spans = collector.spans()
    (root,) = (span for span in spans if not span.parent_span_id)
    children = [span for span in spans if span.parent_span_id]
    assert root.name == "turn"
    assert {span.trace_id for span in spans} == {root.trace_id}
    assert {span.parent_span_id for span in children} == {root.span_id}
    assert [span.name for span in children] == [stage.name for stage in trace.stages()]
    for span, stage in zip(children, trace.stages(), strict=True):
        assert span.end_time_unix_nano - span.start_time_unix_nano == stage.end_ns - stage.start_ns
        assert root.start_time_unix_nano <= span.start_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano
    assert root.end_time_unix_nano - root.start_time_unix_nano == 1000 * MS
    assert abs(root.end_time_unix_nano - before_ns) < 3600 * 1_000_000_000  # today, not since the machine started
    facts = attributes(root)
    assert facts["lorgnette.engine"] == "echo"
    assert facts["lorgnette.tokens"] == 12
    assert facts["lorgnette.first_audio_s"] == pytest.approx(0.6)
    assert "lorgnette.confidence" not in facts
    assert [event.name for event in root.events] == ["picture taken", "question ended", "answer begun"]
    (resource,) = {request.resource_spans[0].resource.SerializeToString() for request in collector.requests}
    assert b"lorgnette" in resource
    assert b"keys" not in b"".join(request.SerializeToString() for request in collector.requests)


def test_two_turns_are_two_trees_and_a_failed_one_is_marked(collector: Collector) -> None:
    telemetry = Telemetry(collector.address)
    telemetry.send(turn())
    telemetry.send(turn(outcome="failed"))
    telemetry.close()
    roots = [span for span in collector.spans() if not span.parent_span_id]
    assert len({span.trace_id for span in roots}) == 2
    assert [span.status.code for span in roots] == [Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR]


@pytest.mark.parametrize("address", ["", "127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(TelemetryError, match="no address"):
        Telemetry(address)
