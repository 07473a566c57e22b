"""Holds the metadata against themselves, against the bytes, and against journal and snapshots."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise, zip_longest

from s3server.cluster.live import Cluster
from s3server.core import records
from s3server.core.project_records import TALLY
from s3server.core.records import (
    BlobRecord,
    BucketRecord,
    GarbageRecord,
    ObjectRecord,
    PartRecord,
    Record,
    UploadRecord,
    decode,
)
from s3server.core.recount import Recount
from s3server.data.base import DataError
from s3server.data.codec import codec_from_name, shard_size
from s3server.data.layout import RECORD_HEADER, Shard, parse_record_header
from s3server.data.osd_directory import DirectoryOsd, ShardFile
from s3server.meta.base import (
    CorruptRecordError,
    MetadataStore,
    after_prefix,
    decode_counter,
)
from s3server.meta.journal import Journal
from s3server.meta.journal_read import Found, History
from s3server.meta.restore import stored_state
from s3server.meta.snapshot import StoredSnapshot, View, stored_snapshots
from s3server.model import ABSENT, DataRef
from s3server.stored_rows import read_row

MAX_PROBLEMS = 1_000  # listed; all are counted
ROWS_PER_STEP = 1_000


@dataclass
class Findings:
    """What was found: `counts` of what there is, `problems` of what must not be."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0

    def expect(self, holds: bool, what: str) -> None:
        """Note a problem unless it holds."""
        if not holds:
            self.problem_count += 1
            if len(self.problems) < MAX_PROBLEMS:
                self.problems.append(what)


class MetadataCheck:
    """One pass over one state of the store: every record, every reference, every counter."""

    def __init__(self, view: View, findings: Findings) -> None:
        self._view, self._found = view, findings
        self._uses: Counter[bytes] = Counter()
        self._counted: dict[bytes, int] = {}  # uses, as the blobs' rows have them
        self._recount = Recount()
        self._uploads: set[bytes] = set()
        self._repairs: set[bytes] = set()
        self._degraded: set[bytes] = set()

    def run(self) -> None:
        """Look at all rows. Blocks."""
        for key, value in self._view.rows():
            self._found.counts["rows"] += 1
            try:
                self._row(key, value)
            except CorruptRecordError as error:
                self._found.expect(False, f"row {key!r}: {error}")
        self._check_parts()
        self._check_uses()
        self._check_buckets()
        self._check_counters()
        lost = self._degraded - self._repairs
        self._found.expect(not lost, f"{len(lost)} blobs lack shards and no repair is due")

    def _row(self, key: bytes, value: bytes) -> None:
        record = read_row(key, value)
        if isinstance(record, PartRecord):
            self._uses[record.blob] += 1
            self._recount.see(key, record)
        elif record is not None and key[:1] != records.STORE:
            self._record(key[:1], key, record)

    def _record(self, table: bytes, key: bytes, record: Record) -> None:
        self._recount.see(key, record)
        if isinstance(record, ObjectRecord):
            self._uses.update(record.blobs)
            self._found.counts["objects" if table == records.OBJECT else "older versions"] += 1
        elif isinstance(record, BlobRecord):
            self._counted[key[1:]] = record.uses
            self._uses.update(part.blob for part in record.parts)
            if record.ref is not None and record.ref.absent:
                self._degraded.add(key[1:])
        elif isinstance(record, GarbageRecord):
            self._uses.update(record.blobs)
        elif isinstance(record, UploadRecord):
            self._uploads.add(record.id)
        elif table == records.REPAIR:
            self._repairs.add(key[2:])

    def _check_parts(self) -> None:
        for key, _ in self._view.rows(records.PART, after_prefix(records.PART)):
            self._found.expect(key[1:17] in self._uploads, f"part {key[1:].hex()} of no upload")

    def _check_uses(self) -> None:
        self._uses.pop(b"", None)
        self._found.counts["blobs"] = len(self._counted)
        for blob in self._counted.keys() | self._uses.keys():
            expected, actual = self._uses[blob], self._counted.get(blob)
            if actual is None:
                self._found.expect(False, f"blob {blob.hex()} is referred to, but has no row")
            else:
                self._found.expect(
                    expected == actual, f"blob {blob.hex()}: {expected} uses, counted {actual}"
                )

    def _check_buckets(self) -> None:
        for _, value in self._view.rows(records.BUCKET, after_prefix(records.BUCKET)):
            try:
                bucket = decode(BucketRecord, value)
            except CorruptRecordError:
                continue  # told of already
            self._found.counts["buckets"] += 1
            owned = self._view.get(records.bucket_of_key(bucket.owner, bucket.name))
            self._found.expect(
                owned is not None, f"bucket {bucket.name} is not in its owner's list"
            )

    def _check_counters(self) -> None:
        stored = {
            key: decode_counter(value)
            for table in (records.COUNTER, TALLY)
            for key, value in self._view.rows(table, after_prefix(table))
            if len(value) == 8
        }
        for difference in self._recount.differences(stored):
            self._found.expect(False, difference)
        strays = self._recount.strays
        self._found.expect(not strays, f"{strays} buckets have objects, but no row")


# --- bytes ----------------------------------------------------------------------------------


class BytesCheck:
    """Every blob's shards, and every shard's blob; while others write, too."""

    def __init__(
        self, meta: MetadataStore, cluster: Cluster, findings: Findings, *, deep: bool
    ) -> None:
        self._meta, self._cluster, self._found, self._deep = meta, cluster, findings, deep

    async def run(self) -> None:
        """Look for all shards; `deep`: read and verify them. Then count what has no row."""
        start, stop = records.BLOB, after_prefix(records.BLOB)
        while rows := await self._meta.scan(start, stop, limit=ROWS_PER_STEP):
            for key, row in rows:
                try:
                    ref = decode(BlobRecord, row).ref
                except CorruptRecordError:
                    continue  # told of by MetadataCheck
                if ref is not None:
                    await self._blob(key, row, ref)
            start = rows[-1][0] + b"\0"
        for osd in self._cluster.osds.values():
            await self._orphans(osd)

    async def _blob(self, key: bytes, row: bytes, ref: DataRef) -> None:
        pool = self._cluster.pools.get(ref.pool)
        if self._deep and pool is not None:
            states = (await pool.check(ref)).shards
        else:
            states = await asyncio.to_thread(self._states, ref)
        self._found.counts["shards"] += len(states)
        bad = [
            f"shard {index} on OSD {ref.shards[index].osd} is {state}"
            for index, state in enumerate(states)
            if state != "ok" and ref.shards[index].osd != ABSENT
        ]
        # What was moved or freed meanwhile is not where the row said.
        if bad and await self._meta.get(key) == row:
            self._found.expect(False, f"blob {key[1:].hex()}: {', '.join(bad)}")

    def _states(self, ref: DataRef) -> tuple[str, ...]:
        return tuple(self._state(ref, index) for index in range(len(ref.shards)))

    def _state(self, ref: DataRef, index: int) -> str:
        place = ref.shards[index]
        osd = self._cluster.osds.get(place.osd)
        if osd is None:
            return "missing"
        try:
            if not ref.stripe:
                header = osd.read_at(osd.volume_path(place.volume), RECORD_HEADER, place.offset)
                return "ok" if parse_record_header(header) == (ref.blob, ref.size) else "corrupt"
            codec = codec_from_name(ref.codec)
            shard = Shard(ref.blob, index, codec.name, shard_size(codec, ref.size, ref.stripe))
            size = osd.size_of(osd.shard_path(ref.blob, index))
        except OSError:
            return "missing"
        return "ok" if size == shard.file_size else "corrupt"

    async def _orphans(self, osd: DirectoryOsd) -> None:
        walk = osd.list_shards()
        try:
            while files := await asyncio.to_thread(lambda: list(islice(walk, ROWS_PER_STEP))):
                rows = await self._meta.get_many([records.blob_key(file.blob) for file in files])
                for file, row in zip(files, rows, strict=True):
                    self._found.counts["orphans"] += not _refers(row, osd, file)
        except (OSError, DataError) as error:
            self._found.expect(False, f"OSD {osd.id} cannot be listed: {error}")


def _refers(row: bytes | None, osd: DirectoryOsd, file: ShardFile) -> bool:
    try:
        ref = None if row is None else decode(BlobRecord, row).ref
    except CorruptRecordError:
        return True
    if ref is None or not ref.stripe or file.index >= len(ref.shards):
        return False
    return ref.shards[file.index].osd == osd.id


# --- journal and snapshots -----------------------------------------------------------------


def check_journal(view: View, journal: Journal, findings: Findings) -> None:
    """See that every copy verifies, and that together they give exactly this state. Blocks."""
    osds, cluster = journal.osds, journal.cluster
    for snapshot in stored_snapshots(osds, cluster):
        for copy in snapshot.copies:
            findings.counts["copies of snapshots"] += 1
            alone = StoredSnapshot(snapshot.snapshot, [copy])
            findings.expect(alone.is_whole(), f"{copy.path} is damaged")
    history = History(osds, cluster)
    for path in history.unreadable:
        findings.expect(False, f"{path} is damaged")
    segments = [found for found in history.segments if found.has_entries()]
    for found, following in pairwise([*segments, None]):
        assert found is not None
        until = min(view.sequence, following.segment.base) if following else view.sequence
        reach = found.reach(until)
        for copy in found.copies:
            findings.counts["copies of journal segments"] += 1
            alone_found = Found(found.segment)
            alone_found.copies.append(copy)
            findings.expect(alone_found.reach(until) == reach, f"{copy.path} is damaged")
    try:
        state = stored_state(osds, cluster, until=view.sequence)
        is_same = (state.sequence, state.chain) == (view.sequence, view.chain)
        findings.expect(
            is_same, f"the journal ends at commit {state.sequence}, the store at {view.sequence}"
        )
        if is_same:
            findings.expect(_same(state.rows(), view.rows()), "the journal gives other rows")
    except CorruptRecordError as error:
        findings.expect(False, str(error))


def _same(one: Iterator[tuple[bytes, bytes]], other: Iterator[tuple[bytes, bytes]]) -> bool:
    return all(left == right for left, right in zip_longest(one, other))
