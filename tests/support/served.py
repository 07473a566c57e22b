"""Whole servers in one process: on dictionaries for most tests, on LMDB and OSDs for some."""

from __future__ import annotations

import atexit
import hashlib
import itertools
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from s3server.app import Application, build
from s3server.auth.authenticate import AuthSettings
from s3server.auth.certificates import Certificates
from s3server.auth.challenges import Challenges
from s3server.auth.credentials import Credential, CredentialStore
from s3server.auth.oidc import Provider
from s3server.auth.oidc_keys import ProviderKeys
from s3server.auth.secrets import SecretBox
from s3server.auth.session_tokens import TokenBox
from s3server.core.access import Access
from s3server.core.annotations import Annotations
from s3server.core.blobs import Blobs
from s3server.core.buckets import Buckets
from s3server.core.clock import Ids
from s3server.core.copying import Copying
from s3server.core.keys import KeyRing
from s3server.core.lifecycle import Lifecycle
from s3server.core.lifecycle_rules import Calendar
from s3server.core.listing import Listing
from s3server.core.multipart import Multipart
from s3server.core.notifications import Notifications
from s3server.core.objects import Objects
from s3server.core.open_uploads import OpenUploads
from s3server.core.project_records import (
    PROJECT,
    PROJECT_NAME,
    ProjectRecord,
    project_key,
    project_name_key,
)
from s3server.core.projects import DEFAULT_ACCOUNT, Projects
from s3server.core.records import (
    USER,
    USER_NAME,
    BucketRecord,
    UserRecord,
    encode,
    user_key,
    user_name_key,
)
from s3server.core.renaming import Renaming
from s3server.core.services import Regions, Services, make_iam
from s3server.core.topics import Topics
from s3server.core.users import Users
from s3server.counters import Counters, layout_of
from s3server.data.memory import MemoryPool
from s3server.errors import CODES
from s3server.events.endpoints import AllowList
from s3server.identities import Identities
from s3server.jobs.courier import Courier
from s3server.limits import Limits
from s3server.listeners import Listeners
from s3server.maintenance import initialise
from s3server.meta.base import Check, Put, Write, after_prefix
from s3server.meta.memory import MemoryStore
from s3server.metering import Meter
from s3server.model import DataRef, Principal, Source
from s3server.observer import Observer
from s3server.operation import load_handlers
from s3server.parts import KeyMaker
from s3server.plain_reads import PlainReads
from s3server.publishing import publishing_rights
from s3server.server import Edge, Server
from s3server.sessions import Sessions
from s3server.settings import quickstart_config
from s3server.wire.proxies import TrustedProxies
from s3server.wire.routing import Router
from s3server.wire.service_model import VERSIONS, load_model
from tests.support.asgi_client import Client
from tests.support.signing import REGION, Key

FAILURES_PER_MINUTE = 5_000
BACKLOG = 50  # events that may wait, per topic
NOW_MS = 1_790_000_000_000  # 2026-09-21
T = TypeVar("T")
ROUTER = Router([load_model(service) for service in VERSIONS])


@dataclass(slots=True)
class ManualClock:
    """Time that stands still until a test moves it."""

    ms: int = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.ms / 1000, UTC)


class WatchedStore(MemoryStore):
    """Counts commits."""

    commits = 0

    async def commit(self, writes: Sequence[Write], checks: Sequence[Check] = ()) -> int:
        self.commits += 1
        return await super().commit(writes, checks)


class WatchedPool(MemoryPool):
    """Counts what is done to bytes."""

    calls = 0

    async def write(self, source: Source) -> DataRef:
        self.calls += 1
        return await super().write(source)

    async def read(self, ref: DataRef, start: int, stop: int) -> bytes:
        self.calls += 1
        return await super().read(ref, start, stop)

    async def delete(self, ref: DataRef) -> None:
        self.calls += 1
        await super().delete(ref)


def credential(name: str) -> Credential:
    """Return a credential whose key id, secret and user id follow from the name."""
    user_id = hashlib.sha256(name.encode()).hexdigest()
    kind: Any = "root" if name == "root" else "user"
    key_id = f"AKIA{name.upper()}"
    account = DEFAULT_ACCOUNT if name == "root" else f"{name}-project"
    who = Principal(kind, user_id, name, account=account, access_key_id=key_id)
    return Credential(key_id, f"secret-of-{name}", who)


CREDENTIALS = {one.access_key_id: one for one in map(credential, ("root", "alice", "bob"))}


# One directory per process, gone with it: most stores never make a key.
_KEYS = tempfile.TemporaryDirectory(prefix="keys-")
atexit.register(_KEYS.cleanup)
_NUMBERS = itertools.count()
_BOX = SecretBox(b"k" * 32)


def _keys_file() -> Path:
    return Path(_KEYS.name) / f"{next(_NUMBERS)}.keys"


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to its end what waits for nobody; return what it does."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


@dataclass(slots=True)
class Store:
    """A server on dictionaries, and who talks to it."""

    region: str = REGION
    region_aliases: tuple[str, ...] = ()
    external_urls: tuple[str, ...] = ()
    base_domains: tuple[str, ...] = ("s3.test",)
    website_domains: tuple[str, ...] = ("web.test",)
    proxies: tuple[str, ...] = ()
    providers: tuple[Provider, ...] = ()
    certificates: Certificates | None = None
    more_pools: tuple[str, ...] = ()  # beside "default"
    storage_classes: Mapping[str, str] = field(default_factory=dict)  # pools by them
    clock: ManualClock = field(default_factory=ManualClock)
    keys: Path = field(default_factory=_keys_file)
    meta: WatchedStore = field(default_factory=WatchedStore)
    meter: Meter = field(default_factory=lambda: Meter(Path()))  # in memory
    limits: Limits = field(init=False)
    pool: WatchedPool = field(init=False)
    services: Services = field(init=False)
    credentials: CredentialStore = field(init=False)
    lines: list[str] = field(default_factory=list)  # of access logs
    enrolled: list[tuple[bytes, bytes]] = field(init=False)  # rows of users
    asgi: Server = field(init=False)
    plain_reads: PlainReads = field(init=False)

    def __post_init__(self) -> None:
        ids = Ids(self.clock)
        for known in CREDENTIALS.values():
            name = known.principal.account
            row = encode(ProjectRecord(id=name, name=name, created_ms=0))
            rows = [Put(project_key(name), row), Put(project_name_key(name), name.encode())]
            _finish(self.meta.commit(rows))
        _finish(self.enrol("alice", "bob"))
        users = (self.meta.scan(table, after_prefix(table), limit=9) for table in (USER, USER_NAME))
        self.enrolled = [row for rows in users for row in _finish(rows)]
        self.meta.commits = 0
        self.pool = WatchedPool("default", ids.blob_id)
        self.limits = Limits(None, self.clock, failures_per_minute=FAILURES_PER_MINUTE)
        self.services = self._services(ids)
        handlers = load_handlers()
        counters = Counters(None, 0, layout_of(handlers, CODES))
        observer = Observer(counters, Listeners(None), self.clock, logged="errors")
        edge = Edge(
            auth=AuthSettings(
                region=self.region,
                region_aliases=frozenset(self.region_aliases),
                external_urls=self.external_urls,
                base_domains=self.base_domains,
            ),
            base_domains=self.base_domains,
            website_domains=self.website_domains,
            proxies=TrustedProxies(self.proxies),
            host_id="the-store",
        )
        sessions = Sessions(TokenBox(b"k" * 32), self._lookup, self.services)
        self.asgi = Server(
            edge=edge,
            router=ROUTER,
            handlers=handlers,
            services=self.services,
            identities=Identities(self.meta),
            sessions=sessions,
            certificates=self.certificates or Certificates(None, (), Challenges(b"k" * 32)),
            providers=ProviderKeys(self.providers, now_ms=self.clock.now_ms),
            meter=self.meter,
            limits=self.limits,
            clock=self.clock,
            ids=ids,
            spool=self,
            observer=observer,
        )
        self.plain_reads = PlainReads(
            edge=edge,
            door=self.asgi.door,
            services=self.services,
            meta=self.meta,
            lookup=sessions.lookup,
            meter=self.meter,
            limits=self.limits,
            clock=self.clock,
            ids=ids,
            observer=observer,
        )

    async def _lookup(self, access_key_id: str) -> Credential | None:
        """Return what the server knows of a key: of the table, or of the store.

        Who is in the table and was enrolled has the policies of the stored user.
        """
        known = CREDENTIALS.get(access_key_id)
        if known is None:
            return await self.credentials.lookup(access_key_id)
        user = await self.services.users.find_by_id(known.principal.id)
        if user is None:
            return known
        principal = msgspec.structs.replace(
            known.principal, bindings=user.bindings, path=user.path, tags=user.tags
        )
        return Credential(access_key_id, known.secret, principal)

    def add(self, bucket: BucketRecord, *lines: str) -> None:
        """Take lines of a bucket's access log."""
        self.lines += lines

    @property
    def courier(self) -> Courier:
        """What stores access logs and inventories."""
        services = self.services
        return Courier(
            services.buckets, services.objects, services.access, services.key_ring, self.clock
        )

    def _services(self, ids: Ids) -> Services:
        pools = {"default": self.pool}
        pools |= {name: WatchedPool(name, ids.blob_id) for name in self.more_pools}
        blobs = Blobs(self.meta, pools, clock=self.clock, ids=ids, classes=self.storage_classes)
        notifications = Notifications(
            self.meta,
            clock=self.clock,
            backlog_limit=BACKLOG,
            may_publish=publishing_rights(self.clock),
        )
        objects = Objects(self.meta, blobs, clock=self.clock, notifications=notifications)
        users = Users(self.meta, clock=self.clock, ids=ids, secrets=KeyMaker(_BOX))
        self.credentials = CredentialStore(
            users.find_key, _BOX, root=None, now_ms=self.clock.now_ms
        )
        buckets = Buckets(
            self.meta,
            clock=self.clock,
            ids=ids,
            region=self.region,
            pool="default",
            pools=pools,
        )
        return Services(
            key_ring=KeyRing(self.keys),
            buckets=buckets,
            access=Access(self.meta, buckets),
            objects=objects,
            copying=Copying(self.meta, blobs, objects),
            annotations=Annotations(self.meta, blobs, objects, clock=self.clock),
            renaming=Renaming(self.meta, blobs, objects),
            multipart=Multipart(self.meta, blobs, objects, clock=self.clock),
            open_uploads=OpenUploads(blobs, objects),
            listing=Listing(self.meta),
            lifecycle=Lifecycle(self.meta, buckets, blobs, calendar=Calendar()),
            projects=Projects(self.meta, clock=self.clock, ids=ids),
            users=users,
            iam=make_iam(self.meta, self.clock, ids),
            topics=Topics(
                self.meta,
                clock=self.clock,
                ids=ids,
                sealer=_BOX,
                region=self.region,
                allowed=AllowList(["broker.test:5672", "*.hooks.test:*"]),
                ca_directory="/etc/ssl/certs",
            ),
            notifications=notifications,
            regions=Regions(self.region, self.region_aliases),
            clock=self.clock,
        )

    def client(self, name: str | None, **fields: Any) -> Client:
        """Return a client who signs as root, alice or bob, or who is nobody."""
        key = None
        if name is not None:
            known = credential(name)
            key = Key(known.access_key_id, known.secret, self.region)
        return Client(self.asgi, key, self.clock.now, **fields)

    def holder(self, key_id: str, secret: str) -> Client:
        """Return a client who signs with a key that was made through IAM."""
        return Client(self.asgi, Key(key_id, secret, self.region), self.clock.now)

    @property
    def root(self) -> Client:
        return self.client("root")

    @property
    def alice(self) -> Client:
        return self.client("alice")

    @property
    def bob(self) -> Client:
        return self.client("bob")

    @property
    def nobody(self) -> Client:
        return self.client(None)

    async def enrol(self, *names: str) -> None:
        """Give users the records that they have where they were not made by a test's table.

        Alice and bob have theirs.
        """
        for name in names:
            who = credential(name).principal
            user = UserRecord(
                id=who.id,
                name=name,
                account=who.account,
                created_ms=self.clock.ms,
                email=f"{name}@site.org",
            )
            await self.meta.commit(
                [
                    Put(user_key(who.id), encode(user)),
                    Put(user_name_key(who.account, name), who.id.encode()),
                ]
            )

    async def rows(self) -> list[tuple[bytes, bytes]]:
        """Return all metadata but projects, and alice and bob as they are from the start."""
        rows = await self.meta.scan(b"\x00", b"\xff" * 8, limit=1_000_000)
        found = [row for row in rows if row[0][:1] not in (PROJECT, PROJECT_NAME)]
        return [row for row in found if row not in self.enrolled]

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """See that nothing in this block commits metadata or reaches for bytes."""
        before = self.meta.commits, self.pool.calls
        yield
        assert before == (self.meta.commits, self.pool.calls), "storage was touched"


@dataclass(frozen=True, slots=True)
class DiskStore:
    """The real application of one worker, on LMDB and three OSD directories."""

    directory: Path
    application: Application

    @property
    def root(self) -> Client:
        key = Key("AKIAROOT", "secret-of-root")
        return Client(self.application.asgi, key, lambda: datetime.now(UTC))

    @property
    def nobody(self) -> Client:
        return Client(self.application.asgi, None, lambda: datetime.now(UTC))

    def files(self) -> dict[str, int]:
        """Return all files below the OSDs with the bytes that they occupy."""
        found = {}
        for path in sorted(self.directory.glob("osd.*/**/*")):
            if path.is_file():
                found[str(path.relative_to(self.directory))] = path.stat().st_blocks * 512
        return found


@asynccontextmanager
async def open_disk_store(
    directory: Path, *, codec: str = "replica:3", **server: Any
) -> AsyncIterator[DiskStore]:
    """Serve a new store in `directory`; `server` are settings of that table."""
    config = quickstart_config(
        directory, access_key="AKIAROOT", secret_key="secret-of-root", codec=codec, server=server
    )
    await initialise(config)
    application = build(config, slot=0)
    await application.open()
    try:
        yield DiskStore(directory, application)
    finally:
        await application.close()
