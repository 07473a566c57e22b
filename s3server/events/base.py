"""What is published, and what a sink promises of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class Message(msgspec.Struct, frozen=True):
    """One event on its way to a broker. `id` is the same whenever it is sent again."""

    id: str
    topic: str  # name of the topic; the routing key on AMQP
    body: bytes  # JSON
    key: str = ""  # of messages whose order counts: bucket and key
    attributes: Mapping[str, str] = {}  # CloudEvents 1.0 context attributes, where asked for


class PublishError(Exception):
    """A sink did not take everything. The first `done` messages are safe with it."""

    def __init__(self, reason: str, *, done: int = 0) -> None:
        super().__init__(reason)
        self.done = done


class EventSink(Protocol):
    """At least once: publish() returns when the other side has all messages, in their order.

    Raises PublishError otherwise; whoever calls again may cause duplicates, never gaps. A sink
    is used by one task at a time.
    """

    async def publish(self, messages: Sequence[Message]) -> None: ...

    async def close(self) -> None: ...
