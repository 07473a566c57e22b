"""Topics and notifications through the wire, and what stands in the outbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from s3server.core import records
from s3server.core.records import EventRecord, decode
from s3server.meta.base import MetadataStore, after_prefix
from tests.support.asgi_client import Answer, Client

AMQP = {"push-endpoint": "amqp://broker.test:5672", "amqp-exchange": "ex", "persistent": "true"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


async def sns(client: Client, action: str, fields: Mapping[str, str] | None = None) -> Answer:
    """Send a request of SNS's."""
    form = {"Action": action, "Version": "2010-03-31", **(fields or {})}
    return await client("POST", "/", body=urlencode(form).encode(), headers=FORM)


def entries(attributes: Mapping[str, str]) -> dict[str, str]:
    """Return attributes as the query protocol writes a map."""
    fields = {}
    for number, (name, value) in enumerate(attributes.items(), start=1):
        fields[f"Attributes.entry.{number}.key"] = name
        fields[f"Attributes.entry.{number}.value"] = value
    return fields


async def make_topic(client: Client, name: str, attributes: Mapping[str, str] = AMQP) -> str:
    """Create a topic; return its ARN."""
    answer = await sns(client, "CreateTopic", {"Name": name, **entries(attributes)})
    assert answer.status == 200, answer.body
    arn = answer.text("CreateTopicResult/TopicArn")
    assert arn is not None
    return arn


def rule(topic: str, *events: str, name: str = "", extra: str = "") -> str:
    """Return one TopicConfiguration; `extra` is its Filter."""
    listed = "".join(f"<Event>{event}</Event>" for event in events)
    identity = f"<Id>{name}</Id>" if name else ""
    return (
        f"<TopicConfiguration>{identity}<Topic>{topic}</Topic>{listed}{extra}</TopicConfiguration>"
    )


async def configure(client: Client, *rules: str, bucket: str = "data") -> Answer:
    """Send a notification configuration."""
    text = f"<NotificationConfiguration>{''.join(rules)}</NotificationConfiguration>"
    return await client("PUT", f"/{bucket}?notification", body=text.encode())


async def waiting(meta: MetadataStore) -> Sequence[EventRecord]:
    """Return the outbox without test events."""
    rows = await meta.scan(records.EVENT, after_prefix(records.EVENT), limit=100_000)
    events = [decode(EventRecord, row) for _, row in rows]
    return [event for event in events if event.name != "TestEvent"]
