"""Programs that die: steps (crash_steps.py) on a store that is opened again by each process.

After a crash the store has to be the model after the last step that was acknowledged, or after the
one that was under way.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from s3server.cluster.live import Cluster
from s3server.data.codec import codec_from_name
from s3server.data.osd_directory import DirectoryOsd
from s3server.data.osd_set import OsdSet
from s3server.data.placed import PlacedPool
from s3server.data.vfs import Vfs
from s3server.jobs.snapshot import Snapshots
from s3server.meta.base import MetadataStore
from s3server.meta.journal import Journal
from s3server.meta.journal_files import Candidate
from s3server.meta.lmdb import LmdbStore
from tests.support.blobs import CLUSTER, in_turn
from tests.support.core_store import (
    ManualClock,
    NumberedIds,
    TestStore,
)
from tests.support.crash_points import Countdown, CrashMeta, CrashVfs
from tests.support.crash_steps import (
    Layout,
    Model,
    Opened,
    Program,
    Step,
    abort,
    begin,
    complete,
    delete,
    down,
    get,
    move,
    part,
    put,
    rebalance,
    remove,
    share,
    snapshot,
    tidy,
    up,
)
from tests.support.store_audit import StoppedStore

SMALL, LARGE = 4_096, 300_000
STRIPE = 128 << 10
SEGMENT = 16 << 10  # of the journal: some programs fill one
SPARE_OSDS = 1  # beyond the shards of a blob


# --- the store ----------------------------------------------------------------------------------


class _Ids(NumberedIds):
    """Identifiers that end in 0, so that all shards of an OSD lie in one directory."""

    def blob_id(self) -> bytes:
        return super().blob_id()[1:] + b"\0"


def osd_count(codec: str) -> int:
    """Return how many OSDs these stores have."""
    return codec_from_name(codec).total + SPARE_OSDS


@asynccontextmanager
async def opened(
    root: Path,
    codec: str,
    process: int,
    countdown: Countdown | None = None,
    vfs: Vfs | None = None,
) -> AsyncIterator[Opened]:
    """Open the store as process number `process`; with a countdown it dies in it."""
    lmdb = LmdbStore.open(root / "meta", ballast_bytes=0, map_size=1 << 30)
    meta: MetadataStore = CrashMeta(lmdb, countdown) if countdown else lmdb
    vfs = CrashVfs(countdown) if countdown else vfs or Vfs()
    code, clock = codec_from_name(codec), ManualClock()
    osds = {
        osd: DirectoryOsd.open(str(root / f"osd{osd}"), cluster=CLUSTER, osd=osd, vfs=vfs)
        for osd in range(osd_count(codec))
    }
    journal = Journal(
        CLUSTER,
        [Candidate(osd, str(osd.id)) for osd in osds.values()],
        copies=code.total - code.needed + 1,
        segment_bytes=SEGMENT,
    )
    lmdb.attach(journal)
    ids = _Ids(clock, 1_000_000 + process)

    def choose(blob: bytes, avoid: frozenset[int]) -> Sequence[int | None]:
        first = blob[-2] + layout.epoch
        order = [(first + index) % len(osds) for index in range(len(osds))]
        return in_turn(order, code.total)(blob, avoid)

    layout, osd_set = Layout(root), OsdSet(osds)
    pool = PlacedPool("main", code, osd_set, choose, ids.blob_id, stripe=STRIPE)
    core = TestStore(meta, {"main": pool}, clock, process)
    found = await core.buckets.find("bucket")
    bucket = found[0] if found else await core.bucket()
    stopped = StoppedStore(meta, Cluster(osd_set, {"main": pool}))
    yield Opened(core, stopped, bucket, lmdb, layout)
    await pool.close()
    await meta.close()


async def prepare(root: Path, codec: str, program: Program) -> None:
    """Do what the program takes for granted."""
    async with opened(root, codec, process=1) as store:
        if program.is_versioned:
            await store.core.version(store.bucket, "Enabled")
        await Snapshots(store.lmdb, clock=store.core.clock).take()
        for step in program.setup:
            await step.run(store)


async def contents(store: Opened) -> Model:
    """Read the whole store; see that its listings agree with each other."""
    core, bucket = store.core, store.bucket
    found = Model(bool(bucket.versioning))
    listed = await core.listing.versions(
        bucket, prefix="", delimiter="", after_key="", after_sequence=None, limit=1_000
    )
    for each in listed.versions:
        versions = found.keys.setdefault(each.key, [])
        assert each.is_latest == (not versions)
        version_id = each.record.version_id or "null"
        is_marker = each.record.is_delete_marker
        versions.append(None if is_marker else await core.body(bucket, each.key, version_id))
    page = await core.listing.objects(bucket, prefix="", delimiter="", after="", limit=1_000)
    current = [key for key, versions in sorted(found.keys.items()) if versions[0] is not None]
    assert current == [key for key, _ in page.objects]
    for upload in await core.listing.first_uploads(bucket, 1_000):
        parts = found.uploads.setdefault(upload.key, {})
        for record in await core.multipart.parts(upload.id):
            blob = await core.blobs.load(record.blob)
            assert blob is not None, f"part {record.number} of {upload.key} has no blob"
            parts[record.number] = await core.blobs.read(blob, 0, record.size)
    return found


# --- programs -----------------------------------------------------------------------------------

_BUSY = [put("key", LARGE, 3), put("other", 100, 2), share("key", "copy")]

PROGRAMS = {
    program.name: program
    for program in (
        Program("put small", _BUSY, [put("key", SMALL, 5), put("key", 17, 6), put("new", 0, 1)]),
        Program("put large", [put("key", SMALL, 3)], [put("key", LARGE, 5), put("key", LARGE, 6)]),
        Program(
            "versions",
            [put("key", SMALL, 1), put("key", LARGE, 2)],
            [put("key", LARGE, 3), delete("key"), put("key", SMALL, 4), remove("key", 2),
             remove("key", 1), tidy()],
            is_versioned=True,
        ),
        Program(
            "multipart",
            [put("key", SMALL, 1), begin("left"), part("left", 1, LARGE, 9)],
            [begin("key"), part("key", 1, 70_000, 2), part("key", 1, LARGE, 3),
             part("key", 3, SMALL, 4), complete("key"), begin("no"), part("no", 1, LARGE, 5),
             abort("no"), tidy()],
        ),
        Program(
            "copy",
            _BUSY,
            [share("other", "second"), put("key", SMALL, 9), delete("other"), tidy(),
             share("copy", "third"), delete("copy"), tidy()],
        ),
        Program(
            "all at once",
            [put("a", LARGE, 1), put("b", SMALL, 2), begin("up"), part("up", 2, SMALL, 3)],
            [put("a", SMALL, 4), share("b", "c"), part("up", 1, LARGE, 5), put("b", LARGE, 6),
             complete("up"), tidy(), share("up", "a"), delete("up"), put("c", 65_537, 7),
             delete("b"), tidy(), put("up", 65_536, 8)],
        ),
        Program(
            "read",
            [put("key", LARGE, 3), put("other", SMALL, 2), share("key", "copy")],
            [get("key", LARGE, 3), get("other", SMALL, 2), get("copy", LARGE, 3)],
        ),
        Program(
            "snapshot",
            [put("key", LARGE, 3), put("other", SMALL, 2), snapshot(), put("key", SMALL, 4)],
            [put("other", SMALL, 5), snapshot(), delete("key"), snapshot(), put("new", 9, 6)],
        ),
        Program(
            "repair",
            [put("key", LARGE, 3), put("other", SMALL, 2), down(0, 1), put("new", LARGE, 4)],
            [put("key", LARGE, 5), down(1, 2), put("other", SMALL, 6), put("new", SMALL, 7),
             up(0, 1, 2), rebalance(), delete("key"), tidy()],
        ),
        Program(
            "rebalance",
            [put("key", LARGE, 3), put("other", SMALL, 2), share("key", "copy"), move()],
            [rebalance(), put("key", SMALL, 4), move(), rebalance(), tidy()],
        ),
        Program("delete", _BUSY, [delete("key"), tidy(), delete("copy"), tidy()]),
        Program(
            "compaction",
            [*(put(f"{number}", SMALL, number) for number in range(8)),
             *(delete(f"{number}") for number in range(6))],
            [tidy()],
        ),
    )
}  # fmt: skip


def random_program(seed: int, length: int) -> Program:
    """Return a program that does anything, the same one for the same seed."""
    chance = random.Random(seed)
    model = Model(is_versioned=chance.random() < 0.5)
    numbers = itertools.count(seed * 1_000)
    steps: list[Step] = []
    while len(steps) < 2 * length:
        step = _random_step(chance, model, next(numbers))
        step.effect(model)
        steps.append(step)
    name = f"random program {seed}"
    return Program(name, steps[:length], steps[length:], is_versioned=model.is_versioned)


def _random_step(chance: random.Random, model: Model, number: int) -> Step:
    key = chance.choice("abcd")
    size = chance.choice((SMALL, SMALL, 65_536, LARGE, LARGE, 65_537))
    current = [key for key, versions in model.keys.items() if versions[0] is not None]
    choices = [put(key, size, number), put(key, size, number), tidy()]
    if current:
        choices += [delete(chance.choice(current)), share(chance.choice(current), key)]
        if model.is_versioned:
            some = chance.choice(sorted(model.keys))
            choices.append(remove(some, chance.randrange(len(model.keys[some]))))
    for upload, parts in model.uploads.items():
        choices += [part(upload, chance.randrange(1, 4), size, number), abort(upload)]
        if parts:
            choices += [complete(upload)] * 2
    if key not in model.uploads:
        choices.append(begin(key))
    return chance.choice(choices)
