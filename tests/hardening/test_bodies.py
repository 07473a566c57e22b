"""Bodies that are not what was promised: nothing is stored, and no space stays used.

Source: hardening reference, section 5, and rows 54, 55 and 57 (CVE-2026-49017, CVE-2016-0737).
"""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest

from tests.support.asgi_client import Answer
from tests.support.served import DiskStore, Store
from tests.support.signing import SIGNED_CHUNKS, UNSIGNED_CHUNKS, Key, sign, signed_chunks
from tests.support.signing import unsigned_chunks as frame
from tests.support.uploads import begin

BODY = b"content"
KEY = Key("AKIAALICE", "secret-of-alice")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


MD5, CRC32 = b64(hashlib.md5(BODY).digest()), b64(zlib.crc32(BODY).to_bytes(4, "big"))
SHA256 = b64(hashlib.sha256(BODY).digest())

REFUSED = {
    "md5 malformed": ({"content-md5": "x"}, (400, "InvalidDigest")),
    "md5 empty": ({"content-md5": ""}, (400, "InvalidDigest")),
    "md5 too short": ({"content-md5": b64(b"short")}, (400, "InvalidDigest")),
    "md5 wrong": ({"content-md5": b64(bytes(16))}, (400, "BadDigest")),
    "crc32 malformed": ({"x-amz-checksum-crc32": "x"}, (400, "InvalidRequest")),
    "crc32 too long": ({"x-amz-checksum-crc32": MD5}, (400, "InvalidRequest")),
    "crc32 wrong": ({"x-amz-checksum-crc32": b64(bytes(4))}, (400, "BadDigest")),
    "crc32c wrong": ({"x-amz-checksum-crc32c": CRC32}, (400, "BadDigest")),
    "crc64nvme wrong": ({"x-amz-checksum-crc64nvme": b64(bytes(8))}, (400, "BadDigest")),
    "sha1 wrong": ({"x-amz-checksum-sha1": b64(bytes(20))}, (400, "BadDigest")),
    "sha256 wrong": ({"x-amz-checksum-sha256": b64(bytes(32))}, (400, "BadDigest")),
    "two checksums": (
        {"x-amz-checksum-crc32": CRC32, "x-amz-checksum-sha256": SHA256},
        (400, "InvalidRequest"),
    ),
    "unknown checksum": ({"x-amz-checksum-crc99": CRC32}, (501, "NotImplemented")),
    "algorithm alone": ({"x-amz-sdk-checksum-algorithm": "CRC32"}, (400, "InvalidRequest")),
    "other algorithm": (
        {"x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": CRC32},
        (400, "InvalidRequest"),
    ),
    "right md5, wrong crc32": (
        {"content-md5": MD5, "x-amz-checksum-crc32": b64(bytes(4))},
        (400, "BadDigest"),
    ),
    "trailer without chunks": ({"x-amz-trailer": "x-amz-checksum-crc32"}, (400, "InvalidRequest")),
    "framing that is not announced": (
        {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": "5"},
        (400, "InvalidRequest"),
    ),
    "length that is no number": ({"content-length": "seven"}, (400, "InvalidArgument")),
    "negative length": ({"content-length": "-7"}, (400, "InvalidArgument")),
    "length beyond 5 GiB": ({"content-length": str(5 * 1024**3 + 1)}, (400, "EntityTooLarge")),
    "length beyond all": ({"content-length": "9" * 30}, (400, "InvalidArgument")),
}


async def put_target(store: Store, kind: str) -> str:
    if kind == "PutObject":
        return "/data/key"
    return f"/data/key?partNumber=1&uploadId={await begin(store.alice, '/data/key')}"


@pytest.mark.parametrize("what", sorted(REFUSED))
@pytest.mark.parametrize("kind", ["PutObject", "UploadPart"])
async def test_broken_promise_stores_nothing(data: Store, kind: str, what: str) -> None:
    target = await put_target(data, kind)
    before = await data.rows()
    headers, outcome = REFUSED[what]
    answer = await data.alice("PUT", target, body=BODY, headers=headers)
    assert answer.outcome == outcome
    assert (await data.rows(), data.pool.blob_count) == (before, 0)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-md5": MD5},
        {"x-amz-checksum-crc32": CRC32},
        {"x-amz-checksum-sha256": SHA256},
        {"content-md5": MD5, "x-amz-checksum-crc32": CRC32},
        {"x-amz-checksum-crc32": CRC32, "x-amz-sdk-checksum-algorithm": "CRC32"},
    ],
)
async def test_promise_that_is_kept_is_taken(data: Store, headers: dict[str, str]) -> None:
    assert (await data.alice("PUT", "/data/key", body=BODY, headers=headers)).status == 200


async def test_body_other_than_the_signed_one_is_refused(data: Store) -> None:
    before = await data.rows()
    other = hashlib.sha256(b"other").hexdigest()
    answer = await data.alice("PUT", "/data/key", body=BODY, payload=other)
    assert answer.outcome == (400, "XAmzContentSHA256Mismatch")
    assert answer.text("ClientComputedContentSHA256") == other
    assert answer.text("S3ComputedContentSHA256") == hashlib.sha256(BODY).hexdigest()
    assert (await data.rows(), data.pool.blob_count) == (before, 0)


async def test_length_must_be_told(data: Store) -> None:
    signed = sign(
        "PUT",
        "http://s3.test/data/key",
        {},
        key=KEY,
        at=data.clock.now(),
        payload="UNSIGNED-PAYLOAD",
    )
    headers = {**signed.headers, "host": "s3.test"}
    with data.untouched():
        missing = await data.nobody.send("PUT", "/data/key", headers)
        chunked = await data.nobody.send(
            "PUT", "/data/key", {**headers, "transfer-encoding": "chunked"}, BODY
        )
    assert missing.outcome == (411, "MissingContentLength")
    assert chunked.outcome == (411, "MissingContentLength")


async def signed_put(
    store: Store, pieces: list[bytes], *, cut: bool, size: int | None = None
) -> Answer:
    length = str(sum(map(len, pieces)) if size is None else size)
    signed = sign(
        "PUT",
        "http://s3.test/data/key",
        {"content-length": length},
        key=KEY,
        at=store.clock.now(),
        payload="UNSIGNED-PAYLOAD",
    )
    headers = {**signed.headers, "host": "s3.test"}
    return await store.nobody.send("PUT", "/data/key", headers, pieces=pieces, cut=cut)


@pytest.mark.parametrize("received", range(len(BODY)))
@pytest.mark.parametrize("cut", [True, False])
async def test_body_shorter_than_promised_stores_nothing(
    data: Store, received: int, cut: bool
) -> None:
    before = await data.rows()
    answer = await signed_put(data, [BODY[:received]], cut=cut, size=len(BODY))
    assert answer.outcome == (400, "IncompleteBody")
    assert (await data.rows(), data.pool.blob_count) == (before, 0)


@pytest.mark.parametrize("pieces", [[BODY, b"!"], [BODY + b"!"], [BODY, b"", b"", b"!!"]])
async def test_body_longer_than_promised_stores_nothing(data: Store, pieces: list[bytes]) -> None:
    before = await data.rows()
    answer = await signed_put(data, pieces, cut=False, size=len(BODY))
    assert answer.outcome == (400, "IncompleteBody")
    assert (await data.rows(), data.pool.blob_count) == (before, 0)


async def test_body_in_any_pieces_is_the_same(data: Store) -> None:
    for pieces in ([bytes([byte]) for byte in BODY], [b"", BODY, b""], [BODY[:3], b"", BODY[3:]]):
        assert (await signed_put(data, pieces, cut=False)).status == 200
        assert (await data.alice("GET", "/data/key")).body == BODY


LARGE = bytes(range(256)) * 36  # 9,216 bytes: two chunks


async def chunked_put(
    store: Store, framed: bytes, *, payload: str, headers: dict[str, str] | None = None
) -> Answer:
    sent = {"x-amz-decoded-content-length": str(len(LARGE)), **(headers or {})}
    return await store.alice("PUT", "/data/key", body=framed, headers=sent, payload=payload)


async def test_unsigned_chunks_cut_anywhere_store_nothing(data: Store) -> None:
    """CVE-2026-49017: a truncated stream must end, and as an error."""
    body = BODY * 3
    whole = frame(body, sizes=[8, 8, 5], trailer=f"x-amz-checksum-crc32:{CRC32_OF_THREE}")
    headers = {"x-amz-decoded-content-length": "21", "x-amz-trailer": "x-amz-checksum-crc32"}
    before = await data.rows()
    for length in range(len(whole)):
        answer = await data.alice(
            "PUT", "/data/key", body=whole[:length], headers=headers, payload=UNSIGNED_CHUNKS
        )
        assert (length, *answer.outcome) == (length, 400, "IncompleteBody")
    assert (await data.rows(), data.pool.blob_count) == (before, 0)
    answer = await data.alice(
        "PUT", "/data/key", body=whole, headers=headers, payload=UNSIGNED_CHUNKS
    )
    assert (answer.status, answer.header("x-amz-checksum-crc32")) == (200, CRC32_OF_THREE)
    assert (await data.alice("GET", "/data/key")).body == body


CRC32_OF_THREE = b64(zlib.crc32(BODY * 3).to_bytes(4, "big"))
TRAILER = {"x-amz-trailer": "x-amz-checksum-crc32"}
CRC32_OF_LARGE = b64(zlib.crc32(LARGE).to_bytes(4, "big"))
GOOD_TRAILER = f"x-amz-checksum-crc32:{CRC32_OF_LARGE}"
FRAMES = {
    "trailer missing": (frame(LARGE, sizes=[9_216]), TRAILER, (400, "MalformedTrailerError")),
    "trailer undeclared": (
        frame(LARGE, sizes=[9_216], trailer=GOOD_TRAILER),
        {},
        (400, "MalformedTrailerError"),
    ),
    "trailer wrong": (
        frame(LARGE, sizes=[9_216], trailer="x-amz-checksum-crc32:AAAAAA=="),
        TRAILER,
        (400, "BadDigest"),
    ),
    "trailer malformed": (
        frame(LARGE, sizes=[9_216], trailer="x-amz-checksum-crc32:x"),
        TRAILER,
        (400, "InvalidRequest"),
    ),
    "trailer without colon": (
        frame(LARGE, sizes=[9_216], trailer="nonsense"),
        TRAILER,
        (400, "MalformedTrailerError"),
    ),
    "too much": (frame(LARGE + b"!", sizes=[9_217]), {}, (400, "IncompleteBody")),
    "too little": (frame(LARGE, sizes=[9_000]), {}, (400, "IncompleteBody")),
    "surplus": (frame(LARGE, sizes=[9_216]) + b"GET /", {}, (400, "IncompleteBody")),
    "no framing": (LARGE, {}, (400, "InvalidRequest")),
    "size with 0x": (b"0x2400\r\n" + LARGE + b"\r\n0\r\n\r\n", {}, (400, "InvalidRequest")),
    "size with sign": (b"-1\r\n" + LARGE + b"\r\n0\r\n\r\n", {}, (400, "InvalidRequest")),
    "huge size": (b"f" * 16 + b"\r\n" + LARGE, {}, (400, "IncompleteBody")),
    "endless line": (b"1;" + b"x" * 5_000, {}, (400, "InvalidRequest")),
}


@pytest.mark.parametrize("what", sorted(FRAMES))
async def test_unsigned_chunks_that_are_wrong_store_nothing(data: Store, what: str) -> None:
    framed, headers, outcome = FRAMES[what]
    before = await data.rows()
    answer = await chunked_put(data, framed, payload=UNSIGNED_CHUNKS, headers=headers)
    assert answer.outcome == outcome
    assert (await data.rows(), data.pool.blob_count) == (before, 0)


async def test_decoded_length_must_be_told(data: Store) -> None:
    with data.untouched():
        answer = await data.alice(
            "PUT", "/data/key", body=frame(LARGE, sizes=[9_216]), payload=UNSIGNED_CHUNKS
        )
    assert answer.outcome == (411, "MissingContentLength")


async def signed_stream(store: Store, change: str = "", sizes: tuple[int, ...] = ()) -> Answer:
    headers = {"x-amz-decoded-content-length": str(len(LARGE)), "content-encoding": "aws-chunked"}
    url = "http://s3.test/data/key"
    signed = sign("PUT", url, headers, key=KEY, at=store.clock.now(), payload=SIGNED_CHUNKS)
    body = signed_chunks(signed, LARGE, key=KEY, sizes=sizes or (8_192, 1_024))
    if change == "byte":
        body = body.replace(LARGE[:8], b"evilevil", 1)
    elif change == "signature":
        body = body.replace(b"chunk-signature=", b"chunk-signature=0", 1)
    elif change == "last signature":
        head, _, _ = body.rpartition(b"=")
        body = head + b"=" + b"0" * 64 + b"\r\n\r\n"
    elif change == "no signature":
        body = frame(LARGE, sizes=[8_192, 1_024])
    elif change == "key":
        body = signed_chunks(signed, LARGE, key=Key(KEY.id, "other"), sizes=sizes or (8_192, 1_024))
    elif change == "end":
        body = body[: body.rindex(b"0;chunk")]
    sent = {**signed.headers, "host": "s3.test", "content-length": str(len(body))}
    return await store.nobody.send("PUT", "/data/key", sent, body)


async def test_signed_chunks_are_stored(data: Store) -> None:
    assert (await signed_stream(data)).status == 200
    got = await data.alice("GET", "/data/key")
    assert (got.body, got.header("content-encoding")) == (LARGE, None)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ("byte", (403, "SignatureDoesNotMatch")),
        ("signature", (403, "SignatureDoesNotMatch")),
        ("last signature", (403, "SignatureDoesNotMatch")),
        ("no signature", (403, "SignatureDoesNotMatch")),
        ("key", (403, "SignatureDoesNotMatch")),
        ("end", (400, "IncompleteBody")),
    ],
)
async def test_signed_chunks_that_were_changed_store_nothing(
    data: Store, change: str, outcome: tuple[int, str]
) -> None:
    before = await data.rows()
    assert (await signed_stream(data, change)).outcome == outcome
    assert (await data.rows(), data.pool.blob_count) == (before, 0)


async def test_signed_chunks_but_the_last_have_8_kib(data: Store) -> None:
    answer = await signed_stream(data, sizes=(8_191, 1_025))
    assert answer.outcome == (403, "InvalidChunkSizeError")
    assert answer.text("BadChunkSizeInBytes") == "8191"


async def test_framing_on_a_route_without_body_is_an_answer(data: Store) -> None:
    """versitygw GHSA-v2ch: aws-chunked on the wrong route crashed."""
    for method, target in (("GET", "/data"), ("DELETE", "/data/key"), ("PUT", "/new-bucket")):
        answer = await data.alice(method, target, body=b"5\r\n", payload=UNSIGNED_CHUNKS)
        assert answer.status in (200, 204, 400, 411)


@pytest.mark.parametrize("size", [1_000, 70_000, 5_000_000])
async def test_upload_cut_anywhere_leaves_nothing_on_the_disks(
    disk_store: DiskStore, size: int
) -> None:
    client = disk_store.root
    await client.made("/data")
    created = await client("POST", "/data/key?uploads")
    upload = created.text("UploadId")
    body = bytes(size)
    before = disk_store.files()
    for target in ("/data/key", f"/data/key?partNumber=1&uploadId={upload}"):
        for received in (0, 1, size // 2, size - 1):
            signed = sign(
                "PUT",
                f"http://s3.test{target}",
                {},
                key=client.key or KEY,
                at=client.now(),
                payload="UNSIGNED-PAYLOAD",
            )
            headers = {**signed.headers, "host": "s3.test", "content-length": str(size)}
            answer = await client.send("PUT", target, headers, pieces=[body[:received]], cut=True)
            assert answer.outcome == (400, "IncompleteBody")
    assert disk_store.files() == before
    assert (await client("GET", "/data/key")).outcome == (404, "NoSuchKey")
    assert (await client("GET", f"/data/key?uploadId={upload}")).texts("Part/PartNumber") == []


@pytest.mark.parametrize("size", [70_000, 5_000_000])
async def test_wrong_digest_leaves_nothing_on_the_disks(disk_store: DiskStore, size: int) -> None:
    client = disk_store.root
    await client.made("/data")
    before = disk_store.files()
    wrong = {"content-md5": b64(bytes(16))}
    answer = await client("PUT", "/data/key", body=bytes(size), headers=wrong)
    assert answer.outcome == (400, "BadDigest")
    assert disk_store.files() == before
