"""May this principal do this? One pure function; what it does not know is denied.

Access follows ownership and canned ACLs ("Access control list overview", Amazon S3 user
guide), with these decisions of ours:

- An object stored without an ACL follows its bucket's, so that plain uploads into a public
  bucket are public. An ACL given at upload is the object's own and replaces the bucket's for
  reads of that object, in both directions.
- The owner of a bucket may do everything in it, also with objects that others stored
  (AWS: "bucket owner enforced").
- Who stored an object may read it and its ACL; replacing and deleting it needs the bucket's leave.
- Reading by ACL is listing and fetching. Old versions can be fetched by their id, but are
  not listed; tags, ACLs and configurations stay with the owner.
"""

from __future__ import annotations

import msgspec

from s3server.model import Principal

_READ_BUCKET = frozenset({"s3:ListBucket", "s3:GetBucketLocation"})
_READ_OBJECT = frozenset({"s3:GetObject", "s3:GetObjectVersion"})
_WRITE = frozenset({
    "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
})  # fmt: skip
_OWN_OBJECT = _READ_OBJECT | {"s3:GetObjectAcl", "s3:GetObjectVersionAcl"}
_SIGNED = frozenset({"s3:ListAllMyBuckets", "s3:CreateBucket"})
_NOTHING: frozenset[str] = frozenset()

# Canned ACL of a bucket or object -> who but the owner may read: nobody where it is not listed.
_READERS = {
    "public-read": "everyone",
    "public-read-write": "everyone",
    "authenticated-read": "signed",
}
# Canned ACL of a bucket -> what everyone may do in it besides reading.
_WRITES = {"public-read-write": _WRITE}


class BucketFacts(msgspec.Struct, frozen=True, gc=False):
    """What a decision needs to know of a bucket."""

    owner: str  # canonical user id
    acl: str  # canned ACL


def authorise(
    principal: Principal,
    action: str,
    *,
    bucket: BucketFacts | None,
    object_acl: str | None,
    object_owner: str | None,
) -> bool:
    """Return whether `principal` may do `action` ("s3:GetObject").

    `bucket` is None for the service itself and for a bucket that does not exist; the object's
    facts are None where there is no object ("" as ACL: it follows its bucket's).
    """
    if principal.is_root:
        return True
    is_signed = not principal.is_anonymous and principal.id != ""
    if action in _SIGNED:
        return is_signed
    if bucket is None or not action.startswith("s3:"):
        return False  # users, credentials and topics are managed by root
    if is_signed and principal.id == bucket.owner:
        return True
    if is_signed and principal.id == object_owner and action in _OWN_OBJECT:
        return True
    return _acl_allows(action, bucket.acl, object_acl or bucket.acl, is_signed=is_signed)


def _acl_allows(action: str, bucket_acl: str, object_acl: str, *, is_signed: bool) -> bool:
    if action in _READ_OBJECT:
        return _may_read(object_acl, is_signed=is_signed)
    if action in _READ_BUCKET:
        return _may_read(bucket_acl, is_signed=is_signed)
    return action in _WRITES.get(bucket_acl, _NOTHING)


def _may_read(acl: str, *, is_signed: bool) -> bool:
    readers = _READERS.get(acl)
    return readers == "everyone" or (readers == "signed" and is_signed)
