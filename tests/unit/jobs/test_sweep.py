"""The sweep: what no row refers to goes once it is old; all else stays."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from s3server.core import records
from s3server.core.blobs import ADOPT_WITHIN_MS
from s3server.core.records import BlobRecord, decode, encode
from s3server.data.osd_directory import DirectoryOsd
from s3server.jobs import sweep as module
from s3server.jobs.sweep import Sweep, Swept
from s3server.meta.base import Put
from s3server.meta.memory import MemoryStore
from s3server.model import DataRef, ShardPlace
from tests.support.blobs import BytesSource, make_osds, make_pool, pattern
from tests.support.core_store import TestStore

LEASE_MS, INCOMING_MS, REST_MS = 3_600_000, 900_000, 24 * 3_600_000
LARGE = 100_000


class LateStore(MemoryStore):
    """Answers get_many() from before `late` rows were committed."""

    late: frozenset[bytes] = frozenset()

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        rows = await super().get_many(keys)
        return [None if key in self.late else row for key, row in zip(keys, rows, strict=True)]


class Site:
    """A store on three OSDs, with files of the age that a test wants."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.meta = LateStore()
        self.osds: dict[int, DirectoryOsd] = make_osds(root, 3)
        self.pool = make_pool(self.osds, "replica:3")
        self.store = TestStore(self.meta, {"main": self.pool})
        self.clock = self.store.clock
        self.sweep = Sweep(
            self.meta,
            self.osds,
            clock=self.clock,
            lease_ms=LEASE_MS,
            incoming_lease_ms=INCOMING_MS,
            rest_ms=REST_MS,
        )

    def files(self, place: str = "shards/*") -> list[Path]:
        return sorted(self.root.glob(f"osd*/{place}/*"))

    def age(self, milliseconds: int) -> None:
        """Make every file that old."""
        modified_s = (self.clock.now - milliseconds) / 1000
        for path in [*self.files(), *self.files("incoming")]:
            os.utime(path, (modified_s, modified_s))

    async def run(self) -> Swept:
        """Step to the end of a round; return what all steps did."""
        steps = [await self.sweep.step()]
        while steps[-1].has_more:
            steps.append(await self.sweep.step())
        return Swept(sum(step.shards for step in steps), sum(step.unfinished for step in steps))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    yield site
    await site.pool.close()


async def test_only_what_no_row_refers_to_goes(site: Site) -> None:
    bucket = await site.store.bucket()
    data = pattern(LARGE)
    await site.store.put(bucket, "key", data)
    orphan = await site.pool.write(BytesSource(pattern(LARGE, seed=1)))
    site.age(LEASE_MS)
    assert Swept(shards=3) == await site.run()
    assert [] == [path for path in site.files() if orphan.blob.hex() in path.name]
    assert data == await site.store.body(bucket, "key")
    assert (await site.pool.check(await ref_of(site))).is_whole


async def ref_of(site: Site) -> DataRef:
    row = decode(BlobRecord, (await site.store.rows(records.BLOB))[0][1])
    assert row.ref is not None
    return row.ref


async def test_shards_of_a_blob_whose_row_is_damaged_stay(site: Site) -> None:
    bucket = await site.store.bucket()
    data = pattern(LARGE)
    await site.store.put(bucket, "key", data)
    await site.pool.write(BytesSource(pattern(LARGE, seed=1)))
    key, row = (await site.store.rows(records.BLOB))[0]
    await site.meta.commit([Put(key, row[:-1] + bytes((row[-1] ^ 1,)))])
    site.age(LEASE_MS)
    assert Swept(shards=3) == await site.run()
    await site.meta.commit([Put(key, row)])
    assert data == await site.store.body(bucket, "key")


async def test_osd_that_was_away_is_swept_when_it_is_back(site: Site) -> None:
    down = {1}
    site.sweep = Sweep(site.meta, site.osds, clock=site.clock, lease_ms=LEASE_MS, down=lambda: down)
    await site.run()
    orphan = await site.pool.write(BytesSource(pattern(LARGE)))
    site.age(LEASE_MS)
    down.clear()
    assert Swept(shards=1) == await site.run()
    assert ["osd0", "osd2"] == [path.parts[-4] for path in site.files()]
    assert orphan.blob.hex() in site.files()[0].name


async def test_young_shards_stay(site: Site) -> None:
    await site.pool.write(BytesSource(pattern(LARGE)))
    site.age(LEASE_MS - 1)
    assert (Swept(), 3) == (await site.run(), len(site.files()))
    site.clock.now += REST_MS
    assert (Swept(shards=3), 0) == (await site.run(), len(site.files()))


async def test_shard_that_lies_elsewhere_by_its_row_goes(site: Site) -> None:
    """As after a move to another OSD whose last step a crash prevented."""
    ref = await site.pool.write(BytesSource(pattern(LARGE)))
    places = (ShardPlace(0), ShardPlace(7), ShardPlace(2))
    moved = DataRef(ref.pool, ref.codec, ref.blob, ref.size, ref.stripe, places)
    row = encode(BlobRecord(size=LARGE, ref=moved))
    await site.meta.commit([Put(records.blob_key(ref.blob), row)])
    site.age(LEASE_MS)
    assert Swept(shards=1) == await site.run()
    assert ["osd0", "osd2"] == [path.parts[-4] for path in site.files()]


async def test_more_shards_than_the_row_knows_go(site: Site) -> None:
    ref = await site.pool.write(BytesSource(pattern(LARGE)))
    fewer = DataRef(ref.pool, "replica:2", ref.blob, ref.size, ref.stripe, ref.shards[:2])
    row = encode(BlobRecord(size=LARGE, ref=fewer))
    await site.meta.commit([Put(records.blob_key(ref.blob), row)])
    site.age(LEASE_MS)
    assert Swept(shards=1) == await site.run()


async def test_row_that_came_since_the_first_look_is_seen(site: Site) -> None:
    ref = await site.pool.write(BytesSource(pattern(LARGE)))
    key = records.blob_key(ref.blob)
    await site.meta.commit([Put(key, encode(BlobRecord(size=LARGE, ref=ref)))])
    site.meta.late = frozenset({key})
    site.age(LEASE_MS)
    assert (Swept(), 3) == (await site.run(), len(site.files()))


async def test_unfinished_files_go_between_rounds_too(site: Site) -> None:
    """A crash may leave as much of them as the uploads of that moment were large."""
    for osd in site.osds.values():
        Path(osd.incoming_path("left")).write_bytes(b"half")
    site.age(INCOMING_MS - 1000)
    assert Swept() == await site.run()
    site.clock.now += 2000
    assert Swept(unfinished=3) == await site.sweep.step()
    assert [] == site.files("incoming")


async def test_osd_that_is_away_keeps_no_unfinished_files_on_the_others(site: Site) -> None:
    await site.run()
    for osd in site.osds.values():
        Path(osd.incoming_path("left")).write_bytes(b"half")
    site.age(INCOMING_MS + 1000)
    os.rename(site.root / "osd0", site.root / "away")
    assert Swept(unfinished=2) == await site.sweep.step()


async def test_clock_that_is_set_back_does_not_put_the_next_round_off(site: Site) -> None:
    site.clock.now += 365 * 86_400_000
    await site.run()
    site.clock.now -= 365 * 86_400_000
    await site.pool.write(BytesSource(pattern(LARGE)))
    site.age(LEASE_MS)
    assert Swept(shards=3) == await site.run()


async def test_steps_are_bounded_and_rounds_rest(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARDS_PER_STEP", 2)
    for seed in range(5):
        await site.pool.write(BytesSource(pattern(LARGE, seed=seed)))
    site.age(LEASE_MS)
    steps = [await site.sweep.step()]
    while steps[-1].has_more:
        steps.append(await site.sweep.step())
    assert (15, 2) == (sum(step.shards for step in steps), max(step.shards for step in steps))
    await site.pool.write(BytesSource(pattern(LARGE)))
    site.age(LEASE_MS)
    site.clock.now += REST_MS - 1
    assert Swept() == await site.sweep.step()
    site.clock.now += 1
    assert Swept(shards=3) == await site.run()


async def test_osd_that_cannot_be_listed_does_not_hold_up_the_others(site: Site) -> None:
    await site.pool.write(BytesSource(pattern(LARGE)))
    site.age(LEASE_MS)
    os.rename(site.root / "osd1" / "shards", site.root / "osd1" / "elsewhere")
    failures, removed, has_more = 0, 0, True
    while has_more:
        try:
            step = await site.sweep.step()
        except OSError:
            failures += 1
        else:
            removed, has_more = removed + step.shards, step.has_more
    assert (1, 2) == (failures, removed)


async def test_files_that_are_no_shards_are_left_alone(site: Site) -> None:
    strange = site.root / "osd0" / "shards" / "00" / "README"
    strange.parent.mkdir()
    strange.write_bytes(b"hands off")
    site.age(LEASE_MS)
    assert (Swept(), [strange]) == (await site.run(), site.files())


def test_lease_must_outlast_commits(site: Site) -> None:
    with pytest.raises(ValueError, match="may be under way"):
        Sweep(site.meta, {}, clock=site.clock, lease_ms=2 * ADOPT_WITHIN_MS - 1)
