"""From the settings to the metadata store, opened with its journal. Never anew over old OSDs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType

import structlog

from s3server.cluster.map_record import MAP_KEY, OSD_PREFIX, MapRecord, OsdRecord, osd_key
from s3server.cluster.maps import ClusterMaps
from s3server.cluster.moved import moved
from s3server.cluster.osd_watch import down_rows
from s3server.config import Config, OsdConfig
from s3server.core import records
from s3server.core.clock import SystemClock
from s3server.core.records import decode, encode, store_key
from s3server.counters import run_directory
from s3server.data.base import DataError
from s3server.data.codec import codec_from_name
from s3server.data.osd_directory import DirectoryOsd, identity_of
from s3server.data.workers import Fanout
from s3server.events.bell import Bell
from s3server.meta.base import MetadataStore, Put, UnavailableError
from s3server.meta.durable import replace_durably, sync_path
from s3server.meta.journal import Journal
from s3server.meta.journal_files import Candidate
from s3server.meta.lmdb import LmdbStore
from s3server.meta.lmdb_view import write_store
from s3server.meta.owner import act_as_owner
from s3server.meta.restore import State, stored_state


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
    meta = _open(config, on_failure)
    try:
        if meta.is_journalled:
            await attach_journal(config, meta)
        bell = Bell(run_directory(config.storage.meta_dir))
        meta.tell_of(records.EVENT, bell.ring)
    except BaseException:
        await meta.close()
        raise
    return meta


def open_to_read(config: Config) -> LmdbStore:
    """Open the store, as open_metadata() does, without its journal: then it takes no commits.

    Raises UnavailableError also where nothing was made yet.
    """
    return _open(config, only_what_is_there=True)


def _open(
    config: Config,
    on_failure: Callable[[], None] = lambda: None,
    *,
    only_what_is_there: bool = False,
) -> LmdbStore:
    meta_dir = config.storage.meta_dir
    act_as_owner(meta_dir)
    _refuse_to_forget(config)
    if only_what_is_there and not (meta_dir / "data.mdb").exists():
        raise UnavailableError(f"{meta_dir} holds no metadata yet: the first start makes them")
    return LmdbStore.open(
        meta_dir,
        map_size=config.storage.map_size_gib << 30,
        on_failure=on_failure,
    )


async def attach_journal(config: Config, meta: LmdbStore) -> None:
    """Begin the journal of a store whose OSDs have their identity, or take it up."""
    row = await meta.get(store_key("cluster"))
    assert row is not None, "OSDs get their identity from it"
    cluster = row.decode()
    elsewhere = await _moved(config, meta, cluster)
    found = await mapped_candidates(meta, config.pools[0].name, elsewhere) or candidates(
        config, cluster
    )
    meta.attach(Journal(cluster, found, copies=_copies(config), run=Fanout(4).run))
    if elsewhere:  # before anybody looks for them where they were: that may be another store by now
        await meta.commit([Put(osd_key(osd), encode(row)) for osd, row in elsewhere.items()])


async def _moved(config: Config, meta: MetadataStore, cluster: str) -> dict[int, OsdRecord]:
    known = await ClusterMaps(meta, SystemClock()).osds()
    return moved(known, {osd.id: str(osd.path) for osd in config.osds}, cluster)


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


async def mapped_candidates(
    meta: MetadataStore,
    default_pool: str,
    elsewhere: Mapping[int, OsdRecord] = MappingProxyType({}),
) -> list[Candidate]:
    """Return the OSDs of the default pool that the map has in and that are here; none: no map.

    `elsewhere` has newer rows of some than the store.
    """
    maps, cluster = ClusterMaps(meta, SystemClock()), await meta.get(store_key("cluster"))
    record, rows = await maps.current(), {**await maps.osds(), **elsewhere}
    pool = next((each for each in record.pools if each.name == default_pool), None)
    if pool is None or cluster is None:
        return []
    tree, found = record.tree(), []
    down = {each.record.osd for each in await down_rows(meta)}  # of these everybody knows
    for osd in record.osds:
        if osd.state != "in" or pool.device_class not in ("", osd.device_class):
            continue
        domain = next((b.name for b in tree.path(osd.id) if b.type == pool.across), str(osd.id))
        row = rows[osd.id]
        directory = _opened(row.path, cluster.decode(), osd.id, is_told=osd.id in down)
        if directory is not None:
            found.append(Candidate(directory, domain))
    return found


def restore_store(
    config: Config, *, force: bool, accept_missing: bool, paths: Sequence[Path] = ()
) -> Restored:
    """Rebuild the metadata directory from the snapshots and journals on the OSDs. Blocks.

    The OSDs are those of the settings, those in `paths`, and all that the map that is found on
    them knows of, as long as they are where it says, or moved with the others; the restored
    metadata have them where they were found. The caller holds the store's lock. `force` moves
    metadata aside that are there, else MetadataExistError. Every segment of the journal has at
    least `minimum` copies, so with as many OSDs missing its end may be missing too:
    UnavailableError unless `accept_missing`.
    """
    meta_dir = config.storage.meta_dir
    if meta_dir.exists() and not force:
        raise MetadataExistError(f"{meta_dir} exists; --force moves it aside")
    cluster, osds = _osds_here(config, paths)
    state, absent = _reached(config, cluster, osds)
    if len(absent) >= min(2, _copies(config)) and not accept_missing:
        raise UnavailableError(
            f"OSDs {sorted(absent)} are not here: the newest metadata may lie on them alone. "
            "--osd DIR says where one is that has moved; --accept-missing restores what the "
            "others have"
        )
    new = meta_dir.with_name(meta_dir.name + ".restored")
    if new.exists():
        shutil.rmtree(new)  # of a restore that died
    here = {osd_key(i): encode(row) for i, row in _osd_rows(state, cluster, osds).items()}
    found = ((key, here.get(key, row)) for key, row in state.rows())
    rows = write_store(
        new, found, state.sequence, state.end, map_size=config.storage.map_size_gib << 30
    )
    aside = _move_aside(meta_dir) if meta_dir.exists() else None
    new.rename(meta_dir)
    sync_path(meta_dir.parent)
    return Restored(
        cluster, state.sequence, rows, state.snapshot.snapshot.sequence, str(aside or "")
    )


def _osds_here(config: Config, paths: Sequence[Path]) -> tuple[str, dict[int, DirectoryOsd]]:
    """Return the cluster that these OSDs belong to, and those that are here.

    Raises UnavailableError where there is none, or where they belong to several.
    """
    clusters: dict[str, str] = {}
    found: dict[int, DirectoryOsd] = {}
    for path in dict.fromkeys([*paths, *(osd.path for osd in config.osds)]):
        try:
            identity = identity_of(str(path))
            osd = DirectoryOsd.open(str(path), cluster=identity.cluster, osd=identity.osd)
        except (DataError, OSError) as error:
            _log.error("osd is missing", path=str(path), reason=str(error))
        else:
            clusters.setdefault(identity.cluster, str(path))
            found.setdefault(osd.id, osd)
    if len(clusters) != 1:
        several = ", ".join(f"{path} belongs to {cluster}" for cluster, path in clusters.items())
        raise UnavailableError(several or "no OSD of the settings is here; --osd DIR names others")
    return next(iter(clusters)), found


def _reached(
    config: Config, cluster: str, osds: dict[int, DirectoryOsd]
) -> tuple[State, frozenset[int]]:
    """Return the newest state, and the OSDs that may have a newer one but are not here.

    An OSD that was added at run time is found by the map, whose change is in the journal of the
    OSDs that were there before it; it is added to `osds`, and what it has is looked at too.
    """
    while True:
        state = stored_state(list(osds.values()), cluster)
        wanted = _journal_paths(config, state, _osd_rows(state, cluster, osds))
        found = {
            osd: opened
            for osd, path in wanted.items()
            if osd not in osds and (opened := _opened(path, cluster, osd)) is not None
        }
        if not found:
            return state, frozenset(wanted.keys() - osds.keys())
        osds |= found


def _osd_rows(state: State, cluster: str, osds: Mapping[int, DirectoryOsd]) -> dict[int, OsdRecord]:
    """Return the rows of all OSDs, with where they are by those that were found."""
    rows = (decode(OsdRecord, row) for key, row in state.rows() if key.startswith(OSD_PREFIX))
    known = {row.id: row for row in rows}
    return known | moved(known, {osd: found.path for osd, found in osds.items()}, cluster)


def _journal_paths(config: Config, state: State, rows: Mapping[int, OsdRecord]) -> dict[int, str]:
    """Return where the OSDs are that may have journals, by the map in this state."""
    row = next((row for key, row in state.rows() if key == MAP_KEY), None)
    if row is None:  # as old as the store
        return {osd.id: str(osd.path) for osd in config.osds if _may_have_journals(config, osd)}
    record = decode(MapRecord, row)
    classes = {pool.device_class for pool in record.pools if pool.name == config.pools[0].name}
    return {osd.id: rows[osd.id].path for osd in record.osds if classes & {"", osd.device_class}}


def _move_aside(path: Path) -> Path:
    for number in count(1):
        aside = path.with_name(f"{path.name}.aside-{number}")
        if not aside.exists():
            path.rename(aside)
            return aside
    raise AssertionError


def candidates(config: Config, cluster: str) -> list[Candidate]:
    """Return the OSDs of the default pool that are here, as the settings have them."""
    found = []
    for osd in config.osds:
        if not _may_have_journals(config, osd):
            continue
        if (directory := _opened(str(osd.path), cluster, osd.id)) is not None:
            found.append(Candidate(directory, _domain(config, osd)))
    return found


def _opened(path: str, cluster: str, osd: int, *, is_told: bool = False) -> DirectoryOsd | None:
    try:
        return DirectoryOsd.open(path, cluster=cluster, osd=osd)
    except (DataError, OSError) as error:
        if not is_told:
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
    return "/".join(osd.domain(config.pools[0].across))


def remember(config: Config, cluster: str) -> None:
    """Leave a file beside the metadata directory that says which cluster was made here. Durable."""
    file = _marker(config)
    if not file.exists():
        replace_durably(file, f"{cluster}\n", mode=0o644)


def was_made(config: Config) -> bool:
    """Return whether this store was made to its end once, whatever of it is here now."""
    return _marker(config).exists()


def _marker(config: Config) -> Path:
    meta_dir = config.storage.meta_dir
    return meta_dir.with_name(meta_dir.name + ".cluster")


def _refuse_to_forget(config: Config) -> None:
    """Raise UnavailableError where metadata are missing, and not because nothing was made yet."""
    meta_dir, marker = config.storage.meta_dir, _marker(config)
    if (meta_dir / "data.mdb").exists():
        return
    for osd in config.osds:
        try:
            identity = identity_of(str(osd.path))
        except (DataError, OSError):
            continue
        raise UnavailableError(
            f"{meta_dir} holds no metadata, but {osd.path} belongs to cluster "
            f"{identity.cluster}. `s3server meta restore` rebuilds them from the OSDs."
        )
    if marker.exists():
        raise UnavailableError(
            f"{meta_dir} holds no metadata and no OSD of the settings is here, but {marker} says "
            f"that cluster {marker.read_text().strip()} was made: are the disks mounted? To begin "
            "anew, with nothing of it, remove that file."
        )
