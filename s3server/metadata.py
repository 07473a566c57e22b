"""From the settings to the metadata store, opened with its journal. Never anew over old OSDs."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import structlog

from s3server.cluster.maps import ClusterMaps
from s3server.config import Config, OsdConfig
from s3server.core.clock import SystemClock
from s3server.core.records import store_key
from s3server.data.base import DataError
from s3server.data.codec import codec_from_name
from s3server.data.osd_directory import DirectoryOsd, identity_of
from s3server.data.workers import Fanout
from s3server.meta.base import MetadataStore, UnavailableError
from s3server.meta.journal import Journal
from s3server.meta.journal_files import Candidate
from s3server.meta.lmdb import LmdbStore
from s3server.meta.lmdb_view import write_store
from s3server.meta.owner import act_as_owner
from s3server.meta.restore import stored_state


class MetadataExistError(Exception):
    """There are metadata already."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was rebuilt."""

    cluster: str
    sequence: int
    rows: int
    snapshot: int  # commit sequence of the snapshot that it was built on
    aside: str  # where the metadata are that were there before; "" where none were


FOLLOW_EVERY_S = 60.0  # an OSD that is back takes journals again, without a change of the map

_log = structlog.get_logger("metadata")


async def open_metadata(config: Config, on_failure: Callable[[], None] = lambda: None) -> LmdbStore:
    """Open the store, and its journal where it has one; an empty store where nothing is there.

    Raises UnavailableError where OSDs belong to a cluster whose metadata are not there.
    """
    meta = open_to_read(config, on_failure)
    try:
        if meta.is_journalled:
            await attach_journal(config, meta)
    except BaseException:
        await meta.close()
        raise
    return meta


def open_to_read(config: Config, on_failure: Callable[[], None] = lambda: None) -> LmdbStore:
    """Open the store, as open_metadata() does, without its journal: then it takes no commits."""
    act_as_owner(config.storage.meta_dir)
    _refuse_to_forget(config)
    return LmdbStore.open(
        config.storage.meta_dir,
        map_size=config.storage.map_size_gib << 30,
        on_failure=on_failure,
    )


async def attach_journal(config: Config, meta: LmdbStore) -> None:
    """Begin the journal of a store whose OSDs have their identity, or take it up."""
    row = await meta.get(store_key("cluster"))
    assert row is not None, "OSDs get their identity from it"
    cluster = row.decode()
    found = await mapped_candidates(meta, config.pools[0].name) or candidates(config, cluster)
    meta.attach(Journal(cluster, found, copies=_copies(config), run=Fanout(4).run))


async def follow_map(config: Config, meta: LmdbStore) -> None:
    """Let the journal use the OSDs that are in the map now, and here."""
    if meta.journal is not None and (found := await mapped_candidates(meta, config.pools[0].name)):
        meta.journal.use(found)


class MapFollower:
    """Lets the journal use the OSDs of the map: a look after a change, and now and then."""

    def __init__(self, config: Config, meta: LmdbStore, epoch: Callable[[], int]) -> None:
        """Prepare. `epoch` is that of the map that this process goes by."""
        self._config, self._meta, self._epoch = config, meta, epoch
        self._followed = epoch()
        self._again_s = time.monotonic() + FOLLOW_EVERY_S

    async def look(self) -> None:
        """Follow the map if it is another one, or if an OSD may have come back. Costs little."""
        epoch, now_s = self._epoch(), time.monotonic()
        if epoch != self._followed or now_s >= self._again_s:
            await follow_map(self._config, self._meta)
            self._followed, self._again_s = epoch, now_s + FOLLOW_EVERY_S


async def mapped_candidates(meta: MetadataStore, default_pool: str) -> list[Candidate]:
    """Return the OSDs of the default pool that the map has in and that are here; none: no map."""
    maps, cluster = ClusterMaps(meta, SystemClock()), await meta.get(store_key("cluster"))
    record, rows = await maps.current(), await maps.osds()
    pool = next((each for each in record.pools if each.name == default_pool), None)
    if pool is None or cluster is None:
        return []
    tree, found = record.tree(), []
    for osd in record.osds:
        if osd.state != "in" or pool.device_class not in ("", osd.device_class):
            continue
        domain = next((b.name for b in tree.path(osd.id) if b.type == pool.across), str(osd.id))
        row = rows[osd.id]
        if (directory := _opened(row.path, cluster.decode(), osd.id)) is not None:
            found.append(Candidate(directory, domain))
    return found


def restore_store(config: Config, *, force: bool, accept_missing: bool) -> Restored:
    """Rebuild the metadata directory from the snapshots and journals on the OSDs. Blocks.

    The caller holds the store's lock. `force` moves metadata aside that are there, else
    MetadataExistError. Every segment of the journal has at least `minimum` copies, so with as many
    OSDs missing its end may be missing too: UnavailableError unless `accept_missing`.
    """
    meta_dir = config.storage.meta_dir
    if meta_dir.exists() and not force:
        raise MetadataExistError(f"{meta_dir} exists; --force moves it aside")
    cluster = _cluster_of(config)
    osds = [each.osd for each in candidates(config, cluster)]
    wanted = [osd for osd in config.osds if _may_have_journals(config, osd)]
    if len(wanted) - len(osds) >= min(2, _copies(config)) and not accept_missing:
        absent = {osd.id for osd in wanted} - {osd.id for osd in osds}
        raise UnavailableError(
            f"OSDs {sorted(absent)} are not here: the newest metadata may lie on them alone. "
            "--accept-missing restores what the others have"
        )
    state = stored_state(osds, cluster)
    new = meta_dir.with_name(meta_dir.name + ".restored")
    if new.exists():
        shutil.rmtree(new)  # of a restore that died
    rows = write_store(
        new, state.rows(), state.sequence, state.end, map_size=config.storage.map_size_gib << 30
    )
    aside = _move_aside(meta_dir) if meta_dir.exists() else None
    new.rename(meta_dir)
    _sync(meta_dir.parent)
    return Restored(
        cluster, state.sequence, rows, state.snapshot.snapshot.sequence, str(aside or "")
    )


def _cluster_of(config: Config) -> str:
    """Return the cluster that the OSDs belong to. Raises UnavailableError."""
    found: dict[str, str] = {}
    for osd in config.osds:
        try:
            found.setdefault(identity_of(str(osd.path)).cluster, str(osd.path))
        except (DataError, OSError) as error:
            _log.error("osd is missing", osd=osd.id, reason=str(error))
    if len(found) != 1:
        several = ", ".join(f"{path} belongs to {cluster}" for cluster, path in found.items())
        raise UnavailableError(several or "no OSD of the settings is here")
    return next(iter(found))


def _move_aside(path: Path) -> Path:
    for number in count(1):
        aside = path.with_name(f"{path.name}.aside-{number}")
        if not aside.exists():
            path.rename(aside)
            return aside
    raise AssertionError


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def candidates(config: Config, cluster: str) -> list[Candidate]:
    """Return the OSDs of the default pool that are here, as the settings have them."""
    found = []
    for osd in config.osds:
        if not _may_have_journals(config, osd):
            continue
        if (directory := _opened(str(osd.path), cluster, osd.id)) is not None:
            found.append(Candidate(directory, _domain(config, osd)))
    return found


def _opened(path: str, cluster: str, osd: int) -> DirectoryOsd | None:
    try:
        return DirectoryOsd.open(path, cluster=cluster, osd=osd)
    except (DataError, OSError) as error:
        _log.warning("osd takes no journal", osd=osd, reason=str(error))
        return None


def _may_have_journals(config: Config, osd: OsdConfig) -> bool:
    return config.pools[0].device_class in ("", osd.device_class)


def _copies(config: Config) -> int:
    """Return how many copies the default pool makes of a small blob: its losses, plus one."""
    codec = codec_from_name(config.pools[0].codec)
    return codec.total - codec.needed + 1


def _domain(config: Config, osd: OsdConfig) -> str:
    """Return what of an OSD fails together, as the rule of the default pool has it."""
    place = (osd.datacenter, osd.rack, osd.host, str(osd.id))
    return "/".join(place[: {"rack": 2, "host": 3, "osd": 4}[config.pools[0].across]])


def _refuse_to_forget(config: Config) -> None:
    if (config.storage.meta_dir / "data.mdb").exists():
        return
    for osd in config.osds:
        try:
            identity = identity_of(str(osd.path))
        except (DataError, OSError):
            continue
        raise UnavailableError(
            f"{config.storage.meta_dir} holds no metadata, but {osd.path} belongs to cluster "
            f"{identity.cluster}. `s3server meta restore` rebuilds them from the OSDs."
        )
