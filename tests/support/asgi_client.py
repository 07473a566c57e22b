"""An S3 client over an ASGI callable: raw targets, chosen signatures, no network."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from lxml import etree

from tests.support.signing import Key, presign, presign_v2, sign, sign_v2

HOST = "s3.test"
Asgi = Callable[[Any, Any, Any], Awaitable[None]]
How = Literal["header", "query", "v2-header", "v2-query"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, whole."""

    status: int
    headers: tuple[tuple[str, str], ...]  # values decoded as UTF-8
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header's value; the test fails where it was sent twice."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    @property
    def document(self) -> etree._Element:
        """The XML body without namespaces."""
        root = etree.fromstring(self.body)
        for element in root.iter():
            element.tag = etree.QName(element).localname
        return root

    def text(self, path: str) -> str | None:
        """Return the text of an element of the body ("Error/Code" as "Code")."""
        return self.document.findtext(path)

    def texts(self, path: str) -> list[str]:
        """Return the texts of all elements at `path`."""
        return [element.text or "" for element in self.document.findall(path)]

    @property
    def code(self) -> str:
        """The S3 code of an error; "" for what is none."""
        return (self.text("Code") or "") if self.status >= 400 and self.body else ""

    @property
    def outcome(self) -> tuple[int, str]:
        """Status and code."""
        return self.status, self.code


@dataclass(frozen=True, slots=True)
class Client:
    """Sends requests as one principal; without a key as nobody."""

    asgi: Asgi
    key: Key | None
    now: Callable[[], datetime]
    host: str = HOST
    peer: str = "192.0.2.7"
    scheme: str = "http"

    def changed(self, **fields: Any) -> Client:
        """Return a client that differs in some fields."""
        return replace(self, **fields)

    async def __call__(
        self,
        method: str,
        target: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        unsigned: Mapping[str, str] | None = None,
        how: How = "header",
        payload: str | None = None,
        expires_s: int = 600,
        at: datetime | None = None,
    ) -> Answer:
        """Send a request whose `target` is exactly what goes over the wire.

        `unsigned` headers are added after signing; `payload` replaces the body's SHA-256. Text
        beyond ASCII in headers goes over the wire as UTF-8.
        """
        headers = {"host": self.host, **(headers or {})}
        at = at or self.now()
        url = f"http://{headers['host']}{target}"
        if self.key is None:
            pass
        elif how == "header":
            payload = payload or hashlib.sha256(body).hexdigest()
            signed = sign(method, url, headers, key=self.key, at=at, payload=payload)
            target, headers = signed.target, signed.headers
        elif how == "query":
            signed = presign(method, url, headers, key=self.key, at=at, expires_s=expires_s)
            target, headers = signed.target, {**headers, **signed.headers}
        elif how == "v2-header":
            headers = sign_v2(method, url, headers, key=self.key, at=at).headers
        else:
            target = presign_v2(method, url, key=self.key, at=at, expires_s=expires_s).target
        headers = {**headers, **(unsigned or {})}
        if method in {"PUT", "POST"} and not {"content-length", "transfer-encoding"} & set(headers):
            headers["content-length"] = str(len(body))
        return await self.send(method, target, headers, body)

    async def sent(
        self,
        target: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        method: str = "PUT",
    ) -> Answer:
        """Send a document with the digest that S3 wants of it."""
        digest = base64.b64encode(hashlib.md5(body).digest()).decode()
        return await self(
            method, target, body=body, headers={"content-md5": digest, **(headers or {})}
        )

    async def made(
        self,
        target: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        method: str = "PUT",
    ) -> Answer:
        """Send a request that must succeed: the set-up of a test."""
        answer = await self(method, target, body=body, headers=headers)
        assert answer.status in (200, 204), answer.body
        return answer

    async def configure(
        self, target: str, body: bytes, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a document with its digest, as PutBucketVersioning and its kin demand."""
        digest = base64.b64encode(hashlib.md5(body).digest()).decode()
        return await self(
            "PUT", target, body=body, headers={"content-md5": digest, **(headers or {})}
        )

    async def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | list[tuple[str, str]],
        body: bytes = b"",
        *,
        pieces: list[bytes] | None = None,
        cut: bool = False,
    ) -> Answer:
        """Send a request as it is; after `pieces` of its body the client is gone if `cut`."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        exchange = _Exchange([body] if pieces is None else pieces, cut=cut)
        await self.asgi(self._scope(method, target, pairs), exchange.receive, exchange.send)
        return exchange.answer()

    def _scope(self, method: str, target: str, pairs: list[tuple[str, str]]) -> dict[str, Any]:
        path, _, query = target.partition("?")
        return {
            "type": "http",
            "method": method,
            "scheme": self.scheme,
            "raw_path": path.encode("latin-1"),
            "path": path,
            "query_string": query.encode("latin-1"),
            "headers": [
                (name.lower().encode(), value.encode("utf-8", "surrogateescape"))
                for name, value in pairs
            ],
            "client": (self.peer, 50_000),
            "server": ("127.0.0.1", 9000),
            "http_version": "1.1",
            "root_path": "",
        }


class _Exchange:
    """One request and its response, as an ASGI server sees them."""

    def __init__(self, pieces: list[bytes], *, cut: bool) -> None:
        self._messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": piece, "more_body": cut or at < len(pieces) - 1}
            for at, piece in enumerate(pieces)
        ]
        self._sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(0)
        return self._messages.pop(0) if self._messages else {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self._sent.append(message)

    def answer(self) -> Answer:
        start, *bodies = self._sent
        assert start["type"] == "http.response.start"
        assert [body.get("more_body", False) for body in bodies] == [True] * (len(bodies) - 1) + [
            False
        ]
        headers = tuple((name.decode(), value.decode()) for name, value in start["headers"])
        body = b"".join(body["body"] for body in bodies)
        return Answer(start["status"], headers, body)
