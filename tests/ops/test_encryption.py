"""Server-side encryption: what is stored, who can read it, ranges, parts, copies, forms."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

import pytest

from s3server.core.keys import KeyRing
from tests.support.asgi_client import Answer, Client
from tests.support.forms import encode_form, post, signed_fields
from tests.support.served import DiskStore, Store
from tests.support.uploads import begin, complete, send_part

SSE = {"x-amz-server-side-encryption": "AES256"}
BODY = b"".join(b"%08d" % number for number in range(40_000))  # 320,000 bytes: five segments
PART = 5 * 1024 * 1024


def customer(letter: bytes = b"k", prefix: str = "") -> dict[str, str]:
    key, name = letter * 32, f"x-amz-{prefix}server-side-encryption-customer-"
    return {
        f"{name}algorithm": "AES256",
        f"{name}key": base64.b64encode(key).decode(),
        f"{name}key-md5": base64.b64encode(hashlib.md5(key).digest()).decode(),
    }


COPY_SOURCE = "copy-source-"
MODES = [pytest.param(SSE, id="SSE-S3"), pytest.param(customer(), id="SSE-C")]


def needed(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what a read has to send of an upload's headers."""
    return {name: value for name, value in headers.items() if "customer" in name}


@pytest.fixture
async def safe(data: Store) -> Store:
    """Alice's bucket; she speaks TLS."""
    return data


def tls(store: Store) -> Client:
    return store.alice.changed(scheme="https")


def stored(store: Store) -> bytes:
    return b"".join(store.pool._blobs.values())


@pytest.mark.parametrize("headers", MODES)
async def test_object_comes_back_and_lies_encrypted(safe: Store, headers: dict[str, str]) -> None:
    put = await tls(safe)("PUT", "/data/key", body=BODY, headers=headers)
    assert put.status == 200
    got = await tls(safe)("GET", "/data/key", headers=needed(headers))
    assert (got.status, got.body) == (200, BODY)
    assert got.header("content-length") == str(len(BODY))
    assert BODY[:64] not in stored(safe)
    for answer in (put, got):
        told = {name: value for name, value in answer.headers if "server-side" in name}
        expected = {n: v for n, v in headers.items() if not n.endswith("customer-key")}
        assert told == expected
    listed = await safe.alice("GET", "/data?list-type=2")
    assert listed.texts("Contents/Size") == [str(len(BODY))]


@pytest.mark.parametrize("headers", MODES)
@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 1), (65_535, 65_537), (65_536, 131_072), (319_999, 320_000), (7, 200_001)],
)
async def test_ranges_are_those_of_the_object(
    safe: Store, headers: dict[str, str], start: int, stop: int
) -> None:
    await tls(safe).made("/data/key", body=BODY, headers=headers)
    asked = {"range": f"bytes={start}-{stop - 1}", **needed(headers)}
    got = await tls(safe)("GET", "/data/key", headers=asked)
    assert (got.status, got.body) == (206, BODY[start:stop])


async def test_range_reads_only_the_segments_that_it_touches(safe: Store) -> None:
    await safe.alice.made("/data/key", body=BODY, headers=SSE)
    asked: list[tuple[int, int]] = []
    read = safe.pool.read

    async def watched(ref: object, start: int, stop: int) -> bytes:
        asked.append((start, stop))
        return await read(ref, start, stop)  # type: ignore[arg-type]

    safe.pool.read = watched  # type: ignore[method-assign]
    got = await safe.alice("GET", "/data/key", headers={"range": "bytes=200000-200009"})
    assert got.body == BODY[200_000:200_010]
    assert sum(stop - start for start, stop in asked) == 16 + 65_536 + 16


async def test_several_ranges_come_decrypted(safe: Store) -> None:
    await safe.alice.made("/data/key", body=BODY, headers=SSE)
    got = await safe.alice("GET", "/data/key", headers={"range": "bytes=0-7,300000-300007"})
    assert got.status == 206
    assert BODY[:8] in got.body
    assert BODY[300_000:300_008] in got.body


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3_000_000])
async def test_any_size_comes_back(safe: Store, size: int) -> None:
    content = (BODY * 10)[:size]
    await safe.alice.made("/data/key", body=content, headers=SSE)
    assert (await safe.alice("GET", "/data/key")).body == content


async def test_encrypted_object_on_disks_streams(disk_store: DiskStore) -> None:
    await disk_store.root.made("/data")
    content = BODY * 12
    await disk_store.root.made("/data/key", body=content, headers=SSE)
    assert (await disk_store.root("GET", "/data/key")).body == content


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_customers_key_is_needed_and_must_be_the_same(safe: Store, method: str) -> None:
    await tls(safe).made("/data/key", body=BODY, headers=customer())
    await safe.alice.made("/data/plain", body=BODY)
    client = tls(safe)
    assert (await client(method, "/data/key")).status == 400
    assert (await client(method, "/data/key", headers=customer(b"x"))).status == 403
    assert (await client(method, "/data/plain", headers=customer())).status == 400
    assert (await client(method, "/data/key", headers=customer())).status == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"key-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "InvalidArgument"),
        ({"key": "AAAA"}, "InvalidArgument"),
        ({"key": "!"}, "InvalidArgument"),
        ({"algorithm": "AES128"}, "InvalidEncryptionAlgorithmError"),
        ({"key": ""}, "InvalidArgument"),
    ],
)
async def test_malformed_customer_key_is_refused(
    safe: Store, change: dict[str, str], code: str
) -> None:
    name = "x-amz-server-side-encryption-customer-"
    headers = customer() | {name + part: value for part, value in change.items()}
    with safe.untouched():
        answer = await tls(safe)("PUT", "/data/key", body=BODY, headers=headers)
    assert answer.outcome == (400, code)


async def test_customers_key_needs_tls(safe: Store) -> None:
    with safe.untouched():
        answer = await safe.alice("PUT", "/data/key", body=BODY, headers=customer())
    assert answer.outcome == (400, "InvalidRequest")


async def test_customers_key_is_kept_nowhere(
    safe: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    await tls(safe).made("/data/key", body=BODY, headers=customer())
    await tls(safe)("GET", "/data/key", headers=customer(b"x"))
    rows = b"".join(row for _, row in await safe.rows())
    text = customer()["x-amz-server-side-encryption-customer-key"]
    assert b"k" * 32 not in rows
    assert text.encode() not in rows
    printed = capsys.readouterr()
    assert text not in printed.out + printed.err


async def test_kms_is_not_done(safe: Store) -> None:
    headers = {"x-amz-server-side-encryption": "aws:kms"}
    with safe.untouched():
        answer = await safe.alice("PUT", "/data/key", body=BODY, headers=headers)
    assert answer.outcome == (501, "NotImplemented")


@pytest.mark.parametrize("headers", MODES)
async def test_parts_are_encrypted_and_read_as_one(safe: Store, headers: dict[str, str]) -> None:
    client, pieces = tls(safe), [b"a" * PART, b"b" * 100_000]
    upload = await begin(client, "/data/key", headers)
    parts = [
        await send_part(client, "/data/key", upload, number, piece, needed(headers))
        for number, piece in enumerate(pieces, 1)
    ]
    assert (await complete(client, "/data/key", upload, parts)).status == 200
    asked = {"range": f"bytes={PART - 3}-{PART + 2}", **needed(headers)}
    assert (await client("GET", "/data/key", headers=asked)).body == b"aaabbb"
    whole = await client("GET", "/data/key", headers=needed(headers))
    assert whole.body == b"".join(pieces)
    assert b"a" * 64 not in stored(safe)


async def test_part_needs_the_key_of_its_upload(safe: Store) -> None:
    client = tls(safe)
    upload = await begin(client, "/data/key", customer())
    target = f"/data/key?partNumber=1&uploadId={upload}"
    assert (await client("PUT", target, body=b"x")).outcome == (400, "InvalidRequest")
    other = await client("PUT", target, body=b"x", headers=customer(b"x"))
    assert other.outcome == (403, "AccessDenied")


STATES = {"plain": {}, "SSE-S3": SSE, "SSE-C": customer(), "other SSE-C": customer(b"o")}


@pytest.mark.parametrize("before", list(STATES))
@pytest.mark.parametrize("after", list(STATES))
async def test_copies_go_between_all_states(safe: Store, before: str, after: str) -> None:
    client, source, target = tls(safe), STATES[before], STATES[after]
    await client.made("/data/key", body=BODY, headers=source)
    blobs = safe.pool.blob_count
    letter = {"SSE-C": b"k", "other SSE-C": b"o"}.get(before)
    opens = customer(letter, COPY_SOURCE) if letter else {}
    headers = {"x-amz-copy-source": "/data/key", **target, **opens}
    copied = await client("PUT", "/data/copy", headers=headers)
    assert copied.status == 200, copied.body
    got = await client("GET", "/data/copy", headers=needed(target))
    assert (got.status, got.body) == (200, BODY)
    moved = (before == "plain") != (after == "plain")
    assert safe.pool.blob_count == blobs + moved  # else the same bytes, and a key wrapped anew


async def test_copy_of_a_part_is_encrypted_for_its_upload(safe: Store) -> None:
    client = tls(safe)
    await client.made("/data/key", body=BODY, headers=customer())
    upload = await begin(client, "/data/copy", SSE)
    headers = {"x-amz-copy-source": "/data/key", **customer(b"k", COPY_SOURCE)}
    target = f"/data/copy?partNumber=1&uploadId={upload}"
    part = await client("PUT", target, headers=headers)
    assert part.status == 200, part.body
    etag = part.text("ETag") or ""
    assert (await complete(client, "/data/copy", upload, [(1, etag)])).status == 200
    assert (await client("GET", "/data/copy")).body == BODY


@pytest.mark.parametrize("size", [1_000, 3_000_000])
async def test_forms_are_encrypted_too(safe: Store, size: int) -> None:
    rules = [{"bucket": "data"}, ["starts-with", "$key", ""], SSE]
    fields = signed_fields(safe.alice, rules, {"key": "form", **SSE})
    content = (BODY * 10)[:size]
    assert (await post(safe.nobody, "/data", encode_form(fields, content))).status == 204
    assert (await safe.alice("GET", "/data/form")).body == content
    assert content[:64] not in stored(safe)


async def test_rotated_ring_reads_what_it_wrapped(safe: Store) -> None:
    await safe.alice.made("/data/old", body=BODY, headers=SSE)
    ring = KeyRing(safe.keys)
    before = safe.keys.read_text()
    assert ring.rotate() not in before
    await safe.alice.made("/data/new", body=BODY, headers=SSE)
    for key in ("old", "new"):
        assert (await safe.alice("GET", f"/data/{key}")).body == BODY
    assert len(safe.keys.read_text().split()) == 2
    assert safe.keys.stat().st_mode & 0o077 == 0


async def test_damaged_segment_is_not_served(safe: Store) -> None:
    await safe.alice.made("/data/key", body=BODY, headers=SSE)
    ((name, blob),) = safe.pool._blobs.items()
    changed = bytearray(blob)
    changed[70_000] ^= 1
    safe.pool._blobs[name] = bytes(changed)
    answer: Answer = await safe.alice("GET", "/data/key")
    assert answer.status == 500
    assert BODY[:64] not in answer.body


async def test_md5_of_the_bytes_is_not_told_of_them(safe: Store) -> None:
    await safe.alice.made("/data/key", body=BODY, headers=SSE)
    got = await safe.alice("HEAD", "/data/key", headers={"want-digest": "md5"})
    assert got.header("digest") is None


def is_md5_of(answer: Answer, data: bytes) -> bool:
    etag = (answer.header("etag") or answer.text("ETag") or "").strip('"')
    assert len(bytes.fromhex(etag)) == 16  # what clients take for that of one upload
    return etag == hashlib.md5(data).hexdigest()


async def test_etag_is_the_md5_but_of_objects_with_customers_keys(safe: Store) -> None:
    client, etags = tls(safe), set()
    assert is_md5_of(await client("PUT", "/data/sse-s3", body=BODY, headers=SSE), BODY)
    for key in ("one", "two"):
        put = await client("PUT", f"/data/{key}", body=BODY, headers=customer())
        got = await client("GET", f"/data/{key}", headers=customer())
        assert not is_md5_of(put, BODY)
        assert put.header("etag") == got.header("etag")
        etags.add(put.header("etag"))
    assert len(etags) == 2  # nor does it tell that two hold the same
    matched = customer() | {"if-match": etags.pop() or ""}
    statuses = [
        (await client("HEAD", f"/data/{key}", headers=matched)).status for key in ("one", "two")
    ]
    assert sorted(statuses) == [200, 412]


@pytest.mark.parametrize("after", list(STATES))
async def test_etag_follows_the_encryption_of_a_copy(safe: Store, after: str) -> None:
    client = tls(safe)
    await client.made("/data/key", body=BODY, headers=customer())
    headers = {"x-amz-copy-source": "/data/key", **STATES[after], **customer(b"k", COPY_SOURCE)}
    copied = await client("PUT", "/data/copy", headers=headers)
    assert is_md5_of(copied, BODY) == (after in ("plain", "SSE-S3"))


async def test_etag_of_a_part_with_a_customers_key_is_not_its_md5(safe: Store) -> None:
    client = tls(safe)
    await client.made("/data/source", body=BODY)
    upload = await begin(client, "/data/key", customer())
    target = f"/data/key?partNumber=1&uploadId={upload}"
    sent = await client("PUT", target, body=BODY, headers=customer())
    copy = customer() | {"x-amz-copy-source": "/data/source"}
    copied = await client("PUT", target, headers=copy)
    assert not is_md5_of(sent, BODY)
    assert not is_md5_of(copied, BODY)


async def test_customers_key_without_its_algorithm_is_refused_on_reads(safe: Store) -> None:
    await safe.alice.made("/data/key", body=BODY)
    name = "x-amz-server-side-encryption-customer-key"
    got = await tls(safe)("GET", "/data/key", headers={name: customer()[name]})
    assert got.outcome == (400, "InvalidArgument")
