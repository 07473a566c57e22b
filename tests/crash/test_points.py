"""A process that dies at any call of storage leaves the old state or the new one, never a part."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from s3server.app import initialise
from s3server.cluster.live import Cluster, watch_cluster
from s3server.core.clock import SystemClock
from s3server.core.copying import CopySource
from s3server.core.multipart import ChosenPart, format_upload_id
from s3server.core.objects import UNCONDITIONAL
from s3server.core.records import BucketRecord
from s3server.data.codec import codec_from_name
from s3server.data.osd_directory import DirectoryOsd, IdentityError
from s3server.data.osd_set import OsdSet
from s3server.data.placed import PlacedPool
from s3server.data.vfs import Vfs
from s3server.errors import NoSuchKey
from s3server.meta.base import MetadataStore
from s3server.meta.lmdb import LmdbStore
from s3server.settings import quickstart_config
from tests.support.blobs import CLUSTER, files_of, in_turn, make_osds, pattern
from tests.support.core_store import (
    ATTRIBUTES,
    Bytes,
    ManualClock,
    NumberedIds,
    TestStore,
    no_digest,
)
from tests.support.crash_points import Countdown, CrashMeta, CrashVfs, run_until
from tests.support.store_audit import StoppedStore, audit, clean

SMALL, LARGE = 4_096, 150_000
_processes = itertools.count(1)

Done = Callable[[], None]
Steps = Callable[["Opened", Done], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Opened:
    """A store as one process has it open."""

    core: TestStore
    stopped: StoppedStore
    bucket: BucketRecord


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a client asks for, and what the key holds before and after each answer."""

    steps: Steps
    states: tuple[bytes | None, ...]


@asynccontextmanager
async def opened(
    root: Path, codec: str, countdown: Countdown | None = None
) -> AsyncIterator[Opened]:
    """Open the store; with a countdown the process dies in it."""
    lmdb = LmdbStore.open(root / "meta", ballast_bytes=0, map_size=1 << 30)
    meta: MetadataStore = CrashMeta(lmdb, countdown) if countdown else lmdb
    vfs = CrashVfs(countdown) if countdown else Vfs()
    code, clock, process = codec_from_name(codec), ManualClock(), next(_processes)
    osds = {
        osd: DirectoryOsd.open(str(root / f"osd{osd}"), cluster=CLUSTER, osd=osd, vfs=vfs)
        for osd in range(code.total)
    }
    ids = NumberedIds(clock, 1_000_000 + process)
    pool = PlacedPool("main", code, OsdSet(osds), in_turn(list(osds), code.total), ids.blob_id)
    core = TestStore(meta, {"main": pool}, clock, process)
    found = await core.buckets.find("bucket")
    bucket = found[0] if found else await core.bucket()
    yield Opened(core, StoppedStore(meta, Cluster(OsdSet(osds), {"main": pool})), bucket)
    await pool.close()
    await meta.close()


async def prepare(root: Path, codec: str) -> None:
    """Put what is there before: a key that shares its bytes, and one whose volume is sparse."""
    async with opened(root, codec) as store:
        core, bucket = store.core, store.bucket
        await core.put(bucket, "key", pattern(65_536, 1))
        await core.put(bucket, "other", pattern(100, 2))
        await core.put(bucket, "key", pattern(LARGE, 3))
        await core.copying.copy(
            CopySource(bucket, "key"), (bucket, "copy"), lambda _: ATTRIBUTES, UNCONDITIONAL
        )
        await upload(store, OLD, lambda: None)


async def put(data: bytes, store: Opened, done: Done) -> None:
    await store.core.put(store.bucket, "key", data)
    done()


async def upload(store: Opened, data: bytes, done: Done) -> None:
    multipart, bucket = store.core.multipart, store.bucket
    begun = await multipart.create(bucket, "key", ATTRIBUTES)
    done()
    name = format_upload_id(begun.id)
    await multipart.put_part(bucket, "key", name, 1, Bytes(pattern(70_000, 9)))
    done()
    part = await multipart.put_part(bucket, "key", name, 1, Bytes(data))
    done()
    chosen = [ChosenPart(1, part.etag)]
    await multipart.complete(
        bucket, "key", name, chosen, summarise=no_digest, condition=UNCONDITIONAL
    )
    done()


async def delete_and_clean(store: Opened, done: Done) -> None:
    await store.core.objects.delete(store.bucket, "key")
    done()
    await clean(store.stopped, SystemClock().now_ms())
    done()


OLD = pattern(LARGE, 4)
NEW_SMALL, NEW_LARGE = pattern(SMALL, 5), pattern(LARGE, 6)
SCENARIOS = {
    "put small": Scenario(partial(put, NEW_SMALL), (OLD, NEW_SMALL)),
    "put large": Scenario(partial(put, NEW_LARGE), (OLD, NEW_LARGE)),
    "upload": Scenario(
        lambda store, done: upload(store, NEW_LARGE, done), (OLD, OLD, OLD, OLD, NEW_LARGE)
    ),
    "delete and clean": Scenario(delete_and_clean, (OLD, None, None)),
}


async def body(store: Opened, key: str) -> bytes | None:
    try:
        return await store.core.body(store.bucket, key)
    except NoSuchKey:
        return None


async def judge(root: Path, codec: str, allowed: tuple[bytes | None, ...]) -> None:
    """Look at the store as the next process finds it, then free everything in it."""
    async with opened(root, codec) as store:
        assert await body(store, "key") in allowed
        assert [pattern(100, 2), pattern(LARGE, 3)] == [
            await body(store, key) for key in ("other", "copy")
        ]
        found = await audit(store.stopped)
        assert [] == found.problems
        for bucket_key in ("key", "other", "copy"):
            await store.core.objects.delete(store.bucket, bucket_key)
        for begun in await uploads_of(store):
            await store.core.multipart.abort(store.bucket, "key", begun)
        await clean(store.stopped, SystemClock().now_ms())
    assert [] == [name for name in files_of(root) if not name.startswith("meta")]


async def uploads_of(store: Opened) -> list[str]:
    begun = await store.core.listing.first_uploads(store.bucket, 10)
    return [format_upload_id(upload.id) for upload in begun]


@pytest.mark.parametrize("torn", [False, True], ids=["before a call", "within a write"])
@pytest.mark.parametrize(
    ("codec", "name"),
    [
        *(("replica:3", name) for name in SCENARIOS),
        ("ec:2+1", "put large"),
        *(
            pytest.param("ec:2+1", name, marks=pytest.mark.slow)
            for name in ("put small", "upload", "delete and clean")
        ),
    ],
)
def test_death_at_every_call(tmp_path: Path, name: str, codec: str, torn: bool) -> None:
    make_osds(tmp_path, codec_from_name(codec).total)
    scenario = SCENARIOS[name]

    async def work(countdown: Countdown, done: Done) -> None:
        async with opened(tmp_path, codec, countdown) as store:
            await scenario.steps(store, done)

    for call in itertools.count(1):
        asyncio.run(prepare(tmp_path, codec))
        next(_processes)  # that of the fork
        death = run_until(Countdown(call, torn=torn), work)
        allowed = scenario.states[death.done : death.done + 2]
        asyncio.run(judge(tmp_path, codec, allowed))
        if not death.is_dead:
            assert len(scenario.states) == death.done + 1
            break
    assert call > 3


@pytest.mark.parametrize("call", [1, 2, 3, 5, 100, *range(260, 267)])
def test_osd_is_made_by_the_next_start_whatever_call_the_first_one_died_at(
    tmp_path: Path, call: int
) -> None:
    config = quickstart_config(
        tmp_path, access_key="AKIATEST", secret_key="s" * 20, codec="replica:1"
    )

    async def work(countdown: Countdown, done: Done) -> None:
        make = partial(DirectoryOsd.initialise, vfs=CrashVfs(countdown))
        DirectoryOsd.initialise = make  # type: ignore[method-assign]
        await initialise(config)

    async def start_again() -> Cluster:
        await initialise(config)
        meta = LmdbStore.open(config.storage.meta_dir)
        cluster = (await watch_cluster(meta, small_limit=65_536)).cluster
        await meta.close()
        return cluster

    assert run_until(Countdown(call, torn=False), work).is_dead
    cluster = asyncio.run(start_again())
    assert {} == cluster.missing
    assert 256 == len(list((config.osds[0].path / "shards").iterdir()))


@pytest.mark.parametrize("kept", ["volumes/0123456789abcdef.vol", "shards/07/some.0", "notes"])
def test_osd_that_holds_something_but_no_identity_is_not_made_again(
    tmp_path: Path, kept: str
) -> None:
    osd = make_osds(tmp_path, 1)[0]
    Path(osd.path, "osd.json").unlink()
    Path(osd.path, kept).touch()
    with pytest.raises(IdentityError, match=f"not empty: it holds {kept}"):
        DirectoryOsd.initialise(osd.path, cluster=CLUSTER, osd=0)
