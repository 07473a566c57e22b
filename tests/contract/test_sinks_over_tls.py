"""How a topic has its endpoint's certificate checked, and the headers of CloudEvents."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from s3server.core.topic_attributes import check_attributes
from s3server.events.base import EventSink, PublishError
from s3server.events.endpoints import AllowList
from s3server.events.sinks import make_sink
from tests.contract.event_sink import messages
from tests.contract.test_event_sinks import AmqpReceiver, WebhookReceiver
from tests.support.rabbitmq import Broker, run_broker
from tests.support.tls_proxy import tls_proxy

CLOUD = {"specversion": "1.0", "id": "1", "type": "com.amazonaws.s3.ObjectCreated:Put"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with run_broker(Path(tmp_path_factory.mktemp("rabbitmq"))) as running:
        yield running


@pytest.fixture
def hook() -> Iterator[WebhookReceiver]:
    made = WebhookReceiver()
    yield made
    made.close()


def sink(attributes: dict[str, str], directory: Path) -> EventSink:
    """Return what a topic with these attributes publishes through."""
    return make_sink(check_attributes(attributes, AllowList(["*:*"]), str(directory)), attributes)


async def outcome(made: EventSink) -> str:
    try:
        await made.publish(messages(1))
    except PublishError as error:
        return str(error)
    finally:
        await made.close()
    return ""


async def test_web_hooks_certificate_is_verified_as_the_topic_says(
    hook: WebhookReceiver, tmp_path: Path
) -> None:
    with tls_proxy(hook.server.server_port, tmp_path) as (url, certificate):
        topic = {"push-endpoint": f"{url}/hook"}
        assert "CERTIFICATE_VERIFY_FAILED" in await outcome(sink(topic, tmp_path))
        trusted = topic | {"ca-location": str(certificate)}
        assert await outcome(sink(trusted, tmp_path)) == ""
        assert await outcome(sink(topic | {"verify-ssl": "false"}, tmp_path)) == ""
    assert len(hook.bodies) == 2


async def test_use_ssl_makes_amqp_speak_tls(broker: Broker, tmp_path: Path) -> None:
    receiver = await asyncio.to_thread(AmqpReceiver, broker, "over-tls")
    with tls_proxy(broker.port, tmp_path) as (url, certificate):
        topic = {
            "push-endpoint": url.replace("https", "amqp"),
            "use-ssl": "true",
            "amqp-exchange": "over-tls",
        }
        assert await outcome(sink(topic, tmp_path)) != ""
        assert await outcome(sink(topic | {"ca-location": str(certificate)}, tmp_path)) == ""
    assert len(await receiver.received(1)) == 1


async def test_cloud_events_are_in_headers(hook: WebhookReceiver, broker: Broker) -> None:
    (message,) = (replace(each, attributes=CLOUD) for each in messages(1))
    made = hook.sink()
    await made.publish([message])
    await made.close()
    assert {name: hook.headers[0][f"ce-{name}"] for name in CLOUD} == CLOUD
    receiver = await asyncio.to_thread(AmqpReceiver, broker, "cloud")
    made = receiver.sink()
    await made.publish([message])
    await made.close()
    connection = broker.connect()
    _, properties, _ = connection.channel().basic_get("cloud", auto_ack=True)
    connection.close()
    assert properties.headers == {f"cloudEvents:{name}": text for name, text in CLOUD.items()}
