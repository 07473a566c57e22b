"""The contract of event sinks on each of them, with the real thing on the other side."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pika
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka import Message as KafkaMessage

from s3server.events import kafka
from s3server.events.amqp import AmqpOptions, AmqpSink
from s3server.events.base import EventSink, PublishError
from s3server.events.endpoints import parse_endpoint
from s3server.events.kafka import KafkaOptions, KafkaSink
from s3server.events.webhook import SIGNATURE, WebhookOptions, WebhookSink, sign
from tests.contract.event_sink import EventSinkContract, Receiver, messages
from tests.support.memory_sink import MemorySink
from tests.support.rabbitmq import Broker, run_broker

SECRET = "a secret of the topic"
WAIT_S = 60


class MemoryReceiver(Receiver):
    def __init__(self) -> None:
        self._sink = MemorySink()

    def sink(self) -> EventSink:
        return self._sink

    async def received(self, count: int) -> list[bytes]:
        return [message.body for message in self._sink.messages]

    async def break_off(self) -> None:
        self._sink.left = 1

    async def resume(self) -> None:
        self._sink.left = None


class TestMemorySink(EventSinkContract):
    @pytest.fixture
    def receiver(self) -> Receiver:
        return MemoryReceiver()


class WebhookReceiver(Receiver):
    """An HTTP server; its answers are those of a hook that works, or 503."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.hangs_up = False  # after each answer, without a word
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if receiver.status == 200:
                    receiver.bodies.append(body)
                    receiver.headers.append({k.lower(): v for k, v in self.headers.items()})
                self.send_response(receiver.status)
                if receiver.status == 302:
                    self.send_header("location", "http://127.0.0.1:1/")
                self.send_header("content-length", "0")
                self.end_headers()
                self.close_connection = receiver.hangs_up

            def log_request(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def sink(self, **options: str) -> EventSink:
        url = f"http://127.0.0.1:{self.server.server_port}/hook?x=1"
        return WebhookSink(parse_endpoint(url), WebhookOptions(secret=SECRET, **options))

    async def received(self, count: int) -> list[bytes]:
        return self.bodies

    async def break_off(self) -> None:
        self.status = 503

    async def resume(self) -> None:
        self.status = 200

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class TestWebhookSink(EventSinkContract):
    @pytest.fixture
    def receiver(self) -> Iterator[WebhookReceiver]:
        made = WebhookReceiver()
        yield made
        made.close()

    async def test_every_post_is_signed_and_has_the_events_id(
        self, receiver: WebhookReceiver
    ) -> None:
        (sent,) = messages(1)
        sink = receiver.sink()
        await sink.publish([sent])
        await sink.close()
        assert receiver.headers[0][SIGNATURE] == sign(SECRET, sent.body)
        assert receiver.headers[0]["x-s3server-event-id"] == sent.id

    async def test_connection_that_was_closed_while_nothing_was_to_tell_is_no_failure(
        self, receiver: WebhookReceiver
    ) -> None:
        receiver.hangs_up = True
        sink, sent = receiver.sink(), messages(3)
        for message in sent:
            await sink.publish([message])
        await sink.close()
        assert receiver.bodies == [message.body for message in sent]

    @pytest.mark.parametrize(
        ("level", "status", "counts"),
        [("any", 503, True), ("non-error", 302, False), ("503", 503, True), ("204", 200, False)],
    )
    async def test_ack_level_says_which_answers_count(
        self, receiver: WebhookReceiver, level: str, status: int, counts: bool
    ) -> None:
        receiver.status = status
        sink = receiver.sink(ack_level=level)
        if counts:
            await sink.publish(messages(1))
        else:
            with pytest.raises(PublishError, match=str(status)):
                await sink.publish(messages(1))
        await sink.close()


class KafkaReceiver(Receiver):
    """A cluster of one broker, which librdkafka has built in: it speaks the protocol over TCP."""

    def __init__(self) -> None:
        self._cluster: Producer | None = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self._cluster.list_topics(timeout=WAIT_S).brokers.values()
        self._address = f"{broker.host}:{broker.port}"
        self.messages: list[KafkaMessage] = []

    def sink(self) -> EventSink:
        return KafkaSink(parse_endpoint(f"kafka://{self._address}"), KafkaOptions())

    async def received(self, count: int) -> list[bytes]:
        await asyncio.to_thread(self._consume, count)
        return [message.value() for message in self.messages]

    def _consume(self, count: int) -> None:
        consumer = Consumer({
            "bootstrap.servers": self._address, "group.id": f"of-{count}", "log_level": 0,
            "auto.offset.reset": "earliest", "enable.auto.commit": False,
        })  # fmt: skip
        consumer.subscribe(["topic"])
        self.messages.clear()
        while len(self.messages) < count:
            message = consumer.poll(WAIT_S)
            assert message is not None, "the messages do not come"
            self.messages.append(message)
        consumer.close()

    async def break_off(self) -> None:
        self._cluster = None

    async def resume(self) -> None:
        raise NotImplementedError


class TestKafkaSink(EventSinkContract):
    @pytest.fixture
    def receiver(self) -> KafkaReceiver:
        return KafkaReceiver()

    async def test_what_does_not_answer_raises_and_later_takes_all(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That cluster cannot be started again where it was: only the first half."""
        sink = receiver.sink()
        await sink.publish(messages(1))
        await receiver.break_off()
        monkeypatch.setattr(kafka, "DELIVERY_S", 5.0)  # nobody is to come
        with pytest.raises(PublishError):
            await sink.publish(messages(3, 1))
        await sink.close()

    async def test_messages_of_one_object_have_its_key_and_their_id(
        self, receiver: KafkaReceiver
    ) -> None:
        sink, (sent,) = receiver.sink(), messages(1)
        await sink.publish([sent])
        await receiver.received(1)
        (message,) = receiver.messages
        assert message.key() == sent.key.encode()
        assert dict(message.headers() or ())["event-id"] == sent.id.encode()
        await sink.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with run_broker(Path(tmp_path_factory.mktemp("rabbitmq"))) as running:
        yield running


class AmqpReceiver(Receiver):
    """A durable queue behind a durable exchange of its own."""

    def __init__(self, broker: Broker, name: str) -> None:
        self._broker, self._name = broker, name
        self.bodies: list[bytes] = []
        connection = broker.connect()
        channel = connection.channel()
        channel.exchange_declare(name, "topic", durable=True)
        channel.queue_declare(name, durable=True)
        channel.queue_bind(name, name, "topic")
        connection.close()

    def sink(self, **options: str) -> EventSink:
        endpoint = parse_endpoint(self._broker.url)
        return AmqpSink(endpoint, AmqpOptions(self._name, **options))  # type: ignore[arg-type]

    async def received(self, count: int) -> list[bytes]:
        await asyncio.to_thread(self._consume, count)
        return self.bodies

    def _consume(self, count: int) -> None:
        connection = self._broker.connect()
        channel = connection.channel()
        if len(self.bodies) < count:
            for method, _, body in channel.consume(self._name, inactivity_timeout=WAIT_S):
                assert method is not None, "the messages do not come"
                self.bodies.append(body)
                channel.basic_ack(method.delivery_tag)
                if len(self.bodies) >= count:
                    break
        connection.close()

    async def break_off(self) -> None:
        await asyncio.to_thread(self._broker.stop)

    async def resume(self) -> None:
        await asyncio.to_thread(self._broker.start)


class TestAmqpSink(EventSinkContract):
    @pytest.fixture
    def receiver(self, broker: Broker, request: pytest.FixtureRequest) -> AmqpReceiver:
        return AmqpReceiver(broker, request.node.name)

    async def test_level_routable_reports_what_no_queue_takes(
        self, broker: Broker, receiver: AmqpReceiver
    ) -> None:
        sink = receiver.sink(ack_level="routable")
        await sink.publish(messages(2))
        connection = broker.connect()
        connection.channel().queue_delete(receiver._name)
        connection.close()
        with pytest.raises(PublishError, match="unroutable"):
            await sink.publish(messages(1))
        await sink.close()

    async def test_level_none_waits_for_nothing_and_arrives(self, receiver: AmqpReceiver) -> None:
        sink = receiver.sink(ack_level="none")
        await sink.publish(messages(5))
        assert len(await receiver.received(5)) == 5
        await sink.close()

    async def test_exchange_is_never_declared(self, broker: Broker) -> None:
        sink = AmqpSink(parse_endpoint(broker.url), AmqpOptions("nobody-made-it"))
        with pytest.raises(PublishError, match="NOT_FOUND"):
            await sink.publish(messages(1))
        connection = broker.connect()
        channel = connection.channel()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker):
            channel.exchange_declare("nobody-made-it", passive=True)
        connection.close()
        await sink.close()

    async def test_wrong_password_is_an_error_without_the_password(self, broker: Broker) -> None:
        url = broker.url.replace("//", "//guest:wrongsecret@")
        sink = AmqpSink(parse_endpoint(url), AmqpOptions("x"))
        with pytest.raises(PublishError) as caught:
            await sink.publish(messages(1))
        assert "wrongsecret" not in str(caught.value)
        await sink.close()

    async def test_port_where_nobody_answers_is_an_error(self) -> None:
        sink = AmqpSink(parse_endpoint("amqp://127.0.0.1:1"), AmqpOptions("x"))
        with pytest.raises(PublishError):
            await sink.publish(messages(1))
        await sink.close()
