"""Copies: shared bytes, races with deletion and collection, copies between pools, of parts."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from s3server.core import records
from s3server.core.copying import CopySource
from s3server.core.objects import UNCONDITIONAL, Attributes, WriteCondition
from s3server.core.records import BlobRecord, BucketRecord, ObjectRecord, decode
from s3server.errors import NoSuchKey, PreconditionFailed
from tests.support.blobs import pattern
from tests.support.core_store import ATTRIBUTES, Bytes, TestStore

MIB = 1 << 20


def as_it_is(record: ObjectRecord) -> Attributes:
    return replace(ATTRIBUTES, headers=record.headers, metadata=record.metadata)


async def copied(
    store: TestStore, source: tuple[BucketRecord, str], target: tuple[BucketRecord, str]
) -> ObjectRecord:
    return await store.copying.copy(CopySource(*source), target, as_it_is, UNCONDITIONAL)


async def uses(store: TestStore, blob: bytes) -> int:
    row = await store.meta.get(records.blob_key(blob))
    return 0 if row is None else decode(BlobRecord, row).uses


class PartDigests:
    """What ops gives to copy_bytes(): remembers all it was given."""

    def __init__(self) -> None:
        self.data = bytearray()

    def update(self, data: memoryview) -> None:
        self.data += data

    @property
    def etag(self) -> str:
        return Bytes(bytes(self.data)).etag

    @property
    def checksums(self) -> tuple[tuple[str, str], ...]:
        return Bytes(bytes(self.data)).checksums


async def test_copy_shares_the_bytes_of_its_source(store: TestStore) -> None:
    bucket = await store.bucket()
    source = await store.put(bucket, "a", b"data")
    copy = await copied(store, (bucket, "a"), (bucket, "b"))
    assert (source.blob, source.etag, source.checksums) == (copy.blob, copy.etag, copy.checksums)
    assert 2 == await uses(store, source.blob)
    await store.objects.delete(bucket, "a")
    await store.collect_all()
    assert (1, b"data") == (await uses(store, source.blob), await store.body(bucket, "b"))
    await store.verify()


async def test_copy_of_an_empty_object(store: TestStore) -> None:
    bucket = await store.bucket()
    await store.put(bucket, "a", b"")
    assert 0 == (await copied(store, (bucket, "a"), (bucket, "b"))).size
    await store.verify()


async def test_copy_onto_itself_keeps_the_bytes(store: TestStore) -> None:
    bucket = await store.bucket()
    source = await store.put(bucket, "a", b"data")
    copy = await copied(store, (bucket, "a"), (bucket, "a"))
    assert source.sequence + 1 == copy.sequence
    await store.collect_all()
    assert (1, b"data") == (await uses(store, source.blob), await store.body(bucket, "a"))
    assert (1, 4) == await store.counters(bucket)
    await store.verify()


async def test_copy_and_source_given_up_in_any_order_free_the_bytes_once(store: TestStore) -> None:
    bucket = await store.bucket()
    source = await store.put(bucket, "a", b"data")
    await copied(store, (bucket, "a"), (bucket, "b"))
    await copied(store, (bucket, "b"), (bucket, "c"))
    for key in "bac":
        await store.objects.delete(bucket, key)
    await store.collect_all()
    assert 0 == await uses(store, source.blob)
    assert [] == await store.rows(records.BLOB)
    await store.verify()


async def test_copy_refuses_conditions_on_target_and_source(store: TestStore) -> None:
    bucket = await store.bucket()
    await store.put(bucket, "a", b"data")
    await store.put(bucket, "b", b"other")
    with pytest.raises(PreconditionFailed):
        await store.copying.copy(
            CopySource(bucket, "a"), (bucket, "b"), as_it_is, WriteCondition(if_none_match=True)
        )

    def refuse(record: ObjectRecord) -> Attributes:
        raise PreconditionFailed

    with pytest.raises(PreconditionFailed):
        await store.copying.copy(CopySource(bucket, "a"), (bucket, "c"), refuse, UNCONDITIONAL)
    with pytest.raises(NoSuchKey):
        await copied(store, (bucket, "absent"), (bucket, "c"))
    await store.verify()


async def test_copies_race_with_deletion_and_the_collector(store: TestStore) -> None:
    """Without grace, so that the collector frees bytes at the first chance it has."""
    bucket = await store.bucket()

    async def copy(number: int) -> None:
        try:
            await copied(store, (bucket, "a"), (bucket, f"copy{number}"))
        except NoSuchKey:
            return

    async def delete_and_put(number: int) -> None:
        await store.objects.delete(bucket, "a")
        await store.put(bucket, "a", b"again %d" % number)

    async def collect() -> None:
        for _ in range(50):
            store.clock.now += 60_000
            await store.collect.step()

    await store.put(bucket, "a", b"first")
    jobs = [job for n in range(30) for job in (copy(n), delete_and_put(n), copy(n + 100))]
    await asyncio.gather(*jobs, collect())
    await store.collect_all()
    await store.verify()
    page = await store.listing.objects(bucket, prefix="", delimiter="", after="", limit=1_000)
    assert page.objects[1:] != []
    for key, record in page.objects:
        assert record.etag == Bytes(await store.body(bucket, key)).etag


async def test_many_copies_of_one_source(store: TestStore) -> None:
    bucket = await store.bucket()
    source = await store.put(bucket, "a", b"data")
    await asyncio.gather(*(copied(store, (bucket, "a"), (bucket, f"b{n}")) for n in range(200)))
    assert 201 == await uses(store, source.blob)
    await store.verify()


async def test_copy_between_pools_moves_the_bytes(store: TestStore) -> None:
    here, there = await store.bucket(), await store.bucket("there", pool="other")
    data = pattern(2 * MIB + 3)
    source = await store.put(here, "a", data)
    copy = await copied(store, (here, "a"), (there, "a"))
    assert source.blob != copy.blob
    assert (source.etag, source.checksums) == (copy.etag, copy.checksums)
    await store.objects.delete(here, "a")
    await store.collect_all()
    assert data == await store.streamed(there, "a")
    await store.verify()


async def test_copied_bytes_are_digested_as_they_pass(store: TestStore) -> None:
    bucket = await store.bucket()
    data = pattern(3 * MIB + 7)
    record = await store.put(bucket, "a", data)
    digests = PartDigests()
    ref = await store.copying.copy_bytes(record, 5, 2 * MIB + 11, "other", digests)
    assert ref is not None
    assert ("other", 2 * MIB + 6) == (ref.pool, ref.size)
    assert data[5 : 2 * MIB + 11] == bytes(digests.data)
    assert data[5 : 2 * MIB + 11] == await store.pools["other"].read(ref, 0, ref.size)


async def test_no_bytes_need_no_blob(store: TestStore) -> None:
    bucket = await store.bucket()
    record = await store.put(bucket, "a", b"data")
    digests = PartDigests()
    assert await store.copying.copy_bytes(record, 4, 4, "main", digests) is None
    assert Bytes(b"").etag == digests.etag
