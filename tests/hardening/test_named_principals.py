"""Policies name those who were there: nobody inherits by a name, and nobody gets rid of a denial.

Of buckets, topics and roles; by users, roles and single sessions of roles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from s3server.arns import ROLE_ID, USER_ID, unique_id
from s3server.core.directory import ROLES, USERS
from tests.support.asgi_client import Client
from tests.support.events import make_topic, sns
from tests.support.iam import ACCOUNT, Iam, allow, document, policy, trust
from tests.support.served import Store
from tests.support.signing import REGION
from tests.support.sts import assume, sts

USER, ROLE = f"arn:aws:iam::{ACCOUNT}:user/ann", f"arn:aws:iam::{ACCOUNT}:role/job"
TARGET = f"arn:aws:iam::{ACCOUNT}:role/target"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:topic"
NAMES = {
    "user": USER,
    "role": ROLE,
    "session": f"arn:aws:sts::{ACCOUNT}:assumed-role/job/job-1",
}
ACCOUNT_ITSELF = f"arn:aws:iam::{ACCOUNT}:root"
ACTIONS = {"bucket": "s3:GetObject", "topic": "sns:GetTopicAttributes", "role": "sts:AssumeRole"}
RESOURCES = {"bucket": "arn:aws:s3:::data/*", "topic": TOPIC}
INVALID = {
    "bucket": (400, "MalformedPolicy"),
    "topic": (400, "InvalidParameter"),
    "role": (400, "MalformedPolicyDocument"),
}
who_and_what = pytest.mark.parametrize(
    ("who", "what"), [(who, what) for who in NAMES for what in ACTIONS]
)


@pytest.fixture
async def site(store: Store) -> Store:
    """Ann and a role of hers, who may do nothing; a bucket, a topic and a role of root's."""
    await store.root.made("/data")
    await store.root.made("/data/key", body=b"1")
    await make_topic(store.root, "topic")
    await Iam(store.root)("CreateRole", RoleName="target", AssumeRolePolicyDocument=trust())
    await make_user(store)
    await make_role(store)
    return store


async def make_user(store: Store) -> None:
    await Iam(store.root)("CreateUser", UserName="ann")


async def make_role(store: Store) -> None:
    leave = trust({"AWS": USER})
    await Iam(store.root)("CreateRole", RoleName="job", AssumeRolePolicyDocument=leave)


async def remove(store: Store, who: str) -> None:
    root = Iam(store.root)
    if who == "user":
        await root("DeleteUserPolicy", UserName="ann", PolicyName="all")
        for key in (await root("ListAccessKeys", UserName="ann"))["AccessKeyMetadata"]:
            await root("DeleteAccessKey", UserName="ann", AccessKeyId=key["AccessKeyId"])
        await root("DeleteUser", UserName="ann")
    else:
        await root("DeleteRolePolicy", RoleName="job", PolicyName="all")
        await root("DeleteRole", RoleName="job")


async def may_all(store: Store, who: str, effect: str = "Allow") -> None:
    """Have own policies of user or role allow everything, or something that matters nowhere."""
    text = allow("*") if effect == "Allow" else allow("s3:ListBucket")
    root, given = Iam(store.root), {"PolicyName": "all", "PolicyDocument": text}
    if who == "user":
        await root("PutUserPolicy", UserName="ann", **given)
    else:
        await root("PutRolePolicy", RoleName="job", **given)


async def caller(store: Store, who: str) -> Client:
    """Return a client with a new key of ann's, or a new session of the role."""
    key = (await Iam(store.root)("CreateAccessKey", UserName="ann"))["AccessKey"]
    ann = store.holder(key["AccessKeyId"], key["SecretAccessKey"])
    return ann if who == "user" else await assume(ann, ROLE)


async def lay_down(store: Store, what: str, *statements: Mapping[str, Any]) -> tuple[int, str]:
    """Put a policy; return status and code of what it is refused with."""
    about = [{"Action": ACTIONS[what], **one} for one in statements]
    if what in RESOURCES:
        about = [{"Resource": RESOURCES[what], **one} for one in about]
    text = policy(*about)
    if what == "bucket":
        answer = await store.root.sent("/data?policy", text.encode())
        return answer.status, answer.code
    if what == "topic":
        asked = {"TopicArn": TOPIC, "AttributeName": "Policy", "AttributeValue": text}
        answer = await sns(store.root, "SetTopicAttributes", asked)
        return answer.status, answer.text("Error/Code") or ""
    put = Iam(store.root)("UpdateAssumeRolePolicy", RoleName="target", PolicyDocument=text)
    try:
        await put
    except Exception as error:
        return getattr(error, "status", 0), getattr(error, "code", str(error))
    return 200, ""


async def shown(store: Store, what: str) -> Any:
    """Return the policy as it is shown."""
    if what == "bucket":
        return json.loads((await store.root("GET", "/data?policy")).body)
    if what == "topic":
        found = await Iam(store.root, "sns")("GetTopicAttributes", TopicArn=TOPIC)
        return json.loads(found["Attributes"]["Policy"])
    found = await Iam(store.root)("GetRole", RoleName="target")
    return document(found["Role"]["AssumeRolePolicyDocument"])


async def permits(client: Client, what: str) -> bool:
    if what == "bucket":
        answer = await client("GET", "/data/key")
    elif what == "topic":
        answer = await sns(client, "GetTopicAttributes", {"TopicArn": TOPIC})
    else:
        asked = {"RoleArn": TARGET, "RoleSessionName": "job-1"}
        answer = await sts(client, "AssumeRole", asked)
    assert answer.status in (200, 403), answer.body
    return answer.status == 200


def to(who: str, effect: str = "Allow", element: str = "Principal") -> dict[str, Any]:
    return {"Effect": effect, element: {"AWS": NAMES[who]}}


async def remake(store: Store, who: str, effect: str = "Silent") -> None:
    await remove(store, who)
    await (make_user if who == "user" else make_role)(store)
    await may_all(store, who, effect)


@who_and_what
async def test_who_is_made_anew_under_a_name_does_not_inherit(
    site: Store, who: str, what: str
) -> None:
    await may_all(site, who, "Silent")
    assert (await lay_down(site, what, to(who)))[1] == ""
    assert await permits(await caller(site, who), what)
    await remake(site, who)
    assert not await permits(await caller(site, who), what)
    assert (await lay_down(site, what, to(who)))[1] == ""
    assert await permits(await caller(site, who), what), "the same text, put again"


@who_and_what
async def test_denial_of_a_name_outlives_who_had_it(site: Store, who: str, what: str) -> None:
    await may_all(site, who)
    to_all = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT_ITSELF}}
    assert (await lay_down(site, what, to_all))[1] == ""
    assert await permits(await caller(site, who), what), "else the denial would prove nothing"
    assert (await lay_down(site, what, to_all, to(who, "Deny")))[1] == ""
    assert not await permits(await caller(site, who), what)
    await remake(site, who, "Allow")
    assert not await permits(await caller(site, who), what)


@pytest.mark.parametrize("who", ["user", "role"])
async def test_exemption_from_a_denial_is_not_inherited(site: Store, who: str) -> None:
    await may_all(site, who)
    assert (await lay_down(site, "bucket", to(who, "Deny", "NotPrincipal")))[1] == ""
    assert await permits(await caller(site, who), "bucket")
    await remake(site, who, "Allow")
    assert not await permits(await caller(site, who), "bucket")


@who_and_what
async def test_unique_id_is_shown_once_the_principal_is_gone(
    site: Store, who: str, what: str
) -> None:
    await may_all(site, who)
    assert (await lay_down(site, what, to(who)))[1] == ""
    (statement,) = (await shown(site, what))["Statement"]
    assert statement["Principal"] == {"AWS": NAMES[who]}
    directory = site.services.iam.directory
    identity: Any = await directory.get(USERS, ACCOUNT, "ann")
    if who != "user":
        identity = await directory.get(ROLES, ACCOUNT, "job")
    await remake(site, who)
    (statement,) = (await shown(site, what))["Statement"]
    unique = unique_id(USER_ID if who == "user" else ROLE_ID, identity.id)
    unique += ":job-1" if who == "session" else ""
    assert statement["Principal"] == {"AWS": unique}
    assert await lay_down(site, what, statement) == INVALID[what], "as it is shown, put again"


async def test_who_is_renamed_keeps_what_was_theirs(site: Store) -> None:
    assert (await lay_down(site, "bucket", to("user")))[1] == ""
    ann = await caller(site, "user")
    await Iam(site.root)("UpdateUser", UserName="ann", NewUserName="anna", NewPath="/new/")
    await make_user(site)
    assert await permits(ann, "bucket")
    assert not await permits(await caller(site, "user"), "bucket"), "another ann"
    (statement,) = (await shown(site, "bucket"))["Statement"]
    assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:user/new/anna"}


async def test_who_is_renamed_is_denied_what_was_denied(site: Store) -> None:
    await may_all(site, "user")
    ann = await caller(site, "user")
    assert await permits(ann, "bucket")
    assert (await lay_down(site, "bucket", to("user", "Deny")))[1] == ""
    await Iam(site.root)("UpdateUser", UserName="ann", NewUserName="anna")
    assert not await permits(ann, "bucket")


async def test_users_of_other_projects_can_be_named(site: Store) -> None:
    bob = {"AWS": "arn:aws:iam::bob-project:user/bob"}
    assert (await lay_down(site, "bucket", {"Effect": "Allow", "Principal": bob}))[1] == ""
    assert await permits(site.bob, "bucket")
    assert not await permits(site.alice, "bucket")


async def test_other_attributes_leave_whom_a_topic_names(site: Store) -> None:
    assert (await lay_down(site, "topic", to("user")))[1] == ""
    asked = {"TopicArn": TOPIC, "AttributeName": "persistent", "AttributeValue": "true"}
    assert (await sns(site.root, "SetTopicAttributes", asked)).status == 200
    assert await permits(await caller(site, "user"), "topic")
