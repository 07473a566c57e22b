"""Stored records of roles, groups and policies, and their keys; see `records`."""

from __future__ import annotations

import hashlib

import msgspec

from s3server.core.records import IdentityRecord, Record, in_account
from s3server.model import Bindings, Pairs

ROLE, ROLE_NAME, GROUP, GROUP_NAME, MEMBER = b"r", b"y", b"h", b"l", b"g"
MANAGED_POLICY, POLICY_VERSION, INLINE_POLICY, ATTACHED = b"M", b"m", b"p", b"a"
LAST_USED = b"k"
_DIGEST_BYTES = 16


class RoleRecord(IdentityRecord, frozen=True, array_like=True, kw_only=True):
    """One role: what sessions of whom its trust policy lets in may do."""

    trust_policy: str  # as it was sent
    bindings: Bindings = Bindings(is_bound=True)
    description: str = ""
    tags: Pairs = ()
    max_session_s: int = 3_600
    sessions_valid_from_ms: int = 0  # sessions issued before are void
    trusted: Pairs = ()  # whom its trust policy names; see PolicyRecord


class GroupRecord(IdentityRecord, frozen=True, array_like=True, kw_only=True):
    """Users who share policies."""


class PolicyVersion(msgspec.Struct, frozen=True, array_like=True):
    """One version of a managed policy; its text has a row of its own."""

    number: int  # from 1, never used again
    digest: bytes
    created_ms: int


class LastUsedRecord(Record, frozen=True, array_like=True, kw_only=True):
    """When an access key was last used, to some minutes."""

    at_ms: int
    service: str  # "s3", "iam"...


class ManagedPolicyRecord(Record, frozen=True, array_like=True, kw_only=True):
    """A policy that can be attached to users, roles and groups."""

    id: str  # 64 hexadecimal digits
    name: str
    account: str
    created_ms: int
    updated_ms: int
    versions: tuple[PolicyVersion, ...]  # in the order of their numbers
    default: int  # number of the version that counts
    latest: int  # number that was given last
    path: str = "/"
    description: str = ""
    tags: Pairs = ()


def digest_of(text: str) -> bytes:
    """Return what the text of a policy is known by."""
    return hashlib.sha256(text.encode()).digest()[:_DIGEST_BYTES]


def role_key(role_id: str) -> bytes:
    return ROLE + role_id.encode()


def role_name_key(account: str, name: str) -> bytes:
    return ROLE_NAME + in_account(account, name)


def group_key(group_id: str) -> bytes:
    return GROUP + group_id.encode()


def group_name_key(account: str, name: str) -> bytes:
    return GROUP_NAME + in_account(account, name)


def member_key(group_id: str, user_id: str) -> bytes:
    return MEMBER + group_id.encode() + user_id.encode()


def managed_policy_key(account: str, name: str) -> bytes:
    return MANAGED_POLICY + in_account(account, name)


def policy_version_key(account: str, name: str, number: int) -> bytes:
    return POLICY_VERSION + in_account(account, name) + b"\0" + number.to_bytes(4, "big")


def inline_policy_key(identity_id: str, name: str) -> bytes:
    return INLINE_POLICY + identity_id.encode() + name.encode()


def attached_key(account: str, name: str, use: str = "", identity_id: str = "") -> bytes:
    """Return the key of one use of a managed policy, of all uses of a kind, or of all.

    `use` is "user", "role" or "group", and "user-boundary" or "role-boundary".
    """
    key = ATTACHED + in_account(account, name) + b"\0"
    return key + use.encode() + b"\0" + identity_id.encode() if use else key


def last_used_key(access_key_id: str) -> bytes:
    return LAST_USED + access_key_id.encode()
