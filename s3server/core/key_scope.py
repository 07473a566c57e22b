"""Scopes of access keys: what a key may be used for at most, in words or as a policy.

In words: `read-only`, and `s3://bucket` or `s3://bucket/prefix`, any number of them with a space
between. A policy is what begins with a brace.
"""

from __future__ import annotations

import json
import re

from s3server.errors import InvalidArgument

MAX_CHARACTERS = 2_048  # of a session policy
_PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?").fullmatch
_READS = ["s3:Get*", "s3:List*"]


def scope_policies(scope: str) -> tuple[str, ...]:
    """Return the policies each of which must allow what is done; none for "".

    Whether a policy in it is valid is the caller's to see. Raises InvalidArgument.
    """
    if len(scope) > MAX_CHARACTERS:
        raise _wrong(scope, f"it has more than {MAX_CHARACTERS} characters")
    if scope.startswith("{"):
        return (scope,)
    words = scope.split()
    places = [word for word in words if word != "read-only"]
    policies = []
    if len(places) < len(words):
        policies.append(_document([_allow(_READS, ["*"])]))
    if places:
        policies.append(_document([part for place in places for part in _within(place, scope)]))
    return tuple(policies)


def _within(place: str, scope: str) -> list[dict[str, object]]:
    found = _PLACE(place)
    if found is None:
        raise _wrong(scope, "it is a policy, or of read-only and s3://bucket/prefix")
    bucket, prefix = f"arn:aws:s3:::{found[1]}", found[2] or ""
    if any(sign in prefix for sign in "*?$"):
        raise _wrong(scope, "a prefix has none of * ? $")
    if not prefix:
        return [_allow(["s3:*"], [bucket, f"{bucket}/*"])]
    listing = _allow(["s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"],
                     [bucket])  # fmt: skip
    listing["Condition"] = {"StringLike": {"s3:prefix": f"{prefix}*"}}
    return [
        _allow(["s3:*"], [f"{bucket}/{prefix}*"]),
        _allow(["s3:GetBucketLocation", "s3:GetBucketVersioning"], [bucket]),
        listing,
    ]


def _allow(actions: list[str], resources: list[str]) -> dict[str, object]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def _document(statements: list[dict[str, object]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _wrong(scope: str, why: str) -> InvalidArgument:
    return InvalidArgument(
        f"The scope of an access key is not valid: {why}.",
        ArgumentName="Scope",
        ArgumentValue=scope[:200],
    )
