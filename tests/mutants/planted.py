"""Bugs that the tests have to find: for each what it breaks, where, and which test is to catch it.

A bug is a piece of a module's source and what stands there instead. They are planted as modules are
loaded (site/sitecustomize.py); nothing of this is in what is shipped. That LMDB does not sync its
last commit (`metasync`) is not among them: the journal has that commit too, and replays it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bug:
    """One planted bug, and the test that catches it."""

    module: str
    whole: str  # what stands in the source, exactly once
    broken: str
    caught_by: str  # id of a test
    is_quick: bool = False  # part of the fast suite
    needs_disks: bool = False  # only a power cut shows it

    def plant(self, source: str) -> str:
        """Return the source with the bug in it."""
        if source.count(self.whole) != 1:
            raise ValueError(f"{self.module} does not hold {self.whole!r} once")
        return source.replace(self.whole, self.broken)


_POINTS = "tests/crash/test_points.py::test_death_at_every_call"
_ROT = "tests/crash/test_bit_rot.py"
_ERRORS = "tests/crash/test_errors.py::test_some_call_of_every_kind_fails_in_every_way"

BUGS = {
    "a shard file is not synced": Bug(
        "s3server.data.shardfiles",
        "self.osd.vfs.fdatasync(self._handle.fd)",
        "pass",
        f"{_POINTS}[put large-replica:3]",
        is_quick=True,
    ),
    "the directory of a shard file is not synced": Bug(
        "s3server.data.osd_directory",
        "sync_directory(self.vfs, directory)",
        "pass",
        f"{_POINTS}[put large-replica:3]",
    ),
    "the name of a shard file's new directory is not synced": Bug(
        "s3server.data.osd_directory",
        'sync_directory(self.vfs, f"{self.path}/shards")',
        "pass",
        f"{_POINTS}[put large-replica:3]",
        is_quick=True,
    ),
    "the directory of a new volume is not synced": Bug(
        "s3server.data.volumes",
        'sync_directory(vfs, f"{osd.path}/volumes")',
        "pass",
        f"{_POINTS}[put small-replica:3]",
    ),
    "a write is acknowledged before its commit": Bug(
        "s3server.core.commit",
        "await self._meta.commit(plan.writes, plan.checks)",
        "self.late = asyncio.ensure_future(self._meta.commit(plan.writes, plan.checks))",
        f"{_POINTS}[put small-replica:3]",
        is_quick=True,
    ),
    "commits are not synced": Bug(
        "s3server.meta.lmdb_files",
        " sync=True,",
        " sync=False,",
        "tests/crash/test_power_cut.py::test_power_cuts_under_load_lose_nothing",
        needs_disks=True,
    ),
    "errors of an OSD are swallowed": Bug(
        "s3server.data.workers",
        "return error\n        finally",
        "return None\n        finally",
        f"{_ERRORS}[put large]",
    ),
    "a failed sync is tried again": Bug(
        "s3server.data.shardfiles",
        "        self.osd.vfs.fdatasync(self._handle.fd)\n",
        "        try:\n"
        "            self.osd.vfs.fdatasync(self._handle.fd)\n"
        "        except OSError:\n"
        "            self.osd.vfs.fdatasync(self._handle.fd)\n",
        f"{_ERRORS}[put large]",
        is_quick=True,
    ),
    "a volume is appended to after an error": Bug(
        "s3server.data.appender",
        "volume = volumes.pop(osd)",
        "volume = volumes[osd]",
        "tests/unit/data/test_placed_faults.py::test_volume_is_never_appended_to_after_an_error",
    ),
    "an append that ends short counts as whole": Bug(
        "s3server.data.vfs",
        "return min(written, end - offset)",
        "return end - offset",
        "tests/unit/data/test_vfs.py::"
        "test_records_that_fit_are_taken_where_there_is_no_room_to_write_ahead",
        is_quick=True,
    ),
    "an overwrite takes the path of what it replaces": Bug(
        "s3server.data.placed",
        "blob, codec = self._new_blob_id(), self._codec",
        "blob, codec = bytes(16), self._codec",
        f"{_POINTS}[put large-replica:3]",
    ),
    "bytes are freed before the commit that removes their row": Bug(
        "s3server.jobs.collect",
        "        await self._meta.commit(writes, checks)\n        for ref in gone:\n"
        "            await self._free(ref)\n",
        "        for ref in gone:\n            await self._free(ref)\n"
        "        await self._meta.commit(writes, checks)\n",
        f"{_POINTS}[delete-replica:3]",
    ),
    "the collector ignores other uses": Bug(
        "s3server.jobs.collect",
        "if record.uses > 1:",
        "if record.uses > 9:",
        f"{_POINTS}[copy-replica:3]",
    ),
    "a copy does not count as a use": Bug(
        "s3server.core.copying",
        "shared = await self._blobs.share(record.blob)",
        "shared = [], []",
        f"{_POINTS}[copy-replica:3]",
    ),
    "a part that is replaced is not given up": Bug(
        "s3server.core.multipart",
        "given_up = self._blobs.give_up(old.blob, project=bucket.account, size=old.size)",
        "pass",
        f"{_POINTS}[multipart-replica:3]",
    ),
    "compaction removes volumes with live records": Bug(
        "s3server.jobs.compact",
        "        if not live:\n",
        "        if 2 * live < volume.file.size:\n",
        f"{_POINTS}[compaction-replica:3]",
    ),
    "compaction frees what it moves before the commit": Bug(
        "s3server.jobs.compact",
        "            moved = await pool.rewrite(ref)\n",
        "            moved = await pool.rewrite(ref)\n"
        "            self._osds[volume.osd].remove_volume(volume.file.id)\n",
        f"{_POINTS}[compaction-replica:3]",
    ),
    "block checksums are not compared": Bug(
        "s3server.data.shardfiles",
        "if found != self._checksum(number):",
        "if False:",
        f"{_ROT}::test_flip_in_any_byte_of_a_shard_file_is_found",
        is_quick=True,
    ),
    "the trailer of a shard file is not compared": Bug(
        "s3server.data.shardfiles",
        "if self._pread(PAGE, self._shard.trailer_offset) != trailer(self._shard):",
        "if False:",
        f"{_ROT}::test_flip_in_any_byte_of_a_shard_file_is_found",
    ),
    "a record of another blob passes": Bug(
        "s3server.data.layout",
        "and found.startswith(record_header(blob, size, checksum))",
        "and found[:4] == RECORD_MAGIC",
        f"{_ROT}::test_flip_of_any_bit_of_a_record_is_found",
    ),
    "data of a record is not compared": Bug(
        "s3server.data.layout",
        "and crc32c(memoryview(found)[RECORD_HEADER:]) == checksum",
        "",
        f"{_ROT}::test_flip_of_any_bit_of_a_record_is_found",
    ),
    "the sweep takes files whose commit may be under way": Bug(
        "s3server.jobs.sweep",
        "oldest_ms = self._clock.now_ms() - self._lease_ms",
        "oldest_ms = self._clock.now_ms()",
        "tests/unit/jobs/test_sweep.py",
    ),
    "a bucket is remembered by its name": Bug(
        "s3server.core.buckets",
        "        row = await self._meta.get(records.bucket_key(name))\n"
        "        return None if row is None else (self.decode(row), row)\n",
        "        known = self.__dict__.setdefault('known', {})\n"
        "        if name not in known:\n"
        "            known[name] = await self._meta.get(records.bucket_key(name))\n"
        "        row = known[name]\n"
        "        return None if row is None else (self.decode(row), row)\n",
        "tests/unit/core/test_buckets.py",
    ),
    "a commit is not checked": Bug(
        "s3server.meta.fold",
        "        if isinstance(check, Unchanged):\n            return ",
        "        if isinstance(check, Unchanged):\n            return True or ",
        "tests/contract/test_metadata_engines.py",
    ),
    "a blob that can lose no more shard is acknowledged": Bug(
        "s3server.data.placed",
        "min(codec.needed + 1, codec.total)",
        "codec.needed",
        "tests/unit/data/test_placed_faults.py::test_fault_where_no_shard_can_be_spared_is_an_error",
    ),
    "nobody is told that a blob lacks shards": Bug(
        "s3server.core.blobs",
        "if absent := ref.absent:",
        "if (absent := ref.absent) and not ref.size:",
        f"{_POINTS}[repair-replica:3]",
    ),
    "the journal is a commit behind LMDB": Bug(
        "s3server.meta.lmdb_writer",
        "        self.journal.write(end, pieces)\n",
        "        late, self._late = getattr(self, '_late', None), (end, pieces)\n"
        "        if late:\n            self.journal.write(*late)\n",
        f"{_POINTS}[put small-replica:3]",
    ),
    "a dead disk is asked before another one's volume is opened": Bug(
        "s3server.data.volumes",
        "    try:\n        return vfs.stat(handle.fd).st_nlink == 0\n"
        "    except OSError:\n        return True\n",
        "    return vfs.stat(handle.fd).st_nlink == 0\n",
        "tests/unit/data/test_placed_damage.py",
    ),
    "a commit that another process replayed is tried again": Bug(
        "s3server.meta.lmdb_writer",
        " or followed.seal == tried.after.chain or end == tried.after:",
        ":",
        "tests/unit/meta/test_metadata_journal.py",
    ),
    "an entry that is replayed stays away from copies that lack it": Bug(
        "s3server.meta.lmdb_writer",
        "failed = self._complete(entry)",
        "pass",
        "tests/unit/meta/test_metadata_journal.py",
    ),
    "the directory of the journal is not synced": Bug(
        "s3server.meta.journal",
        'sync_directory(osd.vfs, f"{osd.path}/journal")',
        "pass",
        "tests/crash/test_journal_points.py",
    ),
    "the directory of a snapshot is not synced": Bug(
        "s3server.meta.snapshot",
        'sync_directory(osd.vfs, f"{osd.path}/journal")',
        "pass",
        f"{_POINTS}[snapshot-replica:3]",
    ),
    "rows are remembered past their snapshot": Bug(
        "s3server.meta.snapshot_rows",
        "if snapshot != self.snapshot:",
        "if self.snapshot < 0:",
        "tests/unit/meta/test_lmdb_store.py",
    ),
}
