"""Identities and policies in the shape that AWS's IAM model has them, and lists in pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from msgspec.structs import replace

from s3server.arns import GROUP_ID, POLICY_ID, ROLE_ID, USER_ID, iam_arn, unique_id
from s3server.auth.policy_parse import PolicyError, parse_policy
from s3server.core.directory import Kind
from s3server.core.identity_records import (
    GroupRecord,
    ManagedPolicyRecord,
    PolicyVersion,
    RoleRecord,
)
from s3server.core.managed_policies import arn_of
from s3server.core.records import IdentityRecord, UserRecord
from s3server.errors import ValidationError
from s3server.iam_errors import MalformedPolicyDocument
from s3server.model import Pairs
from s3server.operation import Ctx
from s3server.ops.attributes import at
from s3server.subjects import subject_of

T = TypeVar("T")
MAX_ITEMS = 100  # of one answer, where no other number is asked for


def tags_of(request: dict[str, Any]) -> Pairs:
    """Return the tags of a request."""
    return tuple((tag["Key"], tag["Value"]) for tag in request.get("Tags") or [])


def shown_tags(tags: Pairs) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags]


def shown_user(user: UserRecord, *, whole: bool = True) -> dict[str, Any]:
    """Return a user; `whole` with tags and boundary, which listings leave out."""
    shown = _identity("User", USER_ID, user)
    return {**shown, **_extras(user, user.tags)} if whole else shown


def shown_role(role: RoleRecord, *, whole: bool = True) -> dict[str, Any]:
    """Return a role; `whole` with tags and boundary, which listings leave out."""
    shown = _identity("Role", ROLE_ID, role) | {
        "AssumeRolePolicyDocument": quote(role.trust_policy, safe="-_.~"),
        "Description": role.description or None,
        "MaxSessionDuration": role.max_session_s,
    }
    return {**shown, **_extras(role, role.tags)} if whole else shown


def shown_group(group: GroupRecord) -> dict[str, Any]:
    return _identity("Group", GROUP_ID, group)


def shown_policy(
    policy: ManagedPolicyRecord, uses: tuple[int, int], *, whole: bool = True
) -> dict[str, Any]:
    """Return a managed policy; `uses` counts attachments and boundaries."""
    shown: dict[str, Any] = {
        "PolicyName": policy.name,
        "PolicyId": unique_id(POLICY_ID, policy.id),
        "Arn": arn_of(policy),
        "Path": policy.path,
        "DefaultVersionId": f"v{policy.default}",
        "AttachmentCount": uses[0],
        "PermissionsBoundaryUsageCount": uses[1],
        "IsAttachable": True,
        "CreateDate": at(policy.created_ms),
        "UpdateDate": at(policy.updated_ms),
    }
    if whole:
        shown["Description"] = policy.description or None
        shown["Tags"] = shown_tags(policy.tags) or None
    return shown


def shown_version(
    policy: ManagedPolicyRecord, version: PolicyVersion, text: str | None = None
) -> dict[str, Any]:
    """Return a version of a managed policy, with its document where that is given."""
    return {
        "VersionId": f"v{version.number}",
        "IsDefaultVersion": version.number == policy.default,
        "CreateDate": at(version.created_ms),
        "Document": None if text is None else shown_document(text),
    }


def shown_document(text: str) -> str:
    """Return a document as IAM sends it: percent-encoded (RFC 3986)."""
    return quote(text, safe="-_.~")


def check_document(text: str) -> str:
    """Return the document of a policy for identities. Raises MalformedPolicyDocument."""
    try:
        parse_policy(text, has_principals=False)
    except PolicyError as error:
        raise MalformedPolicyDocument(str(error)) from None
    return text


def version_number(text: str) -> int:
    """Return the number of "v3"; 0, which no version has, of one that is no such id."""
    digits = text[1:].partition(".")[0]
    return int(digits) if len(digits) < 10 else 0


def named_user(ctx: Ctx, request: dict[str, Any]) -> str:
    """Return the user that a request names, else the caller. Raises ValidationError."""
    if "UserName" in request:
        return str(request["UserName"])
    if ctx.principal.is_root or ctx.principal.role:
        raise ValidationError("Must specify userName when calling with non-User credentials")
    return ctx.principal.name


async def permit_renamed(
    ctx: Ctx, operation: str, kind: Kind[Any], request: dict[str, Any]
) -> None:
    """Demand an operation's permission on what an identity will be called, too.

    Else names and paths that policies speak of could be taken on. Source: UpdateUser and
    UpdateGroup, IAM API reference. Raises NoSuchEntity, AccessDenied.
    """
    account, noun = ctx.principal.account, kind.noun.capitalize()
    subject = await subject_of(ctx.services, ctx.principal, "iam", operation, request)
    old = await ctx.services.iam.directory.get(kind, account, request[f"{noun}Name"])
    name, path = request.get(f"New{noun}Name", old.name), request.get("NewPath", old.path)
    subject = replace(subject, arn=iam_arn(account, kind.noun, path, name))
    await ctx.door.permit_service(ctx.caller, "iam", operation, f"iam:{operation}", subject)


def page_of(
    request: dict[str, Any],
    member: str,
    items: Sequence[T],
    name: Callable[[T], str],
    show: Callable[[T], Any],
) -> dict[str, Any]:
    """Return a page of a list as an answer; `name` is unique, and what they are ordered by."""
    after, limit = request.get("Marker", ""), request.get("MaxItems", MAX_ITEMS)
    left = sorted((item for item in items if name(item) > after), key=name)
    return paged(member, left[:limit], len(left) > limit, name, show)


def paged(
    member: str,
    items: Sequence[T],
    has_more: bool,
    name: Callable[[T], str],
    show: Callable[[T], Any],
) -> dict[str, Any]:
    """Return items as a page of an answer."""
    return {
        member: [show(item) for item in items],
        "IsTruncated": has_more,
        "Marker": name(items[-1]) if has_more else None,
    }


def _identity(noun: str, prefix: str, record: IdentityRecord) -> dict[str, Any]:
    return {
        "Path": record.path,
        f"{noun}Name": record.name,
        f"{noun}Id": unique_id(prefix, record.id),
        "Arn": iam_arn(record.account, noun.lower(), record.path, record.name),
        "CreateDate": at(record.created_ms),
    }


def _extras(record: IdentityRecord, tags: Pairs) -> dict[str, Any]:
    boundary = record.bindings.boundary
    return {
        "PermissionsBoundary": {
            "PermissionsBoundaryType": "PermissionsBoundaryPolicy",
            "PermissionsBoundaryArn": boundary,
        }
        if boundary
        else None,
        "Tags": shown_tags(tags) or None,
    }
