"""The end of a project: all that was its own goes, nothing else, and what is locked stays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest
from msgspec.structs import replace

from s3server.core import records
from s3server.core.directory import Directory
from s3server.core.groups import Groups
from s3server.core.identity_records import last_used_key
from s3server.core.locks import Retention
from s3server.core.objects import Attributes
from s3server.core.project_records import QUOTAS_CHANGED, QuotaRecord, project_scope, user_scope
from s3server.core.projects import Projects
from s3server.core.quotas import Quotas
from s3server.core.records import BucketRecord
from s3server.core.users import Users
from s3server.data.memory import MemoryPool
from s3server.errors import AccountProblem, InvalidArgument, NoSuchEntity
from s3server.jobs import delete_projects
from s3server.jobs.delete_projects import DeleteProjects
from s3server.meta.base import Check, ConflictError, Put, Write
from s3server.meta.memory import MemoryStore
from s3server.model import Principal
from tests.support.blobs import numbered_ids
from tests.support.core_store import Bytes, NumberedIds, TestStore
from tests.support.plain_secrets import PlainSecrets

DAY_MS = 86_400_000


class Site:
    """Two projects with a user, keys and a bucket each; "geo" is to go."""

    def __init__(self, meta: MemoryStore | None = None) -> None:
        self.store = TestStore(meta or MemoryStore(), {"main": MemoryPool("main", numbered_ids(1))})
        meta, clock = self.store.meta, self.store.clock
        ids = NumberedIds(clock)
        self.projects = Projects(meta, clock=clock, ids=ids)
        self.users = Users(meta, clock=clock, ids=ids, secrets=PlainSecrets())
        self.job = DeleteProjects(
            meta, self.projects, self.store.buckets, self.store.objects, self.store.multipart
        )

    async def member(self, project: str) -> Principal:
        account = (await self.projects.create(project)).id
        user = await self.users.create_user("alice", account=account)
        for _ in range(3):
            await self.users.create_key("alice", account=account)
        return Principal("user", user.id, "alice", account=account)

    async def bucket(self, name: str, owner: Principal) -> BucketRecord:
        bucket = await self.store.buckets.create(name, owner, object_lock=True)
        for number in range(5):
            for _ in range(2):
                await self.put(bucket, f"{number}", owner)
        await self.store.objects.delete(bucket, "1", owner=owner.id)
        await self.store.multipart.create(bucket, "upload", Attributes(owner=owner.id))
        return bucket

    async def put(
        self, bucket: BucketRecord, key: str, owner: Principal, until_ms: int = 0
    ) -> None:
        held = Retention("COMPLIANCE", until_ms) if until_ms else Retention("", 0)
        attributes = Attributes(owner=owner.id, retention=held)
        await self.store.objects.put(bucket, key, Bytes(b"x" * 10), attributes)

    async def end(self) -> None:
        await self.projects.update("geo", lambda now: replace(now, is_disabled=True))
        await self.projects.begin_delete("geo")

    async def work(self) -> None:
        while (await self.job.step()).has_more:
            pass

    async def rows(self) -> set[bytes]:
        """Return the keys of all rows but garbage, blobs, counters and that quotas changed."""
        rows = await self.store.meta.scan(b"", b"\xff" * 8, limit=100_000)
        found = {key for key, _ in rows if key[:1] not in (b"G", b"D", b"n", b"N")}
        return found - {QUOTAS_CHANGED}


async def test_all_of_a_project_goes_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delete_projects, "ROWS_PER_STEP", 3)
    site = Site()
    await site.bucket("of-bio", await site.member("bio"))
    before = await site.rows()
    alice = await site.member("geo")
    await site.bucket("of-geo", alice)
    for key in await site.users.list_keys("alice", account=alice.account):
        await site.store.meta.commit([Put(last_used_key(key.id), b"then")])
    for scope in (project_scope(alice.account), user_scope(alice.id)):
        await Quotas(site.store.meta).put(scope, QuotaRecord(bytes=10**9))
    await site.end()
    await site.work()
    assert before == await site.rows()
    await site.store.collect_all()
    await site.store.verify()
    await site.member("geo")


async def test_locked_versions_stay_with_their_bucket_until_they_may_go() -> None:
    site = Site()
    alice = await site.member("geo")
    bucket = await site.bucket("of-geo", alice)
    await site.put(bucket, "kept", alice, site.store.clock.now + DAY_MS)
    await site.end()
    await site.work()
    assert b"x" * 10 == await site.store.body(bucket, "kept")
    left = await site.store.rows(records.OBJECT + bucket.id)
    assert (1, []) == (len(left), await site.store.rows(records.VERSION + bucket.id))
    assert "locked" in site.job.progress.note
    assert await site.users.list_keys("alice", account=alice.account)
    site.store.clock.now += DAY_MS
    await site.work()
    with pytest.raises(NoSuchEntity):
        await site.projects.get("geo")


async def test_project_that_works_is_not_deleted() -> None:
    site = Site()
    await site.member("geo")
    for name in ("geo", "default"):
        with pytest.raises(InvalidArgument):
            await site.projects.begin_delete(name)
    await site.work()
    assert (await site.projects.get("geo")).name == "geo"


class MadeMeanwhile(MemoryStore):
    """Runs something before each commit, once."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def commit(self, writes: Sequence[Write], checks: Sequence[Check] = ()) -> int:
        if self.meanwhile is not None:
            work, self.meanwhile = self.meanwhile, None
            await work()
        return await super().commit(writes, checks)


async def test_nothing_is_made_in_a_project_that_is_being_deleted() -> None:
    meta = MadeMeanwhile()
    site = Site(meta)
    alice = await site.member("geo")
    geo = alice.account
    root = Principal("root", "0" * 64, "root", account=geo)
    groups = Groups(Directory(meta), clock=site.store.clock, ids=NumberedIds(site.store.clock))
    for make in (
        lambda: site.users.create_user("bob", account=geo),
        lambda: groups.create(geo, "staff", "/"),
        lambda: site.store.buckets.create("late", root),
    ):
        meta.meanwhile = site.end  # between what is read and the commit
        with pytest.raises(AccountProblem):
            await make()
        await site.projects.update("geo", lambda now: replace(now, is_deleting=False))


async def test_key_made_while_its_user_goes_is_not_left_behind() -> None:
    meta = MadeMeanwhile()
    site = Site(meta)
    before = await site.rows()
    alice = await site.member("geo")
    await site.end()
    for key in await site.users.list_keys("alice", account=alice.account):
        await site.users.delete_key(key.id)

    async def make() -> None:
        await site.users.create_key("alice", account=alice.account)

    meta.meanwhile = make  # before the commit that removes alice
    await site.work()
    assert before == await site.rows()


async def test_project_renewed_in_the_last_moment_stays() -> None:
    meta = MadeMeanwhile()
    site = Site(meta)
    await site.projects.create("geo")
    await site.end()

    async def renew() -> None:
        await site.projects.update(
            "geo", lambda now: replace(now, is_disabled=False, is_deleting=False)
        )

    meta.meanwhile = renew  # before the only commit: that of the project itself
    with suppress(ConflictError):
        await site.work()
    assert site.projects.state(await site.projects.get("geo")) == "active"
