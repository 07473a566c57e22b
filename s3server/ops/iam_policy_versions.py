"""Versions of managed policies: five at most, one of which counts."""

from __future__ import annotations

from typing import Any

from s3server.errors import NoSuchEntity
from s3server.operation import Ctx, handles
from s3server.ops.iam_shapes import check_document, page_of, shown_version, version_number


@handles("CreatePolicyVersion")
async def create_policy_version(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Add a version; with SetAsDefault it counts at once, for everybody who has the policy."""
    policies, account, arn = ctx.services.iam.policies, ctx.principal.account, request["PolicyArn"]
    version = await policies.create_version(
        account,
        arn,
        check_document(request["PolicyDocument"]),
        is_default=request.get("SetAsDefault", False),
    )
    return {"PolicyVersion": shown_version(await policies.get(account, arn), version)}


@handles("GetPolicyVersion")
async def get_policy_version(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return a version with its document."""
    policies, number = ctx.services.iam.policies, version_number(request["VersionId"])
    policy = await policies.get(ctx.principal.account, request["PolicyArn"])
    for version in policy.versions:
        if version.number == number:
            text = await policies.text(policy, number)
            return {"PolicyVersion": shown_version(policy, version, text)}
    raise NoSuchEntity(
        f"Policy {request['PolicyArn']} version {request['VersionId']} does not exist."
    )


@handles("ListPolicyVersions")
async def list_policy_versions(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the versions of a managed policy, without their documents."""
    policy = await ctx.services.iam.policies.get(ctx.principal.account, request["PolicyArn"])
    return page_of(
        request,
        "Versions",
        policy.versions,
        lambda version: f"{version.number:010}",
        lambda version: shown_version(policy, version),
    )


@handles("SetDefaultPolicyVersion")
async def set_default_policy_version(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Make a version the one that counts."""
    number, account = version_number(request["VersionId"]), ctx.principal.account
    await ctx.services.iam.policies.set_default(account, request["PolicyArn"], number)
    return {}


@handles("DeletePolicyVersion")
async def delete_policy_version(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Delete a version that does not count."""
    number, account = version_number(request["VersionId"]), ctx.principal.account
    await ctx.services.iam.policies.delete_version(account, request["PolicyArn"], number)
    return {}
