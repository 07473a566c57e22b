"""Makes the sink of an endpoint: the only place that knows which kinds there are."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import cast

from s3server.events.base import EventSink, PublishError
from s3server.events.endpoints import Endpoint
from s3server.events.webhook import WebhookOptions, WebhookSink


def make_sink(endpoint: Endpoint, attributes: Mapping[str, str]) -> EventSink:
    """Return a sink for an endpoint; nothing is connected yet."""
    verify, ca_file = attributes.get("verify-ssl") != "false", attributes.get("ca-location", "")
    if endpoint.is_amqp:
        from s3server.events import amqp  # noqa: PLC0415 (pika is slow to load)

        logging.getLogger("pika").setLevel(logging.CRITICAL)  # what fails is ours to tell
        level = cast("amqp.AckLevel", attributes.get("amqp-ack-level", "broker"))
        options = amqp.AmqpOptions(attributes["amqp-exchange"], level, verify, ca_file)
        return amqp.AmqpSink(endpoint, options)
    if endpoint.scheme == "kafka":
        try:
            from s3server.events import kafka  # noqa: PLC0415 (an optional extra)
        except ImportError:
            raise PublishError("Kafka needs the extra: pip install s3server[kafka]") from None
        return kafka.KafkaSink(
            endpoint,
            kafka.KafkaOptions(
                attributes.get("kafka-ack-level", "broker"),
                attributes.get("mechanism", "PLAIN"),
                attributes.get("use-ssl") == "true",
                verify,
                ca_file,
            ),
        )
    return WebhookSink(
        endpoint,
        WebhookOptions(
            attributes.get("http-ack-level", "non-error"),
            attributes.get("http-signature-secret", ""),
            verify,
            ca_file,
        ),
    )
