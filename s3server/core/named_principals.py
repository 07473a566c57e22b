"""Whom policies of buckets, topics and roles name: those who were there when they were put.

An ARN says a name, which somebody else may have tomorrow. So what is stored beside a policy is the
canonical ids behind its ARNs: who is deleted and made anew under an old name inherits nothing, and
who is renamed keeps what was theirs. Source: "AWS JSON policy elements: Principal", IAM user guide.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from s3server.arns import ROLE_ID, USER_ID, iam_arn, unique_id
from s3server.core.directory import ROLES, USERS, Directory
from s3server.core.records import IdentityRecord
from s3server.model import Pairs

_MAX_NAME_CHARACTERS = 64


async def bind_names(directory: Directory, arns: Iterable[str]) -> Pairs:
    """Return the ARNs of those who are there, with their canonical ids, in order."""
    found = []
    for arn in sorted(arns):
        kind, account, name, session = _parts(arn)
        identity = await _find(directory, kind, account, name)
        if identity is not None and arn == _arn_of(kind, identity, session):
            found.append((arn, identity.id))
    return tuple(found)


async def show_names(directory: Directory, text: str, bound: Pairs) -> str:
    """Return a policy as it is shown: with unique ids for who is gone, and names as they are.

    It is the text as it was sent where all names are what they were.
    """
    changed = {}
    for arn, identity_id in bound:
        kind, _, _, session = _parts(arn)
        now = await _find_by_id(directory, kind, identity_id)
        if now is None:
            unique = unique_id(USER_ID if kind == "user" else ROLE_ID, identity_id)
            changed[arn] = f"{unique}:{session}" if session else unique
        elif (shown := _arn_of(kind, now, session)) != arn:
            changed[arn] = shown
    return _replace(text, changed) if changed else text


def _parts(arn: str) -> tuple[str, str, str, str]:
    """Return kind ("user", "role", "assumed-role"...), account, name and that of a session."""
    account, rest = arn.split(":", 5)[4:]
    kind, _, named = rest.partition("/")
    if kind in ("user", "role"):
        return kind, account, named.rpartition("/")[2], ""
    name, _, session = named.partition("/")
    return kind, account, name, session


async def _find(directory: Directory, kind: str, account: str, name: str) -> IdentityRecord | None:
    if len(name) > _MAX_NAME_CHARACTERS:  # perhaps longer than a key of the store
        return None
    if kind == "user":
        return await directory.find(USERS, account, name)
    return await directory.find(ROLES, account, name) if kind in ("role", "assumed-role") else None


async def _find_by_id(directory: Directory, kind: str, identity_id: str) -> IdentityRecord | None:
    if kind == "user":
        return await directory.find_by_id(USERS, identity_id)
    return await directory.find_by_id(ROLES, identity_id)


def _arn_of(kind: str, identity: IdentityRecord, session: str) -> str:
    if kind == "assumed-role":
        return f"arn:aws:sts::{identity.account}:{kind}/{identity.name}/{session}"
    return iam_arn(identity.account, kind, identity.path, identity.name)


def _replace(text: str, names: Mapping[str, str]) -> str:
    """Return a policy with other names for principals; it must be valid."""
    document = json.loads(text, parse_float=str)
    statements = document["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in ("Principal", "NotPrincipal"):
            principals: Any = statement.get(element)
            if isinstance(principals, dict) and "AWS" in principals:
                listed = principals["AWS"]
                principals["AWS"] = (
                    [names.get(name, name) for name in listed]
                    if isinstance(listed, list)
                    else names.get(listed, listed)
                )
    return json.dumps(document, ensure_ascii=False)
