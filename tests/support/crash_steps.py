"""Steps of programs that die: what clients and jobs do to a store, and what that means.

Every step is atomic, and its effect is written down twice: what the store does, and what that makes
of a model of a few dictionaries.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from s3server.core.clock import SystemClock
from s3server.core.copying import CopySource
from s3server.core.multipart import ChosenPart, format_upload_id
from s3server.core.objects import UNCONDITIONAL
from s3server.core.records import BucketRecord
from s3server.jobs.repair import Repair
from s3server.jobs.runner import Job
from s3server.jobs.scan import Scan
from s3server.jobs.snapshot import Snapshots
from s3server.jobs.throttle import Throttle
from s3server.meta.lmdb import LmdbStore
from tests.support.blobs import pattern
from tests.support.core_store import (
    ATTRIBUTES,
    Bytes,
    TestStore,
    no_digest,
)
from tests.support.store_audit import DAY_MS, LateClock, StoppedStore, clean

Versions = list[bytes | None]  # of a key, newest first; None is a delete marker


@dataclass(slots=True)
class Model:
    """What a store holds."""

    is_versioned: bool = False
    keys: dict[str, Versions] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)

    def put(self, key: str, data: bytes | None) -> None:
        """Make this the current version of a key."""
        older = self.keys.get(key, []) if self.is_versioned else []
        self.keys[key] = [data, *older]

    def remove(self, key: str, index: int) -> None:
        """Forget one version."""
        del self.keys[key][index]
        if not self.keys[key]:
            del self.keys[key]


class Layout:
    """Where blobs go: on the OSDs in turn. Its epoch lies in a file beside them."""

    def __init__(self, root: Path) -> None:
        self._file = root / "epoch"

    @property
    def epoch(self) -> int:
        return int(self._file.read_text()) if self._file.exists() else 0

    def change(self) -> None:
        """Let every blob go one OSD further from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(str(self.epoch + 1))
        new.rename(self._file)


@dataclass(slots=True)
class Opened:
    """A store as one process has it open."""

    core: TestStore
    stopped: StoppedStore
    bucket: BucketRecord
    lmdb: LmdbStore
    layout: Layout

    async def upload(self, key: str) -> tuple[str, list[ChosenPart]]:
        """Return the id of the one upload of a key, and all its parts."""
        begun = await self.core.listing.first_uploads(self.bucket, 100)
        (upload,) = (each.id for each in begun if each.key == key)
        parts = await self.core.multipart.parts(upload)
        return format_upload_id(upload), [ChosenPart(each.number, each.etag) for each in parts]

    async def version_id(self, key: str, index: int) -> str:
        """Return the id of a version, counted from the newest."""
        page = await self.core.listing.versions(
            self.bucket, prefix=key, delimiter="", after_key="", after_sequence=None, limit=100
        )
        found = [each.record for each in page.versions if each.key == key]
        return found[index].version_id or "null"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, what the store does, what that means."""

    name: str
    run: Callable[[Opened], Awaitable[object]]
    effect: Callable[[Model], object]


@dataclass(frozen=True, slots=True)
class Program:
    """Steps, and others that have been done before the first crash."""

    name: str
    setup: Sequence[Step]
    steps: Sequence[Step]
    is_versioned: bool = False

    def models(self) -> list[Model]:
        """Return the model before the steps and after each of them."""
        model = Model(self.is_versioned)
        for step in self.setup:
            step.effect(model)
        found = [copy.deepcopy(model)]
        for step in self.steps:
            step.effect(model)
            found.append(copy.deepcopy(model))
        return found


def put(key: str, size: int, seed: int) -> Step:
    data = pattern(size, seed)
    return Step(
        f"put {key}, {size} bytes",
        lambda store: store.core.put(store.bucket, key, data),
        lambda model: model.put(key, data),
    )


def get(key: str, size: int, seed: int) -> Step:
    """Read what put() of the same arguments stored, at once and as a stream."""
    data = pattern(size, seed)

    async def run(store: Opened) -> None:
        assert data == await store.core.body(store.bucket, key)
        assert data == await store.core.streamed(store.bucket, key)

    return Step(f"get {key}", run, lambda model: None)


def delete(key: str) -> Step:
    def effect(model: Model) -> None:
        if model.is_versioned:
            model.put(key, None)
        else:
            model.keys.pop(key, None)

    return Step(f"delete {key}", lambda store: store.core.objects.delete(store.bucket, key), effect)


def remove(key: str, index: int) -> Step:
    """Remove one version for good."""

    async def run(store: Opened) -> None:
        version_id = await store.version_id(key, index)
        await store.core.objects.delete(store.bucket, key, version_id)

    return Step(f"remove {key}[{index}]", run, lambda model: model.remove(key, index))


def share(source: str, target: str) -> Step:
    """Copy by reference."""

    async def run(store: Opened) -> None:
        await store.core.copying.copy(
            CopySource(store.bucket, source),
            (store.bucket, target),
            lambda _: ATTRIBUTES,
            UNCONDITIONAL,
        )

    return Step(
        f"copy {source} to {target}",
        run,
        lambda model: model.put(target, model.keys[source][0]),
    )


def begin(key: str) -> Step:
    return Step(
        f"begin {key}",
        lambda store: store.core.multipart.create(store.bucket, key, ATTRIBUTES),
        lambda model: model.uploads.update({key: {}}),
    )


def part(key: str, number: int, size: int, seed: int) -> Step:
    data = pattern(size, seed)

    async def run(store: Opened) -> None:
        upload, _ = await store.upload(key)
        await store.core.multipart.put_part(store.bucket, key, upload, number, Bytes(data))

    return Step(
        f"part {number} of {key}, {size} bytes",
        run,
        lambda model: model.uploads[key].update({number: data}),
    )


def complete(key: str) -> Step:
    async def run(store: Opened) -> None:
        upload, parts = await store.upload(key)
        await store.core.multipart.complete(
            store.bucket, key, upload, parts, summarise=no_digest, condition=UNCONDITIONAL
        )

    def effect(model: Model) -> None:
        parts = model.uploads.pop(key)
        model.put(key, b"".join(data for _, data in sorted(parts.items())))

    return Step(f"complete {key}", run, effect)


def abort(key: str) -> Step:
    async def run(store: Opened) -> None:
        upload, _ = await store.upload(key)
        await store.core.multipart.abort(store.bucket, key, upload)

    return Step(f"abort {key}", run, lambda model: model.uploads.pop(key))


def tidy() -> Step:
    """Collect, sweep and compact all there is."""
    return Step(
        "tidy", lambda store: clean(store.stopped, SystemClock().now_ms()), lambda model: None
    )


def down(*osds: int) -> Step:
    """Let these OSDs take no shards until they are up, or until the process ends."""

    async def run(store: Opened) -> None:
        for osd in osds:
            store.stopped.cluster.osd_set.mark_down(osd, "a test says so")

    return Step(f"down {osds}", run, lambda model: None)


def up(*osds: int) -> Step:
    async def run(store: Opened) -> None:
        for osd in osds:
            store.stopped.cluster.osd_set.mark_up(osd)

    return Step(f"up {osds}", run, lambda model: None)


def move() -> Step:
    """Change the layout: every blob has to go elsewhere."""

    async def run(store: Opened) -> None:
        store.layout.change()

    return Step("move", run, lambda model: None)


async def heal(store: Opened) -> None:
    """Scan and repair until all shards are where the layout wants them; free what was replaced."""
    meta, cluster = store.core.meta, store.stopped.cluster
    clock = LateClock(SystemClock().now_ms())
    scan = Scan(meta, cluster.pools, clock=clock, epoch=lambda: store.layout.epoch)
    rate = Throttle(0)
    repair = Repair(
        meta, cluster.pools, cluster.osds, clock=clock, grace_ms=1_000, repair=rate, rebalance=rate
    )
    jobs: list[Job] = [scan, repair, repair]  # the second time what was replaced is freed
    for job in jobs:
        clock.ms += DAY_MS
        while (await job.step()).has_more:
            pass


def rebalance() -> Step:
    return Step("rebalance", heal, lambda model: None)


def snapshot() -> Step:
    """Take a snapshot of the metadata, and truncate the journal."""

    async def run(store: Opened) -> None:
        await Snapshots(store.lmdb, clock=store.core.clock).take()

    return Step("snapshot", run, lambda model: None)
