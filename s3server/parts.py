"""Parts that the processes of a store, and commands about it, are put together of."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass

import structlog

from s3server.auth.ca_directory import AuthorityDirectory
from s3server.auth.certificates import Certificates, Rule
from s3server.auth.challenges import Challenges
from s3server.auth.secrets import (
    SecretBox,
    load_or_create_key_file,
    new_access_key_id,
    new_secret,
)
from s3server.auth.session_tokens import TokenBox
from s3server.cluster.live import Cluster, ClusterWatch, watch_cluster
from s3server.config import Config
from s3server.core.buckets import Buckets
from s3server.core.clock import Ids, SystemClock
from s3server.core.keys import KeyRing
from s3server.core.users import Users
from s3server.meta.lmdb import LmdbStore
from s3server.metadata import MapFollower

_log = structlog.get_logger("app")

FOLLOW_INTERVAL_S = 1.0


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


def open_box(config: Config) -> SecretBox:
    """Return what seals the secrets of this store."""
    return SecretBox(*load_or_create_key_file(config.storage.master_key_file))


def open_tokens(config: Config) -> TokenBox:
    """Return what seals the session tokens of this store."""
    return TokenBox(*load_or_create_key_file(config.storage.master_key_file))


def make_certificates(config: Config) -> Certificates:
    """Return what certificates are held against."""
    given = config.certificates
    directory = None
    if given.authorities is not None:
        directory = AuthorityDirectory(
            given.authorities,
            needs_crls=given.revocation == "required",
            needs_policies=given.signing_policies == "required",
            allows_limited=given.allow_limited,
        )
    rules = [Rule(one.dn, one.role, one.issuer) for one in config.certificate_roles]
    challenges = Challenges(*load_or_create_key_file(config.storage.master_key_file))
    names = (*config.server.base_domains, config.server.address[0])
    return Certificates(directory, rules, challenges, config.server.external_urls, names)


def make_buckets(
    config: Config, meta: LmdbStore, clock: SystemClock, ids: Ids, pools: Container[str] = ()
) -> Buckets:
    return Buckets(
        meta,
        clock=clock,
        ids=ids,
        region=config.server.region,
        pool=config.pools[0].name,
        pools=pools,
    )


def key_ring(config: Config) -> KeyRing:
    """Return the keys that data keys are wrapped by."""
    storage = config.storage
    beside = storage.master_key_file.with_name("encryption.keys")
    return KeyRing(storage.encryption_keys_file or beside)


def grace_ms(config: Config) -> int:
    return round(config.storage.gc_grace_s * 1000)


def root_id(cluster: str) -> str:
    """Return the canonical id of root, which belongs to this store alone."""
    return hashlib.sha256(f"root of {cluster}".encode()).hexdigest()


async def open_watch(config: Config, meta: LmdbStore) -> ClusterWatch:
    storage = config.storage
    return await watch_cluster(
        meta,
        small_limit=storage.small_limit_kib * 1024,
        full_ratio=storage.full_ratio,
        nearfull_ratio=storage.nearfull_ratio,
    )


def make_users(
    config: Config, meta: LmdbStore, clock: SystemClock, ids: Ids, box: SecretBox
) -> Users:
    return Users(
        meta,
        clock=clock,
        ids=ids,
        secrets=KeyMaker(box),
        reserved_key_ids=frozenset({config.root.access_key}),
    )


async def follow_map(config: Config, meta: LmdbStore, cluster: Cluster) -> None:
    await repeat(MapFollower(config, meta, lambda: cluster.map.epoch).look, FOLLOW_INTERVAL_S)


async def repeat(call: Callable[[], Awaitable[object]], interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        try:
            await call()
        except Exception:  # the next time may find a free descriptor, or a disk that answers
            _log.exception("upkeep failed")


async def cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
