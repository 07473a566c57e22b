"""Web hooks: each event is POSTed by itself, signed so that the receiver knows who sent it.

    x-s3server-signature: sha256=<HMAC-SHA256 of the body under the topic's secret, hexadecimal>

Redirects are not followed: they would lead where the operator has allowed nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
from collections.abc import Sequence

import msgspec

from s3server.events.base import Message, PublishError
from s3server.events.endpoints import Endpoint
from s3server.events.tls import tls_context

TIMEOUT_S = 10.0
SIGNATURE = "x-s3server-signature"


class WebhookOptions(msgspec.Struct, frozen=True):
    """How a topic publishes."""

    ack_level: str = "non-error"  # any | non-error | a status code: which answers count
    secret: str = ""
    verify_tls: bool = True
    ca_file: str = ""


class WebhookSink:
    """Posts to one URL over one connection. Implements `base.EventSink`."""

    def __init__(self, endpoint: Endpoint, options: WebhookOptions) -> None:
        self._endpoint, self._options = endpoint, options
        self._connection: http.client.HTTPConnection | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        """Post in order; see `base.EventSink`."""
        for done, message in enumerate(messages):
            try:
                status = await asyncio.to_thread(self._post, message)
            except (OSError, http.client.HTTPException) as error:
                await self.close()
                raise PublishError(f"{type(error).__name__}: {error}", done=done) from error
            if not self._counts(status):
                raise PublishError(f"the endpoint answered {status}", done=done)

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _counts(self, status: int) -> bool:
        level = self._options.ack_level
        if level == "any":
            return True
        return status < 300 if level == "non-error" else str(status) == level

    def _post(self, message: Message) -> int:
        """Post a message, once more where the connection was closed since the last one."""
        kept = self._connection
        if kept is not None:
            try:
                return self._send(kept, message)
            except ConnectionError:  # receivers end those that are idle
                kept.close()
        self._connection = self._open()
        return self._send(self._connection, message)

    def _send(self, connection: http.client.HTTPConnection, message: Message) -> int:
        headers = {
            "content-type": "application/json",
            "x-s3server-event-id": message.id,
            **{f"ce-{name}": value for name, value in message.attributes.items()},
        }
        if self._options.secret:
            headers[SIGNATURE] = sign(self._options.secret, message.body)
        connection.request("POST", self._endpoint.path or "/", message.body, headers)
        response = connection.getresponse()
        response.read(1 << 20)  # so that the connection can be used again
        if not response.isclosed():
            connection.close()
        return response.status

    def _open(self) -> http.client.HTTPConnection:
        host, port = self._endpoint.host, self._endpoint.port
        if not self._endpoint.is_secure:
            return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        context = tls_context(verify=self._options.verify_tls, ca_file=self._options.ca_file)
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)


def sign(secret: str, body: bytes) -> str:
    """Return the value of the signature header."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
