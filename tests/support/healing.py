"""A store on OSD directories whose map a test changes, with the jobs that keep it whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from s3server.core import records
from s3server.core.clock import Clock
from s3server.core.records import BlobRecord, BucketRecord, RepairRecord, decode
from s3server.data.layout import RECORD_HEADER
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.placed import PlacedPool
from s3server.jobs.repair import Repair, Repaired
from s3server.jobs.scan import Scan
from s3server.jobs.scrub import Scrub
from s3server.jobs.throttle import Throttle
from s3server.meta.base import after_prefix
from s3server.meta.memory import MemoryStore
from s3server.model import DataRef
from tests.support.blobs import make_osds, make_pool, pattern
from tests.support.core_store import GRACE_MS, TestStore

MIB = 1 << 20
SIZES = (1, 4096, 65_537, 200_000, MIB + 70_000)
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
UNLIMITED = Throttle(0)


class Site:
    """Blobs lie on the OSDs in `on`, shard by shard; a change of it is a new epoch."""

    def __init__(self, root: Path, codec: str, osd_count: int, on: Sequence[int]) -> None:
        self.root, self.codec = root, codec
        self.meta = MemoryStore()
        self.osds: dict[int, DirectoryOsd] = make_osds(root, osd_count)
        self.pools: dict[str, PlacedPool] = {}
        self.epoch, self._seed = 0, 0
        self._open(on)
        self.store = TestStore(self.meta, self.pools)
        self.clock = self.store.clock
        self.clock.now = round(time.time() * 1000) + HOUR_MS  # all files are older
        self.repair = self.new_repair()
        self.scan = Scan(self.meta, self.pools, clock=self.clock, epoch=lambda: self.epoch)
        self.light, self.deep = self.scrub(deep=False), self.scrub(deep=True)

    async def place_on(self, osds: Sequence[int]) -> None:
        """Change the map; OSDs that were taken away or brought back are noticed now."""
        await self.close()
        self._open(osds)

    def _open(self, osds: Sequence[int]) -> None:
        self._seed += 1
        self.epoch += 1
        self.pools["main"] = make_pool(self.osds, self.codec, on=osds, seed=self._seed)

    def new_repair(
        self, clock: Clock | None = None, down: Callable[[], Collection[int]] = frozenset
    ) -> Repair:
        return Repair(
            self.meta,
            self.pools,
            self.osds,
            clock=clock or self.clock,
            grace_ms=GRACE_MS,
            repair=UNLIMITED,
            rebalance=UNLIMITED,
            down=down,
        )

    def scrub(self, *, deep: bool) -> Scrub:
        return Scrub(
            self.meta,
            self.pools,
            clock=self.clock,
            deep=deep,
            every_ms=DAY_MS * (7 if deep else 1),
            throttle=UNLIMITED,
        )

    async def fill(self, copies: int = 1) -> BucketRecord:
        bucket = await self.store.bucket()
        for number in range(copies):
            for size in SIZES:
                await self.store.put(bucket, f"{size}-{number}", pattern(size, seed=number))
        return bucket

    async def refs(self) -> list[DataRef]:
        found = [decode(BlobRecord, row).ref for _, row in await self.store.rows(records.BLOB)]
        return [ref for ref in found if ref is not None]

    async def repairs(self) -> list[tuple[int, RepairRecord]]:
        """Return the repair rows with their levels."""
        table = records.REPAIR
        rows = await self.meta.scan(table, after_prefix(table), limit=100_000)
        return [(key[1], decode(RepairRecord, row)) for key, row in rows]

    async def run(self, job: Scan | Scrub | Repair) -> list[object]:
        """Step until nothing is left to do at this time; return what the steps did."""
        done: list[object] = []
        while True:
            result = await job.step()
            done.append(result)
            if not result.has_more:
                return done

    async def heal(self) -> Repaired:
        """Repair until nothing is left to do at this time; return the sum."""
        done = [each for each in await self.run(self.repair) if isinstance(each, Repaired)]
        return Repaired(
            repaired=sum(each.repaired for each in done),
            moved=sum(each.moved for each in done),
            bytes=sum(each.bytes for each in done),
            failed=sum(each.failed for each in done),
            lost=sum(each.lost for each in done),
        )

    def file_of(self, ref: DataRef, index: int) -> Path:
        place = ref.shards[index]
        osd = self.osds[place.osd]
        if place.volume:
            return Path(osd.volume_path(place.volume))
        return Path(osd.shard_path(ref.blob, index))

    def damage(self, ref: DataRef, index: int) -> None:
        """Flip a bit within the data of a shard."""
        path = self.file_of(ref, index)
        content = bytearray(path.read_bytes())
        content[ref.shards[index].offset + (RECORD_HEADER if not ref.stripe else 0)] ^= 1
        path.write_bytes(content)

    async def assert_whole(self, bucket: BucketRecord) -> None:
        """Assert that every object is readable and every shard whole, where the map puts it."""
        page = await self.store.listing.objects(
            bucket, prefix="", delimiter="", after="", limit=1_000
        )
        for key, _ in page.objects:
            size, number = map(int, key.split("-"))
            assert await self.store.body(bucket, key) == pattern(size, seed=number)
        for ref in await self.refs():
            pool = self.pools[ref.pool]
            assert (await pool.check(ref)).is_whole
            standing = pool.standing(ref)
            assert (standing.lost, standing.away, standing.astray) == ((), (), ())
        await self.store.verify()

    async def close(self) -> None:
        for pool in self.pools.values():
            await pool.close()
