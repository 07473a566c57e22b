"""The S3 semantics of one store on any engines, and what must be true of what it keeps."""

from __future__ import annotations

import hashlib
import itertools
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from msgspec.structs import replace

from s3server.core import records
from s3server.core.blobs import Blobs
from s3server.core.buckets import Buckets
from s3server.core.clock import Ids
from s3server.core.copying import Copying
from s3server.core.listing import Listing
from s3server.core.multipart import Digest, Multipart
from s3server.core.objects import Attributes, Objects, Pairs
from s3server.core.project_records import TALLY
from s3server.core.projects import DEFAULT_ACCOUNT
from s3server.core.records import (
    BlobRecord,
    BucketRecord,
    GarbageRecord,
    ObjectRecord,
    PartRecord,
    UploadRecord,
    decode,
)
from s3server.core.recount import Recount
from s3server.data.base import Pool
from s3server.jobs.collect import Collect
from s3server.meta.base import MetadataStore, Row, after_prefix, decode_counter
from s3server.model import Principal
from tests.support.blobs import BytesSource

OWNER = Principal("user", "1" * 64, "owner", DEFAULT_ACCOUNT)
ATTRIBUTES = Attributes(owner=OWNER.id)
GRACE_MS = 60_000


@dataclass
class ManualClock:
    """A clock that stands still until a test moves it."""

    now: int = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.now


class NumberedIds(Ids):
    """Identifiers that differ, the same ones in every run."""

    def __init__(self, clock: ManualClock, process: int = 1) -> None:
        super().__init__(clock)
        self._process, self._numbers = process, itertools.count(1)

    def blob_id(self) -> bytes:
        return self._process.to_bytes(8, "big") + next(self._numbers).to_bytes(8, "big")

    upload_id = blob_id

    def bucket_id(self) -> bytes:
        return self.blob_id()[8:]

    def sequence_after(self, previous: int) -> int:
        return previous + 1


class Bytes(BytesSource):
    """Bytes as a client sends them, with their digests."""

    def __init__(self, data: bytes, **options: object) -> None:
        super().__init__(data, **options)  # type: ignore[arg-type]
        self.etag = hashlib.md5(data).hexdigest()
        checksum = b64encode(crc32(data).to_bytes(4, "big")).decode()
        self.checksums: Pairs = (("ChecksumCRC32", checksum),)


def no_digest(upload: UploadRecord, parts: Sequence[PartRecord]) -> Digest:
    return Digest()


@dataclass
class TestStore:
    """Every service of core on one metadata engine and its pools."""

    __test__ = False

    meta: MetadataStore
    pools: Mapping[str, Pool]
    clock: ManualClock = field(default_factory=ManualClock)
    process: int = 1

    def __post_init__(self) -> None:
        meta, clock = self.meta, self.clock
        self.ids = NumberedIds(clock, self.process)
        self.blobs = Blobs(meta, self.pools, clock=clock, ids=self.ids)
        self.objects = Objects(meta, self.blobs, clock=clock)
        self.buckets = Buckets(
            meta, clock=clock, ids=self.ids, region="here", pool="main", pools=self.pools
        )
        self.copying = Copying(meta, self.blobs, self.objects)
        self.multipart = Multipart(meta, self.blobs, self.objects, clock=clock)
        self.listing = Listing(meta)
        self.collect = Collect(meta, self.pools, clock=clock, grace_ms=GRACE_MS)

    async def bucket(self, name: str = "bucket", *, pool: str = "") -> BucketRecord:
        return await self.buckets.create(name, OWNER, pool=pool)

    async def version(self, bucket: BucketRecord, status: str) -> BucketRecord:
        """Set the bucket's versioning."""
        return await self.buckets.update(bucket, lambda found: replace(found, versioning=status))

    async def put(self, bucket: BucketRecord, key: str, data: bytes) -> ObjectRecord:
        return await self.objects.put(bucket, key, Bytes(data), ATTRIBUTES)

    async def body(self, bucket: BucketRecord, key: str, version_id: str | None = None) -> bytes:
        record = await self.objects.get(bucket, key, version_id)
        if not record.size:
            return b""
        blob = await self.objects.blob_of(record)
        return await self.objects.read(blob, 0, record.size)

    async def streamed(self, bucket: BucketRecord, key: str) -> bytes:
        record = await self.objects.get(bucket, key)
        if not record.size:
            return b""
        blob = await self.objects.blob_of(record)
        stream = self.objects.stream(blob, 0, record.size)
        return b"".join([piece async for piece in stream])

    async def rows(self, table: bytes) -> list[Row]:
        return await self.meta.scan(table, after_prefix(table), limit=1_000_000)

    async def counters(self, bucket: BucketRecord) -> tuple[int, int]:
        """Return how many objects and bytes the bucket's counters say it has."""
        keys = [records.counter_key(bucket.id, name) for name in ("objects", "bytes")]
        objects, size = await self.meta.get_many(keys)
        return decode_counter(objects), decode_counter(size)

    async def collect_all(self) -> None:
        """Let the grace pass and collect until nothing is left to do."""
        self.clock.now += GRACE_MS
        while (await self.collect.step()).has_more:
            pass

    async def verify(self) -> None:
        """Assert that uses and counters are exact, and that no row is left without a user."""
        uses: Counter[bytes] = Counter()
        totals: dict[bytes, Counter[str]] = {}
        nulls: Counter[bytes] = Counter()  # of a key
        pointers = dict(await self.rows(records.NULL_VERSION))
        for table in (records.OBJECT, records.VERSION):
            for key, row in await self.rows(table):
                record = decode(ObjectRecord, row)
                uses.update([record.blob] if record.blob else [])
                total = totals.setdefault(key[1:9], Counter())
                name = key[1:] if table == records.OBJECT else key[1:-9]
                nulls[name] += not record.version_id
                if table == records.VERSION:
                    assert key[-8:] == (2**64 - 1 - record.sequence).to_bytes(8, "big")
                    if not record.version_id:
                        pointer = pointers.pop(records.NULL_VERSION + name)
                        assert pointer == record.sequence.to_bytes(8, "big")
                if record.is_delete_marker:
                    assert table == records.VERSION
                    assert not record.blob
                    total["markers"] += 1
                    continue
                old = "old" if table == records.VERSION else ""
                total[old or "objects"] += 1
                total[f"{old}-bytes" if old else "bytes"] += record.space
        assert pointers == {}, "pointers to no null version"
        assert all(count < 2 for count in nulls.values()), "two null versions of a key"
        uploads = {decode(UploadRecord, row).id for _, row in await self.rows(records.UPLOAD)}
        for key, row in await self.rows(records.PART):
            assert key[1:17] in uploads, "a part, or a revision, without its upload"
            if key[17:] != b"\0\0":
                part = decode(PartRecord, row)
                uses.update([part.blob] if part.blob else [])
        blobs = {key[1:]: decode(BlobRecord, row) for key, row in await self.rows(records.BLOB)}
        for blob in blobs.values():
            uses.update(part.blob for part in blob.parts if part.blob)
        for _, row in await self.rows(records.GARBAGE):
            uses.update(decode(GarbageRecord, row).blobs)
        assert dict(uses) == {blob: record.uses for blob, record in blobs.items()}
        await self.verify_counters()
        for _, row in await self.rows(records.BUCKET):
            bucket = decode(BucketRecord, row)
            total = totals.pop(bucket.id, Counter())
            for name in ("objects", "bytes", "old", "old-bytes", "markers"):
                counter = await self.meta.get(records.counter_key(bucket.id, name))
                assert total[name] == decode_counter(counter), name
        assert totals == {}, "objects without a bucket"

    async def verify_counters(self) -> None:
        """Assert that the counters of buckets, projects and users are what the rows say."""
        recount = Recount()
        for table, kind in (
            (records.OBJECT, ObjectRecord),
            (records.VERSION, ObjectRecord),
            (records.UPLOAD, UploadRecord),
            (records.GARBAGE, GarbageRecord),
            (records.BUCKET, BucketRecord),
        ):
            for key, row in await self.rows(table):
                recount.see(key, decode(kind, row))
        for key, row in await self.rows(records.PART):
            if key[17:] != b"\0\0":
                recount.see(key, decode(PartRecord, row))
        stored = [*await self.rows(records.COUNTER), *await self.rows(TALLY)]
        assert [] == list(recount.differences({key: decode_counter(row) for key, row in stored}))
