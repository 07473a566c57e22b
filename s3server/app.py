"""The composition root of a worker: engines, S3 semantics and the wire, put together."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

from s3server.auth.authenticate import AuthSettings
from s3server.auth.credentials import Credential, CredentialStore
from s3server.auth.oidc import Provider
from s3server.auth.oidc_keys import ProviderKeys
from s3server.cluster.live import Cluster
from s3server.cluster.seed import cluster_id
from s3server.config import Config
from s3server.core.access import Access
from s3server.core.accounts import Accounts
from s3server.core.annotations import Annotations
from s3server.core.blobs import Blobs
from s3server.core.clock import Ids, SystemClock
from s3server.core.copying import Copying
from s3server.core.keys import KeyRingError
from s3server.core.last_used import FLUSH_INTERVAL_S
from s3server.core.lifecycle import Lifecycle
from s3server.core.listing import Listing
from s3server.core.multipart import Multipart
from s3server.core.objects import Objects
from s3server.core.open_uploads import OpenUploads
from s3server.core.projects import DEFAULT_ACCOUNT, Projects
from s3server.core.quotas import Quotas
from s3server.core.records import store_key
from s3server.core.renaming import Renaming
from s3server.core.services import Regions, Services, make_iam
from s3server.counters import Counters, layout_of, run_directory
from s3server.errors import CODES
from s3server.expiry import make_calendar
from s3server.health import health_application
from s3server.identities import Identities
from s3server.limits import Limits
from s3server.listeners import Listeners
from s3server.meta.lmdb import LmdbStore
from s3server.metadata import open_metadata
from s3server.metering import Meter, directory_of
from s3server.metrics.events import render_events
from s3server.metrics.projects import LargestMetrics, ProjectMetrics
from s3server.metrics.requests import render_requests
from s3server.metrics.store import render_store
from s3server.model import HttpRequest, Principal
from s3server.observer import UNREAD, Answered, Observer
from s3server.operation import Handler, load_handlers
from s3server.parts import (
    cancel,
    follow_map,
    grace_ms,
    key_ring,
    make_buckets,
    make_certificates,
    make_users,
    open_box,
    open_tokens,
    open_watch,
    repeat,
    root_id,
)
from s3server.plain_reads import PlainReads
from s3server.publishing import (
    make_notifications,
    make_topics,
)
from s3server.reports import make_spool
from s3server.server import Edge, Server
from s3server.sessions import Sessions
from s3server.wire.proxies import TrustedProxies
from s3server.wire.routing import Router
from s3server.wire.service_model import VERSIONS, load_model

TIDY_INTERVAL_S = 60
TURN_INTERVAL_S = 1.0
HOLD_INTERVAL_S = 1.0


class Application:
    """What one worker serves. `failed` is set once the process has to be replaced."""

    def __init__(self, config: Config, *, slot: int) -> None:
        self.failed = asyncio.Event()
        self._config, self._slot = config, slot
        self._server: Server | None = None
        self._plain_reads: PlainReads | None = None
        self._health = health_application(
            self._reasons,
            self._details,
            self._metrics,
            metrics_token=config.server.metrics_token.get_secret_value(),
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Open the store. Raises what keeps it from serving."""
        loop = asyncio.get_running_loop()

        def on_failure() -> None:  # called by the committer's thread
            loop.call_soon_threadsafe(self.failed.set)

        clock = SystemClock()
        ids = Ids(clock)
        self._meta = await open_metadata(self._config, on_failure)
        self._watch = await open_watch(self._config, self._meta)
        self._meter, self._limits = _watch_traffic(self._config, clock)
        handlers = load_handlers()
        self._observer = _observer(self._config, self._slot, handlers, clock)
        blobs = Blobs(
            self._meta,
            self._watch.cluster.pools,
            clock=clock,
            ids=ids,
            grace_ms=grace_ms(self._config),
            classes={p.storage_class: p.name for p in self._config.pools if p.storage_class},
        )
        services, credentials = await _services(
            self._config, self._meta, self._watch.cluster, blobs, ids
        )
        self._services, self._accounts = services, Accounts(self._meta)
        edge = _edge(self._config, await cluster_id(self._meta))
        sessions = Sessions(open_tokens(self._config), credentials.lookup, services)
        self._server = Server(
            edge=edge,
            router=Router([load_model(service) for service in VERSIONS]),
            handlers=handlers,
            services=services,
            identities=Identities(self._meta),
            sessions=sessions,
            certificates=make_certificates(self._config),
            providers=ProviderKeys(_providers(self._config), now_ms=clock.now_ms),
            meter=self._meter,
            limits=self._limits,
            clock=clock,
            ids=ids,
            spool=make_spool(self._config, clock),
            observer=self._observer,
        )
        self._plain_reads = PlainReads(
            edge=edge,
            door=self._server.door,
            services=services,
            meta=self._meta,
            lookup=sessions.lookup,
            meter=self._meter,
            limits=self._limits,
            clock=clock,
            ids=ids,
            observer=self._observer,
        )
        self._last_used = services.iam.last_used
        self._begin(blobs)

    def _begin(self, blobs: Blobs) -> None:
        """Begin what goes on beside the requests."""
        loop = asyncio.get_running_loop()
        for work in (
            repeat(self._last_used.flush, FLUSH_INTERVAL_S),
            repeat(self._meta.tidy, TIDY_INTERVAL_S),
            repeat(blobs.holds.renew, HOLD_INTERVAL_S),
            follow_map(self._config, self._meta, self._watch.cluster),
            self._watch.run(),
            repeat(self._turn, TURN_INTERVAL_S),
        ):
            self._tasks.append(loop.create_task(work))

    async def close(self) -> None:
        """Close what open() opened; all that was acknowledged is on stable storage already."""
        await cancel(self._tasks)
        await self._last_used.flush()
        await self._watch.close()
        await self._meta.close()
        self._meter.close()
        self._limits.close()
        await asyncio.to_thread(self._observer.close)

    async def _metrics(self) -> bytes:
        clock, accounts = SystemClock(), self._accounts
        projects = Projects(self._meta, clock=clock, ids=Ids(clock))
        told = await asyncio.to_thread(
            render_requests, run_directory(self._config.storage.meta_dir)
        )
        told += await render_store(self._meta)
        told += await render_events(self._services.topics, self._services.notifications)
        told += await ProjectMetrics(projects, accounts, Quotas(self._meta)).render()
        most = self._config.server.metrics_largest
        if most:
            told += await LargestMetrics(projects, accounts, clock, most).render()
        return told

    async def _turn(self) -> None:
        self._meter.turn(SystemClock().now_ms())
        self._observer.look()

    def asgi(self, scope: Any, receive: Any, send: Any) -> Coroutine[Any, Any, None]:
        """Serve one request."""
        path, is_open = scope["raw_path"], "tls" not in scope.get("extensions", ())
        if path.startswith(b"/-/") and (is_open or path.startswith(b"/-/health/")):
            return self._serve_health(scope, receive, send)
        assert self._server is not None, "open() comes first"
        return self._server(scope, receive, send)

    def at_once(self, request: HttpRequest) -> tuple[bytes, bytes] | None:
        """Answer a plain request if that can be done without waiting; see `PlainReads`."""
        return None if self._plain_reads is None else self._plain_reads(request)

    def refused(self, answered: Answered) -> None:
        """Take note of what was refused before it became a request."""
        self._observer.see(answered)

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
        told: dict[str, Any] = {"osds": {"down": down, "full": sorted(osds.full)}}
        try:
            self._services.key_ring.count()
        except KeyRingError:  # whose words are not for everybody: `doctor` has them
            told["key_ring"] = "cannot be used"
        return told


def build(config: Config, *, slot: int) -> Application:
    """Return the application of one worker; nothing is opened yet."""
    return Application(config, slot=slot)


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
    users = make_users(config, meta, clock, ids, box)
    buckets = make_buckets(config, meta, clock, ids, cluster.pools)
    services = Services(
        key_ring=key_ring(config),
        buckets=buckets,
        access=Access(meta, buckets),
        objects=objects,
        copying=Copying(meta, blobs, objects),
        annotations=Annotations(meta, blobs, objects, clock=clock),
        renaming=Renaming(meta, blobs, objects),
        multipart=Multipart(meta, blobs, objects, clock=clock),
        open_uploads=OpenUploads(blobs, objects),
        listing=Listing(meta),
        lifecycle=Lifecycle(meta, buckets, blobs, calendar=calendar),
        projects=Projects(meta, clock=clock, ids=ids),
        users=users,
        iam=make_iam(meta, clock, ids),
        topics=make_topics(config, meta, clock, ids, box),
        notifications=notifications,
        regions=Regions(config.server.region, config.server.region_aliases),
        clock=clock,
    )
    root = _root(config, await cluster_id(meta))
    return services, CredentialStore(users.find_key, box, root=root, now_ms=clock.now_ms)


def _root(config: Config, cluster: str) -> Credential:
    """Return the operator's own credential."""
    key = config.root.access_key
    principal = Principal(
        "root", root_id(cluster), "root", account=DEFAULT_ACCOUNT, access_key_id=key
    )
    return Credential(key, config.root.secret_key.get_secret_value(), principal)


def _providers(config: Config) -> list[Provider]:
    return [
        Provider(one.issuer, one.audiences, str(one.ca_file or ""), one.roles)
        for one in config.oidc
    ]


def _watch_traffic(config: Config, clock: SystemClock) -> tuple[Meter, Limits]:
    """Return what counts requests, and what limits them, with all other workers."""
    directory = directory_of(config.storage.meta_dir)
    meter = Meter(directory)
    meter.turn(clock.now_ms())
    failures = config.server.auth_failures_per_minute
    return meter, Limits(directory / "limits", clock, failures_per_minute=failures)


def _observer(
    config: Config, slot: int, handlers: Mapping[str, Handler], clock: SystemClock
) -> Observer:
    directory = run_directory(config.storage.meta_dir)
    layout = layout_of([UNREAD, *handlers], CODES)
    counters, listeners = Counters(directory, slot, layout), Listeners(directory)
    tracer, telemetry = None, config.telemetry
    if telemetry.otlp_endpoint:
        from s3server.spans import Spans  # noqa: PLC0415 (its libraries are an extra)

        instance = f"{socket.gethostname()}-{slot}"
        tracer = Spans(telemetry.otlp_endpoint, telemetry.sample_share, instance=instance)
    return Observer(counters, listeners, clock, logged=config.log.requests, tracer=tracer)


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
