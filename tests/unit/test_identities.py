"""Which policies bind a principal, as they are found in the store."""

from __future__ import annotations

import json

import pytest

from s3server.auth.own_law import OwnLaw
from s3server.auth.policy import Question, Requester, Verdict
from s3server.auth.request_keys import RequestKeys, Seen
from s3server.core import identity_records as rows
from s3server.core.identity_records import (
    GroupRecord,
    ManagedPolicyRecord,
    PolicyVersion,
    RoleRecord,
)
from s3server.core.records import PolicyRecord, Record, UserRecord, encode, user_key
from s3server.identities import Identities
from s3server.meta.base import Delete, Put
from s3server.meta.memory import MemoryStore
from s3server.model import ANONYMOUS, Bindings, HttpRequest, Principal

ACCOUNT, USER, GROUP, ROLE = "red", "1" * 64, "2" * 64, "3" * 64
GET, PUT = "s3:GetObject", "s3:PutObject"
READ_ONLY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
WRITERS = "arn:aws:iam::red:policy/teams/Writers"


def document(action: str, effect: str = "Allow") -> str:
    statement = {"Effect": effect, "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


class Directory:
    """Identities on a store of their own."""

    def __init__(self) -> None:
        self.meta = MemoryStore()
        self.identities = Identities(self.meta)

    async def put(self, key: bytes, record: Record) -> None:
        await self.meta.commit([Put(key, encode(record))])

    async def inline(self, holder: str, name: str, text: str) -> tuple[str, bytes]:
        await self.put(rows.inline_policy_key(holder, name), PolicyRecord(text=text))
        return name, rows.digest_of(text)

    async def managed(self, text: str) -> str:
        version = PolicyVersion(1, rows.digest_of(text), 0)
        policy = ManagedPolicyRecord(
            id="4" * 64, name="Writers", account=ACCOUNT, path="/teams/", created_ms=0,
            updated_ms=0, versions=(version,), default=1, latest=1,
        )  # fmt: skip
        await self.put(rows.managed_policy_key(ACCOUNT, "Writers"), policy)
        await self.put(rows.policy_version_key(ACCOUNT, "Writers", 1), PolicyRecord(text=text))
        return WRITERS

    async def says(self, principal: Principal, *actions: str) -> list[Verdict | None]:
        law = await self.identities.law_of(principal)
        assert isinstance(law, OwnLaw)
        http = HttpRequest("GET", "/", "", {})
        keys = RequestKeys(Seen(principal, "v4-header", http, {}, now_ms=0))
        return [
            law.verdict(Question(Requester(), action, "arn:aws:s3:::b/k", keys))
            for action in actions
        ]


@pytest.fixture
def directory() -> Directory:
    return Directory()


def user(bindings: Bindings, *scope: str) -> Principal:
    return Principal("user", USER, "ann", ACCOUNT, bindings=bindings, session_policies=scope)


async def test_who_has_no_policies_is_bound_by_none(directory: Directory) -> None:
    for principal in (user(Bindings()), ANONYMOUS, Principal("root", "0" * 64, "root")):
        assert await directory.identities.law_of(principal) is None


async def test_policies_of_user_group_and_aws_are_added_up(directory: Directory) -> None:
    inline = await directory.inline(GROUP, "p", document("s3:DeleteObject"))
    group = GroupRecord(
        id=GROUP, name="g", account=ACCOUNT, created_ms=0, bindings=Bindings(True, (inline,))
    )
    await directory.put(rows.group_key(GROUP), group)
    managed = await directory.managed(document(PUT))
    bindings = Bindings(True, (), (READ_ONLY, managed), (GROUP,))
    assert await directory.says(user(bindings), GET, PUT, "s3:DeleteObject", "iam:GetUser") == [
        Verdict.ALLOW, Verdict.ALLOW, Verdict.ALLOW, Verdict.SILENT,
    ]  # fmt: skip


async def test_group_that_is_bound_binds_its_users(directory: Directory) -> None:
    group = GroupRecord(id=GROUP, name="g", account=ACCOUNT, created_ms=0, bindings=Bindings(True))
    await directory.put(rows.group_key(GROUP), group)
    assert await directory.says(user(Bindings(groups=(GROUP,))), GET) == [Verdict.SILENT]


async def test_group_without_policies_leaves_its_users_free(directory: Directory) -> None:
    group = GroupRecord(id=GROUP, name="g", account=ACCOUNT, created_ms=0)
    await directory.put(rows.group_key(GROUP), group)
    assert await directory.says(user(Bindings(groups=(GROUP,))), GET) == [None]


async def test_boundary_and_session_policies_each_have_to_allow(directory: Directory) -> None:
    inline = await directory.inline(USER, "all", document("*"))
    bound = Bindings(True, (inline,), boundary=READ_ONLY)
    assert await directory.says(user(bound), GET, PUT) == [Verdict.ALLOW, Verdict.DENY]
    scoped = user(bound, document("s3:*"), document("s3:*Object"))
    listing = "s3:ListBucket"
    assert await directory.says(scoped, GET, PUT, listing) == [
        Verdict.ALLOW, Verdict.DENY, Verdict.DENY,
    ]  # fmt: skip


async def test_scope_of_a_key_limits_a_user_who_is_free_otherwise(directory: Directory) -> None:
    assert await directory.says(user(Bindings(), document(GET)), GET, PUT) == [None, Verdict.DENY]


async def test_policy_that_was_replaced_meanwhile_counts_as_it_is_now(directory: Directory) -> None:
    name, digest = await directory.inline(USER, "p", document(GET))
    stale = Bindings(True, ((name, b"digest of what it was"),))
    now = Bindings(True, ((name, digest),))
    record = UserRecord(id=USER, name="ann", account=ACCOUNT, created_ms=0, bindings=now)
    await directory.put(user_key(USER), record)
    assert await directory.says(user(stale), GET, PUT) == [Verdict.ALLOW, Verdict.SILENT]


async def test_policy_that_was_removed_meanwhile_is_looked_for_anew(directory: Directory) -> None:
    stale = Bindings(True, (("gone", b"digest"),), (WRITERS,), (GROUP,))
    record = UserRecord(id=USER, name="ann", account=ACCOUNT, created_ms=0,
                        bindings=Bindings(True, (), (READ_ONLY,)))  # fmt: skip
    await directory.put(user_key(USER), record)
    assert await directory.says(user(stale), GET, PUT) == [Verdict.ALLOW, Verdict.SILENT]
    await directory.meta.commit([Delete(user_key(USER))])
    assert await directory.says(user(stale), GET) == [Verdict.SILENT]


async def test_session_of_a_role_has_the_policies_of_the_role(directory: Directory) -> None:
    inline = await directory.inline(ROLE, "p", document("s3:*"))
    session = Principal(
        "session", ROLE, "job", ACCOUNT, role=ROLE, session_name="s1",
        bindings=Bindings(True, (inline,)), session_policies=(document(GET),),
    )  # fmt: skip
    assert await directory.says(session, GET, PUT) == [Verdict.ALLOW, Verdict.DENY]
    gone = Bindings(True, (("gone", b"digest"),))
    role = RoleRecord(id=ROLE, name="job", account=ACCOUNT, created_ms=0, trust_policy="")
    await directory.put(rows.role_key(ROLE), role)
    stale = Principal("session", ROLE, "job", ACCOUNT, role=ROLE, bindings=gone)
    assert await directory.says(stale, GET) == [Verdict.SILENT]
