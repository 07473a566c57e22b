"""Access control lists: canned ones and grants, and what they permit.

Source: "Access control list (ACL) overview", Amazon S3 user guide. What we decided otherwise is in
docs/decisions/0003 and 0008.
"""

from __future__ import annotations

from s3server.model import Principal

Grants = tuple[tuple[str, str], ...]  # (canonical user id or group, permission)

CUSTOM = "custom"  # the ACL is its grants, not a canned one
ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY = "AllUsers", "AuthenticatedUsers", "LogDelivery"
GROUPS = {
    ALL_USERS: "http://acs.amazonaws.com/groups/global/AllUsers",
    AUTHENTICATED_USERS: "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
    LOG_DELIVERY: "http://acs.amazonaws.com/groups/s3/LogDelivery",
}
PUBLIC_GROUPS = frozenset({ALL_USERS, AUTHENTICATED_USERS})
FULL_CONTROL = "FULL_CONTROL"

# What canned ACLs grant beside FULL_CONTROL to the owner.
_CANNED: dict[str, Grants] = {
    "private": (),
    "public-read": ((ALL_USERS, "READ"),),
    "public-read-write": ((ALL_USERS, "READ"), (ALL_USERS, "WRITE")),
    "authenticated-read": ((AUTHENTICATED_USERS, "READ"),),
    "log-delivery-write": ((LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")),
}
_TO_BUCKET_OWNER = {"bucket-owner-read": "READ", "bucket-owner-full-control": FULL_CONTROL}
BUCKET_ACLS = frozenset(_CANNED)
OBJECT_ACLS = (frozenset(_CANNED) - {"log-delivery-write"}) | frozenset(_TO_BUCKET_OWNER)

_ON_BUCKET = {
    "s3:ListBucket": "READ",
    "s3:GetBucketLocation": "READ",
    "s3:PutObject": "WRITE",
    "s3:DeleteObject": "WRITE",
    "s3:AbortMultipartUpload": "WRITE",
    "s3:ListMultipartUploadParts": "WRITE",
    "s3:GetBucketAcl": "READ_ACP",
    "s3:PutBucketAcl": "WRITE_ACP",
}
_ON_OBJECT = {
    "s3:GetObject": "READ",
    "s3:GetObjectVersion": "READ",
    "s3:GetObjectAttributes": "READ",
    "s3:GetObjectVersionAttributes": "READ",
    "s3:GetObjectAcl": "READ_ACP",
    "s3:GetObjectVersionAcl": "READ_ACP",
    "s3:PutObjectAcl": "WRITE_ACP",
    "s3:PutObjectVersionAcl": "WRITE_ACP",
}
OF_OBJECT_OWNERS = frozenset(_ON_OBJECT)


def spelt_out(acl: str, grants: Grants, *, owner: str, bucket_owner: str) -> Grants:
    """Return all grants of an ACL, those to the owners first."""
    if acl == CUSTOM:
        return grants
    own = ((owner, FULL_CONTROL),) if owner else ()
    if acl in _TO_BUCKET_OWNER and owner != bucket_owner:
        return (*own, (bucket_owner, _TO_BUCKET_OWNER[acl]))
    return (*own, *_CANNED.get(acl, ()))


def is_public(acl: str, grants: Grants) -> bool:
    """Return whether an ACL grants anything to everybody, be it to everybody with a key."""
    granted = grants if acl == CUSTOM else _CANNED.get(acl, ())
    return any(grantee in PUBLIC_GROUPS for grantee, _ in granted)


def lets_logs_in(acl: str, grants: Grants) -> bool:
    """Return whether a bucket's ACL lets the log delivery group write."""
    granted = grants if acl == CUSTOM else _CANNED.get(acl, ())
    return any((LOG_DELIVERY, permission) in granted for permission in ("WRITE", FULL_CONTROL))


def permits(
    principal: Principal,
    action: str,
    *,
    bucket_acl: tuple[str, Grants],
    object_acl: tuple[str, Grants] | None,
    ignores_public: bool,
) -> bool:
    """Return whether an ACL lets a principal, who owns neither bucket nor object, do `action`.

    `object_acl` is None where the object has none of its own: reads of it follow the bucket's.
    """
    needed, acl = _ON_BUCKET.get(action), bucket_acl
    if needed is None:
        needed = _ON_OBJECT.get(action)
        if object_acl is not None:
            acl = object_acl
        elif needed != "READ":
            return False
    if needed is None:
        return False
    canned, grants = acl
    granted = grants if canned == CUSTOM else _CANNED.get(canned, ())
    wanted = (needed, FULL_CONTROL)
    return any(
        permission in wanted and _includes(grantee, principal, ignores_public=ignores_public)
        for grantee, permission in granted
    )


def _includes(grantee: str, principal: Principal, *, ignores_public: bool) -> bool:
    is_signed = not principal.is_anonymous and principal.id != ""
    if grantee in PUBLIC_GROUPS:
        return not ignores_public and (is_signed or grantee == ALL_USERS)
    return is_signed and grantee == principal.id
