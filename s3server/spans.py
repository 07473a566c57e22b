"""Requests as spans of OpenTelemetry, sent by OTLP over HTTP; the extra `otel` has the libraries.

A span is made of what is known of a request at its end. It belongs to the trace that the client's
`traceparent` names (W3C Trace Context), whose decision to sample it follows; of other requests the
given share is sampled. Without a collector spans are dropped; requests never wait.
"""

from __future__ import annotations

import logging
import threading

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from s3server import __version__
from s3server.observer import Answered

_DELAY_MS = 1_000
_TIMEOUT_S = 5
_CLOSE_S = 3  # for the last spans, at a stop


class Spans:
    """Where a worker's spans go."""

    def __init__(self, endpoint: str, share: float, *, instance: str) -> None:
        """Send to the collector at a URL; `instance` tells apart who sends."""
        resource = Resource.create(
            {
                "service.name": "s3server",
                "service.version": __version__,
                "service.instance.id": instance,
            }
        )
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)),
            resource=resource,
            shutdown_on_exit=False,
        )
        url = endpoint.rstrip("/") + "/v1/traces"
        exporter = OTLPSpanExporter(endpoint=url, timeout=_TIMEOUT_S)
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, schedule_delay_millis=_DELAY_MS)
        )
        self._tracer = self._provider.get_tracer("s3server", __version__)
        self._context = TraceContextTextMapPropagator()
        # A line for each request to the collector would be one for each batch.
        logging.getLogger("urllib3").setLevel(logging.WARNING)

    def record(self, answered: Answered) -> None:
        """Take the span of a request."""
        context = None
        if answered.traceparent:
            context = self._context.extract({"traceparent": answered.traceparent})
        began_ns = answered.at_ms * 1_000_000
        span = self._tracer.start_span(
            answered.operation,
            context=context,
            kind=SpanKind.SERVER,
            start_time=began_ns,
        )
        if span.is_recording():
            span.set_attributes(_attributes(answered))
            if answered.is_fault:
                span.set_status(Status(StatusCode.ERROR, answered.reason))
        span.end(began_ns + round(answered.total_ms * 1e6))

    def close(self) -> None:
        """Send what was taken, if that is soon done."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(_CLOSE_S)


def _attributes(answered: Answered) -> dict[str, str | int]:
    """Return what is known, by the names of OpenTelemetry's conventions where they have one."""
    found: dict[str, str | int] = {
        "http.request.method": answered.method,
        "http.response.status_code": answered.status,
        "http.request.body.size": answered.received,
        "http.response.body.size": answered.sent,
        "aws.request_id": answered.request_id,
        "aws.s3.bucket": answered.bucket,
        "aws.s3.key": answered.key,
        "error.type": answered.code,
        "client.address": answered.client,
        "user.id": answered.user,
        "s3server.process": answered.process,
    }
    return {name: value for name, value in found.items() if value != ""}
