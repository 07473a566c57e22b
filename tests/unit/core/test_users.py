"""Users and access keys: any number of keys, and none that outlives its user."""

from __future__ import annotations

import asyncio

import pytest

from s3server.core import records
from s3server.core.project_records import ProjectRecord, project_key
from s3server.core.users import Users
from s3server.errors import EntityAlreadyExists, InvalidArgument, NoSuchEntity
from s3server.meta.base import Put
from s3server.meta.memory import MemoryStore
from tests.support.core_store import ManualClock, NumberedIds
from tests.support.plain_secrets import PlainSecrets


@pytest.fixture
def meta() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def users(meta: MemoryStore) -> Users:
    clock = ManualClock()
    return Users(
        meta,
        clock=clock,
        ids=NumberedIds(clock),
        secrets=PlainSecrets(),
        reserved_key_ids=frozenset({"root-key"}),
    )


async def test_users_are_found_and_listed_by_account_and_name(
    users: Users, meta: MemoryStore
) -> None:
    for project in "ab":
        row = records.encode(ProjectRecord(id=project, name=project, created_ms=0))
        await meta.commit([Put(project_key(project), row)])
    for name, account in (("zoe", "a"), ("adam", "b"), ("adam", "a")):
        await users.create_user(name, account=account, email=f"{name}@{account}")
    assert [("a", "adam"), ("a", "zoe"), ("b", "adam")] == [
        (user.account, user.name) for user in await users.list_users()
    ]
    user = await users.get_user("adam", account="b")
    assert ("adam@b", user) == (user.email, await users.find_by_id(user.id))
    assert await users.find_by_id("f" * 64) is None


async def test_name_is_taken_until_its_user_is_deleted(users: Users) -> None:
    first = await users.create_user("ada")
    with pytest.raises(EntityAlreadyExists):
        await users.create_user("ada")
    await users.delete_user("ada")
    with pytest.raises(NoSuchEntity):
        await users.get_user("ada")
    assert first.id != (await users.create_user("ada")).id


@pytest.mark.parametrize("name", ["", "a" * 65, "a b", "ä", "a/b", "a\0"])
async def test_illegal_names_are_refused(users: Users, name: str) -> None:
    with pytest.raises(InvalidArgument):
        await users.create_user(name)


async def test_users_are_listed_whole_however_many_there_are(users: Users) -> None:
    names = [f"user-{number:04}" for number in range(1_100)]
    for name in reversed(names):
        await users.create_user(name)
    assert names == [user.name for user in await users.list_users()]


async def test_user_has_as_many_keys_as_wanted(users: Users) -> None:
    user = await users.create_user("ada")
    made = [(await users.create_key("ada", description=str(n)))[0] for n in range(1_200)]
    assert made == await users.list_keys("ada")
    assert (made[7], user) == await users.find_key(made[7].id)


async def test_id_that_no_key_can_have_finds_none(users: Users) -> None:
    assert await users.find_key("A" * 5_000) is None


@pytest.mark.parametrize("key_id", ["A" * 129, "AK,ID", "AK/ID", "AK ID", "AK\n", "\xc4KID"])
async def test_id_that_no_signature_can_name_is_refused(users: Users, key_id: str) -> None:
    await users.create_user("ada")
    with pytest.raises(InvalidArgument):
        await users.create_key("ada", access_key_id=key_id, secret="secret")
    assert await users.list_keys("ada") == []


async def test_keys_may_be_brought_along_but_not_twice(users: Users) -> None:
    await users.create_user("ada")
    await users.create_user("bob")
    key, secret = await users.create_key("ada", access_key_id="theirs", secret="known")
    assert ("theirs", "known", b"theirs:known") == (key.id, secret, key.sealed_secret)
    for taken in ("theirs", "root-key"):
        with pytest.raises(EntityAlreadyExists):
            await users.create_key("bob", access_key_id=taken)
    with pytest.raises(NoSuchEntity):
        await users.create_key("nobody")


async def test_deleted_key_is_gone(users: Users) -> None:
    await users.create_user("ada")
    key, _ = await users.create_key("ada")
    await users.delete_key(key.id)
    assert (None, []) == (await users.find_key(key.id), await users.list_keys("ada"))
    with pytest.raises(NoSuchEntity):
        await users.delete_key(key.id)


async def test_deleted_user_takes_all_keys_along(users: Users, meta: MemoryStore) -> None:
    await users.create_user("ada")
    for _ in range(3):
        await users.create_key("ada")
    await users.delete_user("ada")
    assert [] == await meta.scan(b"", b"\xff", limit=100)
    with pytest.raises(NoSuchEntity):
        await users.delete_user("ada")


@pytest.mark.parametrize("head_start", range(5))
async def test_no_key_outlives_its_user(users: Users, meta: MemoryStore, head_start: int) -> None:
    await users.create_user("ada")
    await users.create_key("ada", access_key_id="b")

    async def delete() -> None:
        for _ in range(head_start):
            await asyncio.sleep(0)
        await users.delete_user("ada")

    creations = [users.create_key("ada", access_key_id=name) for name in "acd"]
    outcomes = await asyncio.gather(delete(), *creations, return_exceptions=True)
    assert outcomes[0] is None
    assert [] == await meta.scan(b"", b"\xff", limit=100)
    assert await meta.get(records.access_key_key("a")) is None


async def test_user_belongs_to_a_project_that_is_there(users: Users) -> None:
    with pytest.raises(NoSuchEntity):
        await users.create_user("eve", account="123456789012")
