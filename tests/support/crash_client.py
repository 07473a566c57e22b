"""A client that knows what it does not know: every answer is whole, or its request's fate open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from lxml import etree

from tests.support.journal import UnknownOutcome
from tests.support.signing import Key, sign

TIMEOUT_S = 60


class NotSent(Exception):
    """No byte of the request left: the server cannot have acted on it."""


class Faulted(UnknownOutcome):
    """The server answered with a 5xx."""


class Refused(Exception):
    """The server said no, hence has changed nothing."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> etree._Element:
        """The XML body without namespaces."""
        root = etree.fromstring(self.body)
        for element in root.iter():
            element.tag = etree.QName(element).localname
        return root


class CrashClient:
    """One connection, made again whenever it broke. Never retries: who asked has to know."""

    def __init__(self, port: int, key: Key) -> None:
        self.port, self.key = port, key
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(
        self,
        method: str,
        bucket: str = "",
        key: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """Return the answer of a success. Raises Refused, NotSent, UnknownOutcome, Faulted."""
        request = self._render(method, bucket, key, query or {}, headers or {}, body)
        await self._connect()
        assert self._reader is not None
        assert self._writer is not None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                self._writer.writelines((request, body))
                await self._writer.drain()
                reply = await self._read(self._reader, method)
        except (OSError, EOFError, TimeoutError) as error:
            self._drop()
            raise UnknownOutcome(repr(error)) from error
        if reply.headers.get("connection") == "close":
            self._drop()
        if reply.status >= 300:
            code = (reply.document.findtext("Code") if reply.body else None) or ""
            if reply.status >= 500:
                raise Faulted(f"{method} /{bucket}/{key}: {reply.status} {code}")
            raise Refused(reply.status, code)
        return reply

    async def aclose(self) -> None:
        """End the connection."""
        writer = self._writer
        self._drop()
        if writer is not None:
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _connect(self) -> None:
        if self._writer is not None:
            return
        try:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError as error:
            raise NotSent(repr(error)) from error

    def _drop(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    def _render(
        self,
        method: str,
        bucket: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> bytes:
        path = f"/{bucket}/{quote(key)}" if key else f"/{bucket}"
        url = f"http://127.0.0.1:{self.port}{path}"
        if query:
            url += "?" + urlencode(sorted(query.items()), quote_via=quote)
        signed = sign(
            method, url, headers, key=self.key, at=datetime.now(UTC), payload="UNSIGNED-PAYLOAD"
        )
        lines = [f"{method} {signed.target} HTTP/1.1", f"host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in signed.headers.items()]
        if method in {"PUT", "POST"}:
            lines.append(f"content-length: {len(body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def _read(self, reader: asyncio.StreamReader, method: str) -> Reply:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.rstrip().split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (field.partition(":") for field in fields)
        }
        size = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        assert "transfer-encoding" not in headers
        return Reply(int(line.split(" ")[1]), headers, await reader.readexactly(size))
