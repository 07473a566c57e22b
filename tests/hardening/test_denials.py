"""Deny beats allow: each place that can deny, against each place that can allow, pair by pair.

Asked are an object, a topic and a role: by a user whom policies bind, by a session of a role, and
by a user who is bound by none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.asgi_client import Client
from tests.support.events import make_topic, sns
from tests.support.iam import ACCOUNT, Iam, make_policy, policy
from tests.support.served import Store
from tests.support.signing import REGION
from tests.support.sts import assume, sts

USER, ROLE = f"arn:aws:iam::{ACCOUNT}:user/ann", f"arn:aws:iam::{ACCOUNT}:role/job"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:topic"
NAMES: Mapping[str, Any] = {
    "by its name": {"AWS": [USER, ROLE]},
    "by its session": {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/job/job-1"},
    "by account": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    "by everybody": "*",
}
ACTIONS = {"object": "s3:GetObject", "topic": "sns:GetTopicAttributes", "role": "sts:AssumeRole"}
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
LITTLE = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}

OF_USER = ("inline", "managed", "group", "managed of group")
NAMED = ("by its name", "by everybody")
DENIED = (*NAMED, "by account")
LIMITS = ("boundary", "silent boundary", "scope", "silent scope")  # of a session: its policy
# who, what is asked for, places that allow it, places that deny it
PLACES = (
    ("user", "object", (*OF_USER, *NAMED), (*OF_USER, *DENIED, *LIMITS)),
    ("user", "topic", (*OF_USER, *NAMED), (*OF_USER, *DENIED, *LIMITS)),
    ("user", "role", NAMED, (*OF_USER, *DENIED, *LIMITS)),
    ("role", "object", ("inline", "managed", *NAMED, "by its session"),
     ("inline", "managed", *DENIED, "by its session", *LIMITS)),
    ("role", "topic", ("inline", "managed", *NAMED, "by its session"),
     ("inline", "managed", *DENIED, "by its session", *LIMITS)),
    ("free user", "object", ("owner", "acl", *NAMED, "by account"),
     ("inline", "managed", "group", *DENIED, *LIMITS)),
)  # fmt: skip
PAIRS = [
    (who, what, allowing, denying)
    for who, what, allows, denies in PLACES
    for allowing in allows
    for denying in denies
]
Said = Mapping[str, list[dict[str, Any]]]


def said(what: str, allowing: str, denying: str) -> Said:
    """Return the statements of each place."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for effect, place in (("Allow", allowing), ("Deny", denying)):
        statement = {"Effect": effect, "Action": ACTIONS[what], "Resource": "*"}
        if place in NAMES:
            found["resource"].append({**statement, "Principal": NAMES[place]})
        elif place.startswith("silent "):
            found[place.removeprefix("silent ")] = [LITTLE]
        elif place in ("boundary", "scope"):
            found[place] = [EVERYTHING, statement]
        elif place:
            found[place].append(statement)
    return found


async def person(store: Store, who: str, said: Said) -> Client:
    """Return a new user, or a session of a new role, with the limits that are said of its keys."""
    root, scope = Iam(store.root), policy(*said["scope"]) if said["scope"] else ""
    if who == "free user":
        await store.services.users.create_user("ann")
    else:
        await root("CreateUser", UserName="ann")
    leave = {"Effect": "Allow", "Principal": {"AWS": USER}, "Action": "sts:AssumeRole"}
    await root("CreateRole", RoleName="job", AssumeRolePolicyDocument=policy(leave))
    is_role = who == "role"
    key, secret = await store.services.users.create_key("ann", scope="" if is_role else scope)
    client = store.holder(key.id, secret)
    return await assume(client, ROLE, **({"Policy": scope} if scope else {})) if is_role else client


async def lay_down(store: Store, who: str, said: Said) -> None:
    """Give the user or role, and the user's group, their policies."""
    root, noun = Iam(store.root), "Role" if who == "role" else "User"
    one = {f"{noun}Name": "job" if who == "role" else "ann"}
    if said["inline"]:
        text = policy(*said["inline"])
        await root(f"Put{noun}Policy", **one, PolicyName="p", PolicyDocument=text)
    if said["managed"]:
        arn = await make_policy(store, "managed", policy(*said["managed"]))
        await root(f"Attach{noun}Policy", **one, PolicyArn=arn)
    if said["boundary"]:
        arn = await make_policy(store, "boundary", policy(*said["boundary"]))
        await root(f"Put{noun}PermissionsBoundary", **one, PermissionsBoundary=arn)
    if not (said["group"] or said["managed of group"]):
        return
    await root("CreateGroup", GroupName="all")
    await root("AddUserToGroup", GroupName="all", UserName="ann")
    if said["group"]:
        text = policy(*said["group"])
        await root("PutGroupPolicy", GroupName="all", PolicyName="p", PolicyDocument=text)
    if said["managed of group"]:
        arn = await make_policy(store, "of-group", policy(*said["managed of group"]))
        await root("AttachGroupPolicy", GroupName="all", PolicyArn=arn)


async def outcome(store: Store, who: str, what: str, said: Said) -> str:
    """Return the error code of the question, "" where it was done."""
    client, statements = await person(store, who, said), said["resource"]
    if what == "object":
        acl = {"x-amz-acl": "public-read"} if said["acl"] else {}
        await store.root.made("/data", headers=acl)
        await store.root.made("/data/key", body=b"1", headers=acl)
        if said["owner"]:
            await own(store)
        about = [{**one, "Resource": "arn:aws:s3:::data/*"} for one in statements]
        if about:
            answer = await store.root.sent("/data?policy", policy(*about).encode())
            assert answer.status == 204, answer.body
    elif what == "topic":
        await make_topic(store.root, "topic")
        if statements:
            text = policy(*({**one, "Resource": TOPIC} for one in statements))
            asked = {"TopicArn": TOPIC, "AttributeName": "Policy", "AttributeValue": text}
            assert (await sns(store.root, "SetTopicAttributes", asked)).status == 200
    else:
        about = [{key: one[key] for key in one if key != "Resource"} for one in statements]
        asked = {"RoleName": "job", "PolicyDocument": policy(*about)}
        await Iam(store.root)("UpdateAssumeRolePolicy", **asked)
    await lay_down(store, who, said)
    if what == "object":
        return (await client("GET", "/data/key")).code
    if what == "topic":
        return (await sns(client, "GetTopicAttributes", {"TopicArn": TOPIC})).text(
            "Error/Code"
        ) or ""
    asked = {"RoleArn": ROLE, "RoleSessionName": "job-1"}
    return (await sts(client, "AssumeRole", asked)).text("Error/Code") or ""


async def own(store: Store) -> None:
    """Let the user own the bucket."""
    user = await store.services.users.get_user("ann")
    bucket = await store.services.buckets.get("data")
    await store.services.buckets.update(bucket, lambda old: replace(old, owner=user.id))


@pytest.mark.parametrize(("who", "what", "allowing", "denying"), PAIRS)
async def test_deny_beats_allow(
    store: Store, who: str, what: str, allowing: str, denying: str
) -> None:
    code = await outcome(store, who, what, said(what, allowing, denying))
    assert code in ("AccessDenied", "AuthorizationError")


@pytest.mark.parametrize(
    ("who", "what", "allowing"),
    [(who, what, place) for who, what, allows, _ in PLACES for place in allows],
)
async def test_each_place_allows_by_itself(
    store: Store, who: str, what: str, allowing: str
) -> None:
    """Else the pairs would prove nothing."""
    assert await outcome(store, who, what, said(what, allowing, "")) == ""


@pytest.mark.parametrize("who", ["user", "role"])
@pytest.mark.parametrize("what", ["object", "topic"])
async def test_leave_for_the_own_account_is_left_to_policies_of_its_people(
    store: Store, who: str, what: str
) -> None:
    code = await outcome(store, who, what, said(what, "by account", ""))
    assert code in ("AccessDenied", "AuthorizationError")
