"""The aws-chunked framing: every variant, every cut, every forgery."""

import hashlib
import io
import itertools
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum

from s3server.auth.chunk_signatures import ChunkSignatures
from s3server.auth.sigv4 import Claim, signing_key
from s3server.errors import (
    BadDigest,
    IncompleteBody,
    InvalidChunkSizeError,
    InvalidRequest,
    MalformedTrailerError,
    SignatureDoesNotMatch,
)
from s3server.wire.aws_chunked import ChunkDecoder
from s3server.wire.body import Body
from s3server.wire.checksums import ALGORITHMS

UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
CONTENT = bytes(range(256)) * 80  # 20,480 bytes: two chunks of 8 KiB and one of 4


class Chain:
    """Signs and verifies chunks: a stand-in for HMAC with the same chaining."""

    def __init__(self):
        self.previous = "seed"

    def sign(self, kind, sha256_hex):
        text = f"{kind} {self.previous} {sha256_hex}"
        self.previous = hashlib.sha256(text.encode()).hexdigest()
        return self.previous

    def verify_chunk(self, signature, sha256_hex):
        self._verify("chunk", signature, sha256_hex)

    def verify_trailer(self, signature, sha256_hex):
        self._verify("trailer", signature, sha256_hex)

    def _verify(self, kind, signature, sha256_hex):
        if self.sign(kind, sha256_hex) != signature:
            raise SignatureDoesNotMatch


def crc32(content=CONTENT):
    running = ALGORITHMS["CRC32"].new()
    running.update(content)
    return b64encode(running.digest()).decode()


def framed(content=CONTENT, *, chunk=8_192, signed=False, trailer=None):
    """Frame `content`; `trailer` is the CRC32 to send last."""
    chain, out = Chain(), []
    pieces = [content[i : i + chunk] for i in range(0, len(content), chunk)] + [b""]
    for piece in pieces:
        extension = ""
        if signed:
            extension = ";chunk-signature=" + chain.sign("chunk", hashlib.sha256(piece).hexdigest())
        out.append(f"{len(piece):x}{extension}\r\n".encode() + piece + (b"\r\n" if piece else b""))
    if trailer:
        out.append(f"x-amz-checksum-crc32:{trailer}\r\n".encode())
        if signed:
            digest = hashlib.sha256(f"x-amz-checksum-crc32:{trailer}\n".encode()).hexdigest()
            out.append(f"x-amz-trailer-signature:{chain.sign('trailer', digest)}\r\n".encode())
    return b"".join(out) + b"\r\n"


def body_of(stream, payload, *, size=20_480, cuts=(), ends=True, trailer=False, **headers):
    edges = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages[-1]["more_body"] = not ends
    messages.reverse()

    async def receive():
        return messages.pop() if messages else {"type": "http.disconnect"}

    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers |= {"x-amz-decoded-content-length": str(size), "content-length": str(len(stream))}
    if trailer:
        headers["x-amz-trailer"] = "x-amz-checksum-crc32"
    chunks = Chain() if "AWS4" in payload else None
    return Body(receive, headers, payload=payload, chunks=chunks)


async def drain(body, buffer_size=6_000):
    result, buffers = [], [bytearray(buffer_size), bytearray(buffer_size)]
    while count := await body.readinto(memoryview(buffers[0])):
        result.append(bytes(buffers[0][:count]))
        buffers.reverse()
    return b"".join(result)


VARIANTS = {
    "unsigned": (framed(trailer=crc32()), UNSIGNED, True),
    "unsigned without trailer": (framed(), UNSIGNED, False),
    "signed": (framed(signed=True), SIGNED, False),
    "signed with trailer": (framed(signed=True, trailer=crc32()), SIGNED_TRAILER, True),
    "extensions": (framed().replace(b"2000\r\n", b"2000;a=b;c\r\n"), UNSIGNED, False),
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("buffer_size", [1_000, 8_192, 100_000])
async def test_every_variant_is_decoded(name, buffer_size):
    stream, payload, trailer = VARIANTS[name]
    body = body_of(stream, payload, trailer=trailer)
    assert await drain(body, buffer_size) == CONTENT
    assert body.etag == hashlib.md5(CONTENT).hexdigest()
    assert body.checksums == ((("ChecksumCRC32", crc32()),) if trailer else ())


@pytest.mark.parametrize("name", VARIANTS)
async def test_stream_split_anywhere_is_decoded(name):
    stream, payload, trailer = VARIANTS[name]
    framing = [*range(200), *range(8_150, 8_400), *range(len(stream) - 300, len(stream))]
    for cut in framing:
        body = body_of(stream, payload, cuts=[cut], trailer=trailer)
        assert await drain(body, 100_000) == CONTENT
    assert (
        await drain(body_of(stream, payload, cuts=range(len(stream)), trailer=trailer)) == CONTENT
    )


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("ends", [True, False])
async def test_stream_cut_at_every_byte_is_incomplete(name, ends):
    content = CONTENT[:100]
    signed, trailer = "signed" in name.split(), crc32(content) if VARIANTS[name][2] else None
    stream = framed(content, signed=signed, trailer=trailer)
    for cut in range(len(stream)):
        body = body_of(
            stream[:cut], VARIANTS[name][1], size=100, ends=ends, trailer=trailer is not None
        )
        with pytest.raises(IncompleteBody):
            await drain(body)


async def test_what_botocore_frames_is_decoded():
    for size in [0, 1, 1_000_000, 2_500_000]:
        content = (CONTENT * 125)[:size]
        wrapper = AwsChunkedWrapper(
            io.BytesIO(content), checksum_cls=Crc32Checksum, checksum_name="x-amz-checksum-crc32"
        )
        body = body_of(wrapper.read(), UNSIGNED, size=size, trailer=True)
        assert await drain(body, 300_000) == content
        assert body.checksums == (("ChecksumCRC32", crc32(content)),)


@pytest.mark.parametrize("buffer_size", [6_000, 100_000])
@pytest.mark.parametrize("at", [100, 8_500, 17_500])
async def test_changed_byte_of_a_signed_chunk_is_refused(buffer_size, at):
    stream = bytearray(VARIANTS["signed"][0])
    stream[at] ^= 1
    with pytest.raises(SignatureDoesNotMatch):
        await drain(body_of(bytes(stream), SIGNED), buffer_size)


async def test_forged_chunk_in_a_large_body_is_refused_while_hashing_in_threads():
    content = CONTENT * 60
    stream = bytearray(framed(content, chunk=65_536, signed=True))
    stream[700_000] ^= 1
    with pytest.raises(SignatureDoesNotMatch):
        await drain(body_of(bytes(stream), SIGNED, size=len(content)), 200_000)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b";chunk-signature=", b";chunk-signaturX="), (b";chunk-signature=", b";chunk-signature=0")],
)
async def test_missing_or_malformed_chunk_signature_is_refused(old, new):
    stream = VARIANTS["signed"][0].replace(old, new, 1)
    with pytest.raises(SignatureDoesNotMatch):
        await drain(body_of(stream, SIGNED))


async def test_last_chunk_must_be_signed_too():
    stream = VARIANTS["signed"][0]
    last = stream.rindex(b"\r\n0;") + 2
    with pytest.raises(SignatureDoesNotMatch):
        await drain(body_of(stream[:last] + b"0\r\n\r\n", SIGNED))
    with pytest.raises(SignatureDoesNotMatch):
        await drain(
            body_of(stream[:last] + b"0;chunk-signature=" + b"0" * 64 + b"\r\n\r\n", SIGNED)
        )


async def test_trailer_must_be_signed_where_chunks_are():
    stream = VARIANTS["signed with trailer"][0]
    signature = stream.rindex(b"x-amz-trailer-signature")
    unsigned = stream[:signature] + b"\r\n"
    with pytest.raises((SignatureDoesNotMatch, IncompleteBody)):
        await drain(body_of(unsigned, SIGNED_TRAILER, trailer=True))
    forged = stream.replace(b"trailer-signature:", b"trailer-signature:0")
    with pytest.raises(SignatureDoesNotMatch):
        await drain(body_of(forged, SIGNED_TRAILER, trailer=True))


async def test_blank_line_before_the_trailers_signature_is_accepted():
    stream = VARIANTS["signed with trailer"][0].replace(
        b"x-amz-trailer-signature", b"\r\nx-amz-trailer-signature"
    )
    assert await drain(body_of(stream, SIGNED_TRAILER, trailer=True)) == CONTENT


async def test_small_signed_chunk_that_is_not_the_last_is_refused():
    stream = framed(chunk=8_191, signed=True)
    with pytest.raises(InvalidChunkSizeError):
        await drain(body_of(stream, SIGNED))
    assert await drain(body_of(framed(chunk=100), UNSIGNED)) == CONTENT


@pytest.mark.parametrize("size", [0, 1, len(CONTENT) - 1, len(CONTENT) + 1])
async def test_other_length_than_declared_is_incomplete(size):
    with pytest.raises(IncompleteBody):
        await drain(body_of(framed(), UNSIGNED, size=size))


async def test_bytes_after_the_last_chunk_are_surplus():
    with pytest.raises(IncompleteBody):
        await drain(body_of(framed() + b"x", UNSIGNED))


@pytest.mark.parametrize(
    "stream",
    [
        b"\r\n", b"x\r\n", b"-5\r\n", b"+5\r\n", b"0x5\r\n", b" 5\r\n", b"5 \r\n", b"1_0\r\n",
        b";a=b\r\n", b"1" * 17 + b"\r\n", b"a" * 1_100, b"5;" + b"a" * 1_100 + b"\r\n",
        b"5\r\nabcdefg\r\n", b"5\r\nabcdeX\r\n",
    ],
)  # fmt: skip
async def test_malformed_framing_is_refused(stream):
    body = body_of(stream + b"0\r\n\r\n", UNSIGNED, size=10)
    with pytest.raises((InvalidRequest, IncompleteBody)):
        await drain(body)


TRAILER_STREAM = framed(trailer=crc32())


@pytest.mark.parametrize(
    ("stream", "announced", "error"),
    [
        (framed(), True, MalformedTrailerError),
        (TRAILER_STREAM, False, MalformedTrailerError),
        (TRAILER_STREAM.replace(b"crc32:", b"crc32c:"), True, MalformedTrailerError),
        (TRAILER_STREAM.replace(b"crc32:", b"crc32 "), True, MalformedTrailerError),
        (TRAILER_STREAM[:-2] + b"x-amz-meta-a:b\r\n\r\n", True, MalformedTrailerError),
        (
            TRAILER_STREAM[:-2] + b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n",
            True,
            MalformedTrailerError,
        ),
        (TRAILER_STREAM[:-2] + b"x-amz-trailer-signature:0\r\n\r\n", True, MalformedTrailerError),
        (TRAILER_STREAM[:-2] + b"a:b\r\n" * 5_000 + b"\r\n", True, MalformedTrailerError),
        (framed(trailer="AAAAAA=="), True, BadDigest),
        (framed(trailer="AAAA"), True, InvalidRequest),
    ],
)
async def test_trailers_must_be_those_announced_and_true(stream, announced, error):
    with pytest.raises(error):
        await drain(body_of(stream, UNSIGNED, trailer=announced))


async def test_trailer_names_ignore_case_and_blanks():
    stream = TRAILER_STREAM.replace(b"x-amz-checksum-crc32:", b"X-Amz-Checksum-CRC32 : ")
    assert await drain(body_of(stream, UNSIGNED, trailer=True)) == CONTENT


@pytest.mark.parametrize("name", ["x-amz-meta-a", "", "x-amz-checksum-crc32,x-amz-checksum-sha1"])
def test_other_trailers_than_one_checksum_are_refused(name):
    with pytest.raises(InvalidRequest):
        body_of(TRAILER_STREAM, UNSIGNED, x_amz_trailer=name)


def test_declared_giant_chunk_streams_through_without_being_kept():
    size = 1 << 28
    decoder = ChunkDecoder(size, is_signed=False, has_trailers=False)
    source, target = memoryview(bytes(1 << 16)), memoryview(bytearray(1 << 16))
    assert decoder.decode(memoryview(b"10000000\r\n"), target) == (10, 0)
    for _ in range(size >> 16):
        assert decoder.decode(source, target) == (1 << 16, 1 << 16)
    assert len(decoder._line) == 0
    decoder.decode(memoryview(b"\r\n0\r\n\r\n"), target)
    assert decoder.is_done


async def test_published_example_verifies_from_seed_to_last_chunk():
    """AWS's multiple-chunks example, with its real signatures, through a real verifier."""
    moment = datetime(2013, 5, 24, tzinfo=UTC).timestamp()
    claim = Claim(
        "header", "AKIAIOSFODNN7EXAMPLE", "20130524", "us-east-1", "s3", "host",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        "20130524T000000Z", moment, SIGNED, "20130524/us-east-1/s3/aws4_request",
    )  # fmt: skip
    key = signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", "s3")
    stream = (
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
        b"\r\n" + b"a" * 65_536 + b"\r\n"
        b"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
        b"\r\n" + b"a" * 1_024 + b"\r\n"
        b"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
        b"\r\n\r\n"
    )
    assert len(stream) == 66_824  # the Content-Length that AWS prints

    async def receive():
        return {"type": "http.request", "body": stream, "more_body": False}

    body = Body(
        receive, {"x-amz-decoded-content-length": "66560", "content-length": "66824"},
        payload=SIGNED, chunks=ChunkSignatures(claim, key),
    )  # fmt: skip
    assert await drain(body, 100_000) == b"a" * 66_560
