"""A sink that keeps what it is given, for tests of those that publish."""

from __future__ import annotations

from collections.abc import Sequence

from s3server.events.base import Message, PublishError


class MemorySink:
    """Implements `EventSink`. While `left` is a number it takes that many more messages."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.left: int | None = None
        self.error = "out of order"
        self.is_closed = False

    async def publish(self, messages: Sequence[Message]) -> None:
        for done, message in enumerate(messages):
            if self.left == 0:
                raise PublishError(self.error, done=done)
            if self.left is not None:
                self.left -= 1
            self.messages.append(message)

    async def close(self) -> None:
        self.is_closed = True
