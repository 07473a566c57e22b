"""Kafka through librdkafka (the optional extra `kafka`): idempotent, acknowledged by all replicas.

Events of one object have one key, and so lie in one partition in their order. Brokers name each
other: an operator who allows one of a cluster's brokers allows the cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec
from confluent_kafka import KafkaException, Producer

from s3server.events.base import Message, PublishError
from s3server.events.endpoints import Endpoint

DELIVERY_S = 20.0


class KafkaOptions(msgspec.Struct, frozen=True):
    """How a topic publishes."""

    ack_level: str = "broker"  # none: sent, and not waited for
    mechanism: str = "PLAIN"  # of SASL, where the endpoint names a user
    use_tls: bool = False
    verify_tls: bool = True
    ca_file: str = ""


class KafkaSink:
    """Publishes to the Kafka topic that is called as ours. Implements `base.EventSink`."""

    def __init__(self, endpoint: Endpoint, options: KafkaOptions) -> None:
        self._endpoint, self._options = endpoint, options
        self._producer: Producer | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish in order; see `base.EventSink`."""
        try:
            await asyncio.to_thread(self._publish, messages)
        except (KafkaException, BufferError) as error:
            await self.close()
            raise PublishError(f"{type(error).__name__}: {error}") from error
        except PublishError:
            await self.close()
            raise

    async def close(self) -> None:
        """Give up what was not delivered; idempotent."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaException):
                await asyncio.to_thread(producer.purge)

    def _publish(self, messages: Sequence[Message]) -> None:
        producer = self._producer = self._producer or Producer(self._settings())
        taken: list[bool] = [False] * len(messages)
        reasons: list[str] = []
        for index, message in enumerate(messages):

            def on_delivery(error: Any, _message: Any, index: int = index) -> None:
                if error is None:
                    taken[index] = True
                else:
                    reasons.append(str(error))

            headers = {f"ce_{name}": text for name, text in message.attributes.items()}
            producer.produce(
                message.topic,
                message.body,
                key=message.key,
                headers={"event-id": message.id, **headers},
                on_delivery=on_delivery,
            )
            producer.poll(0)
        if self._options.ack_level == "none":
            return
        producer.flush(DELIVERY_S)
        if not all(taken):
            reason = reasons[0] if reasons else "the brokers did not answer in time"
            raise PublishError(reason, done=taken.index(False))

    def _settings(self) -> dict[str, Any]:
        endpoint, options = self._endpoint, self._options
        is_signed = bool(endpoint.user)
        protocol = ("SASL_" if is_signed else "") + ("SSL" if options.use_tls else "PLAINTEXT")
        settings: dict[str, Any] = {
            "bootstrap.servers": f"{endpoint.host}:{endpoint.port}",
            "acks": "all",
            "enable.idempotence": True,
            "message.timeout.ms": round(DELIVERY_S * 1000),
            "linger.ms": 5,
            "security.protocol": protocol,
            "log_level": 0,  # what fails is ours to tell
        }
        if is_signed:
            settings |= {
                "sasl.mechanism": options.mechanism,
                "sasl.username": endpoint.user,
                "sasl.password": endpoint.password,
            }
        if options.use_tls:
            settings["enable.ssl.certificate.verification"] = options.verify_tls
            if options.ca_file:
                settings["ssl.ca.location"] = options.ca_file
        return settings
