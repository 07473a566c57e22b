"""What HTTP itself consists of: the connection, target, header fields, framings of bodies."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from s3server.errors import S3Error
from s3server.model import HttpRequest
from s3server.process.protocol import S3Protocol
from s3server.wire import conditions, cors, digest_fields, metadata, ranges, timestamps
from s3server.wire.aws_chunked import ChunkDecoder
from s3server.wire.forms import FormParser, read_boundary
from s3server.wire.plain import read_plain
from s3server.wire.promises import read_promises
from s3server.wire.proxies import TrustedProxies
from s3server.wire.request import find_target, parse_query, read_request
from s3server.wire.response import WHOLE
from tests.support.forms import BOUNDARY, encode_form
from tests.support.fuzzing import Mutator, Target
from tests.support.signing import unsigned_chunks
from tests.support.wired import Transport

CUTS = Mutator([b""], "cuts")
FIRST_LINES = {b"HTTP/1.1 100 Continue", b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Bad Request"}
HOST = b"Host: s3.test\r\n"
REQUESTS = (
    b"GET /data/key HTTP/1.1\r\n" + HOST + b"Range: bytes=0-1\r\n\r\n",
    b"GET /data?prefix=a%2Fb&acl HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    b"HEAD http://s3.test/data HTTP/1.1\r\n" + HOST + b"Accept: */*\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    b"PUT /data/key HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 7\r\nExpect: 100-continue\r\n\r\ncontent",
    b"PUT /data/key HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    b"3;a=b\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nx-amz-checksum-crc32: AAAAAA==\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\nUpgrade: h2c\r\n\r\n",
)


async def _application(scope: Any, receive: Any, send: Any) -> None:
    read_request_or_refuse(scope)
    while (await receive()).get("more_body"):
        pass
    with suppress(ConnectionResetError):
        headers = [(b"content-length", b"0")]
        await send({"type": WHOLE, "status": 200, "headers": headers, "body": b""})


def read_request_or_refuse(scope: Any) -> None:
    try:
        request = read_request(scope)
        find_target(request, ("s3.test",))
        parse_query(request.query)
    except S3Error:
        pass


class Connections:
    """Connections of our protocol, one for each input, without sockets."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        config = uvicorn.Config(_application, interface="asgi3", lifespan="off", log_config=None)
        config.load()
        self._config = config

    def __call__(self, data: bytes) -> None:
        self._loop.run_until_complete(self._talk(data))

    async def _talk(self, data: bytes) -> None:
        transport = Transport()
        protocol = S3Protocol(self._config, ServerState())
        protocol.connection_made(transport)  # type: ignore[arg-type]
        for piece in CUTS.cut(data):
            protocol.data_received(piece)
            await asyncio.sleep(0)
        protocol.eof_received()
        protocol.connection_lost(None)
        while protocol.tasks:
            await asyncio.sleep(0)
        sent = {line for line in transport.sent.split(b"\r\n") if line.startswith(b"HTTP/")}
        assert sent <= FIRST_LINES, sent


PLAIN = (
    (
        b"GET /data/a%20key HTTP/1.1\r\nHost: s3.test\r\nAccept: */*\r\nConnection: keep-alive\r\n"
        b"X-Amz-Date: 20260921T141320Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=a\r\n\r\n"
    ),
)


def read_both_ways(data: bytes) -> None:
    """What the short way makes of bytes is what a parser makes of them."""
    request = read_plain(data, scheme="http", client="")
    if request is None:
        return
    line, *fields = data[:-4].decode().split("\r\n")
    assert line == f"{request.method} {request.raw_path} HTTP/1.1"
    pairs = [field.split(": ", 1) for field in fields]
    assert [(name.lower(), value) for name, value in pairs] == list(request.headers.items())


def read_target(data: bytes) -> None:
    host, _, target = data.partition(b" ")
    path, _, query = target.partition(b"?")
    scope = {
        "method": "GET", "raw_path": path, "query_string": query, "scheme": "http",
        "headers": [(b"host", host), (b"x-amz-account-id", b"1")],
    }  # fmt: skip
    request = read_request(scope)
    target_found = find_target(request, ("s3.test", "a.s3.test"))
    assert target_found.key is None or 0 < len(target_found.key.encode()) <= 1024
    parse_query(request.query)


def fields_of(data: bytes) -> dict[str, str]:
    pairs = (line.partition(b":") for line in data.split(b"\n"))
    return {
        name.decode("latin-1").lower(): value.decode("latin-1").strip() for name, _, value in pairs
    }


def read_fields(data: bytes) -> None:
    """Read the fields that promise something of a body, or ask for something of an answer."""
    fields = fields_of(data)
    payload = fields.get("x-amz-content-sha256", "")
    read_promises(fields, payload=payload, has_checksum=True)
    digest_fields.promised_digests(fields)
    digest_fields.told_digests(fields, {"ChecksumCRC32": "AAAAAA=="}, '"0"', is_whole=True)


def read_ranges(data: bytes) -> None:
    text = data.decode("latin-1")
    spans = ranges.parse_range(text, 100_000)
    assert spans is None or all(0 <= start < stop <= 100_000 for start, stop in spans)


def read_copied_range(data: bytes) -> None:
    start, stop = ranges.parse_copy_range(data.decode("latin-1"), 100_000)
    assert 0 <= start < stop <= 100_000


def read_chunks(data: bytes) -> None:
    signed, trailers = data[:1] == b"s", data[1:2] == b"t"
    decoder = ChunkDecoder(16_397, is_signed=signed, has_trailers=trailers)
    target = memoryview(bytearray(4096))
    for piece in CUTS.cut(data[2:]):
        source = memoryview(piece)
        while source and not decoder.is_done:
            taken, given = decoder.decode(source, target)
            assert taken + given, "no progress"
            source = source[taken:]
    assert decoder.position <= 16_397


CHUNKS = (
    b"-t" + unsigned_chunks(b"abc" * 100, sizes=[300], trailer="x-amz-checksum-crc32:AAAAAA=="),
    b"-t" + unsigned_chunks(bytes(9_000), sizes=[8_192, 808]),
    b"s-2000;chunk-signature=" + b"0" * 64 + b"\r\n" + bytes(8_192) + b"\r\n"
    b"5;chunk-signature="
    + b"1" * 64
    + b"\r\nabcde\r\n0;chunk-signature="
    + b"2" * 64
    + b"\r\n\r\n",
)


def read_multipart(data: bytes) -> None:
    kind, _, body = data.partition(b"\n")
    parser = FormParser(read_boundary(kind.decode("latin-1")))
    content = b"".join(parser.feed(piece) for piece in CUTS.cut(body))
    parser.close()
    assert len(content) <= len(body)


def read_metadata(data: bytes) -> None:
    text = data.decode("latin-1")
    value = metadata.read_value(text)
    if value.isprintable():
        written = metadata.write_value(value)
        assert metadata.read_value(written) == value
    metadata.unicode_value(text)


def read_date(data: bytes) -> None:
    moment = timestamps.parse_timestamp(data.decode("latin-1"))
    timestamps.http_date(moment)
    timestamps.iso_millis(moment)


def read_origin(data: bytes) -> None:
    origin, _, headers = data.decode("latin-1").partition("\n")
    rule = {"AllowedOrigins": ["https://*.site.test", "*"], "AllowedMethods": ["GET"],
            "AllowedHeaders": ["x-amz-*", "Content-*"]}  # fmt: skip
    cors.find_rule([rule], origin, "GET", cors.requested_headers(headers) or [])


PROXIES = TrustedProxies(["10.0.0.0/8", "::1"])


def read_forwarded(data: bytes) -> None:
    PROXIES.resolve(HttpRequest("GET", "/", "", fields_of(data), "http", "10.0.0.1"))


def read_etags(data: bytes) -> None:
    conditions.has_etag(data.decode("latin-1"), '"d41d8cd98f00b204e9800998ecf8427e"')


PLACES = (
    b"s3.test /data/key?versionId=null&prefix=a%2Fb+c",
    b"data.s3.test:9000 /%C3%A9//..",
    b"[::1]:80 http://[::1]:80/data?acl",
    b"s3.test /v20180820/configuration/publicAccessBlock",
)
FIELDS = (
    (
        b"content-length:7\ncontent-md5:1B2M2Y8AsgTpgAmY7PhCfg==\nx-amz-checksum-crc32:AAAAAA==\n"
        b"x-amz-sdk-checksum-algorithm:CRC32"
    ),
    (
        b"x-amz-content-sha256:STREAMING-UNSIGNED-PAYLOAD-TRAILER\nx-amz-trailer:x-amz-checksum-sha256\n"
        b"x-amz-decoded-content-length:7\ncontent-encoding:aws-chunked,gzip"
    ),
    (
        b"transfer-encoding:chunked\nwant-repr-digest:sha-256=10, md5=1\n"
        b"repr-digest:sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
    ),
    b"want-digest:adler32;q=0.5, md5\ndigest:adler32=00000001,md5=1B2M2Y8AsgTpgAmY7PhCfg==",
)
FORM = encode_form({"key": "a/${filename}", "acl": "private", "Content-Type": "text/plain"})
_S3 = (S3Error,)

TARGETS = (
    Target("connection", REQUESTS, Connections(), inputs=12_000),
    Target("short way", PLAIN, read_both_ways, inputs=12_000),
    Target("target and query", PLACES, read_target, _S3, 14_000),
    Target("fields about bodies", FIELDS, read_fields, _S3, 12_000),
    Target(
        "ranges", (b"bytes=0-1", b"bytes=0-99999", b"bytes=5-6"), read_copied_range, _S3, 12_000
    ),
    Target("lists of ranges", (b"bytes=0-1,5-,-7", b"bytes=-1", b"bytes = 7-"), read_ranges, _S3,
           12_000),
    Target("aws-chunked", CHUNKS, read_chunks, _S3, 10_000),
    Target(
        "form data",
        (b"multipart/form-data; boundary=" + BOUNDARY.encode() + b"\n" + FORM,
         b'multipart/form-data; charset=utf-8; boundary="a b"\n' + encode_form({}, boundary="a b")),
        read_multipart, _S3, 10_000,
    ),
    Target("metadata", (b"=?utf-8?Q?caf=C3=A9?= \xc3\xa9", b"=?UTF-8?B?w6k=?= a"), read_metadata,
           inputs=10_000),
    Target("dates", (b"2026-09-21T14:13:20.000Z", b"Mon, 21 Sep 2026 14:13:20 GMT",
                     b"Monday, 21-Sep-26 14:13:20 GMT"), read_date, (ValueError,),
           10_000),
    Target("CORS requests", (b"https://a.site.test\nx-amz-date, content-type",), read_origin),
    Target("forwarded", (b"x-forwarded-for:1.2.3.4, ::1\nx-forwarded-proto:https",
                         b"x-forwarded-tls-version:TLSv1.3"), read_forwarded),
    Target("entity tags", (b'"a", W/"b", *', b'"d41d8cd98f00b204e9800998ecf8427e"'), read_etags),
)  # fmt: skip
