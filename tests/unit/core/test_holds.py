"""A long download of a multipart object outlives its being overwritten and collected."""

from __future__ import annotations

import pytest

from s3server.core import records
from s3server.core.blobs import begun
from s3server.core.holds import HELD_FOR_MS, held_blobs
from s3server.core.multipart import ChosenPart, format_upload_id
from s3server.core.objects import UNCONDITIONAL
from s3server.core.records import BucketRecord, encode
from s3server.core.upkeep_records import HoldRecord, hold_key
from s3server.meta.base import Put, Row, after_prefix
from s3server.meta.memory import MemoryStore
from tests.support.blobs import pattern
from tests.support.core_store import ATTRIBUTES, GRACE_MS, Bytes, TestStore, no_digest

PARTS = [pattern(5 << 20, seed) for seed in range(4)]


async def put_in_parts(store: TestStore, bucket: BucketRecord) -> None:
    upload = await store.multipart.create(bucket, "key", ATTRIBUTES)
    name, chosen = format_upload_id(upload.id), []
    for number, data in enumerate(PARTS, 1):
        part = await store.multipart.put_part(bucket, "key", name, number, Bytes(data))
        chosen.append(ChosenPart(number, part.etag))
    await store.multipart.complete(
        bucket, "key", name, chosen, summarise=no_digest, condition=UNCONDITIONAL
    )


async def held(store: TestStore) -> int:
    prefix = hold_key(b"")
    return len(await store.meta.scan(prefix, after_prefix(prefix), limit=10))


@pytest.mark.parametrize("is_deleted", [True, False])
@pytest.mark.parametrize("passed_ms", [GRACE_MS // 4, -3_600_000])
async def test_download_goes_on_when_its_object_is_gone(
    store: TestStore, is_deleted: bool, passed_ms: int
) -> None:
    bucket = await store.bucket()
    await put_in_parts(store, bucket)
    record = await store.objects.get(bucket, "key")
    stream = store.objects.stream(await store.objects.blob_of(record), 0, record.size)
    pieces = [await anext(stream)]
    store.clock.now += passed_ms
    await store.blobs.holds.renew()
    if is_deleted:
        await store.objects.delete(bucket, "key")
    else:
        await store.put(bucket, "key", b"new")
    await store.put(bucket, "other", b"x")
    await store.objects.delete(bucket, "other")
    store.clock.now += 2 * GRACE_MS
    await store.blobs.holds.renew()
    while (await store.collect.step()).has_more:
        pass
    assert 5 + (not is_deleted) == len(await store.rows(records.BLOB))
    pieces += [piece async for piece in stream]
    assert b"".join(PARTS) == b"".join(pieces)

    await store.blobs.holds.renew()
    assert 0 == await held(store)
    await store.collect_all()
    assert (0 if is_deleted else 1) == len(await store.rows(records.BLOB))
    await store.verify()


async def test_short_download_writes_nothing(store: TestStore) -> None:
    bucket = await store.bucket()
    await put_in_parts(store, bucket)
    assert b"".join(PARTS) == await store.streamed(bucket, "key")
    await store.blobs.holds.renew()
    assert 0 == await held(store)


async def test_what_a_process_held_that_died_is_collected_a_little_later(store: TestStore) -> None:
    bucket = await store.bucket()
    await put_in_parts(store, bucket)
    record = await store.objects.get(bucket, "key")
    stream = await begun(store.objects.stream(await store.objects.blob_of(record), 0, record.size))
    store.clock.now += GRACE_MS
    await store.blobs.holds.renew()
    await store.objects.delete(bucket, "key")
    assert 1 == await held(store)
    store.clock.now += HELD_FOR_MS + 1
    await store.collect_all()
    assert 0 == len(await store.rows(records.BLOB)) == await held(store)
    await stream.aclose()


class RenewedMeanwhile(MemoryStore):
    """Commits a write once something was read: another process is faster."""

    meanwhile: Put | None = None

    async def scan(self, start: bytes, stop: bytes, *, limit: int) -> list[Row]:
        rows = await super().scan(start, stop, limit=limit)
        if self.meanwhile is not None:
            await self.commit([self.meanwhile])
            self.meanwhile = None
        return rows


async def test_row_that_is_renewed_as_it_runs_out_stays() -> None:
    store, key = RenewedMeanwhile(), hold_key(b"process")
    now_ms = 10 * HELD_FOR_MS
    await store.commit([Put(key, encode(HoldRecord(blobs=(b"x",), until_ms=now_ms - 1)))])
    renewed = encode(HoldRecord(blobs=(b"x",), until_ms=now_ms + HELD_FOR_MS))
    store.meanwhile = Put(key, renewed)
    await held_blobs(store, now_ms)
    assert await store.get(key) == renewed
