"""No principal raises its own rights: every operation of IAM, and other ways to the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from s3server.core.revocation import Revocation
from s3server.operation import load_handlers
from tests.support.asgi_client import Client
from tests.support.iam import (
    ACCOUNT,
    Iam,
    IamError,
    allow,
    key_id,
    make_policy,
    make_user,
    model,
    policy,
    refusal,
    trust,
)
from tests.support.served import Store
from tests.support.sts import assume, session_of, sts

DENIED = (403, "AccessDenied")
ADMIN = allow("*")
USER, ROLE = f"arn:aws:iam::{ACCOUNT}:user/ann", f"arn:aws:iam::{ACCOUNT}:role/job"
CHANGES = sorted(
    name
    for name in load_handlers()
    if name in model("iam").operation_names
    and not name.startswith(("Get", "List", "Simulate", "Generate"))
)
# What is asked for in each, as far as it has such a parameter: all of it is the caller's own.
VALUES: dict[str, Any] = {
    "UserName": "ann", "RoleName": "job", "GroupName": "all", "PolicyName": "more",
    "PolicyDocument": ADMIN, "AssumeRolePolicyDocument": trust(), "SetAsDefault": True,
    "PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/work", "VersionId": "v1", "Status": "Active",
    "PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess",
    "Tags": [{"Key": "team", "Value": "x"}], "TagKeys": ["team"], "NewUserName": "root",
    "NewGroupName": "new", "NewPath": "/staff/", "Description": "x", "MaxSessionDuration": 43_200,
}  # fmt: skip


def request_of(operation: str, access_key: str) -> dict[str, Any]:
    """Return a request that would have an effect."""
    shape = model("iam").operation_model(operation).input_shape
    values = {**VALUES, "AccessKeyId": access_key}
    if operation.startswith("Create"):
        values |= {"UserName": "eve", "RoleName": "eve", "GroupName": "eve"}
    if operation == "CreateAccessKey":
        values["UserName"] = "ann"
    if operation == "UpdateAssumeRolePolicy":
        values["PolicyDocument"] = trust()
    return {name: values[name] for name in shape.members if name in values}


async def furnish(store: Store, text: str) -> Client:
    """Make a user, a group, a role and a policy that has two versions; return the user."""
    ann, root = await make_user(store, "ann", text), Iam(store.root)
    await root("CreateGroup", GroupName="all")
    trusted = trust({"AWS": USER})
    await root("CreateRole", RoleName="job", AssumeRolePolicyDocument=trusted)
    await root("PutRolePolicy", RoleName="job", PolicyName="p", PolicyDocument=text)
    arn = await make_policy(store, "work", ADMIN)
    await root("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=allow("s3:Get*"),
               SetAsDefault=True)  # fmt: skip
    return ann


async def without_leave(store: Store) -> Client:
    return await furnish(store, allow("s3:*", "sts:*", "sns:*", "iam:Get*", "iam:List*"))


async def own_session(store: Store) -> Client:
    ann = await furnish(store, ADMIN)
    return session_of(ann, await sts(ann, "GetSessionToken"))


async def scoped_key(store: Store) -> Client:
    await furnish(store, ADMIN)
    key, secret = await store.services.users.create_key("ann", scope=ADMIN)
    return store.holder(key.id, secret)


async def limited_session(store: Store) -> Client:
    return await assume(await furnish(store, ADMIN), ROLE, Policy=ADMIN)


async def role_of_scoped_key(store: Store) -> Client:
    return await assume(await scoped_key(store), ROLE)


async def bounded(store: Store) -> Client:
    """A boundary lies on her; neither group, role nor policy has one."""
    ann = await furnish(store, ADMIN)
    arn = await make_policy(store, "limit", allow("s3:Get*"))
    await Iam(store.root)("PutUserPermissionsBoundary", UserName="ann", PermissionsBoundary=arn)
    return ann


async def free_user(store: Store) -> Client:
    await furnish(store, ADMIN)
    await store.services.users.create_user("free")
    key, secret = await store.services.users.create_key("free")
    return store.holder(key.id, secret)


async def nobody(store: Store) -> Client:
    await furnish(store, ADMIN)
    return store.nobody


POWERLESS = (
    without_leave, own_session, scoped_key, limited_session, role_of_scoped_key, bounded, free_user,
    nobody,
)  # fmt: skip


@pytest.mark.parametrize("who", POWERLESS, ids=lambda who: who.__name__)
async def test_no_operation_of_iam_raises_the_rights_of(
    store: Store, who: Callable[[Store], Awaitable[Client]]
) -> None:
    iam = Iam(await who(store))
    access_key = (await store.services.users.list_keys("ann"))[0].id
    before = await store.rows()
    for operation in CHANGES:
        assert await refusal(iam(operation, **request_of(operation, access_key))) == DENIED
        assert await store.rows() == before, operation


# What these would do is done already.
AS_IT_IS = {"RemoveUserFromGroup", "UntagPolicy", "UntagRole", "UntagUser", "UpdateAccessKey"}


async def test_these_requests_are_not_refused_to_root() -> None:
    """Else their refusal would prove nothing."""
    done = set()
    for operation in CHANGES:
        store = Store()
        request = request_of(operation, key_id(await furnish(store, ADMIN)))
        before = await store.rows()
        status = await status_of(Iam(store.root)(operation, **request))
        assert status in (200, 404, 409), operation
        has_effect = status == 200 and operation not in AS_IT_IS
        assert (await store.rows() != before) == has_effect, operation
        done |= {operation} if status == 200 else set()
    assert len(done) > len(CHANGES) * 0.7


async def status_of(call: Awaitable[object]) -> int:
    try:
        await call
    except IamError as error:
        return error.status
    return 200


# --- keys ---------------------------------------------------------------------------------------


async def test_whoever_may_tag_a_user_may_not_therefore_change_its_keys(store: Store) -> None:
    own = {"Effect": "Allow", "Action": ["iam:TagUser", "iam:UntagUser"], "Resource": USER}
    ann = await make_user(store, "ann", policy(own))
    for name, value in (("expires", "2099-01-01"), ("scope", "read-only"), ("description", "x")):
        tag = {"Key": f"s3server:key/{key_id(ann)}/{name}", "Value": value}
        assert await refusal(Iam(ann)("TagUser", UserName="ann", Tags=[tag])) == DENIED
        untag = Iam(ann)("UntagUser", UserName="ann", TagKeys=[tag["Key"]])
        assert await refusal(untag) == DENIED
    await Iam(ann)("TagUser", UserName="ann", Tags=[{"Key": "team", "Value": "x"}])
    text = policy(own, {**own, "Action": "iam:UpdateAccessKey"})
    await Iam(store.root)("PutUserPolicy", UserName="ann", PolicyName="own", PolicyDocument=text)
    await Iam(ann)("TagUser", UserName="ann", Tags=[tag])


async def test_settings_of_keys_are_no_tags_of_a_user_who_is_made(store: Store) -> None:
    tag = {"Key": "s3server:key/AKIA/scope", "Value": "read-only"}
    call = Iam(store.root)("CreateUser", UserName="ann", Tags=[tag])
    assert await refusal(call) == (400, "InvalidInput")


# --- sessions -----------------------------------------------------------------------------------


async def suspend(store: Store, key: str) -> None:
    await store.services.users.update_user("ann", lambda old: replace(old, is_suspended=True))


async def delete_user(store: Store, key: str) -> None:
    await store.services.users.delete_user("ann")


async def revoke(store: Store, key: str) -> None:
    await Revocation(store.meta, store.clock).of_user(ACCOUNT, "ann")


async def deactivate_key(store: Store, key: str) -> None:
    await Iam(store.root)("UpdateAccessKey", UserName="ann", AccessKeyId=key, Status="Inactive")


async def delete_key(store: Store, key: str) -> None:
    await Iam(store.root)("DeleteAccessKey", UserName="ann", AccessKeyId=key)


async def let_key_expire(store: Store, key: str) -> None:
    user = await store.services.users.get_user("ann")
    ends = store.clock.ms + 1
    await store.services.users.update_key(key, user.id, lambda old: replace(old, expires_ms=ends))
    store.clock.ms += 1


async def disable_project(store: Store, key: str) -> None:
    await store.services.projects.update("default", lambda old: replace(old, is_disabled=True))


@pytest.mark.parametrize(
    "end",
    [suspend, delete_user, revoke, deactivate_key, delete_key, let_key_expire, disable_project],
    ids=lambda end: end.__name__,
)
async def test_no_session_outlives_what_it_began_with(
    store: Store, end: Callable[[Store, str], Awaitable[None]]
) -> None:
    everything = allow("*")
    ann, root = await furnish(store, everything), Iam(store.root)
    await root("CreateRole", RoleName="last", AssumeRolePolicyDocument=trust({"AWS": ROLE}))
    await root("PutRolePolicy", RoleName="last", PolicyName="p", PolicyDocument=everything)
    await store.root.made("/data")
    own = session_of(ann, await sts(ann, "GetSessionToken"))
    first = await assume(own, ROLE)
    sessions = [own, first, await assume(ann, ROLE), await assume(first, ROLE[:-3] + "last")]
    for session in sessions:
        assert (await session("GET", "/data")).status == 200
    await end(store, key_id(ann))
    for session in sessions:
        assert (await session("GET", "/data")).status in (400, 403)
        assert (await sts(session, "AssumeRole", {"RoleArn": ROLE, "RoleSessionName": "job"})
                ).status in (400, 403)  # fmt: skip


async def test_scope_that_a_key_is_given_holds_for_sessions_that_it_began(store: Store) -> None:
    ann = await furnish(store, ADMIN)
    await store.root.made("/data")
    sessions = [session_of(ann, await sts(ann, "GetSessionToken")), await assume(ann, ROLE)]
    tag = {"Key": f"s3server:key/{key_id(ann)}/scope", "Value": "read-only"}
    await Iam(store.root)("TagUser", UserName="ann", Tags=[tag])
    for session in sessions:
        assert (await session("GET", "/data")).status == 200
        assert (await session("PUT", "/data/key", body=b"x")).status == 403


async def test_policies_of_a_project_are_told_to_nobody_whom_no_role_trusts(store: Store) -> None:
    """Else whoever has a key would learn their names by asking for sessions under them."""
    await furnish(store, ADMIN)
    bob = await make_user(store, "bob", ADMIN)
    for name in ("work", "missing"):
        arn = {"PolicyArns.member.1.arn": f"arn:aws:iam::{ACCOUNT}:policy/{name}"}
        asked = {"RoleArn": ROLE, "RoleSessionName": "job", **arn}
        answer = await sts(bob, "AssumeRole", asked)
        assert (answer.status, answer.text("Error/Code")) == DENIED


# --- other operations that do more than their name says -------------------------------------------

MADE_WITH = {
    "s3:PutBucketAcl": {"x-amz-acl": "public-read-write"},
    "s3:PutBucketOwnershipControls": {"x-amz-object-ownership": "ObjectWriter"},
    "s3:PutBucketObjectLockConfiguration": {"x-amz-bucket-object-lock-enabled": "true"},
    "s3:PutBucketVersioning": {"x-amz-bucket-object-lock-enabled": "true"},
}


@pytest.mark.parametrize("action", MADE_WITH)
async def test_bucket_is_made_with_what_may_be_laid_down_of_it(store: Store, action: str) -> None:
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    ann = await make_user(
        store, "ann", policy(everything, {**everything, "Effect": "Deny", "Action": action})
    )
    headers = MADE_WITH[action]
    assert (await ann("PUT", "/data", headers=headers)).outcome == DENIED
    assert (await ann("PUT", "/data")).status == 200
    for who, bucket in ((await make_user(store, "eve", policy(everything)), "eve"),
                        (store.alice, "alice"), (store.root, "root")):  # fmt: skip
        assert (await who("PUT", f"/{bucket}-data", headers=headers)).status == 200


async def test_bucket_is_made_with_tags_by_who_may_tag(store: Store) -> None:
    ann = await make_user(store, "ann", allow("s3:CreateBucket"))
    tags = b"<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>"
    body = b"<CreateBucketConfiguration>" + tags + b"</CreateBucketConfiguration>"
    assert (await ann("PUT", "/data", body=body)).outcome == DENIED
    assert (await store.alice("PUT", "/data", body=body)).status == 200


async def test_identity_is_simulated_by_the_arn_that_it_has(store: Store) -> None:
    """Else leave to ask about one path would be leave to ask about all names."""
    guests = USER.replace("ann", "guests/*")
    ann, root = await make_user(store, "ann", allow("iam:Simulate*", resource=guests)), store.root
    for name, path in (("boss", "/staff/"), ("eve", "/guests/")):
        await Iam(root)("CreateUser", UserName=name, Path=path)

    async def status(arn: str) -> int:
        asked = {"PolicySourceArn": arn, "ActionNames": ["s3:GetObject"]}
        return await status_of(Iam(ann)("SimulatePrincipalPolicy", **asked))

    found = [await status(USER.replace("ann", name)) for name in
             ("guests/eve", "guests/boss", "guests/EVE", "staff/boss", "eve")]  # fmt: skip
    assert found == [200, 404, 404, 403, 403]
