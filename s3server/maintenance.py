"""What operators do to a store by commands, whether its server runs or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from s3server.auth.secrets import SecretError, load_or_create_key_file
from s3server.cluster.live import Cluster
from s3server.cluster.maps import ClusterMaps
from s3server.cluster.osds import OsdKeeper
from s3server.cluster.seed import cluster_id, seed
from s3server.config import Config
from s3server.core.accounts import Accounts
from s3server.core.attachments import Attachments
from s3server.core.blobs import Blobs
from s3server.core.buckets import Buckets
from s3server.core.clock import Ids, SystemClock
from s3server.core.objects import Objects
from s3server.core.project_records import bucket_scope, project_scope, user_scope
from s3server.core.projects import DEFAULT_NAME, Projects
from s3server.core.quotas import Quotas
from s3server.core.revocation import Revocation
from s3server.core.services import make_iam
from s3server.core.users import Users
from s3server.jobs.snapshot import Snapshots
from s3server.meta.lmdb import LmdbStore
from s3server.meta.owner import act_as_owner
from s3server.meta.snapshot_format import Snapshot
from s3server.metadata import (
    Restored,
    attach_journal,
    open_metadata,
    remember,
    restore_store,
    was_made,
)
from s3server.parts import (
    make_buckets,
    make_users,
    open_box,
    open_watch,
    root_id,
)
from s3server.verify import BytesCheck, Findings, MetadataCheck, check_journal


async def initialise(config: Config) -> None:
    """Make the store and give new OSDs their identity. Repeating it changes nothing.

    Raises SecretError where a store that was made has lost its master key: another one would take
    its place unseen, and open nothing.
    """
    act_as_owner(config.storage.meta_dir)
    config.storage.meta_dir.parent.mkdir(parents=True, exist_ok=True)
    if was_made(config) and not (file := config.storage.master_key_file).exists():
        raise SecretError(
            f"{file} is missing, which seals the secrets of this store's access keys: put it back. "
            "Where it is lost, so are they, and one begins with a new key by "
            f"(umask 077; openssl rand -hex 32 > {file})"
        )
    load_or_create_key_file(config.storage.master_key_file)
    meta = await open_metadata(config)
    try:
        await seed(config, meta, SystemClock())
        if meta.journal is None:
            await attach_journal(config, meta)
        snapshots = Snapshots(meta, clock=SystemClock())
        if not snapshots.exist():
            await snapshots.take()
        remember(config, await cluster_id(meta))
    finally:
        await meta.close()


@dataclass(frozen=True, slots=True)
class Tenants:
    """What commands about projects and the people in them work with."""

    projects: Projects
    users: Users
    attachments: Attachments
    buckets: Buckets
    quotas: Quotas
    accounts: Accounts
    revocation: Revocation
    root: str  # canonical id of root

    async def scope(self, project: str | None, user: str | None, bucket: str | None) -> bytes:
        """Return what a quota is on: a bucket, a user of a project, or else the project.

        Raises NoSuchBucket, NoSuchEntity.
        """
        if bucket is not None:
            return bucket_scope((await self.buckets.get(bucket)).id)
        account = await self.account(project)
        if user is None:
            return project_scope(account)
        return user_scope((await self.users.get_user(user, account=account)).id)

    async def account(self, project: str | None) -> str:
        """Return the id of a project, the default one for None. Raises NoSuchEntity."""
        return (await self.projects.get(project or DEFAULT_NAME)).id


@asynccontextmanager
async def open_tenants(config: Config) -> AsyncIterator[Tenants]:
    """Give access to projects, users and keys, whether the server runs or not."""
    clock, meta = SystemClock(), await open_metadata(config)
    ids = Ids(clock)
    try:
        yield Tenants(
            Projects(meta, clock=clock, ids=ids),
            make_users(config, meta, clock, ids, open_box(config)),
            make_iam(meta, clock, ids).attachments,
            Buckets(meta, clock=clock, ids=ids, region=config.server.region, pool="", pools={}),
            Quotas(meta),
            Accounts(meta),
            Revocation(meta, clock),
            root_id(await cluster_id(meta)),
        )
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
        watch = await open_watch(config, meta)
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
        watch = await open_watch(config, meta)
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


async def restore(
    config: Config, *, force: bool, accept_missing: bool, paths: Sequence[Path] = ()
) -> Restored:
    """Rebuild the metadata from the OSDs, and take a snapshot; see `metadata.restore_store`."""
    restored = restore_store(config, force=force, accept_missing=accept_missing, paths=paths)
    meta = await open_metadata(config)
    try:
        await meta.tidy()
        await meta.commit([])  # copies that were away now end where this history began
        await Snapshots(meta, clock=SystemClock()).take()
    finally:
        await meta.close()
    return restored
