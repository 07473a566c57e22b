"""The composition root: the only file that names concrete engines and puts the parts together."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from typing import Any

import structlog

from s3server.auth.authenticate import AuthSettings
from s3server.auth.credentials import Credential, CredentialStore
from s3server.auth.secrets import (
    SecretBox,
    load_or_create_key_file,
    new_access_key_id,
    new_secret,
)
from s3server.cluster.live import Cluster, ClusterWatch, watch_cluster
from s3server.cluster.maps import ClusterMaps
from s3server.cluster.osds import OsdKeeper
from s3server.cluster.seed import cluster_id, seed
from s3server.config import Config, JobsConfig
from s3server.core.access import Access
from s3server.core.blobs import Blobs
from s3server.core.buckets import Buckets
from s3server.core.clock import Ids, SystemClock
from s3server.core.copying import Copying
from s3server.core.keys import KeyRing
from s3server.core.lifecycle import Lifecycle
from s3server.core.listing import Listing
from s3server.core.multipart import Multipart
from s3server.core.objects import Objects
from s3server.core.open_uploads import OpenUploads
from s3server.core.records import store_key
from s3server.core.services import Regions, Services
from s3server.core.users import Users
from s3server.expiry import make_calendar, make_rule_jobs
from s3server.health import health_application
from s3server.jobs.board import Board
from s3server.jobs.collect import Collect
from s3server.jobs.compact import Compact
from s3server.jobs.lease import Lease
from s3server.jobs.out import Out
from s3server.jobs.probe import Probe
from s3server.jobs.repair import Repair
from s3server.jobs.runner import Job, Runner
from s3server.jobs.scan import Scan
from s3server.jobs.scrub import Scrub
from s3server.jobs.snapshot import Snapshots
from s3server.jobs.sweep import Sweep
from s3server.jobs.throttle import Throttle
from s3server.meta.lmdb import LmdbStore
from s3server.meta.snapshot_format import Snapshot
from s3server.metadata import MapFollower, Restored, attach_journal, open_metadata, restore_store
from s3server.model import Principal
from s3server.operation import load_handlers
from s3server.publishing import make_buckets, make_notifications, make_outbox, make_topics, open_box
from s3server.server import Edge, Server
from s3server.verify import BytesCheck, Findings, MetadataCheck, check_journal
from s3server.wire.proxies import TrustedProxies
from s3server.wire.routing import Router
from s3server.wire.service_model import VERSIONS, load_model

_log = structlog.get_logger("app")

TIDY_INTERVAL_S = 60
HOLD_INTERVAL_S = 1.0
FOLLOW_INTERVAL_S = 1.0
JOB_INTERVAL_S = 1.0
LEASE_MS = 30_000


@dataclass(frozen=True, slots=True)
class KeyMaker:
    """Makes access keys and seals their secrets; what core.users asks for."""

    box: SecretBox

    def new_access_key_id(self) -> str:
        return new_access_key_id()

    def new_secret(self) -> str:
        return new_secret()

    def seal(self, access_key_id: str, secret: str) -> bytes:
        return self.box.seal(secret, access_key_id)


class Application:
    """What one worker serves. `failed` is set once the process has to be replaced."""

    def __init__(self, config: Config, *, slot: int) -> None:
        self.failed = asyncio.Event()
        self._config, self._slot = config, slot
        self._server: Server | None = None
        self._health = health_application(self._reasons, self._details)
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Open the store. Raises what keeps it from serving."""
        loop = asyncio.get_running_loop()

        def on_failure() -> None:  # called by the committer's thread
            loop.call_soon_threadsafe(self.failed.set)

        clock = SystemClock()
        ids = Ids(clock)
        self._meta = await open_metadata(self._config, on_failure)
        self._watch = await _watch(self._config, self._meta)
        blobs = Blobs(
            self._meta,
            self._watch.cluster.pools,
            clock=clock,
            ids=ids,
            grace_ms=_grace_ms(self._config),
        )
        services, credentials = await _services(
            self._config, self._meta, self._watch.cluster, blobs, ids
        )
        self._server = Server(
            edge=_edge(self._config, await cluster_id(self._meta)),
            router=Router([load_model(service) for service in VERSIONS]),
            handlers=load_handlers(),
            services=services,
            lookup=credentials.lookup,
            clock=clock,
            ids=ids,
        )
        self._tasks += [
            loop.create_task(_repeat(self._meta.tidy, TIDY_INTERVAL_S)),
            loop.create_task(_repeat(blobs.holds.renew, HOLD_INTERVAL_S)),
            loop.create_task(_follow_map(self._config, self._meta, self._watch.cluster)),
            loop.create_task(self._watch.run()),
        ]

    async def close(self) -> None:
        """Close what open() opened; all that was acknowledged is on stable storage already."""
        await _cancel(self._tasks)
        await self._watch.close()
        await self._meta.close()

    def asgi(self, scope: Any, receive: Any, send: Any) -> Coroutine[Any, Any, None]:
        """Serve one request."""
        if scope["raw_path"].startswith(b"/-/"):
            return self._serve_health(scope, receive, send)
        assert self._server is not None, "open() comes first"
        return self._server(scope, receive, send)

    async def _serve_health(self, scope: Any, receive: Any, send: Any) -> None:
        with suppress(ConnectionResetError):  # the client is gone
            await self._health(scope, receive, send)

    async def _reasons(self) -> list[str]:
        if self._server is None or self.failed.is_set():
            return ["the metadata store is not open"]
        await self._meta.get(store_key("cluster"))
        if not any(pool.takes_writes() for pool in self._watch.cluster.pools.values()):
            return ["too few OSDs take data"]
        return []

    def _details(self) -> dict[str, Any]:
        """Return what is amiss although the server is ready."""
        if self._server is None:
            return {}
        osds = self._watch.cluster.osd_set
        down = {str(osd): reason for osd, reason in sorted(osds.down.items())}
        return {"osds": {"down": down, "full": sorted(osds.full)}}


def build(config: Config, *, slot: int) -> Application:
    """Return the application of one worker; nothing is opened yet."""
    return Application(config, slot=slot)


async def initialise(config: Config) -> None:
    """Make the store and give new OSDs their identity. Repeating it changes nothing."""
    config.storage.meta_dir.parent.mkdir(parents=True, exist_ok=True)
    load_or_create_key_file(config.storage.master_key_file)
    meta = await open_metadata(config)
    try:
        await seed(config, meta, SystemClock())
        if meta.journal is None:
            await attach_journal(config, meta)
        snapshots = Snapshots(meta, clock=SystemClock())
        if not snapshots.exist():
            await snapshots.take()
    finally:
        await meta.close()


@asynccontextmanager
async def open_users(config: Config) -> AsyncIterator[Users]:
    """Give access to users and keys, whether the server runs or not."""
    clock, meta = SystemClock(), await open_metadata(config)
    try:
        yield _users(config, meta, clock, Ids(clock), open_box(config))
    finally:
        await meta.close()


@asynccontextmanager
async def open_buckets(config: Config) -> AsyncIterator[Buckets]:
    """Give access to the settings of buckets, whether the server runs or not."""
    clock, meta = SystemClock(), await open_metadata(config)
    try:
        yield Buckets(
            meta, clock=clock, ids=Ids(clock), region=config.server.region, pool="", pools={}
        )
    finally:
        await meta.close()


@dataclass(frozen=True, slots=True)
class Operated:
    """What commands about OSDs and placement work with."""

    meta: LmdbStore
    maps: ClusterMaps
    keeper: OsdKeeper
    cluster: Cluster
    blobs: Blobs
    buckets: Buckets
    objects: Objects


@asynccontextmanager
async def open_operated(config: Config) -> AsyncIterator[Operated]:
    """Open a store for an operator, whether its server runs or not."""
    await initialise(config)
    clock, meta = SystemClock(), await open_metadata(config)
    try:
        watch = await _watch(config, meta)
        maps, ids = ClusterMaps(meta, clock), Ids(clock)
        blobs = Blobs(meta, watch.cluster.pools, clock=clock, ids=ids)
        yield Operated(
            meta,
            maps,
            OsdKeeper(meta, maps, clock),
            watch.cluster,
            blobs,
            make_buckets(config, meta, clock, ids, watch.cluster.pools),
            Objects(meta, blobs, clock=clock),
        )
        await watch.close()
    finally:
        await meta.close()


def key_ring(config: Config) -> KeyRing:
    """Return the keys that data keys are wrapped by."""
    storage = config.storage
    beside = storage.master_key_file.with_name("encryption.keys")
    return KeyRing(storage.encryption_keys_file or beside)


async def run_jobs(config: Config) -> None:
    """Do the background work until cancelled."""
    clock = SystemClock()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_failure() -> None:
        loop.call_soon_threadsafe(stop.set)

    meta = await open_metadata(config, on_failure)
    watch = await _watch(config, meta)
    cluster = watch.cluster
    jobs: list[Job] = [
        Probe(meta, cluster.osds, watch.reopen),
        Collect(meta, cluster.pools, clock=clock, grace_ms=_grace_ms(config)),
        Compact(meta, cluster.pools, cluster.osds, clock=clock),
        Sweep(meta, cluster.osds, clock=clock),
        Snapshots(meta, clock=clock),
        *make_rule_jobs(config, meta, cluster.pools, clock),
        *_keep_whole(config.jobs, meta, cluster, clock, _grace_ms(config)),
    ]
    outbox = await make_outbox(config, meta, clock, open_box(config))
    jobs.append(outbox)
    lease = Lease(meta, "jobs", holder=_gateway(config), clock=clock, duration_ms=LEASE_MS)
    tasks = [
        loop.create_task(_repeat(meta.tidy, TIDY_INTERVAL_S)),
        loop.create_task(_follow_map(config, meta, cluster)),
        loop.create_task(watch.run()),
    ]
    try:
        await Runner(jobs, lease, Board(meta, clock), interval_s=JOB_INTERVAL_S).run(stop)
    finally:
        await _cancel(tasks)
        await outbox.close()
        await watch.close()
        await meta.close()


async def take_snapshot(config: Config) -> Snapshot:
    """Take a snapshot of the metadata, whether the server runs or not."""
    meta = await open_metadata(config)
    try:
        return await Snapshots(meta, clock=SystemClock()).take()
    finally:
        await meta.close()


async def verify(config: Config, *, deep: bool) -> Findings:
    """Hold metadata and bytes against each other, whether the server runs or not."""
    findings, meta = Findings(), await open_metadata(config)
    try:
        with closing(meta.view()) as view:
            await asyncio.to_thread(MetadataCheck(view, findings).run)
        watch = await _watch(config, meta)
        for osd, reason in watch.cluster.missing.items():
            findings.expect(False, f"OSD {osd}: {reason}")
        await BytesCheck(meta, watch.cluster, findings, deep=deep).run()
        await watch.close()
    finally:
        await meta.close()
    return findings


async def verify_metadata(config: Config) -> Findings:
    """Hold the metadata against themselves, and against their journal and snapshots."""
    findings, meta = Findings(), await open_metadata(config)
    try:
        with closing(meta.view()) as view:
            await asyncio.to_thread(MetadataCheck(view, findings).run)
            assert meta.journal is not None, "it was begun at the first start"
            await asyncio.to_thread(check_journal, view, meta.journal, findings)
    finally:
        await meta.close()
    return findings


async def restore(config: Config, *, force: bool, accept_missing: bool) -> Restored:
    """Rebuild the metadata from the OSDs, and take a snapshot; see `metadata.restore_store`."""
    restored = restore_store(config, force=force, accept_missing=accept_missing)
    meta = await open_metadata(config)
    try:
        await meta.tidy()
        await meta.commit([])  # copies that were away now end where this history began
        await Snapshots(meta, clock=SystemClock()).take()
    finally:
        await meta.close()
    return restored


def _keep_whole(
    config: JobsConfig, meta: LmdbStore, cluster: Cluster, clock: SystemClock, grace_ms: int
) -> list[Job]:
    """Return the jobs that find what is damaged, lost or astray, and make it good."""
    scrub = Throttle(config.scrub_mib_s)
    light_ms = round(config.light_scrub_h * 3_600_000)
    deep_ms = round(config.deep_scrub_days * 86_400_000)
    return [
        Out(meta, clock=clock, down_out_ms=round(config.down_out_s * 1000)),
        Scan(meta, cluster.pools, clock=clock, epoch=lambda: cluster.map.epoch),
        Repair(
            meta,
            cluster.pools,
            cluster.osds,
            clock=clock,
            grace_ms=grace_ms,
            repair=Throttle(config.repair_mib_s),
            rebalance=Throttle(config.rebalance_mib_s),
        ),
        Scrub(meta, cluster.pools, clock=clock, deep=False, every_ms=light_ms, throttle=scrub),
        Scrub(meta, cluster.pools, clock=clock, deep=True, every_ms=deep_ms, throttle=scrub),
    ]


def _gateway(config: Config) -> bytes:
    """Return what this machine's server is known by in leases: 16 bytes.

    After a crash it is the same again, so that the work goes on at once and not when the lease of
    the dead process ends. The store's lock keeps a second server from being known by it.
    """
    name = f"{socket.gethostname()}:{config.storage.meta_dir}"
    return hashlib.sha256(name.encode()).digest()[:16]


def _grace_ms(config: Config) -> int:
    return round(config.storage.gc_grace_s * 1000)


async def _watch(config: Config, meta: LmdbStore) -> ClusterWatch:
    storage = config.storage
    return await watch_cluster(
        meta,
        small_limit=storage.small_limit_kib * 1024,
        full_ratio=storage.full_ratio,
        nearfull_ratio=storage.nearfull_ratio,
    )


def _users(config: Config, meta: LmdbStore, clock: SystemClock, ids: Ids, box: SecretBox) -> Users:
    return Users(
        meta,
        clock=clock,
        ids=ids,
        secrets=KeyMaker(box),
        reserved_key_ids=frozenset({config.root.access_key}),
    )


async def _services(
    config: Config,
    meta: LmdbStore,
    cluster: Cluster,
    blobs: Blobs,
    ids: Ids,
) -> tuple[Services, CredentialStore]:
    box, clock = open_box(config), SystemClock()
    notifications = make_notifications(config, meta, clock)
    calendar = make_calendar(config)
    objects = Objects(meta, blobs, clock=clock, notifications=notifications, calendar=calendar)
    users = _users(config, meta, clock, ids, box)
    buckets = make_buckets(config, meta, clock, ids, cluster.pools)
    services = Services(
        key_ring=key_ring(config),
        buckets=buckets,
        access=Access(meta, buckets),
        objects=objects,
        copying=Copying(meta, blobs, objects),
        multipart=Multipart(meta, blobs, objects, clock=clock),
        open_uploads=OpenUploads(blobs, objects),
        listing=Listing(meta),
        lifecycle=Lifecycle(meta, buckets, blobs, calendar=calendar),
        users=users,
        topics=make_topics(config, meta, clock, ids, box),
        notifications=notifications,
        regions=Regions(config.server.region, config.server.region_aliases),
        clock=clock,
    )
    root = _root(config, await cluster_id(meta))
    return services, CredentialStore(users.find_key, box, root=root, now_ms=clock.now_ms)


def _root(config: Config, cluster: str) -> Credential:
    """Return the operator's own credential; its canonical id belongs to this store alone."""
    user_id = hashlib.sha256(f"root of {cluster}".encode()).hexdigest()
    key = config.root.access_key
    principal = Principal("root", user_id, "root", account="root", access_key_id=key)
    return Credential(key, config.root.secret_key.get_secret_value(), principal)


def _edge(config: Config, cluster: str) -> Edge:
    server = config.server
    domains = tuple(domain.lower() for domain in server.base_domains)
    return Edge(
        auth=AuthSettings(
            region=server.region,
            region_aliases=frozenset(server.region_aliases),
            external_urls=tuple(server.external_urls),
            base_domains=domains,
            allow_sigv2=server.allow_sigv2,
        ),
        base_domains=domains,
        website_domains=tuple(domain.lower() for domain in server.website_domains),
        proxies=TrustedProxies(server.trusted_proxies),
        host_id=cluster,
    )


async def _follow_map(config: Config, meta: LmdbStore, cluster: Cluster) -> None:
    await _repeat(MapFollower(config, meta, lambda: cluster.map.epoch).look, FOLLOW_INTERVAL_S)


async def _repeat(call: Callable[[], Awaitable[object]], interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        try:
            await call()
        except Exception:  # the next time may find a free descriptor, or a disk that answers
            _log.exception("upkeep failed")


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
