"""What every event sink promises, as tests; `test_event_sinks.py` runs them on each."""

from __future__ import annotations

from abc import ABC, abstractmethod

import pytest

from s3server.events.base import EventSink, Message, PublishError


def messages(count: int, first: int = 0) -> list[Message]:
    return [
        Message(f"{number:024x}", "topic", b'{"n": %d}' % number, "key")
        for number in range(first, first + count)
    ]


class Receiver(ABC):
    """The other side of a sink."""

    @abstractmethod
    def sink(self) -> EventSink:
        """Return a sink that publishes to here."""

    @abstractmethod
    async def received(self, count: int) -> list[bytes]:
        """Return the bodies that have come, once there are so many."""

    @abstractmethod
    async def break_off(self) -> None:
        """Stop answering."""

    @abstractmethod
    async def resume(self) -> None:
        """Answer again, where it was."""


class EventSinkContract:
    """Subclasses have a fixture `receiver`."""

    async def test_messages_arrive_whole_and_in_order(self, receiver: Receiver) -> None:
        sink, sent = receiver.sink(), messages(200)
        await sink.publish(sent)
        assert [one.body for one in sent] == await receiver.received(200)
        await sink.publish(messages(1, 200))
        assert (await receiver.received(201))[-1] == b'{"n": 200}'
        await sink.close()

    async def test_publishing_nothing_is_no_error(self, receiver: Receiver) -> None:
        sink = receiver.sink()
        await sink.publish([])
        await sink.close()

    async def test_what_does_not_answer_raises_and_later_takes_all(
        self, receiver: Receiver
    ) -> None:
        sink = receiver.sink()
        await sink.publish(messages(1))
        await receiver.break_off()
        with pytest.raises(PublishError) as caught:
            await sink.publish(messages(3, 1))
        await receiver.resume()
        await sink.publish(messages(3, 1)[caught.value.done :])
        bodies = await receiver.received(4)
        assert {b'{"n": %d}' % number for number in range(4)} <= set(bodies)
        await sink.close()

    async def test_close_can_be_repeated(self, receiver: Receiver) -> None:
        sink = receiver.sink()
        await sink.close()
        await sink.publish(messages(1))
        await sink.close()
        await sink.close()
