"""What IAM has beside users, groups, roles and policies, and nobody has here: lists of nothing.

Tools read these back before they change or delete somebody, and stop at an error: Terraform's
aws_iam_user (`force_destroy`) and aws_iam_role, `aws iam` scripts, auditors. What would make one
of these things answers 501.
"""

from __future__ import annotations

from typing import Any

from s3server.core.directory import ROLES, USERS
from s3server.errors import NoSuchEntity
from s3server.operation import Ctx, Handler, handles
from s3server.ops.iam_shapes import named_user

_LISTS = {
    "ListInstanceProfiles": "InstanceProfiles",
    "ListInstanceProfilesForRole": "InstanceProfiles",
    "ListMFADevices": "MFADevices",
    "ListSAMLProviders": "SAMLProviderList",
    "ListSSHPublicKeys": "SSHPublicKeys",
    "ListServerCertificates": "ServerCertificateMetadataList",
    "ListServiceSpecificCredentials": "ServiceSpecificCredentials",
    "ListSigningCertificates": "Certificates",
    "ListVirtualMFADevices": "VirtualMFADevices",
}
_IN_ONE_PIECE = frozenset({"ListSAMLProviders"})  # lists without pages


def _lists_nothing(name: str, member: str) -> Handler:
    async def list_nothing(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
        directory, account = ctx.services.iam.directory, ctx.principal.account
        if "UserName" in request:
            await directory.get(USERS, account, request["UserName"])
        if "RoleName" in request:
            await directory.get(ROLES, account, request["RoleName"])
        return {member: []} if name in _IN_ONE_PIECE else {member: [], "IsTruncated": False}

    list_nothing.__doc__ = f"Return no {member}. Raises NoSuchEntity for whoever is not there."
    return list_nothing


for _name, _member in _LISTS.items():
    handles(_name)(_lists_nothing(_name, _member))


@handles("GetLoginProfile")
async def get_login_profile(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Raise NoSuchEntity: nobody has a password."""
    raise await _no_login_profile(ctx, request)


@handles("DeleteLoginProfile")
async def delete_login_profile(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Raise NoSuchEntity: nobody has a password."""
    raise await _no_login_profile(ctx, request)


@handles("GetAccountPasswordPolicy")
async def get_account_password_policy(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Raise NoSuchEntity: there are no passwords, and no rules for them."""
    account = ctx.principal.account
    raise NoSuchEntity(f"The Password Policy with domain name {account} cannot be found.")


async def _no_login_profile(ctx: Ctx, request: dict[str, Any]) -> NoSuchEntity:
    name, account = named_user(ctx, request), ctx.principal.account
    await ctx.services.users.get_user(name, account=account)
    return NoSuchEntity(f"Login Profile for User {name} cannot be found.")
