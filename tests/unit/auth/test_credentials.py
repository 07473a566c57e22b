"""Looking up access keys: what counts, and how soon a change counts."""

from types import SimpleNamespace

import pytest

from s3server.auth.credentials import Credential, CredentialStore
from s3server.auth.secrets import SecretBox, SecretError
from s3server.model import FREE, Principal

BOX = SecretBox(bytes(32))
ROOT = Credential("ROOTKEY", "root-secret", Principal("root", "f" * 64, "root"))


def key_row(**changes):
    fields = {
        "id": "AKIA1", "user": "u1", "sealed_secret": BOX.seal("s3cret", "AKIA1"),
        "is_active": True, "expires_ms": 0, "scope": (),
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **changes})


def user_row(**changes):
    fields = {"id": "u1", "name": "ada", "account": "physics", "is_suspended": False}
    fields |= {"path": "/", "bindings": FREE, "tags": ()}
    return SimpleNamespace(**{**fields, **changes})


def store(rows, *, root=ROOT, now_ms=1_000):
    async def read_key(access_key_id):
        return rows.get(access_key_id)

    return CredentialStore(read_key, BOX, root=root, now_ms=lambda: now_ms)


async def test_stored_key_gives_its_secret_and_principal():
    found = await store({"AKIA1": (key_row(), user_row())}).lookup("AKIA1")
    principal = Principal("user", "u1", "ada", "physics", "AKIA1")
    assert found == Credential("AKIA1", "s3cret", principal)


async def test_root_wins_over_a_stored_key_of_the_same_id():
    rows = {"ROOTKEY": (key_row(id="ROOTKEY"), user_row())}
    assert await store(rows).lookup("ROOTKEY") is ROOT


async def test_without_root_its_key_is_unknown():
    assert await store({}, root=None).lookup("ROOTKEY") is None


@pytest.mark.parametrize(
    ("key", "user"),
    [
        ({"is_active": False}, {}),
        ({"expires_ms": 1_000}, {}),
        ({"expires_ms": 1}, {}),
        ({}, {"is_suspended": True}),
        ({"user": "u2"}, {}),
    ],
)
async def test_key_that_does_not_count_is_as_unknown(key, user):
    assert await store({"AKIA1": (key_row(**key), user_row(**user))}).lookup("AKIA1") is None


async def test_key_counts_until_the_millisecond_it_expires():
    rows = {"AKIA1": (key_row(expires_ms=1_001), user_row())}
    assert (await store(rows).lookup("AKIA1")).secret == "s3cret"


async def test_deleted_and_changed_keys_count_at_once():
    rows = {"AKIA1": (key_row(), user_row())}
    credentials = store(rows)
    assert (await credentials.lookup("AKIA1")).secret == "s3cret"
    rows["AKIA1"] = (key_row(sealed_secret=BOX.seal("other", "AKIA1")), user_row())
    assert (await credentials.lookup("AKIA1")).secret == "other"
    del rows["AKIA1"]
    assert await credentials.lookup("AKIA1") is None


async def test_secret_moved_from_another_key_is_an_error():
    rows = {"AKIA1": (key_row(sealed_secret=BOX.seal("other", "AKIA2")), user_row())}
    with pytest.raises(SecretError):
        await store(rows).lookup("AKIA1")


def test_credential_does_not_print_its_secret():
    assert "root-secret" not in repr(ROOT)
