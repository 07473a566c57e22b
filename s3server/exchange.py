"""One request and its answer, as far as it has come: for errors, the log, and access logs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

import structlog
from msgspec.structs import replace

from s3server.auth.request_keys import requester_of
from s3server.core.access_log import Entry, line_of
from s3server.core.buckets import Buckets
from s3server.core.clock import Clock
from s3server.core.records import BucketRecord
from s3server.door import Caller
from s3server.flow import Flow
from s3server.meta.base import MetadataError
from s3server.model import HttpRequest, Principal, Target
from s3server.observer import UNREAD, Answered
from s3server.wire.response import Headers, Response
from s3server.wire.service_model import Operation

_SENT = frozenset({"GetObject", "HeadObject"})
_RECEIVED = frozenset({"PutObject", "UploadPart"})
_MAX_DIGITS = 18


@dataclass(slots=True)
class Exchange:
    """What is known of a request so far, for the answer to an error and for the logs."""

    request_id: str
    method: str
    path: str
    flow: Flow
    operation: Operation | None = None
    sharing: Headers = field(default_factory=list)  # what a browser is told
    http: HttpRequest | None = None
    target: Target | None = None
    caller: Caller | None = None
    error_code: str = ""
    reason: str = ""  # of the error, or why the answer ended before its end
    is_fault: bool = False  # of ours
    began: float = field(default_factory=monotonic)
    answered_at: float = 0.0

    @property
    def request(self) -> tuple[HttpRequest, Target]:
        """The request and what it is about, once both were read."""
        assert self.http is not None
        assert self.target is not None
        return self.http, self.target

    @property
    def bucket(self) -> BucketRecord | None:
        """The bucket that it is about, once that was read."""
        return self.flow.bucket

    def answers(self) -> None:
        """Take note that the answer is known, and is sent from now on."""
        self.answered_at = monotonic()

    def answered(self, status: int) -> Answered:
        """Return what became of it."""
        target, http, principal = self.target, self.http, self.flow.principal
        bucket = "" if target is None else target.bucket or ""
        return Answered(
            request_id=self.request_id,
            method=self.method,
            status=status,
            operation=UNREAD if self.operation is None else self.operation.name,
            bucket=bucket,
            key="" if target is None else target.key or "",
            path="" if bucket else self.path,
            code=self.error_code,
            reason=self.reason,
            is_fault=self.is_fault,
            traceparent="" if http is None else http.headers.get("traceparent", ""),
            client="" if http is None else http.client,
            user=user_of(principal),
            access_key=principal.access_key_id,
            received=self.flow.received,
            sent=self.flow.sent,
            first_byte_ms=round((self.answered_at - self.began) * 1000, 3),
            total_ms=round((monotonic() - self.began) * 1000, 3),
        )


class Spool(Protocol):
    """Takes lines, which a job delivers: `core.log_spool.Spool`."""

    def add(self, bucket: BucketRecord, /, *lines: str) -> None: ...


class AccessLogs:
    """Writes the line of an exchange, where its bucket has a log."""

    def __init__(self, buckets: Buckets, spool: Spool, clock: Clock, host_id: str) -> None:
        self._buckets, self._spool, self._clock = buckets, spool, clock
        self._host_id = host_id
        self._log = structlog.get_logger("access-log")

    async def watch(self, exchange: Exchange, response: Response) -> Watch | None:
        """Return what watches a response being sent; None where nobody wants to know."""
        bucket = exchange.bucket
        if bucket is None and (400 <= response.status < 500 or exchange.method == "OPTIONS"):
            # It went no further than to who sent it; its bucket's owner is told all the same.
            try:
                bucket = await self._find(exchange.target)
            except MetadataError as error:
                self._log.warning("not logged", id=exchange.request_id, reason=str(error))
        if bucket is None or not bucket.logging:
            return None
        return Watch(self, exchange, bucket, response)

    async def _find(self, target: Target | None) -> BucketRecord | None:
        if target is None or target.bucket is None:
            return None
        found = await self._buckets.find(target.bucket)
        return None if found is None else found[0]

    def write(self, watch: Watch) -> None:
        """Write the line of what was watched."""
        exchange, response, now = watch.exchange, watch.response, monotonic()
        (http, target), caller = exchange.request, exchange.caller
        operation = "" if exchange.operation is None else exchange.operation.name
        headers = {name.decode(): value.decode("latin-1") for name, value in response.headers}
        entry = Entry(
            bucket_owner=watch.bucket.owner,
            bucket=watch.bucket.name,
            at_ms=self._clock.now_ms() - round((now - exchange.began) * 1000),
            remote_ip=http.client,
            requester="" if caller is None else _name_of(caller.principal),
            request_id=exchange.request_id,
            operation=operation,
            method=exchange.method,
            key=target.key or "",
            uri=http.raw_path + (f"?{http.query}" if http.query else ""),
            status=response.status,
            error_code=exchange.error_code,
            bytes_sent=watch.sent,
            object_size=_object_size(operation, http, response.status, headers),
            total_ms=round((now - exchange.began) * 1000),
            turn_around_ms=round((watch.began - exchange.began) * 1000),
            headers=http.headers,
            version_id=headers.get("x-amz-version-id", ""),
            host_id=self._host_id,
            mechanism="" if caller is None else caller.mechanism,
            tls_version=http.tls_version,
        )
        of_keys = () if caller is None else caller.deleted
        self._spool.add(
            watch.bucket, line_of(entry), *(_line_of_key(entry, *each) for each in of_keys)
        )


class Watch:
    """A response on its way, and how much of it was sent."""

    def __init__(
        self, logs: AccessLogs, exchange: Exchange, bucket: BucketRecord, response: Response
    ) -> None:
        self._logs, self.exchange, self.bucket = logs, exchange, bucket
        self.began, self.sent = monotonic(), 0
        if isinstance(response.body, bytes):
            self.sent = 0 if exchange.method == "HEAD" else len(response.body)
        else:
            response = replace(response, body=self._counted(response.body))
        self.response = response

    async def _counted(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        pieces: Any = body
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece
                self.sent += len(piece)

    def end(self) -> None:
        """Write the line: all was sent, or the client is gone."""
        self._logs.write(self)


def _line_of_key(entry: Entry, key: str, version_id: str, error_code: str) -> str:
    """Return the line of one key of DeleteObjects."""
    return line_of(
        replace(
            entry,
            operation="BATCH.DELETE.OBJECT",
            key=key,
            uri="",
            status=0 if error_code else 204,
            error_code=error_code,
            bytes_sent=0,
            version_id=version_id,
        )
    )


def user_of(principal: Principal) -> str:
    """Return who sent a request, as lines of the log name them."""
    if principal.is_root or principal.is_anonymous:
        return "root" if principal.is_root else ""
    return requester_of(principal).arns[0]


def _name_of(principal: Principal) -> str:
    """Return a requester as log lines name it: users by their ARNs, root by its canonical id."""
    arns = requester_of(principal).arns
    return principal.id if principal.is_root or not arns else arns[0]


def _object_size(
    operation: str, http: HttpRequest, status: int, headers: dict[str, str]
) -> int | None:
    text = ""
    if operation in _RECEIVED:
        sent = http.headers
        text = sent.get("x-amz-decoded-content-length") or sent.get("content-length", "")
    elif operation in _SENT and status < 300:
        _, _, whole = headers.get("content-range", "").rpartition("/")
        text = whole or headers.get("content-length", "")
    is_size = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if is_size else None
