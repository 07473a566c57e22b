"""Names of identities as AWS forms them: ARNs, and unique ids that follow from canonical ids.

Source: "IAM identifiers", AWS IAM user guide.
"""

from __future__ import annotations

from base64 import b32encode
from functools import lru_cache

from s3server.model import Principal

USER_ID, ROLE_ID, GROUP_ID, POLICY_ID = "AIDA", "AROA", "AGPA", "ANPA"
_DIGITS = 17  # of a unique id behind its prefix: 85 bits


@lru_cache(maxsize=4_096)
def unique_id(prefix: str, canonical_id: str) -> str:
    """Return the id that IAM shows ("AIDA..."), of a canonical id: 64 hexadecimal digits."""
    return prefix + b32encode(bytes.fromhex(canonical_id)).decode()[:_DIGITS]


def iam_arn(account: str, kind: str, path: str, name: str) -> str:
    """Return the ARN of a "user", "role", "group" or "policy"; a path begins and ends with "/"."""
    return f"arn:aws:iam::{account}:{kind}{path}{name}"


def arns_of(principal: Principal) -> tuple[str, ...]:
    """Return the ARNs that policies may name a principal by: its own, then the role behind it."""
    account, name = principal.account, principal.name
    if principal.kind == "root":
        return (f"arn:aws:iam::{account}:root",)
    if principal.role:
        session = f"arn:aws:sts::{account}:assumed-role/{name}/{principal.session_name}"
        return (session, iam_arn(account, "role", principal.path, name))
    if principal.is_anonymous:
        return ()
    return (iam_arn(account, "user", principal.path, name),)


def user_id_of(principal: Principal) -> str:
    """Return what `aws:userid` and GetCallerIdentity call a principal."""
    if principal.is_root:
        return principal.account
    if principal.is_anonymous:
        return "anonymous"
    if principal.role:
        return f"{unique_id(ROLE_ID, principal.role)}:{principal.session_name}"
    return unique_id(USER_ID, principal.id)
