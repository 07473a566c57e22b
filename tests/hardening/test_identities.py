"""Nobody raises their own rights through IAM, whatever policies say; deny beats allow."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.asgi_client import Client
from tests.support.iam import (
    ACCOUNT,
    Iam,
    IamError,
    allow,
    key_id,
    make_policy,
    make_user,
    policy,
    refusal,
    trust,
)
from tests.support.served import Store

DENIED = (403, "AccessDenied")
ADMIN = allow("*")
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/limit"
WORK = f"arn:aws:iam::{ACCOUNT}:policy/work"
USER = f"arn:aws:iam::{ACCOUNT}:user"


@pytest.fixture
async def bounded(store: Store) -> Iam:
    """An administrator who is limited to S3's reads and all of IAM."""
    await make_policy(store, "limit", allow("s3:Get*", "iam:*"))
    client = await make_user(store, "admin", ADMIN, PermissionsBoundary=BOUNDARY)
    root = Iam(store.root)
    await root("CreateUser", UserName="free")
    await root("CreateUser", UserName="likewise", PermissionsBoundary=BOUNDARY)
    await root("CreateRole", RoleName="job", AssumeRolePolicyDocument=trust())
    await make_policy(store, "work", allow("s3:Get*"))
    await root("AttachRolePolicy", RoleName="job", PolicyArn=WORK)
    for group, member in (("all", "free"), ("ours", "likewise")):
        await root("CreateGroup", GroupName=group)
        await root("AddUserToGroup", GroupName=group, UserName=member)
    return Iam(client)


ESCAPES: list[tuple[str, dict[str, Any]]] = [
    ("DeleteUserPermissionsBoundary", {"UserName": "admin"}),
    ("DeleteUserPermissionsBoundary", {"UserName": "likewise"}),
    ("PutUserPermissionsBoundary",
     {"UserName": "admin", "PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}),
    ("PutUserPermissionsBoundary",
     {"UserName": "ADMIN", "PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}),
    ("CreatePolicyVersion",
     {"PolicyArn": BOUNDARY, "PolicyDocument": ADMIN, "SetAsDefault": True}),
    ("SetDefaultPolicyVersion", {"PolicyArn": BOUNDARY, "VersionId": "v1"}),
    ("DeletePolicy", {"PolicyArn": BOUNDARY}),
    ("CreateUser", {"UserName": "new"}),
    ("CreateUser",
     {"UserName": "new", "PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}),
    ("CreateRole", {"RoleName": "new", "AssumeRolePolicyDocument": trust()}),
    ("CreateAccessKey", {"UserName": "free"}),
    ("PutUserPolicy", {"UserName": "free", "PolicyName": "p", "PolicyDocument": ADMIN}),
    ("UpdateAssumeRolePolicy", {"RoleName": "job", "PolicyDocument": trust()}),
    ("PutRolePolicy", {"RoleName": "job", "PolicyName": "p", "PolicyDocument": ADMIN}),
    ("DeleteRolePermissionsBoundary", {"RoleName": "job"}),
    ("CreatePolicyVersion",
     {"PolicyArn": WORK, "PolicyDocument": ADMIN, "SetAsDefault": True}),
    ("PutGroupPolicy", {"GroupName": "all", "PolicyName": "p", "PolicyDocument": ADMIN}),
    ("AddUserToGroup", {"GroupName": "ours", "UserName": "free"}),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "request_"), ESCAPES)
async def test_boundary_cannot_be_got_rid_of(
    store: Store, bounded: Iam, operation: str, request_: dict[str, Any]
) -> None:
    before = await store.rows()
    assert await refusal(bounded(operation, **request_)) == DENIED
    assert await store.rows() == before


async def test_within_a_boundary_identities_can_be_managed(store: Store, bounded: Iam) -> None:
    await bounded("CreateUser", UserName="new", PermissionsBoundary=BOUNDARY)
    await bounded("PutUserPolicy", UserName="new", PolicyName="p", PolicyDocument=ADMIN)
    await bounded("AddUserToGroup", GroupName="ours", UserName="new")
    await bounded("PutGroupPolicy", GroupName="ours", PolicyName="p", PolicyDocument=ADMIN)
    key = (await bounded("CreateAccessKey", UserName="new"))["AccessKey"]
    new = store.holder(key["AccessKeyId"], key["SecretAccessKey"])
    assert (await new("PUT", "/bucket")).status == 403
    assert await refusal(Iam(new)("DeleteUserPermissionsBoundary", UserName="new")) == DENIED
    await bounded("CreateAccessKey", UserName="likewise")


async def test_boundary_holds_against_policies_of_buckets(store: Store, bounded: Iam) -> None:
    await store.root.made("/data")
    await store.root.made("/data/key", body=b"1")
    grant = {"Effect": "Allow", "Principal": {"AWS": f"{USER}/admin"}, "Action": "s3:*",
             "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/*"]}  # fmt: skip
    await store.root.sent("/data?policy", policy(grant).encode())
    assert (await bounded.client("GET", "/data/key")).status == 200
    assert (await bounded.client("PUT", "/data/key", body=b"2")).status == 403


async def test_free_user_manages_nobody(store: Store) -> None:
    """Who was made by the operator's command owns buckets, and has no part in IAM."""
    users = store.services.users
    await users.create_user("free")
    key, secret = await users.create_key("free")
    free = Iam(store.holder(key.id, secret))
    for operation, more in (
        ("ListUsers", {}), ("GetUser", {}), ("CreateAccessKey", {}),
        ("PutUserPolicy", {"UserName": "free", "PolicyName": "p", "PolicyDocument": ADMIN}),
    ):  # fmt: skip
        assert await refusal(free(operation, **more)) == DENIED
    assert await refusal(Iam(store.nobody)("ListUsers")) == DENIED


async def test_iam_is_permitted_by_the_arn_of_what_is_stored(store: Store) -> None:
    """A path that the request does not name counts, and so does the name as it is written."""
    text = policy(
        {"Effect": "Allow", "Action": "iam:*", "Resource": f"{USER}/staff/*"},
        {"Effect": "Deny", "Action": "iam:DeleteUser", "Resource": f"{USER}/staff/Boss"},
    )
    admin, root = Iam(await make_user(store, "admin", text)), Iam(store.root)
    await root("CreateUser", UserName="Boss", Path="/staff/")
    await root("CreateUser", UserName="other", Path="/guests/")
    await admin("CreateUser", UserName="ann", Path="/staff/")
    await admin("GetUser", UserName="Boss")
    await admin("UpdateUser", UserName="ann", NewUserName="anna", NewPath="/staff/new/")
    for call in (
        admin("UpdateUser", UserName="anna", NewPath="/guests/"),
        admin("UpdateUser", UserName="other", NewPath="/staff/"),
        admin("DeleteUser", UserName="BOSS"),
        admin("GetUser", UserName="other"),
        admin("CreateUser", UserName="eve"),
        admin("CreateUser", UserName="eve", Path="/guests/"),
        admin("ListUsers"),
        admin("GetUser", UserName="nobody"),
        admin("PutUserPolicy", UserName="admin", PolicyName="p", PolicyDocument=ADMIN),
    ):
        assert await refusal(call) == DENIED


async def test_refusal_says_who_what_and_why(store: Store) -> None:
    ann = Iam(await make_user(store, "ann", Path="/x/"))
    with pytest.raises(IamError) as refused:
        await ann("DeleteUser", UserName="ann")
    assert refused.value.message == (
        f"User: {USER}/x/ann is not authorized to perform: iam:DeleteUser on resource: "
        f"{USER}/x/ann because no identity-based policy allows the iam:DeleteUser action"
    )


async def test_conditions_on_requests_to_iam(store: Store) -> None:
    arn = await make_policy(store, "ok", allow("s3:*"))
    rules = policy(
        {"Effect": "Allow", "Action": "iam:AttachUserPolicy", "Resource": "*",
         "Condition": {"ArnEquals": {"iam:PolicyARN": arn}}},
        {"Effect": "Allow", "Action": "iam:CreateUser", "Resource": "*",
         "Condition": {"StringEquals": {"aws:RequestTag/team": "x"},
                       "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}},
        {"Effect": "Allow", "Action": "iam:DeleteUser", "Resource": "*",
         "Condition": {"StringEquals": {"iam:ResourceTag/team": "${aws:PrincipalTag/team}"}}},
    )  # fmt: skip
    tag_x, tag_y = ([{"Key": "team", "Value": value}] for value in "xy")
    admin = Iam(await make_user(store, "admin", rules, Tags=tag_x))
    await admin("CreateUser", UserName="ann", Tags=tag_x)
    await Iam(store.root)("CreateUser", UserName="bob", Tags=tag_y)
    await admin("AttachUserPolicy", UserName="ann", PolicyArn=arn)
    read_only = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    for call in (
        admin("AttachUserPolicy", UserName="ann", PolicyArn=read_only),
        admin("CreateUser", UserName="eve"),
        admin("CreateUser", UserName="eve", Tags=tag_y),
        admin("CreateUser", UserName="eve", Tags=[*tag_x, {"Key": "more", "Value": ""}]),
        admin("DeleteUser", UserName="bob"),
    ):
        assert await refusal(call) == DENIED
    await Iam(store.root)("DetachUserPolicy", UserName="ann", PolicyArn=arn)
    await admin("DeleteUser", UserName="ann")


async def bucket_of_root(store: Store, *statements: dict[str, Any]) -> None:
    await store.root.made("/data")
    await store.root.made("/data/key", body=b"1")
    if statements:
        answer = await store.root.sent("/data?policy", policy(*statements).encode())
        assert answer.status == 204, answer.body


TO_ANN = {"Principal": {"AWS": f"{USER}/ann"}, "Action": "s3:GetObject",
          "Resource": "arn:aws:s3:::data/*"}  # fmt: skip


@pytest.mark.parametrize("own", ["", "Allow", "Deny"])
@pytest.mark.parametrize("bucket", ["", "Allow", "Deny"])
async def test_identity_and_bucket_policies_in_one_account(
    store: Store, own: str, bucket: str
) -> None:
    """One that allows suffices; one that denies outweighs whatever allows."""
    ann = await make_user(store, "ann", allow("s3:GetObject", effect=own) if own else "")
    await bucket_of_root(store, *([{"Effect": bucket, **TO_ANN}] if bucket else []))
    answer = await ann("GET", "/data/key")
    permitted = "Allow" in (own, bucket) and "Deny" not in (own, bucket)
    assert answer.status == (200 if permitted else 403)


@pytest.mark.parametrize("own", ["", "Allow", "Deny"])
@pytest.mark.parametrize("bucket", ["", "Allow", "Deny"])
async def test_bucket_of_another_account_takes_both(store: Store, own: str, bucket: str) -> None:
    ann = await make_user(store, "ann", allow("s3:*", effect=own) if own else "")
    await store.alice.made("/data")
    await store.alice.made("/data/key", body=b"1")
    if bucket:
        await store.alice.sent("/data?policy", policy({"Effect": bucket, **TO_ANN}).encode())
    answer = await ann("GET", "/data/key")
    assert answer.status == (200 if (own, bucket) == ("Allow", "Allow") else 403)


async def test_resources_and_conditions_of_identity_policies(store: Store) -> None:
    await bucket_of_root(store)
    await store.root.made("/data/own/ann/1", body=b"1")
    text = policy(
        {"Effect": "Allow", "Action": "s3:GetObject",
         "Resource": "arn:aws:s3:::data/own/${aws:username}/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::data",
         "Condition": {"StringLike": {"s3:prefix": "own/${aws:username}/*"}}},
        {"Effect": "Allow", "Action": "s3:CreateBucket",
         "Resource": "arn:aws:s3:::${aws:PrincipalTag/team}-*"},
    )  # fmt: skip
    ann: Client = await make_user(store, "ann", text, Tags=[{"Key": "team", "Value": "x"}])
    asked = {
        "GET /data/own/ann/1": 200, "GET /data/key": 403, "GET /data": 403,
        "GET /data?list-type=2&prefix=own/ann/": 200, "PUT /x-new": 200, "PUT /y-new": 403,
        "GET /": 403, "DELETE /data/own/ann/1": 403,
    }  # fmt: skip
    found = {each: (await ann(*each.split(" ", 1))).status for each in asked}
    assert found == asked


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
async def test_own_policies_are_asked_by_tags_that_a_document_brings(
    store: Store, effect: str
) -> None:
    await bucket_of_root(store)
    condition = {"StringEquals": {"s3:RequestObjectTag/level": "low"}}
    rest = {"Effect": "Allow", "Action": "s3:PutObjectTagging", "Resource": "*"}
    conditional = {**rest, "Effect": effect, "Condition": condition}
    allowed = [conditional] if effect == "Allow" else [rest, conditional]
    ann = await make_user(store, "ann", policy(*allowed))
    for level in ("low", "high"):
        tag = f"<Tag><Key>level</Key><Value>{level}</Value></Tag>"
        document = f"<Tagging><TagSet>{tag}</TagSet></Tagging>".encode()
        status = (await ann.sent("/data/key?tagging", document)).status
        assert status == (200 if (level == "low") == (effect == "Allow") else 403)


async def test_keys_of_one_request_are_deleted_by_leave_for_each(store: Store) -> None:
    await bucket_of_root(store)
    await store.root.made("/data/own/1", body=b"1")
    leave = allow("s3:DeleteObject", resource="arn:aws:s3:::data/own/*")
    ann = await make_user(store, "ann", leave)
    objects = "".join(f"<Object><Key>{key}</Key></Object>" for key in ("own/1", "key"))
    document = f"<Delete>{objects}</Delete>".encode()
    answer = await ann.sent("/data?delete", document, method="POST")
    assert answer.texts("Deleted/Key") == ["own/1"]
    assert answer.texts("Error/Key") == ["key"]
    assert (await store.root("GET", "/data/key")).status == 200


async def test_topics_of_the_account_are_managed_by_policy(store: Store) -> None:
    text = allow("sns:*", resource="arn:aws:sns:*:*:mine-*")
    sns = Iam(await make_user(store, "ann", text), "sns")
    attributes = {"push-endpoint": "amqp://broker.test:5672", "amqp-exchange": "ex"}
    made = await sns("CreateTopic", Name="mine-1", Attributes=attributes)
    await sns("GetTopicAttributes", TopicArn=made["TopicArn"])
    for call in (
        sns("CreateTopic", Name="other", Attributes=attributes),
        sns("ListTopics"),
    ):
        assert await refusal(call) == (403, "AuthorizationError")
    bob = Iam(await make_user(store, "bob"), "sns")
    stolen = bob("DeleteTopic", TopicArn=made["TopicArn"])
    assert await refusal(stolen) == (403, "AuthorizationError")


async def test_secrets_of_keys_are_in_no_row_and_no_later_answer(store: Store) -> None:
    ann = await make_user(store, "ann", ADMIN)
    assert ann.key is not None
    secret = ann.key.secret.encode()
    assert not any(secret in value for _, value in await store.rows())
    iam = Iam(store.root)
    for operation, more in (
        ("ListAccessKeys", {"UserName": "ann"}), ("GetUser", {"UserName": "ann"}),
        ("GetAccountAuthorizationDetails", {}),
        ("GetAccessKeyLastUsed", {"AccessKeyId": key_id(ann)}),
    ):  # fmt: skip
        assert secret.decode() not in repr(await iam(operation, **more))
