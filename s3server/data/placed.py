"""A pool whose blobs lie on OSDs where a placement rule says, as copies or in an erasure code.

Small blobs are appended to volumes, on as many OSDs as the codec survives losses, plus one.
Large ones are shard files, striped, with two buffers of the sender's bytes in memory: while one is
hashed and written the other fills. Where uploads are few each has three, and larger ones: of these
one waits at the disks' side, which never wait for the event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import TypeVar

from awscrt.checksums import crc32c
from msgspec import structs

from s3server.data.appender import VOLUME_LIMIT, Appender
from s3server.data.base import DataError, Health, Standing, UnavailableError
from s3server.data.buffers import MIB, BufferPool
from s3server.data.codec import ShardCodec, codec_from_name
from s3server.data.layout import BLOCK, record_header
from s3server.data.open_shards import KEEP_S, OpenShards
from s3server.data.osd_set import OsdSet
from s3server.data.placed_read import BlobReader
from s3server.data.placed_stream import BlobStream
from s3server.data.repair import BlobSource, shards_to_write
from s3server.data.spread import Choose, Fixed, Spread
from s3server.data.threads import HungError
from s3server.data.upload import BlobUpload
from s3server.data.volumes import OnDamage, Record, VolumeReader
from s3server.data.workers import Fanout, Workers
from s3server.model import ABSENT, DataRef, ShardPlace, Source

T = TypeVar("T")

STRIPE = MIB
PIECE = MIB  # what stream() yields
AT_ONCE = MIB // 4  # what is read from the page cache without handing it to a thread (0.1 ms)
LARGE_BUFFER = 4 * MIB
FEW_UPLOADS = 8  # up to which each has large buffers, and a thread for the piece that waits
THREADS = 16  # for everything else


class PlacedPool:
    """A pool on OSD directories. Implements `base.Pool`; used from one event loop.

    `choose` returns the OSDs for the shards of a blob id, in their order, one per shard of the
    codec or None, and none of the OSDs that it is told to avoid. `on_damage` is told, from any
    thread, which shard of a blob was found missing or corrupt while the blob was read; what lies
    on an OSD that is down as a whole is not reported. `catch_up` is awaited before
    a blob is refused as there are too few OSDs.
    """

    def __init__(
        self,
        name: str,
        codec: ShardCodec,
        osds: OsdSet,
        choose: Choose,
        new_blob_id: Callable[[], bytes],
        *,
        small_limit: int = BLOCK,
        stripe: int = STRIPE,
        volume_limit: int = VOLUME_LIMIT,
        on_damage: OnDamage = lambda ref, index, reason: None,
        catch_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        if stripe % BLOCK:
            raise ValueError(f"a stripe is a multiple of {BLOCK} bytes, not {stripe}")
        self.name = name
        self._codec = codec
        self._osds = osds
        self._choose = choose
        self._new_blob_id = new_blob_id
        self._small_limit = small_limit
        self._stripe = stripe
        self._on_damage, self._catch_up = on_damage, catch_up
        self._least = min(codec.needed + 1, codec.total)
        self._copies = codec.total - codec.needed + 1
        self._workers = Workers(THREADS + FEW_UPLOADS)
        # Two, as what an OSD takes for a sync says nothing of what it takes for 4 MiB.
        self._appends, self._fanout = Fanout(osds=osds), Fanout(osds=osds, in_turn=False)
        self._buffers = BufferPool()
        self._uploads = 0
        self._is_closed = False
        self._reader = VolumeReader(osds, on_damage)
        self._files = OpenShards()
        self._turning: asyncio.TimerHandle | None = None
        self._appender = Appender(
            osds, self._new_volume_id, self._appends, volume_limit=volume_limit
        )

    async def write(self, source: Source) -> DataRef:
        """Store all that `source` gives, durably in every shard; see `base.Pool`."""
        if source.size <= self._small_limit:
            return await self._write_small(source)
        self._uploads += 1
        try:
            return await self._write_large(source)
        finally:
            self._uploads -= 1

    async def read(self, ref: DataRef, start: int, stop: int) -> bytes:
        """Return bytes [start, stop), verified; see `base.Pool`."""
        if ref.stripe:
            return await self._read_range(ref, start, stop)
        found = self._reader.read_cached(ref, start, stop)
        if found is not None:
            return found
        return await self._answered(lambda: self._reader.read(ref, start, stop))

    def read_now(self, ref: DataRef) -> bytes | None:
        """Return a small blob that the page cache holds; see `base.Pool`."""
        return None if ref.stripe else self._reader.read_cached(ref, 0, ref.size)

    async def stream(self, ref: DataRef, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Yield bytes [start, stop) in verified pieces; the next one is read meanwhile."""
        if not ref.stripe:
            yield await self.read(ref, start, stop)
            return
        stream = BlobStream(self._blob(ref), self._workers)
        await stream.open()
        edges = [start, *range(start // PIECE * PIECE + PIECE, stop, PIECE), stop]
        stream.read_ahead(edges[0], edges[1])
        try:
            for piece_start, piece_stop in pairwise(edges[1:]):
                piece = await stream.read()
                stream.read_ahead(piece_start, piece_stop)
                yield piece
            yield await stream.read()
        finally:
            await stream.close()

    async def delete(self, ref: DataRef) -> None:
        """Unlink the blob's shard files; a file on an OSD that is not here is left to the sweep.

        Raises UnavailableError where an OSD refuses; calling again is harmless.
        """
        if ref.stripe:
            await self._workers.run(self._unlink, ref)

    async def rewrite(self, ref: DataRef) -> DataRef:
        """Append a small blob to today's volumes; see `base.Pool`."""
        assert not ref.stripe, "shard files lie in no volume"
        data = bytearray(await self.read(ref, 0, ref.size))
        return await self._append(ref.blob, data, least=self._copies)

    async def check(self, ref: DataRef, *, deep: bool = True) -> Health:
        """Read and verify every shard; see `base.Pool`."""
        check = self._silent(ref).check if ref.stripe else partial(self._reader.check, ref)
        states = await self._workers.run(check, deep=deep)
        return Health(tuple(states), needed=codec_from_name(ref.codec).needed)

    async def repair(self, ref: DataRef, *, deep: bool = True) -> DataRef:
        """Write again what is not whole where it should be; see `base.Pool`."""
        data: bytes | None = None
        if ref.stripe:
            states = await self._workers.run(self._silent(ref).check, deep=deep)
        else:
            states, data = await self._workers.run(self._reader.copies, ref)
        due = shards_to_write(
            ref.shards,
            [state == "ok" for state in states],
            self._targets(ref, self._osds.avoid - self._holding(ref)),
            are_copies=codec_from_name(ref.codec).needed == 1,
        )
        if not due:
            return ref
        if ref.stripe:
            places = await self._write_shards(ref, due)
        elif data is None:
            raise UnavailableError(f"blob {ref.blob.hex()}: no copy can be read")
        else:
            places = await self._append_again(ref, data, due)
        shards = tuple(places.get(index, place) for index, place in enumerate(ref.shards))
        return structs.replace(ref, shards=shards)

    def standing(self, ref: DataRef) -> Standing:
        """Compare where shards lie with where they would go today; see `base.Pool`."""
        are_copies = codec_from_name(ref.codec).needed == 1
        wanted = self._choose(ref.blob, frozenset())
        lost: list[int] = []
        away: list[int] = []
        for index, place in enumerate(ref.shards):
            if not self._osds.is_whole(place.osd):
                at_home = place.osd in wanted if are_copies else place.osd == wanted[index]
                (away if at_home else lost).append(index)
        avoid = self._osds.avoid
        due = shards_to_write(
            ref.shards,
            [index not in (*lost, *away) for index in range(len(ref.shards))],
            [ABSENT if osd in avoid else osd for osd in self._targets(ref, frozenset())],
            are_copies=are_copies,
        )
        astray = tuple(index for index in due if index not in (*lost, *away))
        return Standing(lost=tuple(lost), astray=astray, away=tuple(away))

    def takes_writes(self) -> bool:
        """Tell whether there are OSDs for new blobs, judged by some that might come. No I/O."""
        for _ in range(8):
            with suppress(DataError):
                self._spread(self._new_blob_id(), self._codec.total, self._least)
                return True
        return False

    def give_up(self, stuck: Collection[int]) -> None:
        """Go on without these threads: they wait for OSDs that do not answer."""
        for threads in (self._workers, self._appends, self._fanout, self._appender):
            threads.give_up(stuck)

    async def _answered(self, job: Callable[[], T]) -> T:
        """Run a job, again where it was stuck in an OSD: that one is not asked any more."""
        while True:
            try:
                return await self._workers.run(job)
            except HungError:
                continue

    async def close(self) -> None:
        """Finish what is being written, end the threads and let go of all files, once."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._workers.run(self._appender.close)
        self._workers.close()
        self._reader.close()
        self._files.close()
        if self._turning is not None:
            self._turning.cancel()
        self._appends.close()
        self._fanout.close()

    async def _read_range(self, ref: DataRef, start: int, stop: int) -> bytes:
        blob = self._blob(ref, self._files)
        if stop - start <= AT_ONCE and (found := blob.read_cached(start, stop)) is not None:
            return found
        if self._turning is None:
            self._turning = asyncio.get_running_loop().call_later(KEEP_S, self._turn)
        return await self._answered(lambda: self._blob(ref, self._files).read(start, stop))

    def _turn(self) -> None:
        """Let go of shard files that nobody reads any more."""
        is_left = self._files.turn()
        loop = asyncio.get_running_loop()
        self._turning = loop.call_later(KEEP_S, self._turn) if is_left else None

    async def _write_small(self, source: Source) -> DataRef:
        size = source.size
        data = bytearray(size)
        with memoryview(data) as view:
            _expect(await source.readinto(view), size)
        _expect(await source.readinto(memoryview(bytearray(1))), 0)
        return await self._append(self._new_blob_id(), data, least=min(2, self._copies))

    async def _append(self, blob: bytes, data: bytearray, *, least: int) -> DataRef:
        """Append a record on as many OSDs as there are copies, at least on this many."""
        size, checksum = len(data), crc32c(data)
        record = Record(record_header(blob, size, checksum), data)
        spread = await self._found_spread(blob, self._copies, least)
        places: dict[int, ShardPlace] = {}
        due = spread.targets
        while due:
            try:
                outcomes = await self._appender.append(record, list(due.values()))
            except HungError:
                hung = {index for index, osd in due.items() if osd in self._osds.silent}
                begun = spread.replace(hung)
                due = {index: spread.targets[index] for index in due.keys() - hung} | begun
                continue
            lost = []
            for index, outcome in zip(due, outcomes, strict=True):
                if isinstance(outcome, ShardPlace):
                    places[index] = outcome
                else:
                    lost.append(index)
            due = spread.replace(lost)
        codec = f"replica:{self._copies}"
        return DataRef(self.name, codec, blob, size, 0, spread.shards(places), checksum)

    async def _write_large(self, source: Source) -> DataRef:
        blob, codec = self._new_blob_id(), self._codec
        spread = await self._found_spread(blob, codec.total, self._least)
        upload = BlobUpload(
            spread,
            self._osds,
            codec=codec,
            blob=blob,
            size=source.size,
            stripe=self._stripe,
            fanout=self._fanout,
            buffers=self._buffers,
        )
        try:
            await self._transfer(source, upload, self._stripe)
        except BaseException:
            await asyncio.shield(self._workers.start(upload.abort))
            raise
        shards = spread.shards(upload.places)
        return DataRef(self.name, codec.name, blob, source.size, self._stripe, shards)

    async def _found_spread(self, blob: bytes, count: int, least: int) -> Spread:
        """Return the OSDs for a blob; where there are too few, some may be back of late."""
        try:
            return self._spread(blob, count, least)
        except UnavailableError:
            if self._catch_up is None:
                raise
        await self._catch_up()
        return self._spread(blob, count, least)

    def _spread(self, blob: bytes, count: int, least: int) -> Spread:
        return Spread(blob, self._osds, self._choose, count=count, least=least)

    async def _append_again(
        self, ref: DataRef, data: bytes, due: Mapping[int, int]
    ) -> dict[int, ShardPlace]:
        """Append copies of a blob on these OSDs; return their places."""
        record = Record(record_header(ref.blob, ref.size, ref.crc32c), data)
        try:
            outcomes = await self._appender.append(record, list(due.values()))
        except HungError as error:
            raise UnavailableError(str(error)) from error
        found = dict(zip(due, outcomes, strict=True))
        places = {index: each for index, each in found.items() if isinstance(each, ShardPlace)}
        Fixed(due, self._osds).lose(found.keys() - places.keys())
        return places

    async def _write_shards(self, ref: DataRef, due: Mapping[int, int]) -> dict[int, ShardPlace]:
        """Write these shards of a blob, from all of it that is whole; return their places."""
        upload = BlobUpload(
            Fixed(due, self._osds),
            self._osds,
            codec=codec_from_name(ref.codec),
            blob=ref.blob,
            size=ref.size,
            stripe=ref.stripe,
            fanout=self._fanout,
            buffers=self._buffers,
            replaces=True,
        )
        blob = self._silent(ref)
        try:
            await self._transfer(BlobSource(blob, ref.size, self._workers), upload, ref.stripe)
        except BaseException:
            await asyncio.shield(self._workers.start(upload.abort))
            raise
        finally:
            blob.close()
        return upload.places

    def _targets(self, ref: DataRef, avoid: frozenset[int]) -> Sequence[int]:
        """Return where the shards of a blob go today, ABSENT where the rule finds nothing."""
        chosen = self._choose(ref.blob, avoid)
        if not ref.stripe:  # copies, which may take any place
            chosen = [osd for osd in chosen if osd is not None]
        return [ABSENT if osd not in self._osds.open else osd for osd in chosen][: len(ref.shards)]

    def _holding(self, ref: DataRef) -> frozenset[int]:
        """Return the OSDs that are full of, among others, this blob: it may stay there."""
        holders = {place.osd for place in ref.shards}
        return self._osds.full.intersection(holders).difference(self._osds.down)

    async def _transfer(self, source: Source, upload: BlobUpload, stripe: int) -> None:
        """Pass the source's bytes to the upload and commit it once the source has vouched."""
        left = source.size
        size = self._buffer_size(left, stripe)
        most = 3 if size >= LARGE_BUFFER else 2
        buffers = [self._buffers.take(size) for _ in range(min(most, -(-left // size)))]
        steps: deque[asyncio.Future[None]] = deque()  # one waits for another at most
        turn = 0
        while left:
            data = memoryview(buffers[turn % len(buffers)])
            count = min(left, size)
            _expect(await source.readinto(data[:count]), count)
            if turn == 0:  # space is taken once bytes have come, not for a promise
                await self._workers.run(upload.open)
            if len(steps) == most - 1:
                await steps.popleft()
            upload.offer(data, count)
            steps.append(self._workers.start(upload.append))
            left -= count
            turn += 1
        _expect(await source.readinto(memoryview(bytearray(1))), 0)
        for step in steps:
            await step
        await self._workers.run(upload.commit)
        # Only here is it certain that nobody uses them any more; after an error they are dropped.
        for buffer in buffers:
            self._buffers.give(buffer)

    def _buffer_size(self, size: int, stripe: int) -> int:
        """Return the size of an upload's buffers: whole stripes, large where few share memory."""
        is_roomy = self._uploads <= FEW_UPLOADS and size > MIB
        wanted = LARGE_BUFFER if is_roomy and self._codec.needed == 1 else MIB
        return max(wanted // stripe, 1) * stripe

    def _unlink(self, ref: DataRef) -> None:
        errors: list[OSError] = []
        for index, place in enumerate(ref.shards):
            osd = self._osds.open.get(place.osd)
            if osd is not None and osd.id not in self._osds.silent:
                try:
                    with self._osds.calling(osd.id):
                        osd.remove_shard(ref.blob, index)
                except OSError as error:
                    errors.append(error)
        if errors:
            raise UnavailableError("; ".join(str(error) for error in errors))

    def _blob(self, ref: DataRef, files: OpenShards | None = None) -> BlobReader:
        return BlobReader(ref, codec_from_name(ref.codec), self._osds, self._on_damage, files)

    def _silent(self, ref: DataRef) -> BlobReader:
        """Return a reader for those who look for damage: nobody is to be told of it."""
        return BlobReader(ref, codec_from_name(ref.codec), self._osds, lambda *damage: None)

    def _new_volume_id(self) -> bytes:
        """Return 8 bytes; hashed, as blob ids may share their first bytes."""
        return hashlib.blake2b(self._new_blob_id(), digest_size=8).digest()


def _expect(count: int, promised: int) -> None:
    if count != promised:
        raise DataError(f"the source gave {count} bytes where it promised {promised}")
