"""Multipart uploads: composition, validation, retries, and races of complete, abort and parts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import pytest

from s3server.core import records
from s3server.core.multipart import (
    MIN_PART_BYTES,
    ChosenPart,
    choose_parts,
    format_upload_id,
    multipart_etag,
)
from s3server.core.objects import UNCONDITIONAL, WriteCondition
from s3server.core.records import BucketRecord, ObjectRecord, PartRecord
from s3server.data.memory import MemoryPool
from s3server.errors import (
    EntityTooSmall,
    InvalidPart,
    InvalidPartOrder,
    NoSuchBucket,
    NoSuchUpload,
    PreconditionFailed,
)
from tests.support.blobs import pattern
from tests.support.core_store import ATTRIBUTES, Bytes, TestStore, no_digest

FULL = pattern(MIN_PART_BYTES)


async def begin(store: TestStore, bucket: BucketRecord, key: str = "key") -> str:
    return format_upload_id((await store.multipart.create(bucket, key, ATTRIBUTES)).id)


async def add(
    store: TestStore, bucket: BucketRecord, upload: str, number: int, data: bytes
) -> ChosenPart:
    part = await store.multipart.put_part(bucket, "key", upload, number, Bytes(data))
    return ChosenPart(part.number, part.etag)


async def complete(
    store: TestStore,
    bucket: BucketRecord,
    upload: str,
    chosen: Sequence[ChosenPart],
    condition: WriteCondition = UNCONDITIONAL,
) -> ObjectRecord:
    return await store.multipart.complete(
        bucket, "key", upload, chosen, summarise=no_digest, condition=condition
    )


def blob_count(store: TestStore) -> int:
    pool = store.pools["main"]
    assert isinstance(pool, MemoryPool)
    return pool.blob_count


async def test_parts_become_one_object_in_their_order(store: TestStore) -> None:
    bucket = await store.bucket()
    upload = await begin(store, bucket)
    last = await add(store, bucket, upload, 7, b"end")
    first = await add(store, bucket, upload, 2, FULL)
    record = await complete(store, bucket, upload, [first, last])
    assert (len(FULL) + 3, 2) == (record.size, record.part_count)
    md5s = hashlib.md5(FULL).digest() + hashlib.md5(b"end").digest()
    assert f"{hashlib.md5(md5s).hexdigest()}-2" == record.etag
    assert FULL + b"end" == await store.body(bucket, "key")
    assert FULL + b"end" == await store.streamed(bucket, "key")
    assert (1, record.size) == await store.counters(bucket)
    await store.verify()


async def test_ranges_across_parts(store: TestStore) -> None:
    bucket = await store.bucket()
    upload = await begin(store, bucket)
    chosen = [await add(store, bucket, upload, n, FULL) for n in (1, 2)]
    chosen.append(await add(store, bucket, upload, 3, b"the end"))
    record = await complete(store, bucket, upload, chosen)
    whole, size = FULL * 2 + b"the end", len(FULL)
    blob = await store.objects.blob_of(record)
    edges = [0, 1, size - 1, size, size + 1, 2 * size, 2 * size + 3, record.size]
    for start in edges:
        for stop in [edge for edge in edges if edge > start]:
            assert whole[start:stop] == await store.objects.read(blob, start, stop)


async def test_parts_left_out_are_freed(store: TestStore) -> None:
    bucket = await store.bucket()
    upload = await begin(store, bucket)
    chosen = [await add(store, bucket, upload, 1, b"chosen")]
    await add(store, bucket, upload, 2, b"left out")
    await complete(store, bucket, upload, chosen)
    await store.collect_all()
    assert 1 == blob_count(store)
    assert [] == await store.rows(records.PART)
    await store.verify()


async def test_part_replaces_an_earlier_one_of_its_number(store: TestStore) -> None:
    bucket = await store.bucket()
    upload = await begin(store, bucket)
    old = await add(store, bucket, upload, 1, b"old")
    new = await add(store, bucket, upload, 1, b"new")
    with pytest.raises(InvalidPart):
        await complete(store, bucket, upload, [old])
    await complete(store, bucket, upload, [new])
    await store.collect_all()
    assert (b"new", 1) == (await store.body(bucket, "key"), blob_count(store))
    await store.verify()


async def test_deleted_object_frees_all_its_parts(store: TestStore) -> None:
    bucket = await store.bucket()
    upload = await begin(store, bucket)
    chosen = [await add(store, bucket, upload, n, FULL) for n in (1, 2)]
    await complete(store, bucket, upload, chosen)
    await store.objects.delete(bucket, "key")
    await store.collect_all()
    assert (0, []) == (blob_count(store), await store.rows(records.BLOB))
    await store.verify()


async def test_upload_of_one_empty_part(store: TestStore) -> None:
    bucket = await store.bucket()
    upload = await begin(store, bucket)
    record = await complete(store, bucket, upload, [await add(store, bucket, upload, 1, b"")])
    assert (0, b"") == (record.size, await store.body(bucket, "key"))
    await store.objects.delete(bucket, "key")
    await store.collect_all()
    assert [] == await store.rows(records.BLOB)
    await store.verify()


async def test_abort_frees_everything_and_refuses_what_comes_later(store: TestStore) -> None:
    bucket = await store.bucket()
    upload = await begin(store, bucket)
    chosen = [await add(store, bucket, upload, n, b"data") for n in (1, 2, 10_000)]
    await store.multipart.abort(bucket, "key", upload)
    with pytest.raises(NoSuchUpload):
        await store.multipart.abort(bucket, "key", upload)
    with pytest.raises(NoSuchUpload):
        await add(store, bucket, upload, 1, b"late")
    with pytest.raises(NoSuchUpload):
        await complete(store, bucket, upload, chosen)
    await store.collect_all()
    assert 0 == blob_count(store)
    assert [] == await store.rows(records.PART) + await store.rows(records.UPLOAD)


async def test_complete_may_be_repeated_until_the_object_is_replaced(store: TestStore) -> None:
    bucket = await store.bucket()
    upload = await begin(store, bucket)
    chosen = [await add(store, bucket, upload, 1, b"data")]
    condition = WriteCondition(if_none_match=True)
    first = await complete(store, bucket, upload, chosen, condition)
    assert first == await complete(store, bucket, upload, chosen, condition)
    assert (1, 4) == await store.counters(bucket)
    await store.put(bucket, "key", b"other")
    with pytest.raises(NoSuchUpload):
        await complete(store, bucket, upload, chosen)


async def test_refused_condition_keeps_the_upload(store: TestStore) -> None:
    bucket = await store.bucket()
    await store.put(bucket, "key", b"here")
    upload = await begin(store, bucket)
    chosen = [await add(store, bucket, upload, 1, b"data")]
    with pytest.raises(PreconditionFailed):
        await complete(store, bucket, upload, chosen, WriteCondition(if_none_match=True))
    await complete(store, bucket, upload, chosen)
    assert b"data" == await store.body(bucket, "key")
    await store.verify()


async def test_upload_of_another_key_or_bucket_is_none(store: TestStore) -> None:
    bucket, other = await store.bucket(), await store.bucket("other-bucket")
    upload = await begin(store, bucket)
    for wrong in [(other, "key", upload), (bucket, "key2", upload), (bucket, "key", "f" * 32),
                  (bucket, "key", "nonsense"), (bucket, "key", upload.upper() + "A"),
                  (bucket, "key", "")]:  # fmt: skip
        with pytest.raises(NoSuchUpload):
            await store.multipart.get(*wrong)


async def test_upload_into_a_bucket_that_went_meanwhile(store: TestStore) -> None:
    bucket = await store.bucket()
    await store.buckets.delete(bucket)
    with pytest.raises(NoSuchBucket):
        await begin(store, bucket)


async def test_parts_are_listed_in_pages(store: TestStore) -> None:
    bucket = await store.bucket()
    upload = await begin(store, bucket)
    for number in (300, 1, 256, 10_000):
        await add(store, bucket, upload, number, b"x")
    found = await store.multipart.get(bucket, "key", upload)

    async def numbers(after: int, limit: int) -> list[int]:
        parts = await store.multipart.parts(found.id, after=after, limit=limit)
        return [part.number for part in parts]

    assert [1, 256] == await numbers(0, 2)
    assert [300, 10_000] == await numbers(256, 5)
    assert [[], [], [1]] == [await numbers(n, 1) for n in (10_000, 1 << 40, -1)]


def part(number: int, size: int = MIN_PART_BYTES) -> PartRecord:
    sums = (("ChecksumCRC32", f"sum{number}"),)
    return PartRecord(number=number, size=size, etag="00" * 16, modified_ms=0, checksums=sums)


def choice(number: int, etag: str = "00" * 16, checksum: str = "") -> ChosenPart:
    return ChosenPart(number, etag, (("ChecksumCRC32", checksum),) if checksum else ())


def test_chosen_parts_are_verified() -> None:
    parts = [part(1), part(2, 1), part(3, 0)]
    assert [parts[0], parts[1]] == choose_parts(parts, [choice(1, checksum="sum1"), choice(2)])
    with pytest.raises(InvalidPartOrder):
        choose_parts(parts, [choice(2), choice(1)])
    with pytest.raises(InvalidPartOrder):
        choose_parts(parts, [choice(1), choice(1)])
    with pytest.raises(EntityTooSmall):
        choose_parts(parts, [choice(2), choice(3)])
    for wrong in (choice(4), choice(1, "11" * 16), choice(1, checksum="sum2")):
        with pytest.raises(InvalidPart):
            choose_parts(parts, [wrong])


def test_etag_counts_the_parts() -> None:
    digest = hashlib.md5(bytes(32)).hexdigest()
    assert f"{digest}-2" == multipart_etag([part(1), part(2)])


@pytest.mark.parametrize("seed", range(8))
async def test_complete_races_with_parts(store: TestStore, seed: int) -> None:
    """The object has exactly the parts named, whatever comes in meanwhile; nothing is left."""
    bucket = await store.bucket()
    upload = await begin(store, bucket)
    chosen = [await add(store, bucket, upload, 1, b"first")]

    async def late(number: int) -> None:
        for _ in range(seed):
            await asyncio.sleep(0)
        try:
            await add(store, bucket, upload, number, b"late %d" % number)
        except NoSuchUpload:
            return

    async def finish() -> ObjectRecord | None:
        for _ in range(3):
            await asyncio.sleep(0)
        try:
            return await complete(store, bucket, upload, chosen)
        except InvalidPart:  # a late part 1 came first
            return None

    *_, record = await asyncio.gather(*(late(n % 4 + 1) for n in range(12)), finish())
    await store.verify()
    if record is None:
        await store.multipart.abort(bucket, "key", upload)
    else:
        assert b"first" == await store.body(bucket, "key")
    await store.collect_all()
    await store.verify()
    assert (0 if record is None else 1) == blob_count(store)


@pytest.mark.parametrize("seed", range(6))
async def test_complete_races_with_abort(store: TestStore, seed: int) -> None:
    bucket = await store.bucket()
    upload = await begin(store, bucket)
    chosen = [await add(store, bucket, upload, 1, b"data")]

    async def abort() -> bool:
        for _ in range(seed):
            await asyncio.sleep(0)
        try:
            await store.multipart.abort(bucket, "key", upload)
        except NoSuchUpload:
            return False
        return True

    async def finish() -> bool:
        for _ in range(2):
            await asyncio.sleep(0)
        try:
            await complete(store, bucket, upload, chosen)
        except NoSuchUpload:
            return False
        return True

    aborted, completed = await asyncio.gather(abort(), finish())
    assert aborted != completed
    await store.collect_all()
    await store.verify()
    assert int(completed) == blob_count(store)


async def test_one_of_many_completes_wins_and_all_are_told_the_same(store: TestStore) -> None:
    bucket = await store.bucket()
    upload = await begin(store, bucket)
    chosen = [await add(store, bucket, upload, 1, b"data")]
    found = await asyncio.gather(*(complete(store, bucket, upload, chosen) for _ in range(20)))
    assert 1 == len({record.blob for record in found})
    assert 1 == len({record.sequence for record in found})
    await store.verify()
