"""Bodies as they come in: length, digests, hashing in threads, slow and vanishing clients."""

import asyncio
import hashlib
import tracemalloc
from base64 import b64encode
from zlib import adler32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3server import errors
from s3server.errors import (
    BadDigest,
    EntityTooLarge,
    IncompleteBody,
    InvalidArgument,
    InvalidDigest,
    InvalidRequest,
    MaxMessageLengthExceeded,
    MissingContentLength,
    RequestTimeout,
    SignatureDoesNotMatch,
    XAmzContentSHA256Mismatch,
)
from s3server.wire.body import Body, BodyLimits
from s3server.wire.checksums import ALGORITHMS, BY_HEADER
from s3server.wire.promises import promises_nothing

CONTENT = bytes(range(256)) * 16
MD5 = b64encode(hashlib.md5(CONTENT).digest()).decode()


def receiving(*pieces, ends=True):
    """Return an ASGI receive that gives the pieces, then the end or a disconnect."""
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    if ends:
        messages[-1]["more_body"] = False
    messages.reverse()

    async def receive():
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


async def nothing():
    raise AssertionError("nothing is to be received")


def body_of(*pieces, ends=True, size=None, limits=None, **options):
    headers = {"content-length": str(sum(map(len, pieces)) if size is None else size)}
    headers |= options.pop("headers", {})
    more = {"limits": limits} if limits else {}
    return Body(receiving(*pieces, ends=ends), headers, **more, **options)


async def drain(body, buffer_size=1000):
    """Read as a pool does, with two buffers in turn."""
    result, buffers = [], [bytearray(buffer_size), bytearray(buffer_size)]
    while count := await body.readinto(memoryview(buffers[0])):
        result.append(bytes(buffers[0][:count]))
        buffers.reverse()
    return b"".join(result)


def checksum(name, content=CONTENT):
    running = ALGORITHMS[name].new()
    running.update(content)
    return b64encode(running.digest()).decode()


@pytest.mark.parametrize("buffer_size", [1, 7, 4096, 5000])
@pytest.mark.parametrize("piece_size", [1, 100, 4096])
async def test_bytes_arrive_whole_however_they_are_cut(buffer_size, piece_size):
    pieces = [CONTENT[i : i + piece_size] for i in range(0, len(CONTENT), piece_size)]
    body = body_of(*pieces)
    assert await drain(body, buffer_size) == CONTENT
    assert body.etag == hashlib.md5(CONTENT).hexdigest()


async def test_large_buffers_are_hashed_in_threads_with_the_same_result():
    pieces = [bytes([i]) * 50_000 for i in range(40)]
    content = b"".join(pieces)
    sha256 = hashlib.sha256(content).hexdigest()
    body = body_of(*pieces, payload=sha256, default_algorithm="CRC64NVME")
    assert await drain(body, 300_000) == content
    assert body.etag == hashlib.md5(content).hexdigest()
    assert body.checksums == (
        ("ChecksumCRC64NVME", checksum("CRC64NVME", content)),
        ("Adler32", f"{adler32(content):08x}"),
    )


async def test_messages_without_bytes_change_nothing():
    body = body_of(b"", CONTENT[:10], b"", CONTENT[10:], b"")
    assert await drain(body) == CONTENT


async def test_empty_body_needs_no_message():
    for headers in [{}, {"content-length": "0"}]:
        assert await Body(nothing, headers).read_all(10) == b""


async def test_empty_object_has_its_digests():
    body = Body(receiving(b""), {"content-length": "0"}, default_algorithm="CRC64NVME")
    assert await body.readinto(memoryview(bytearray(10))) == 0
    assert body.etag == "d41d8cd98f00b204e9800998ecf8427e"
    assert body.checksums == (("ChecksumCRC64NVME", "AAAAAAAAAAA="), ("Adler32", "00000001"))


@pytest.mark.parametrize("cut", [0, 1, 2048, 4095])
@pytest.mark.parametrize("ends", [True, False])
async def test_short_body_is_incomplete(cut, ends):
    body = body_of(CONTENT[:cut], ends=ends, size=len(CONTENT))
    with pytest.raises(IncompleteBody):
        await drain(body)


async def test_client_that_leaves_before_the_end_of_the_message_is_incomplete():
    with pytest.raises(IncompleteBody):
        await drain(body_of(CONTENT, ends=False))


@pytest.mark.parametrize("pieces", [(CONTENT + b"x",), (CONTENT, b"x"), (CONTENT, b"", b"x")])
async def test_surplus_is_incomplete(pieces):
    with pytest.raises(IncompleteBody):
        await drain(body_of(*pieces, size=len(CONTENT)))


async def test_length_is_required():
    body = Body(receiving(CONTENT), {"transfer-encoding": "chunked"})
    with pytest.raises(MissingContentLength):
        _ = body.size
    with pytest.raises(MissingContentLength):
        await body.read_all(10)


def test_length_of_a_streaming_body_is_the_decoded_one():
    headers = {"content-length": "99", "x-amz-decoded-content-length": "7"}
    payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert Body(receiving(b""), headers, payload=payload).size == 7
    with pytest.raises(MissingContentLength):
        _ = Body(receiving(b""), {"content-length": "99"}, payload=payload).size


@pytest.mark.parametrize("text", ["", "-1", "+5", "1_0", "5 ", "0x5", "1" * 20, "²"])
def test_malformed_length_is_refused(text):
    with pytest.raises(InvalidArgument):
        Body(receiving(b""), {"content-length": text})


def test_more_than_five_gibibytes_are_too_large():
    assert body_of(b"", size=5 * 1024**3).size == 5 * 1024**3
    with pytest.raises(EntityTooLarge) as error:
        _ = body_of(b"", size=5 * 1024**3 + 1).size
    assert error.value.fields["ProposedSize"] == str(5 * 1024**3 + 1)


async def test_memory_is_taken_for_what_came_not_for_what_was_promised():
    large = 64 << 20
    held = []

    async def receive():
        held.append(tracemalloc.get_traced_memory()[0])
        return {"type": "http.disconnect"}

    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with pytest.raises(IncompleteBody):
            await Body(receive, {"content-length": str(large)}).read_all(large)
    finally:
        tracemalloc.stop()
    assert held[0] - before < 1 << 20


async def test_document_of_many_pieces_is_read_whole():
    document = CONTENT * 100
    body = body_of(*(document[at : at + 999] for at in range(0, len(document), 999)))
    assert await body.read_all(1 << 20) == document
    assert body.etag == hashlib.md5(document).hexdigest()


async def test_documents_are_read_whole_up_to_the_limit():
    assert await body_of(CONTENT[:100], CONTENT[100:]).read_all(4096) == CONTENT
    with pytest.raises(MaxMessageLengthExceeded):
        await Body(nothing, {"content-length": "4096"}).read_all(4095)


async def test_digests_of_documents_are_verified():
    with pytest.raises(BadDigest):
        await body_of(b"other", headers={"content-md5": MD5}).read_all(100)
    with pytest.raises(XAmzContentSHA256Mismatch):
        await Body(receiving(b""), {}, payload="0" * 64).read_all(100)


async def test_content_md5():
    assert await drain(body_of(CONTENT, headers={"content-md5": MD5})) == CONTENT
    with pytest.raises(BadDigest) as error:
        await drain(body_of(CONTENT[:-1] + b"x", headers={"content-md5": MD5}))
    assert error.value.fields["ExpectedDigest"] == MD5


@pytest.mark.parametrize("value", ["", "x", MD5[:-1], "AAAA", MD5 + "AAAA", "é" * 24])
def test_malformed_content_md5_is_refused(value):
    with pytest.raises(InvalidDigest):
        body_of(CONTENT, headers={"content-md5": value})


async def test_sha256_of_the_signature():
    right = hashlib.sha256(CONTENT).hexdigest()
    assert await drain(body_of(CONTENT, payload=right)) == CONTENT
    with pytest.raises(XAmzContentSHA256Mismatch) as error:
        await drain(body_of(CONTENT, payload="0" * 64))
    assert error.value.fields["S3ComputedContentSHA256"] == right


@pytest.mark.parametrize("name", ALGORITHMS)
async def test_declared_checksum_is_verified_and_kept(name):
    header, value = ALGORITHMS[name].header, checksum(name)
    headers = {header: value, "x-amz-sdk-checksum-algorithm": name}
    body = body_of(CONTENT, headers=headers, default_algorithm="CRC64NVME")
    assert await drain(body) == CONTENT
    assert body.checksums[0] == (ALGORITHMS[name].member, value)
    with pytest.raises(BadDigest) as error:
        await drain(body_of(CONTENT[::-1], headers=headers))
    expected = f"The {name} you specified did not match the calculated checksum."
    assert error.value.message == expected


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("value", ["", "AA", "!!!!", "A" * 100])
def test_malformed_checksum_is_refused(name, value):
    with pytest.raises(InvalidRequest):
        body_of(CONTENT, headers={ALGORITHMS[name].header: value})


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA=="},
        {"x-amz-sdk-checksum-algorithm": "CRC32"},
        {"x-amz-sdk-checksum-algorithm": "CRC32C", "x-amz-checksum-crc32": "AAAAAA=="},
        {"x-amz-sdk-checksum-algorithm": "ROT13", "x-amz-checksum-crc32": "AAAAAA=="},
        {"x-amz-trailer": "x-amz-checksum-crc32"},
        {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": "1"},
        {"content-encoding": "gzip, AWS-Chunked", "x-amz-decoded-content-length": "1"},
    ],
)
def test_contradictory_promises_are_refused(headers):
    with pytest.raises(InvalidRequest):
        body_of(CONTENT, headers=headers)


def test_unknown_checksum_is_not_ignored():
    with pytest.raises(errors.NotImplemented):
        body_of(CONTENT, headers={"x-amz-checksum-md6": "AAAA"})


def test_checksum_of_something_else_is_left_alone():
    headers = {"x-amz-checksum-crc32": "not-this-body-3", "x-amz-sdk-checksum-algorithm": "CRC32"}
    assert body_of(CONTENT, headers=headers, has_checksum=False).checksums == ()


def test_signed_chunks_need_a_verifier():
    with pytest.raises(SignatureDoesNotMatch):
        body_of(CONTENT, payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")


async def test_silent_client_times_out():
    async def receive():
        await asyncio.Event().wait()

    body = Body(receive, {"content-length": "5"}, limits=BodyLimits(patience_s=0.01))
    with pytest.raises(RequestTimeout) as error:
        await body.readinto(memoryview(bytearray(5)))
    assert error.value.headers == {"Connection": "close"}


class SlowClock:
    """A loop's clock on which each message takes `seconds` to come."""

    def __init__(self, monkeypatch, seconds):
        self.now, self.seconds = 1000.0, seconds
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)

    def receiving(self, count, size):
        left = count

        async def receive():
            nonlocal left
            left -= 1
            self.now += self.seconds
            await asyncio.sleep(0)
            return {"type": "http.request", "body": bytes(size), "more_body": left > 0}

        return receive


@pytest.mark.parametrize(("size", "is_accepted"), [(10, False), (8_192, True)])
async def test_patience_is_renewed_by_progress_only(monkeypatch, size, is_accepted):
    clock = SlowClock(monkeypatch, 7.0)
    body = Body(clock.receiving(20, size), {"content-length": str(20 * size)})
    if is_accepted:
        assert len(await drain(body, 20 * size)) == 20 * size
    else:
        with pytest.raises(RequestTimeout):
            await drain(body, 20 * size)


SPEAKING = [
    "content-digest", "content-length", "content-md5", "digest", "repr-digest",
    "transfer-encoding", "x-amz-checksum-mode", "x-amz-checksum-new", "x-amz-trailer",
    "x-amz-decoded-content-length", "x-amz-sdk-checksum-algorithm", *BY_HEADER,
]  # fmt: skip
EMPTY = [hashlib.sha256(b"").hexdigest(), "UNSIGNED-PAYLOAD"]


@given(
    st.dictionaries(
        st.sampled_from([*SPEAKING, "accept", "host", "x-amz-date"]),
        st.sampled_from(["", "0", "1", "CRC32", "AAAAAA==", "chunked", "sha-256=:AAAA:"]),
        max_size=4,
    ),
    st.sampled_from(
        [*EMPTY, hashlib.sha256(b"1").hexdigest(), "STREAMING-UNSIGNED-PAYLOAD-TRAILER"]
    ),
)
def test_where_nothing_is_promised_a_body_is_empty_and_right(headers, payload):
    """What is not looked at then would have been found right."""
    if promises_nothing(headers, payload=payload):
        body = Body(receiving(b""), headers, payload=payload)
        assert b"" == asyncio.run(body.read_all(0))


@pytest.mark.parametrize("payload", EMPTY)
def test_most_requests_without_a_body_promise_nothing(payload):
    assert promises_nothing({"host": "h", "content-length": "0"}, payload=payload)
    assert promises_nothing({"x-amz-date": "20261127T000000Z"}, payload=payload)
