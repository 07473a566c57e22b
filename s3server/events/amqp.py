"""AMQP 0-9-1 through pika: publisher confirms, one connection per topic.

The exchange is the consumers' business: it is checked, never declared, since declaring it with
another type closes the channel of whoever declared it first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

import msgspec
import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import AMQPError

from s3server.events.base import Message, PublishError
from s3server.events.endpoints import Endpoint
from s3server.events.tls import tls_context

CONNECT_S = 10.0
CONFIRM_S = 30.0
CLOSE_S = 1.0
HEARTBEAT_S = 30
AckLevel = Literal["none", "broker", "routable"]


class AmqpOptions(msgspec.Struct, frozen=True):
    """How a topic publishes."""

    exchange: str
    ack_level: AckLevel = "broker"  # who must have a message before it counts as published
    verify_tls: bool = True
    ca_file: str = ""


class AmqpSink:
    """Publishes to one exchange. Implements `base.EventSink`."""

    def __init__(self, endpoint: Endpoint, options: AmqpOptions) -> None:
        self._endpoint, self._options = endpoint, options
        self._connection: AsyncioConnection | None = None
        self._channel: Any = None
        self._batch: _Batch | None = None
        self._published = 0  # on this channel: the broker confirms by number

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish in order; see `base.EventSink`. With ack level "none" nothing is waited for."""
        if not messages:
            return
        channel = await self._open_channel()
        batch = self._batch = _Batch([each.id for each in messages], self._published + 1)
        is_routable = self._options.ack_level == "routable"
        try:
            for message in messages:
                channel.basic_publish(
                    self._options.exchange,
                    message.topic,
                    message.body,
                    _properties(message),
                    mandatory=is_routable,
                )
                self._published += 1
            if self._options.ack_level != "none":
                async with asyncio.timeout(CONFIRM_S):
                    await batch.finished
        except TimeoutError:
            await self.close()
            raise PublishError("the broker did not confirm in time", done=batch.done) from None
        except AMQPError as error:
            await self.close()
            raise PublishError(f"{type(error).__name__}: {error}", done=batch.done) from error
        finally:
            self._batch = None

    async def close(self) -> None:
        """Close the connection; what was confirmed is safe."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is None or connection.is_closed:
            return
        gone = asyncio.Event()
        connection.add_on_close_callback(lambda *_: gone.set())
        if not connection.is_closing:
            connection.close()
        with suppress(TimeoutError):  # a broker that does not answer is left to its socket
            async with asyncio.timeout(CLOSE_S):
                await gone.wait()

    async def _open_channel(self) -> Any:
        if self._channel is not None and self._channel.is_open:
            return self._channel
        await self.close()
        try:
            async with asyncio.timeout(CONNECT_S):
                self._connection = await self._connect()
                self._channel = await self._prepare(self._connection)
        except TimeoutError:
            await self.close()
            raise PublishError("the broker does not answer") from None
        return self._channel

    async def _connect(self) -> AsyncioConnection:
        opened: asyncio.Future[AsyncioConnection] = asyncio.get_running_loop().create_future()
        AsyncioConnection(
            self._parameters(),
            on_open_callback=lambda connection: _resolve(opened, connection),
            on_open_error_callback=lambda _, error: _reject(opened, error),
            on_close_callback=lambda _, error: self._lost(opened, error),
        )
        return await opened

    async def _prepare(self, connection: AsyncioConnection) -> Any:
        """Open a channel with confirms and see that the exchange is there."""
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._published = 0

        def on_open(channel: Any) -> None:
            channel.add_on_close_callback(lambda _, error: self._lost(ready, error))
            channel.add_on_return_callback(self._on_return)
            channel.exchange_declare(
                self._options.exchange, passive=True, callback=lambda _: on_exchange(channel)
            )

        def on_exchange(channel: Any) -> None:
            if self._options.ack_level == "none":
                _resolve(ready, channel)
            else:
                channel.confirm_delivery(self._on_confirm, lambda _: _resolve(ready, channel))

        connection.channel(on_open_callback=on_open)
        return await ready

    def _lost(self, waiting: asyncio.Future[Any], error: BaseException) -> None:
        """The broker closed the channel or the connection, or it broke."""
        self._channel = None
        _reject(waiting, error)
        if self._batch is not None:
            self._batch.fail(f"{type(error).__name__}: {error}")

    def _on_confirm(self, frame: Any) -> None:
        if self._batch is not None:
            method = frame.method
            self._batch.confirm(
                method.delivery_tag,
                is_multiple=method.multiple,
                is_taken=isinstance(method, pika.spec.Basic.Ack),
            )

    def _on_return(self, _channel: Any, _method: Any, properties: Any, _body: bytes) -> None:
        if self._batch is not None:  # comes before the confirm of the same message
            self._batch.returned.add(properties.message_id)

    def _parameters(self) -> pika.ConnectionParameters:
        endpoint = self._endpoint
        options: dict[str, Any] = {}
        if endpoint.user:
            options["credentials"] = pika.PlainCredentials(endpoint.user, endpoint.password)
        if endpoint.is_secure:
            options["ssl_options"] = pika.SSLOptions(
                tls_context(verify=self._options.verify_tls, ca_file=self._options.ca_file),
                endpoint.host,
            )
        return pika.ConnectionParameters(
            endpoint.host,
            endpoint.port,
            endpoint.virtual_host,
            heartbeat=HEARTBEAT_S,
            socket_timeout=CONNECT_S,
            stack_timeout=CONNECT_S,
            blocked_connection_timeout=CONFIRM_S,
            **options,
        )


class _Batch:
    """Messages of one publish() and what the broker has said of each."""

    def __init__(self, ids: Sequence[str], first_tag: int) -> None:
        self.returned: set[str] = set()  # ids of those that no queue took
        self.done = 0  # taken, from the first one on without a gap
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ids, self._first = ids, first_tag
        self._confirmed: set[int] = set()  # indexes

    def confirm(self, tag: int, *, is_multiple: bool, is_taken: bool) -> None:
        """Take a confirm of one message, or of all up to it."""
        last = tag - self._first
        if not is_taken:
            self.fail("the broker refused a message")
            return
        self._confirmed.update(range(self.done if is_multiple else last, last + 1))
        while self.done in self._confirmed:
            if self._ids[self.done] in self.returned:
                self.fail("unroutable: no queue is bound for the message")
                return
            self._confirmed.discard(self.done)
            self.done += 1
        if self.done == len(self._ids) and not self.finished.done():
            self.finished.set_result(None)

    def fail(self, reason: str) -> None:
        """End the batch; what was taken before stays taken."""
        if not self.finished.done():
            self.finished.set_exception(PublishError(reason, done=self.done))
            self.finished.exception()  # seen, where nobody waits


def _properties(message: Message) -> pika.BasicProperties:
    return pika.BasicProperties(
        content_type="application/json",
        delivery_mode=pika.DeliveryMode.Persistent.value,
        message_id=message.id,
        headers={f"cloudEvents:{name}": value for name, value in message.attributes.items()},
    )


def _resolve(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _reject(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(PublishError(f"{type(error).__name__}: {error}"))
