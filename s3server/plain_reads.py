"""The short way of plain reads: what `server.py` does, for the requests of `wire/plain.py` alone.

It asks the same `authenticate` and the same `Door`, and reads and verifies the same rows and
bytes; it only leaves out what such a request has no use for: ASGI, routing, parsing and rendering
by models, and every wait. It has one answer, that of a read that succeeds. Whatever else comes up
(an error, another kind of bucket or object, bytes that have to be waited for) it leaves to the
server, which begins anew and alone says what is wrong. tests/property/test_plain_reads.py holds
the two against each other.

Why: a GET of 4 KiB takes less than half as long (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from time import monotonic_ns
from typing import Any, TypeVar

from s3server.auth.authenticate import Lookup, authenticate
from s3server.core import records
from s3server.core.clock import Clock, Ids
from s3server.core.records import BlobRecord, BucketRecord, ObjectRecord, decode
from s3server.core.services import Services
from s3server.core.versions import shown_version_id
from s3server.door import Caller, Door
from s3server.exchange import user_of
from s3server.limits import Limits
from s3server.meta.base import Get, InlineStore
from s3server.metering import Meter
from s3server.model import HttpRequest, Principal, Target
from s3server.observer import Answered, Observer
from s3server.ops.attributes import DEFAULT_CONTENT_TYPE, checksums_of, has_more_to_tell
from s3server.server import Edge
from s3server.wire import metadata
from s3server.wire.plain import CHECKSUM_MODE
from s3server.wire.request import bucket_of_host, find_target
from s3server.wire.timestamps import http_seconds

T = TypeVar("T")
Found = tuple[BucketRecord, ObjectRecord, BlobRecord | None]

ACTION = "s3:GetObject"  # of HeadObject too
_NO_QUERY: Mapping[str, str] = {}


class LeftToServerError(Exception):
    """This is no plain read after all."""


class PlainReads:
    """Answers plain reads that need no waiting."""

    def __init__(
        self,
        *,
        edge: Edge,
        door: Door,
        services: Services,
        meta: InlineStore,
        lookup: Lookup,
        meter: Meter,
        limits: Limits,
        clock: Clock,
        ids: Ids,
        observer: Observer,
    ) -> None:
        self._edge, self._door = edge, door
        self._objects, self._buckets = services.objects, services.buckets
        self._last_used = services.iam.last_used
        self._meta, self._lookup, self._clock, self._ids = meta, lookup, clock, ids
        self._meter, self._limits = meter, limits
        self._observer, counters = observer, observer.counters
        self._rows = {"GET": counters.row("GetObject"), "HEAD": counters.row("HeadObject")}
        self._status = counters.status(200)

    def __call__(self, request: HttpRequest) -> tuple[bytes, bytes] | None:
        """Return the header fields of a 200 and its body; None: ask the server."""
        try:
            return self._answer(request)
        except Exception:  # of any kind: the server meets it again, answers, and logs what is ours
            return None

    def _answer(self, request: HttpRequest) -> tuple[bytes, bytes]:
        began = monotonic_ns()
        edge = self._edge
        http, is_trusted = edge.proxies.resolve(request)
        if bucket_of_host(http.headers["host"], edge.website_domains) is not None:
            raise LeftToServerError
        target = find_target(http, edge.base_domains)
        if target.bucket is None or target.key is None:
            raise LeftToServerError
        self._limits.check_failures(http.client)
        proof = authenticate(
            http,
            target,
            lookup=self._lookup,
            settings=edge.auth,
            now=self._clock.now_ms() / 1000,
            trusted_peer=is_trusted,
            body_sha256=None,
        )
        identity = _at_once(proof)
        self._last_used.note(identity.principal.access_key_id, "s3")
        bucket, record, blob = self._find(target.bucket, target.key, http.method)
        caller = Caller(identity.principal, identity.mechanism, http, _NO_QUERY)
        _at_once(self._door.permit(caller, ACTION, bucket, target.key, stored=record))
        if caller.limited is not None:
            raise LeftToServerError
        request_id = self._ids.request_id()
        fields = self._fields(request_id, bucket, record, http.headers)
        body = b"" if blob is None else self._objects.read_now(blob)
        if body is None:
            raise LeftToServerError
        whose = bucket.account, identity.principal.id, bucket.name
        size = len(body)
        self._meter.count(whose, 0, size)
        observer, taken_us = self._observer, (monotonic_ns() - began) // 1000
        observer.counters.add(self._rows[http.method], self._status, taken_us, 0, size)
        if observer.wants_all:
            who = identity.principal
            self._tell(request_id, http, target, principal=who, size=size, taken_us=taken_us)
        return fields, body

    def _tell(
        self,
        request_id: str,
        http: HttpRequest,
        target: Target,
        *,
        principal: Principal,
        size: int,
        taken_us: int,
    ) -> None:
        self._observer.tell(
            Answered(
                request_id=request_id,
                method=http.method,
                status=200,
                operation="GetObject" if http.method == "GET" else "HeadObject",
                bucket=target.bucket or "",
                key=target.key or "",
                client=http.client,
                user=user_of(principal),
                access_key=principal.access_key_id,
                traceparent=http.headers.get("traceparent", ""),
                sent=size,
                first_byte_ms=taken_us / 1000,
                total_ms=taken_us / 1000,
            )
        )

    def _find(self, name: str, key: str, method: str) -> Found:
        """Return bucket, object and, for a GET of bytes, blob, from one snapshot."""

        def read(often: Get, get: Get) -> Found:
            bucket = self._buckets.decode(_some(often(records.bucket_key(name))))
            # Its objects are told when they expire; its requests are logged.
            if bucket.lifecycle or bucket.logging:
                raise LeftToServerError
            record = decode(ObjectRecord, _some(get(records.object_key(bucket.id, key))))
            if method == "HEAD" or not record.blob:
                return bucket, record, None
            return bucket, record, decode(BlobRecord, _some(get(records.blob_key(record.blob))))

        return self._meta.look(read)

    def _fields(
        self, request_id: str, bucket: BucketRecord, record: ObjectRecord, asked: Mapping[str, str]
    ) -> bytes:
        """Return the fields that GetObject tells of a version, as the renderer writes them."""
        if record.encryption or has_more_to_tell(record):
            raise LeftToServerError
        content_type, more, checksums = DEFAULT_CONTENT_TYPE, "", ""
        for name, value in record.headers:
            if name != "ContentType":
                raise LeftToServerError
            content_type = _legal(value)
        if record.metadata:
            more = _lines((metadata.PREFIX + name, value) for name, value in record.metadata)
        if bucket.versioning:
            more += f"x-amz-version-id: {shown_version_id(bucket, record)}\r\n"
        if CHECKSUM_MODE in asked:
            checksums = _lines(
                (name.replace("Checksum", "x-amz-checksum-").lower(), value)
                for name, value in checksums_of(record).items()
            )
        modified = http_seconds(record.modified_ms // 1000)
        return (
            f"x-amz-request-id: {request_id}\r\nx-amz-id-2: {self._edge.host_id}\r\n"
            f"accept-ranges: bytes\r\nlast-modified: {modified}\r\n"
            f'etag: "{record.etag}"\r\ncontent-type: {content_type}\r\n{more}'
            f"content-length: {record.size}\r\n{checksums}"
        ).encode("ascii")


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns without waiting; else end it."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    coroutine.close()
    raise LeftToServerError


def _some(row: bytes | None) -> bytes:
    if row is None:
        raise LeftToServerError
    return row


def _lines(fields: Iterable[tuple[str, str]]) -> str:
    return "".join([f"{name}: {_legal(value)}\r\n" for name, value in fields])


def _legal(value: str) -> str:
    """Return a value that needs no encoding in a header."""
    if not (value.isascii() and value.isprintable()) or "=?" in value or value != value.strip():
        raise LeftToServerError
    return value
