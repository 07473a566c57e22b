"""Site A's three slides on notifications, as printed: topic, configuration, consumer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pika
from botocore.config import Config

from tests.support.rabbitmq import Broker

WAIT_S = 60


class Consumer:
    """The third slide: a fanout exchange, a queue of its own, what comes is kept."""

    def __init__(self, broker: Broker, exchange: str) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.arrived = threading.Condition()
        self._connection = connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        channel = connection.channel()
        channel.exchange_declare(exchange=exchange, exchange_type="fanout")
        result = channel.queue_declare(queue="", exclusive=True)
        queue_name = result.method.queue
        channel.queue_bind(exchange=exchange, queue=queue_name)

        def callback(ch: Any, method: Any, properties: Any, body: bytes) -> None:
            with self.arrived:
                self.bodies.append(json.loads(body))
                self.arrived.notify_all()

        channel.basic_consume(queue=queue_name, on_message_callback=callback, auto_ack=True)
        self._thread = threading.Thread(target=channel.start_consuming)
        self._channel = channel
        self._thread.start()

    def wait_for(self, key: str) -> dict[str, Any]:
        """Return the record about a key."""

        def found() -> dict[str, Any] | None:
            for body in self.bodies:
                for record in body.get("Records", ()):
                    if record["s3"]["object"]["key"] == key:
                        return record
            return None

        with self.arrived:
            assert self.arrived.wait_for(lambda: found() is not None, WAIT_S), self.bodies
            record = found()
        assert record is not None
        return record

    def close(self) -> None:
        self._connection.add_callback_threadsafe(self._channel.stop_consuming)
        self._thread.join()
        self._connection.close()


def test_slides_run_as_printed(broker: Broker, client: Callable[..., Any]) -> None:
    consumer = Consumer(broker, "fairease-s3-events")
    sns = client("sns", config=Config(signature_version="s3"))
    topic_attributes = {
        "push-endpoint": broker.url,
        "amqp-exchange": "fairease-s3-events",
        "amqp-ack-level": "none",
        "persistent": "false",
    }
    topic = sns.create_topic(Name="fairease", Attributes=topic_attributes)

    s3 = client("s3")
    s3.create_bucket(Bucket="uca-eoscfe-data")
    notifconfig = {
        "TopicConfigurations": [
            {
                "Id": "data",
                "TopicArn": topic["TopicArn"],
                "Events": ["s3:ObjectCreated:*"],
            }
        ]
    }
    s3.put_bucket_notification_configuration(
        Bucket="uca-eoscfe-data", NotificationConfiguration=notifconfig
    )
    s3.put_object(
        Bucket="uca-eoscfe-data",
        Key="scenes/1.tif",
        Body=b"a scene",
        Metadata={"fairease.catalog.mediatype": "COG"},
    )
    record = consumer.wait_for("scenes/1.tif")
    consumer.close()

    assert record["eventName"] == "ObjectCreated:Put"
    assert record["s3"]["configurationId"] == "data"
    assert record["s3"]["object"]["metadata"] == [
        {"key": "x-amz-meta-fairease.catalog.mediatype", "val": "COG"}
    ]
    told = s3.get_bucket_notification_configuration(Bucket="uca-eoscfe-data")
    assert told["TopicConfigurations"] == notifconfig["TopicConfigurations"]
    attributes = sns.get_topic_attributes(TopicArn=topic["TopicArn"])["Attributes"]
    assert attributes["amqp-ack-level"] == "none"


def test_deprecated_operation_of_boto3_configures_too(
    broker: Broker, client: Callable[..., Any]
) -> None:
    consumer = Consumer(broker, "deprecated")
    attributes = {"push-endpoint": broker.url, "amqp-exchange": "deprecated"}
    topic = client("sns").create_topic(Name="deprecated", Attributes=attributes)["TopicArn"]
    s3 = client("s3")
    s3.create_bucket(Bucket="deprecated")
    rule = {"Id": "old", "Event": "s3:ObjectCreated:*", "Topic": topic}
    s3.put_bucket_notification(
        Bucket="deprecated", NotificationConfiguration={"TopicConfiguration": rule}
    )
    told = s3.get_bucket_notification(Bucket="deprecated")["TopicConfiguration"]
    assert (told["Id"], told["Topic"]) == ("old", topic)
    s3.put_object(Bucket="deprecated", Key="key", Body=b"x")
    assert consumer.wait_for("key")["s3"]["configurationId"] == "old"
    consumer.close()
