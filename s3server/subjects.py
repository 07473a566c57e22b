"""What a request to IAM, STS or SNS is about: the resource that its permission is asked for.

Source: "Actions, resources, and condition keys for AWS Identity and Access Management" (Service
Authorization Reference). Resources are what is stored, so that a path counts that no request
names, and a name counts as it is written in the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from s3server.arns import arns_of, iam_arn
from s3server.core.directory import GROUPS, ROLES, USERS, Kind
from s3server.core.identity_records import GroupRecord
from s3server.core.records import IdentityRecord
from s3server.core.services import Services
from s3server.errors import NoSuchEntity
from s3server.iam_errors import InvalidInput
from s3server.model import Principal

Keys = dict[str, tuple[str, ...]]

# What is being made by such a request: its path and name come with it.
_MADE = {
    "CreateUser": ("user", "UserName"),
    "CreateRole": ("role", "RoleName"),
    "CreateGroup": ("group", "GroupName"),
    "CreatePolicy": ("policy", "PolicyName"),
}
# In this order: a group is what changes when a user is put into it.
_NAMED: tuple[tuple[str, Kind[Any]], ...] = (
    ("GroupName", GROUPS), ("RoleName", ROLES), ("UserName", USERS),
)  # fmt: skip
_ARNS = ("PolicyArn", "PolicySourceArn", "RoleArn", "TopicArn", "OpenIDConnectProviderArn")
# Requests that are about the caller where they name no user.
_OF_CALLER = frozenset({
    "GetUser", "CreateAccessKey", "DeleteAccessKey", "ListAccessKeys", "UpdateAccessKey",
})  # fmt: skip


class Subject(msgspec.Struct, frozen=True):
    """What a request is about."""

    arn: str = "*"
    keys: Mapping[str, tuple[str, ...]] = {}  # condition keys that only such requests have
    # Of users and roles that are made or changed: the policy that will limit them, "" for none.
    boundary: str | None = None


async def subject_of(
    services: Services, principal: Principal, service: str, name: str, request: Mapping[str, Any]
) -> Subject:
    """Return what a request of this operation is about. Nothing needs to exist."""
    if service == "sns" and name == "CreateTopic":
        region = services.regions.name
        return Subject(f"arn:aws:sns:{region}:{principal.account}:{request['Name']}")
    if service != "iam":
        named = [request[member] for member in _ARNS if member in request]
        return Subject(named[0] if named else "*")
    return await _of_iam(services, principal, name, request)


async def _of_iam(
    services: Services, principal: Principal, name: str, request: Mapping[str, Any]
) -> Subject:
    keys = _keys(request)
    wanted = request.get("PermissionsBoundary")
    if name in _MADE:
        noun, member = _MADE[name]
        arn = iam_arn(principal.account, noun, request.get("Path") or "/", request[member])
        return Subject(arn, keys, (wanted or "") if noun in ("user", "role") else None)
    kind, holder, named = await _holder(services, principal, name, request)
    if kind is None:
        arn = next((request[member] for member in _ARNS if member in request), "*")
        return Subject(arn, keys, await _boundary_behind(services, principal, request, None))
    if holder is None:
        own = arns_of(principal)[-1] if not named else iam_arn(
            principal.account, kind.noun, "/", named
        )  # fmt: skip
        return Subject(own, keys, None if kind is GROUPS else "")
    if isinstance(holder, GroupRecord):
        boundary = await _boundary_behind(services, principal, request, holder)
        return Subject(iam_arn(holder.account, "group", holder.path, holder.name), keys, boundary)
    boundary = wanted or holder.bindings.boundary
    if name.startswith("Delete") and name.endswith("PermissionsBoundary"):
        boundary = ""
    if holder.bindings.boundary and wanted is None:
        keys["iam:permissionsboundary"] = (holder.bindings.boundary,)
    for key, value in getattr(holder, "tags", ()):
        keys[f"aws:resourcetag/{key.lower()}"] = keys[f"iam:resourcetag/{key.lower()}"] = (value,)
    arn = iam_arn(holder.account, kind.noun, holder.path, holder.name)
    return Subject(arn, keys, boundary)


async def _boundary_behind(
    services: Services, principal: Principal, request: Mapping[str, Any], group: GroupRecord | None
) -> str | None:
    """Return the boundary of all whom a change of a group or managed policy is about.

    "" where they have different ones; None where it is about nobody, or nobody asks: only who has
    a boundary is held against it.
    """
    account, iam = principal.account, services.iam
    holders: list[IdentityRecord] = []
    if not principal.bindings.boundary:
        return None
    if group is not None:
        holders += await iam.groups.users_of(group)
        joining = await iam.directory.find(USERS, account, request.get("UserName", ""))
        holders += [] if joining is None else [joining]
    elif "PolicyArn" in request:
        try:
            policy = await iam.policies.get(account, request["PolicyArn"])
        except (NoSuchEntity, InvalidInput):  # whoever may ask is told so by the operation
            return None
        for use in await iam.policies.uses(account, policy):
            if isinstance(use.holder, GroupRecord):
                holders += await iam.groups.users_of(use.holder)
            else:
                holders.append(use.holder)
    boundaries = {holder.bindings.boundary for holder in holders}
    if not boundaries:
        return None
    return boundaries.pop() if len(boundaries) == 1 else ""


async def _holder(
    services: Services, principal: Principal, name: str, request: Mapping[str, Any]
) -> tuple[Kind[Any] | None, IdentityRecord | None, str]:
    """Return which kind of identity it is about, that identity, and what it is called."""
    if name == "GetAccessKeyLastUsed":
        found = await services.users.find_key(request["AccessKeyId"])
        if found is None or found[1].account != principal.account:
            return None, None, ""
        return USERS, found[1], found[1].name
    directory = services.iam.directory
    for member, kind in _NAMED:
        if member in request:
            return (
                kind,
                await directory.find(kind, principal.account, request[member]),
                request[member],
            )
    if name not in _OF_CALLER:
        return None, None, ""
    if principal.is_root or principal.role:
        return USERS, None, ""
    return USERS, await directory.find_by_id(USERS, principal.id), principal.name


def _keys(request: Mapping[str, Any]) -> Keys:
    keys: Keys = {}
    if "PolicyArn" in request:
        keys["iam:policyarn"] = (request["PolicyArn"],)
    if "PermissionsBoundary" in request:
        keys["iam:permissionsboundary"] = (request["PermissionsBoundary"],)
    tags = request.get("Tags") or []
    names = [tag["Key"] for tag in tags] or request.get("TagKeys") or []
    if names:
        keys["aws:tagkeys"] = tuple(names)
    for tag in tags:
        key = f"aws:requesttag/{tag['Key'].lower()}"
        keys[key] = (*keys.get(key, ()), tag["Value"])
    return keys
