"""Every operation of the catalogue, asked for by everybody, under every kind of access."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from s3server.catalogue import S3_ROWS
from tests.support.rows import ROWS, RowRequest
from tests.support.served import Store, credential

ACTIONS = {row.name: row.action for row in S3_ROWS}
# What everybody with a key may do, and what its body alone decides, have tests of their own.
ELSEWHERE = {"CreateBucket", "ListBuckets", "ListDirectoryBuckets", "DeleteObjects"}
COPIES = {"CopyObject"}  # a part's source is not looked at where there is no upload
# Those that make the object another's come last: who stored it may do more with it.
ASKED = sorted(
    (row for row in ROWS if row.name not in ELSEWHERE and ACTIONS[row.name][:3] == "s3:"),
    key=lambda row: row.name in {"PutObject", "CopyObject"},
)

READ_BUCKET = {"s3:ListBucket", "s3:GetBucketLocation"}
READ_OBJECT = {"s3:GetObject", "s3:GetObjectAttributes"}
WRITE = {
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
}
EVERYTHING = set(ACTIONS.values())
NOTHING: set[str] = set()

# what alice's bucket has -> what it permits to (bob, nobody)
ACLS = {
    "private": (NOTHING, NOTHING),
    "public-read": (READ_BUCKET | READ_OBJECT, READ_BUCKET | READ_OBJECT),
    "public-read-write": (READ_BUCKET | READ_OBJECT | WRITE,) * 2,
    "authenticated-read": (READ_BUCKET | READ_OBJECT, NOTHING),
}
GRANTS = {
    "read": (READ_BUCKET | READ_OBJECT, NOTHING),
    "write": (WRITE, NOTHING),
    "read-acp": ({"s3:GetBucketAcl"}, NOTHING),
    "write-acp": ({"s3:PutBucketAcl"}, NOTHING),
    "full-control": (
        READ_BUCKET | READ_OBJECT | WRITE | {"s3:GetBucketAcl", "s3:PutBucketAcl"}, NOTHING,
    ),
}  # fmt: skip
POLICIES: dict[str, tuple[str, object, set[str], set[str]]] = {
    "all to bob": ("s3:*", {"AWS": "arn:aws:iam::bob-project:user/bob"}, EVERYTHING, NOTHING),
    "all to all": ("*", "*", EVERYTHING, EVERYTHING),
    "reads to all": (
        "s3:Get*", "*",
        {one for one in EVERYTHING if one.startswith("s3:Get")},
        {one for one in EVERYTHING if one.startswith("s3:Get")},
    ),
    "listing to a project": ("s3:List*", {"AWS": "bob-project"},
                             {one for one in EVERYTHING if one.startswith("s3:List")}, NOTHING),
}  # fmt: skip
ON_POLICY = {one for one in EVERYTHING if "BucketPolicy" in one}


@pytest.fixture
async def kept(data: Store) -> Store:
    await data.enrol("bob")
    await data.alice.made("/data/key", body=b"content")
    return data


async def matches(store: Store, who: str | None, permitted: Callable[[RowRequest], bool]) -> None:
    """See that exactly what is permitted gets past the door, and that nothing else is touched."""
    client = store.client(who)
    wrong = []
    for row in ASKED:
        expected = permitted(row)
        if expected and who in ("root", "alice") and not row.is_handled:
            continue  # 501, as test_every_route sees
        if expected and row.method == "DELETE" and row.is_handled:
            continue  # would end the matrix; denied deletes are in it
        before = store.meta.commits, store.pool.calls
        answer = await client(row.method, row.target, headers=row.headers)
        is_denied = answer.status == 403
        touched = before != (store.meta.commits, store.pool.calls)
        if is_denied == expected or (is_denied and touched):
            wrong.append((row.name, ACTIONS[row.name], answer.status, touched))
    assert wrong == []


def by_actions(actions: set[str]) -> Callable[[RowRequest], bool]:
    def permitted(row: RowRequest) -> bool:
        return ACTIONS[row.name] in actions and (
            row.name not in COPIES or "s3:GetObject" in actions
        )

    return permitted


def everything(row: RowRequest) -> bool:
    return True


@pytest.mark.parametrize("acl", sorted(ACLS))
async def test_canned_acl(kept: Store, acl: str) -> None:
    await kept.alice.sent("/data?acl", b"", headers={"x-amz-acl": acl})
    for who, actions in zip(("bob", None), ACLS[acl], strict=True):
        await matches(kept, who, by_actions(actions))
    for who in ("alice", "root"):
        await matches(kept, who, everything)


@pytest.mark.parametrize("grant", sorted(GRANTS))
async def test_grant(kept: Store, grant: str) -> None:
    headers = {f"x-amz-grant-{grant}": f'id="{credential("bob").principal.id}"'}
    await kept.alice.sent("/data?acl", b"", headers=headers)
    for who, actions in zip(("bob", None), GRANTS[grant], strict=True):
        await matches(kept, who, by_actions(actions))


def policy(action: str, principal: object, effect: str = "Allow") -> bytes:
    statement = {
        "Effect": effect,
        "Principal": principal,
        "Action": action,
        "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/*"],
    }
    return json.dumps({"Version": "2012-10-17", "Statement": statement}).encode()


@pytest.mark.parametrize("name", sorted(POLICIES))
async def test_policy(kept: Store, name: str) -> None:
    action, principal, *actions = POLICIES[name]
    for who, permitted in zip(("bob", None), actions, strict=True):
        await kept.alice.sent("/data?policy", policy(action, principal))
        await matches(kept, who, by_actions(permitted))


async def test_policy_that_denies_all(kept: Store) -> None:
    """Owner and root are left the policy itself, and nothing else."""
    await kept.alice.sent("/data?acl", b"", headers={"x-amz-acl": "public-read-write"})
    await kept.alice.sent("/data?policy", policy("*", "*", "Deny"))
    for who in ("bob", None):
        await matches(kept, who, by_actions(NOTHING))
    for who in ("alice", "root"):
        await matches(kept, who, by_actions(ON_POLICY))
