"""What there is in an account, in numbers and in whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from s3server.core.attachments import MAX_ATTACHED, MAX_INLINE_CHARACTERS
from s3server.core.directory import GROUPS, ROLES, USERS, Kind
from s3server.core.groups import MAX_GROUPS
from s3server.core.identity_records import ManagedPolicyRecord
from s3server.core.managed_policies import AWS, MAX_CHARACTERS, MAX_VERSIONS
from s3server.core.records import IdentityRecord
from s3server.core.roles import MAX_TRUST_CHARACTERS
from s3server.operation import Ctx, handles
from s3server.ops.iam_attachments import attached
from s3server.ops.iam_shapes import (
    MAX_ITEMS,
    shown_document,
    shown_group,
    shown_policy,
    shown_role,
    shown_user,
    shown_version,
)
from s3server.ops.principals import shown_trust

_PAGE = 1_000
_DETAILS: tuple[tuple[str, str, Kind[Any] | None], ...] = (
    ("User", "UserDetailList", USERS),
    ("Group", "GroupDetailList", GROUPS),
    ("Role", "RoleDetailList", ROLES),
    ("LocalManagedPolicy", "Policies", None),
    ("AWSManagedPolicy", "Policies", None),
)


@handles("GetAccountSummary")
async def get_account_summary(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Count what there is in the account, beside what there may be."""
    account, policies = ctx.principal.account, 0
    versions = 0
    async for policy in ctx.services.iam.policies.all_of(account):
        policies, versions = policies + 1, versions + len(policy.versions)
    counts = {kind.noun: await _count(ctx, kind) for kind in (USERS, GROUPS, ROLES)}
    return {
        "SummaryMap": {
            "Users": counts["user"],
            "Groups": counts["group"],
            "Roles": counts["role"],
            "Policies": policies,
            "PolicyVersionsInUse": versions,
            "VersionsPerPolicyQuota": MAX_VERSIONS,
            "PolicySizeQuota": MAX_CHARACTERS,
            "UserPolicySizeQuota": MAX_INLINE_CHARACTERS["user"],
            "GroupPolicySizeQuota": MAX_INLINE_CHARACTERS["group"],
            "RolePolicySizeQuota": MAX_INLINE_CHARACTERS["role"],
            "AssumeRolePolicySizeQuota": MAX_TRUST_CHARACTERS,
            "GroupsPerUserQuota": MAX_GROUPS,
            "AttachedPoliciesPerUserQuota": MAX_ATTACHED,
            "AttachedPoliciesPerGroupQuota": MAX_ATTACHED,
            "AttachedPoliciesPerRoleQuota": MAX_ATTACHED,
            "AccountMFAEnabled": 0,
            "MFADevices": 0,
            "MFADevicesInUse": 0,
            "AccountAccessKeysPresent": 1,
            "AccountSigningCertificatesPresent": 0,
            "ServerCertificates": 0,
            "InstanceProfiles": 0,
            "Providers": 0,
        }
    }


@handles("ListAccountAliases")
async def list_account_aliases(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List no aliases: accounts are projects here, which have names."""
    return {"AccountAliases": [], "IsTruncated": False}


@handles("GetAccountAuthorizationDetails")
async def get_account_authorization_details(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return all users, groups, roles and policies of the account, in pages."""
    limit, after = request.get("MaxItems", MAX_ITEMS), request.get("Marker", "")
    wanted = request.get("Filter") or [name for name, _, _ in _DETAILS]
    result: dict[str, Any] = {member: [] for _, member, _ in _DETAILS}
    count, marker = 0, ""
    for number, (name, member, kind) in enumerate(_DETAILS):
        if name not in wanted or f"{number}" < after[:1]:
            continue
        start = after[2:] if after[:1] == f"{number}" else ""
        async for item, shown in _details(ctx, name, kind, start):
            if count == limit:
                return {**result, "IsTruncated": True, "Marker": marker}
            result[member].append(shown)
            count, marker = count + 1, f"{number} {item.lower()}"
    return {**result, "IsTruncated": False}


async def _details(
    ctx: Ctx, name: str, kind: Kind[Any] | None, after: str
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yield names and details of one kind, behind a name."""
    if kind is None:
        account = AWS if name == "AWSManagedPolicy" else ctx.principal.account
        async for policy in ctx.services.iam.policies.all_of(account):
            if policy.name.lower() > after:
                yield policy.name, await _policy_detail(ctx, policy)
        return
    async for holder in _all(ctx, kind, after):
        yield holder.name, await _holder_detail(ctx, kind, holder)


async def _all(ctx: Ctx, kind: Kind[Any], after: str = "") -> AsyncIterator[IdentityRecord]:
    has_more = True
    while has_more:
        found, has_more = await ctx.services.iam.directory.page(
            kind, ctx.principal.account, after=after, limit=_PAGE
        )
        for holder in found:
            yield holder
            after = holder.name


async def _count(ctx: Ctx, kind: Kind[Any]) -> int:
    return len([holder async for holder in _all(ctx, kind)])


async def _holder_detail(ctx: Ctx, kind: Kind[Any], holder: Any) -> dict[str, Any]:
    inline = await ctx.services.iam.attachments.all_inline(holder)
    policies = [
        {"PolicyName": name, "PolicyDocument": shown_document(text)} for name, text in inline
    ]
    managed = {"AttachedManagedPolicies": [attached(arn) for arn in holder.bindings.managed]}
    if kind is GROUPS:
        return shown_group(holder) | {"GroupPolicyList": policies} | managed
    if kind is ROLES:
        shown = shown_role(await shown_trust(ctx, holder))
        for unknown in ("Description", "MaxSessionDuration"):
            del shown[unknown]
        return shown | {"RolePolicyList": policies, "InstanceProfileList": []} | managed
    groups = [group.name for group in await ctx.services.iam.groups.of_user(holder)]
    return shown_user(holder) | {"UserPolicyList": policies, "GroupList": groups} | managed


async def _policy_detail(ctx: Ctx, policy: ManagedPolicyRecord) -> dict[str, Any]:
    policies = ctx.services.iam.policies
    shown = shown_policy(policy, await policies.count_uses(ctx.principal.account, policy))
    del shown["Tags"]
    shown["PolicyVersionList"] = [
        shown_version(policy, version, await policies.text(policy, version.number))
        for version in policy.versions
    ]
    return shown
