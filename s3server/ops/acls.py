"""Access control lists as requests give them, as they are stored, and as documents show them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, NamedTuple

from s3server.auth.acl import (
    CUSTOM,
    FULL_CONTROL,
    GROUPS,
    OBJECT_ACLS,
    Grants,
    is_public,
    spelt_out,
)
from s3server.auth.authorise import OWNER_ENFORCED
from s3server.core.objects import Attributes
from s3server.core.records import BucketRecord
from s3server.errors import (
    AccessControlListNotSupported,
    AccessDenied,
    AmbiguousGrantByEmailAddress,
    InvalidArgument,
    InvalidRequest,
    MalformedACLError,
    MissingSecurityHeader,
    UnexpectedContent,
    UnresolvableGrantByEmailAddress,
)
from s3server.model import PublicAccessBlock
from s3server.operation import Ctx

TO_BUCKET_OWNER = "bucket-owner-full-control"
OWNER_PREFERRED = "BucketOwnerPreferred"
MAX_GRANTS = 100
_HEADERS = {
    "GrantFullControl": FULL_CONTROL,
    "GrantRead": "READ",
    "GrantReadACP": "READ_ACP",
    "GrantWrite": "WRITE",
    "GrantWriteACP": "WRITE_ACP",
}
_MEMBERS = frozenset({"ACL", *_HEADERS})
_GROUP_OF = {uri: name for name, uri in GROUPS.items()}
# One of a list such as `id="11112222", uri="http://acs.amazonaws.com/groups/global/AllUsers"`.
_GRANTEE = re.compile(r'\s*(id|uri|emailAddress)\s*=\s*(?:"([^"]*)"|([^",\s]+))\s*', re.IGNORECASE)


class Acl(NamedTuple):
    """An ACL as it is stored: a canned one, or grants."""

    canned: str
    grants: Grants = ()

    @property
    def is_public(self) -> bool:
        return is_public(self.canned, self.grants)


async def with_acl(ctx: Ctx, request: Mapping[str, Any], attributes: Attributes) -> Attributes:
    """Return what is stored of a new object, with the ACL that its request gives it, and its owner.

    Raises AccessControlListNotSupported where the bucket has no ACLs, AccessDenied where public
    ones are blocked, and what acl_of_headers() raises.
    """
    bucket = ctx.require_bucket()
    acl = await acl_of_headers(ctx, request, OBJECT_ACLS)
    if bucket.ownership == OWNER_ENFORCED:
        if acl is not None and acl not in (Acl(TO_BUCKET_OWNER), _full_control(bucket.owner)):
            raise AccessControlListNotSupported
        return replace(attributes, owner=bucket.owner)
    if acl is None:
        return attributes
    await refuse_public(ctx, bucket, acl)
    is_given = bucket.ownership == OWNER_PREFERRED and acl.canned == TO_BUCKET_OWNER
    owner = bucket.owner if is_given else attributes.owner
    return replace(attributes, acl=acl.canned, grants=acl.grants, owner=owner)


def _full_control(owner: str) -> Acl:
    return Acl(CUSTOM, ((owner, FULL_CONTROL),))


def check_public(acl: Acl, block: PublicAccessBlock) -> None:
    """Raise AccessDenied for a public ACL where such are blocked."""
    if acl.is_public and block.block_public_acls:
        raise AccessDenied("Access Denied because public ACLs are prevented by BlockPublicAcls.")


async def refuse_public(ctx: Ctx, bucket: BucketRecord, acl: Acl) -> None:
    """Raise AccessDenied for an ACL that the bucket or its account blocks as public."""
    if acl.is_public:
        check_public(acl, await ctx.services.access.block(bucket))


async def acl_of_headers(ctx: Ctx, request: Mapping[str, Any], canned: Set[str]) -> Acl | None:
    """Return the ACL that x-amz-acl or x-amz-grant-* give, None where neither is there.

    Raises InvalidArgument for what is no ACL of `canned` and for grantees that nobody is, and
    InvalidRequest for both kinds at once.
    """
    if _MEMBERS.isdisjoint(request):
        return None
    wanted = request.get("ACL")
    headers = {name: request[name] for name in _HEADERS if name in request}
    if wanted and headers:
        raise InvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
    if wanted:
        if wanted not in canned:
            raise InvalidArgument(ArgumentName="x-amz-acl", ArgumentValue=wanted)
        return Acl(wanted)
    if not headers:
        return None
    grants = [
        (await _grantee(ctx, kind, value), _HEADERS[name])
        for name, text in headers.items()
        for kind, value in _grantees(text)
    ]
    return _custom(grants)


def _grantees(text: str) -> list[tuple[str, str]]:
    """Return kinds and names of the grantees that a header lists."""
    found, position = [], 0
    while True:
        match = _GRANTEE.match(text, position)
        if match is None:
            raise InvalidArgument("Argument format not recognized", ArgumentValue=text)
        found.append((match[1].lower(), match[2] if match[2] is not None else match[3]))
        if match.end() == len(text):
            return found
        if text[match.end()] != ",":
            raise InvalidArgument("Argument format not recognized", ArgumentValue=text)
        position = match.end() + 1


async def acl_of_request(ctx: Ctx, request: Mapping[str, Any], canned: Set[str], owner: str) -> Acl:
    """Return the ACL of a PutBucketAcl or PutObjectAcl request, by headers or document.

    Raises MissingSecurityHeader where there is none, UnexpectedContent where there are two,
    MalformedACLError, and AccessDenied where the document names another owner.
    """
    acl, document = await acl_of_headers(ctx, request, canned), request.get("AccessControlPolicy")
    if acl is not None:
        if document is not None:
            raise UnexpectedContent
        return acl
    if document is None:
        raise MissingSecurityHeader(MissingHeaderName="x-amz-acl")
    named = (document.get("Owner") or {}).get("ID")
    if named is None:
        raise MalformedACLError
    if named != owner:
        raise AccessDenied
    return _custom(await grants_of(ctx, document.get("Grants") or []))


async def grants_of(ctx: Ctx, listed: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the grants that a document lists. Raises MalformedACLError, InvalidArgument."""
    grants = []
    for grant in listed:
        grantee, permission = grant.get("Grantee"), grant.get("Permission")
        if grantee is None or permission is None:
            raise MalformedACLError
        grants.append((await _grantee(ctx, *_kind(grantee)), permission))
    return grants


def _kind(grantee: Mapping[str, str]) -> tuple[str, str]:
    """Return kind and name of a grantee in a document."""
    member, kind = {
        "CanonicalUser": ("ID", "id"),
        "Group": ("URI", "uri"),
        "AmazonCustomerByEmail": ("EmailAddress", "emailaddress"),
    }[grantee["Type"]]
    if member not in grantee:
        raise MalformedACLError
    return kind, grantee[member]


def _custom(grants: list[tuple[str, str]]) -> Acl:
    unique = tuple(dict.fromkeys(grants))
    if len(unique) > MAX_GRANTS:
        raise MalformedACLError
    return Acl(CUSTOM, unique)


async def _grantee(ctx: Ctx, kind: str, value: str) -> str:
    """Return whom a grant is stored for. Raises InvalidArgument where there is nobody."""
    if kind == "uri":
        if value not in _GROUP_OF:
            raise InvalidArgument(
                "Invalid group uri", ArgumentName="Group/URI", ArgumentValue=value
            )
        return _GROUP_OF[value]
    users = ctx.services.users
    if kind == "id":
        is_known = value in _present(ctx) or await users.find_by_id(value) is not None
        if not is_known:
            raise InvalidArgument(
                "Invalid id", ArgumentName="CanonicalUser/ID", ArgumentValue=value
            )
        return value
    found = [user.id for user in await users.list_users() if user.email == value and value]
    if not found:
        raise UnresolvableGrantByEmailAddress
    if len(found) > 1:
        raise AmbiguousGrantByEmailAddress
    return found[0]


def _present(ctx: Ctx) -> set[str]:
    """Return ids that need no look-up, root's among them, which is in no table."""
    found = {ctx.principal.id}
    if ctx.bucket is not None:
        found |= {ctx.bucket.owner, *(grantee for grantee, _ in ctx.bucket.grants)}
    return found - {"", *GROUPS}


async def describe(
    ctx: Ctx, acl: str, grants: Grants, *, owner: str, bucket_owner: str
) -> dict[str, Any]:
    """Return an ACL as GetBucketAcl and GetObjectAcl show it."""
    everyone = spelt_out(acl, grants, owner=owner, bucket_owner=bucket_owner)
    names = {one: await _name(ctx, one) for one in {owner, *(grantee for grantee, _ in everyone)}}
    return {
        "Owner": {"ID": owner, "DisplayName": names[owner]},
        "Grants": [
            {"Grantee": _show(grantee, names[grantee]), "Permission": permission}
            for grantee, permission in everyone
        ],
    }


def _show(grantee: str, name: str | None) -> dict[str, Any]:
    if grantee in GROUPS:
        return {"Type": "Group", "URI": GROUPS[grantee]}
    return {"Type": "CanonicalUser", "ID": grantee, "DisplayName": name}


async def _name(ctx: Ctx, grantee: str) -> str | None:
    if grantee == ctx.principal.id:
        return ctx.principal.name
    user = None if grantee in GROUPS else await ctx.services.users.find_by_id(grantee)
    return None if user is None else user.name
