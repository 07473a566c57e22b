"""A random walk over core beside a plain model of S3: dictionaries, sorted keys, no cleverness.

Hypothesis drives both, compares every answer and listing, and in the end collects all garbage:
then uses and counters must be exact, and every object must read back as the model has it.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from s3server.core import multipart as multipart_module
from s3server.core import records
from s3server.core.copying import CopySource
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
from tests.support.s3_model import BUCKETS, MIN_PART_BYTES, Model, ModelUpload

T = TypeVar("T")
KEYS = ["a", "a/", "a/b/c", "a/\U0001f600", "a0", "b//c", "\uffee"]
FULL = b"f" * MIN_PART_BYTES

# The first ones more often than the others, so that much happens to one and the same key.
names = st.one_of(st.just(BUCKETS[0]), st.sampled_from(BUCKETS))
keys = st.one_of(st.just(KEYS[0]), st.sampled_from(KEYS))
bodies = st.one_of(st.just(b""), st.binary(min_size=1, max_size=40))
numbers = st.integers(1, 4)


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

    @rule(bucket=names, status=st.sampled_from(["Enabled", "Suspended"]))
    def set_versioning(self, bucket: str, status: str) -> None:
        self.run(self.store.version(self.buckets[bucket], status))
        self.model.status[bucket] = status

    def pushed(self, bucket: str, key: str, body: bytes, work: Any, error: str) -> None:
        """Run what makes a version, and note it in the model unless an error is expected."""
        if error:
            assert error == self.outcome(work)
        else:
            self.model.push(bucket, key, self.run(work).version_id, body)

    @rule(bucket=names, key=keys, body=bodies, if_absent=st.booleans())
    def put(self, bucket: str, key: str, body: bytes, if_absent: bool) -> None:
        condition = WriteCondition(if_none_match=if_absent)
        work = self.store.objects.put(self.buckets[bucket], key, Bytes(body), ATTRIBUTES, condition)
        error = self.model.put(bucket, key, body, if_absent=if_absent)
        self.pushed(bucket, key, body, work, error)

    @rule(bucket=names, key=keys)
    def get(self, bucket: str, key: str) -> None:
        body = self.model.objects(bucket).get(key)
        if body is None:
            assert "NoSuchKey" == self.outcome(self.store.body(self.buckets[bucket], key))
        else:
            assert body == self.run(self.store.body(self.buckets[bucket], key))

    def pick_version(self, data: st.DataObject, bucket: str) -> tuple[str, str]:
        """Return a key and a version id, which may be of another key or of none."""
        known = [
            (key, each.id) for key, all_ in self.model.versions[bucket].items() for each in all_
        ]
        return data.draw(st.sampled_from([*known, ("a", ""), ("a0", "0" * 16)]))

    @rule(data=st.data(), bucket=names)
    def get_version(self, data: st.DataObject, bucket: str) -> None:
        key, version_id = self.pick_version(data, bucket)
        work = self.store.body(self.buckets[bucket], key, version_id or "null")
        versions = self.model.versions[bucket].get(key, [])
        found = [each for each in versions if each.id == version_id]
        if not found:
            assert "NoSuchVersion" == self.outcome(work)
        elif found[0].body is None:
            assert "MethodNotAllowed" == self.outcome(work)
        else:
            assert found[0].body == self.run(work)

    @rule(bucket=names, key=keys)
    def delete(self, bucket: str, key: str) -> None:
        deleted = self.run(self.store.objects.delete(self.buckets[bucket], key))
        if self.model.status[bucket]:
            assert deleted.marker is not None
            self.model.push(bucket, key, deleted.marker.version_id, None)
        else:
            assert deleted.marker is None
            expected = self.model.remove(bucket, key, "")
            assert (expected is None) == (deleted.removed is None)

    @rule(data=st.data(), bucket=names)
    def delete_version(self, data: st.DataObject, bucket: str) -> None:
        key, version_id = self.pick_version(data, bucket)
        work = self.store.objects.delete(self.buckets[bucket], key, version_id or "null")
        removed = self.run(work).removed
        expected = self.model.remove(bucket, key, version_id)
        assert (expected is None) == (removed is None)
        if expected is not None and removed is not None:
            assert (expected.body is None) == removed.is_delete_marker

    def copy_from(self, source: CopySource, bucket: str, key: str, if_absent: bool) -> None:
        condition = WriteCondition(if_none_match=if_absent)
        versions = self.model.versions[source.bucket.name].get(source.key, [])
        if source.version_id is not None:
            id_ = source.version_id.replace("null", "")
            versions = [each for each in versions if each.id == id_]
        body = versions[0].body if versions else None
        missing = "MethodNotAllowed" if versions else "NoSuchVersion"
        error = "NoSuchKey" if source.version_id is None else missing
        if body is not None:
            error = self.model.put(bucket, key, body, if_absent=if_absent)
        target = (self.buckets[bucket], key)
        work = self.store.copying.copy(source, target, lambda record: ATTRIBUTES, condition)
        self.pushed(bucket, key, body or b"", work, error)

    @rule(source=st.tuples(names, keys), to=st.tuples(names, keys), if_absent=st.booleans())
    def copy(self, source: tuple[str, str], to: tuple[str, str], if_absent: bool) -> None:
        self.copy_from(CopySource(self.buckets[source[0]], source[1]), *to, if_absent)

    @rule(data=st.data(), bucket=names, to=st.tuples(names, keys))
    def copy_version(self, data: st.DataObject, bucket: str, to: tuple[str, str]) -> None:
        key, version_id = self.pick_version(data, bucket)
        self.copy_from(CopySource(self.buckets[bucket], key, version_id or "null"), *to, False)

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
        work = self.store.multipart.complete(
            self.buckets[found.bucket],
            found.key,
            upload,
            parts,
            summarise=no_digest,
            condition=WriteCondition(),
        )
        error = self.model.complete(upload, chosen)
        whole = b"".join(found.parts.get(number, b"") for number in chosen)
        self.pushed(found.bucket, found.key, whole, work, error)
        if not error:
            del self.model.uploads[upload]

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

    @rule(
        bucket=names,
        prefix=st.sampled_from(["", "a", "a/", "zz"]),
        delimiter=st.sampled_from(["", "/", "b"]),
        limit=st.integers(1, 5),
    )
    def list_versions(self, bucket: str, prefix: str, delimiter: str, limit: int) -> None:
        found: list[tuple[str, ...]] = []
        key, sequence, is_truncated = "", None, True
        while is_truncated:
            page = self.run(
                self.store.listing.versions(
                    self.buckets[bucket],
                    prefix=prefix,
                    delimiter=delimiter,
                    after_key=key,
                    after_sequence=sequence,
                    limit=limit,
                )
            )
            entries: list[tuple[str, ...]] = [(common,) for common in page.prefixes]
            for each in page.versions:
                kind = "marker" if each.record.is_delete_marker else "object"
                latest = "latest" if each.is_latest else ""
                entries.append((each.key, each.record.version_id, kind, latest))
            assert len(entries) <= limit
            found += sorted(entries, key=lambda entry: entry[0].encode())
            key, sequence, is_truncated = (
                page.last_key,
                page.last_sequence or None,
                page.is_truncated,
            )
        assert self.model.version_listing(bucket, prefix, delimiter) == found

    @rule(bucket=names)
    def recreate_bucket(self, bucket: str) -> None:
        uploads = [each for each in self.model.uploads.values() if each.bucket == bucket]
        outcome = self.outcome(self.store.buckets.delete(self.buckets[bucket]))
        if self.model.versions[bucket] or uploads:
            assert BucketNotEmpty.__name__ == outcome
        else:
            assert "" == outcome
            self.model.status[bucket] = ""
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
        for name, bucket in self.buckets.items():
            for key, body in self.model.objects(name).items():
                assert body == await self.store.streamed(bucket, key)
            for key, versions in self.model.versions[name].items():
                for each in versions:
                    if each.body is not None:
                        assert each.body == await self.store.body(bucket, key, each.id or "null")
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


class VersionWalk(S3Walk):
    """The same without uploads in parts: more happens to versions."""

    begin = put_in_parts = put_part = complete = abort = recreate_bucket = None  # type: ignore[assignment]


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
TestS3Versions = VersionWalk.TestCase
TestS3Versions.settings = TestS3Semantics.settings
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
        model.push("first", key, "", b"")
    expected = {"": ["a/", "z"], "a/": ["a/b/", "a/x"]}
    assert expected[prefix] == model.listing("first", prefix, "/")
