"""A random walk over core beside a plain model of S3: dictionaries, sorted keys, no cleverness.

Hypothesis drives both, compares every answer and listing, and in the end collects all garbage:
then uses and counters must be exact, and every object must read back as the model has it.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from s3server.core import multipart as multipart_module
from s3server.core import records
from s3server.core.multipart import ChosenPart, format_upload_id
from s3server.core.objects import WriteCondition
from s3server.core.records import BlobRecord, BucketRecord, decode
from s3server.data.memory import MemoryPool
from s3server.errors import BucketNotEmpty, S3Error
from s3server.jobs.compact import Compact
from s3server.jobs.sweep import Sweep
from s3server.meta.lmdb import LmdbStore
from s3server.meta.memory import MemoryStore
from tests.support.blobs import make_osds, make_pool, numbered_ids
from tests.support.core_store import ATTRIBUTES, Bytes, TestStore, no_digest

T = TypeVar("T")
BUCKETS = ("first", "second")
KEYS = ["a", "a/", "a/b/c", "a/\U0001f600", "a0", "b//c", "\uffee"]
MIN_PART_BYTES = 100  # instead of 5 MiB
FULL = b"f" * MIN_PART_BYTES

names = st.sampled_from(BUCKETS)
keys = st.sampled_from(KEYS)
bodies = st.one_of(st.just(b""), st.binary(min_size=1, max_size=40))
numbers = st.integers(1, 4)


@dataclass
class ModelUpload:
    bucket: str
    key: str
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Model:
    """What S3 holds, as plainly as can be."""

    objects: dict[str, dict[str, bytes]] = field(default_factory=lambda: {b: {} for b in BUCKETS})
    uploads: dict[str, ModelUpload] = field(default_factory=dict)

    def listing(self, bucket: str, prefix: str, delimiter: str) -> list[str]:
        found = set()
        for key in self.objects[bucket]:
            if key.startswith(prefix):
                end = key.find(delimiter, len(prefix)) if delimiter else -1
                found.add(key if end < 0 else key[: end + len(delimiter)])
        return sorted(found, key=str.encode)

    def put(self, bucket: str, key: str, body: bytes, *, if_absent: bool) -> str:
        if if_absent and key in self.objects[bucket]:
            return "PreconditionFailed"
        self.objects[bucket][key] = body
        return ""

    def copy(self, source: tuple[str, str], target: tuple[str, str], *, if_absent: bool) -> str:
        body = self.objects[source[0]].get(source[1])
        return "NoSuchKey" if body is None else self.put(*target, body, if_absent=if_absent)

    def complete(self, upload: str, chosen: list[int]) -> str:
        found = self.uploads[upload]
        if [number for number in chosen if number not in found.parts]:
            return "InvalidPart"
        if [number for number in chosen[:-1] if len(found.parts[number]) < MIN_PART_BYTES]:
            return "EntityTooSmall"
        whole = b"".join(found.parts[number] for number in chosen)
        self.objects[found.bucket][found.key] = whole
        del self.uploads[upload]
        return ""


class S3Walk(RuleBasedStateMachine):
    """Runs each step on the store and on the model."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.limits = mock.patch.object(multipart_module, "MIN_PART_BYTES", MIN_PART_BYTES)
        self.limits.start()
        self.model = Model()
        self.store: TestStore
        self.buckets: dict[str, BucketRecord] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def outcome(self, work: Coroutine[Any, Any, Any]) -> str:
        """Return the S3 code that the work ends with, "" for success."""
        try:
            self.run(work)
        except S3Error as error:
            return type(error).__name__
        return ""

    async def open(self) -> TestStore:
        return TestStore(MemoryStore(), {"main": MemoryPool("main", numbered_ids())})

    @initialize()
    def make_buckets(self) -> None:
        self.store = self.run(self.open())
        for name in BUCKETS:
            self.buckets[name] = self.run(self.store.bucket(name))

    @rule(bucket=names, key=keys, body=bodies, if_absent=st.booleans())
    def put(self, bucket: str, key: str, body: bytes, if_absent: bool) -> None:
        found = self.outcome(
            self.store.objects.put(
                self.buckets[bucket],
                key,
                Bytes(body),
                ATTRIBUTES,
                WriteCondition(if_none_match=if_absent),
            )
        )
        assert self.model.put(bucket, key, body, if_absent=if_absent) == found

    @rule(bucket=names, key=keys)
    def get(self, bucket: str, key: str) -> None:
        body = self.model.objects[bucket].get(key)
        if body is None:
            assert "NoSuchKey" == self.outcome(self.store.body(self.buckets[bucket], key))
        else:
            assert body == self.run(self.store.body(self.buckets[bucket], key))

    @rule(bucket=names, key=keys)
    def delete(self, bucket: str, key: str) -> None:
        found = self.run(self.store.objects.delete(self.buckets[bucket], key))
        expected = self.model.objects[bucket].pop(key, None)
        assert (expected is None) == (found is None)

    @rule(source=st.tuples(names, keys), to=st.tuples(names, keys), if_absent=st.booleans())
    def copy(self, source: tuple[str, str], to: tuple[str, str], if_absent: bool) -> None:
        found = self.outcome(
            self.store.copying.copy(
                (self.buckets[source[0]], source[1]),
                (self.buckets[to[0]], to[1]),
                lambda record: ATTRIBUTES,
                WriteCondition(if_none_match=if_absent),
            )
        )
        assert self.model.copy(source, to, if_absent=if_absent) == found

    @rule(bucket=names, key=keys)
    def begin(self, bucket: str, key: str) -> None:
        self.begin_upload(bucket, key)

    def begin_upload(self, bucket: str, key: str) -> str:
        made = self.run(self.store.multipart.create(self.buckets[bucket], key, ATTRIBUTES))
        upload = format_upload_id(made.id)
        self.model.uploads[upload] = ModelUpload(bucket, key)
        return upload

    def put_one_part(self, upload: str, number: int, body: bytes) -> None:
        found = self.model.uploads[upload]
        bucket = self.buckets[found.bucket]
        self.run(self.store.multipart.put_part(bucket, found.key, upload, number, Bytes(body)))
        found.parts[number] = body

    def complete_with(self, upload: str, chosen: list[int]) -> None:
        found = self.model.uploads[upload]
        parts = [ChosenPart(n, Bytes(found.parts.get(n, b"")).etag) for n in chosen]
        outcome = self.outcome(
            self.store.multipart.complete(
                self.buckets[found.bucket],
                found.key,
                upload,
                parts,
                summarise=no_digest,
                condition=WriteCondition(),
            )
        )
        assert self.model.complete(upload, chosen) == outcome

    @rule(bucket=names, key=keys, count=st.integers(0, 2), last=bodies)
    def put_in_parts(self, bucket: str, key: str, count: int, last: bytes) -> None:
        upload = self.begin_upload(bucket, key)
        for number in range(1, count + 1):
            self.put_one_part(upload, number, FULL)
        self.put_one_part(upload, count + 1, last)
        self.complete_with(upload, list(range(1, count + 2)))

    def pick(self, data: st.DataObject) -> tuple[str, ModelUpload] | None:
        if not self.model.uploads:
            return None
        upload = data.draw(st.sampled_from(sorted(self.model.uploads)))
        return upload, self.model.uploads[upload]

    @rule(data=st.data(), number=numbers, body=st.one_of(bodies, st.just(FULL)))
    def put_part(self, data: st.DataObject, number: int, body: bytes) -> None:
        if picked := self.pick(data):
            self.put_one_part(picked[0], number, body)

    @rule(data=st.data(), others=st.one_of(st.just([]), st.lists(numbers, max_size=2)))
    def complete(self, data: st.DataObject, others: list[int]) -> None:
        if picked := self.pick(data):
            upload, found = picked
            known = data.draw(st.lists(st.sampled_from(sorted(found.parts) or [1]), min_size=1))
            self.complete_with(upload, sorted({*known, *others}))

    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        if picked := self.pick(data):
            upload, found = picked
            bucket = self.buckets[found.bucket]
            self.run(self.store.multipart.abort(bucket, found.key, upload))
            del self.model.uploads[upload]
            assert "NoSuchUpload" == self.outcome(
                self.store.multipart.get(bucket, found.key, upload)
            )

    @rule(
        bucket=names,
        prefix=st.sampled_from(["", "a", "a/", "a/b", "b/", "c", "zz"]),
        delimiter=st.sampled_from(["", "/", "//", "b"]),
        limit=st.integers(1, 4),
    )
    def list_pages(self, bucket: str, prefix: str, delimiter: str, limit: int) -> None:
        found: list[str] = []
        after, is_truncated = "", True
        while is_truncated:
            page = self.run(
                self.store.listing.objects(
                    self.buckets[bucket],
                    prefix=prefix,
                    delimiter=delimiter,
                    after=after,
                    limit=limit,
                )
            )
            entries = [key for key, _ in page.objects] + page.prefixes
            assert len(entries) <= limit
            found += sorted(entries, key=str.encode)
            after, is_truncated = page.last, page.is_truncated
        assert self.model.listing(bucket, prefix, delimiter) == found

    @rule(bucket=names)
    def recreate_bucket(self, bucket: str) -> None:
        uploads = [each for each in self.model.uploads.values() if each.bucket == bucket]
        outcome = self.outcome(self.store.buckets.delete(self.buckets[bucket]))
        if self.model.objects[bucket] or uploads:
            assert BucketNotEmpty.__name__ == outcome
        else:
            assert "" == outcome
            self.buckets[bucket] = self.run(self.store.bucket(bucket))

    @rule(grace_ms=st.sampled_from([0, 30_000, 60_000]))
    def collect(self, grace_ms: int) -> None:
        self.store.clock.now += grace_ms
        self.run(self.store.collect.step())

    @invariant()
    def counts_are_exact(self) -> None:
        if self.buckets:
            self.run(self.store.verify())

    async def finish(self) -> None:
        """Collect everything; nothing may be left that is not in the model, nor missing."""
        await self.store.collect_all()
        await self.store.verify()
        assert [] == await self.store.rows(records.GARBAGE)
        for name, objects in self.model.objects.items():
            bucket = self.buckets[name]
            for key, body in objects.items():
                assert body == await self.store.streamed(bucket, key)
        for upload, found in self.model.uploads.items():
            parts = await self.store.multipart.parts(bytes.fromhex(upload))
            assert {part.number: part.size for part in parts} == {
                number: len(body) for number, body in found.parts.items()
            }
        await self.check_space()

    async def check_space(self) -> None:
        """Assert that the pool holds what rows refer to, and no more."""
        rows = [decode(BlobRecord, row) for _, row in await self.store.rows(records.BLOB)]
        pool = self.store.pools["main"]
        assert isinstance(pool, MemoryPool)
        assert len([row for row in rows if row.ref is not None]) == pool.blob_count

    def teardown(self) -> None:
        try:
            if self.buckets:
                self.run(self.finish())
        finally:
            self.close()

    def close(self) -> None:
        self.limits.stop()
        self.loop.close()


class DiskWalk(S3Walk):
    """The same on LMDB and OSD directories, with sweep and compaction in between."""

    async def open(self) -> TestStore:
        self.root = Path(tempfile.mkdtemp())
        self.osds = make_osds(self.root, 3)
        self.pool = make_pool(self.osds, "replica:3", small_limit=16, volume_limit=256)
        meta = LmdbStore.open(self.root / "meta", map_size=1 << 26, ballast_bytes=0)
        store = TestStore(meta, {"main": self.pool})
        store.clock.now = 4_000_000_000_000  # beyond the times that the files get
        self.jobs = (
            Sweep(meta, self.osds, clock=store.clock, rest_ms=0),
            Compact(meta, store.pools, self.osds, clock=store.clock, rest_ms=0, grace_ms=0),
        )
        return store

    @rule()
    def background(self) -> None:
        for job in self.jobs:
            self.run(job.step())

    async def check_space(self) -> None:
        """Assert that the shard files are exactly those that rows refer to."""
        rows = [decode(BlobRecord, row) for _, row in await self.store.rows(records.BLOB)]
        expected = {
            (osd.osd, row.ref.blob, index)
            for row in rows
            if row.ref is not None and row.ref.stripe
            for index, osd in enumerate(row.ref.shards)
        }
        found = {
            (osd.id, shard.blob, shard.index)
            for osd in self.osds.values()
            for shard in osd.list_shards()
        }
        assert expected == found

    def close(self) -> None:
        if self.buckets:
            self.run(self.pool.close())
            self.run(self.store.meta.close())
            shutil.rmtree(self.root)
        super().close()


TestS3Semantics = S3Walk.TestCase
TestS3Semantics.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestS3SemanticsOnDisk = DiskWalk.TestCase
TestS3SemanticsOnDisk.settings = settings(
    max_examples=5,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("prefix", ["", "a/"])
def test_model_lists_as_the_user_guide_says(prefix: str) -> None:
    """The model itself, on the example of "Organizing objects using prefixes"."""
    model = Model()
    for key in ("a/x", "a/b/1", "a/b/2", "z"):
        model.put("first", key, b"", if_absent=False)
    expected = {"": ["a/", "z"], "a/": ["a/b/", "a/x"]}
    assert expected[prefix] == model.listing("first", prefix, "/")
