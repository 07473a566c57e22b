"""What the server does by itself, and whether policies let it: log delivery, inventory, events.

Policies name it by AWS's service principals, and bind it to what it acts for by `aws:SourceArn` and
`aws:SourceAccount`, as in "Enabling Amazon S3 server access logging" and "Setting up S3 Inventory"
(Amazon S3 user guide). No request is involved: a condition that asks for one decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from s3server.auth.policy import Policy, Question, Requester, Verdict, evaluate

LOGGING, S3 = "logging.s3.amazonaws.com", "s3.amazonaws.com"


class Act(msgspec.Struct, frozen=True):
    """Something that is done for a bucket."""

    action: str
    resource: str  # ARN
    bucket: str  # name of the bucket that it is done for
    account: str  # of that
    resource_account: str
    now_ms: int


class ActKeys:
    """Condition keys of an act; implements `wildcard.Keys`."""

    __slots__ = ("_found",)

    def __init__(self, act: Act, *, is_service: bool) -> None:
        now = datetime.fromtimestamp(act.now_ms / 1000, UTC)
        self._found: dict[str, tuple[str, ...]] = {
            "aws:currenttime": (now.strftime("%Y-%m-%dT%H:%M:%SZ"),),
            "aws:epochtime": (str(act.now_ms // 1000),),
            "aws:principalisawsservice": ("true" if is_service else "false",),
            "aws:resourceaccount": (act.resource_account,),
            "s3:resourceaccount": (act.resource_account,),
            "aws:sourcearn": (f"arn:aws:s3:::{act.bucket}",),
            "aws:sourceaccount": (act.account,),
        }
        if is_service:  # it never leaves the server, and the bucket's owner owns what it stores
            self._found["aws:securetransport"] = ("true",)
            self._found["s3:x-amz-acl"] = ("bucket-owner-full-control",)

    def find(self, key: str) -> tuple[str, ...] | None:
        """Return the values of a key; see `wildcard.Keys`."""
        return self._found.get(key)


def verdict_on_service(policies: Iterable[Policy], service: str, act: Act) -> Verdict:
    """Return what policies say to a service that acts for a bucket."""
    who = Requester(service=service)
    keys = ActKeys(act, is_service=True)
    return evaluate(policies, Question(who, act.action, act.resource, keys))


def verdict_on(policies: Iterable[Policy], who: Requester, act: Act) -> Verdict:
    """Return what policies say to whoever had this configured for a bucket."""
    return evaluate(
        policies, Question(who, act.action, act.resource, ActKeys(act, is_service=False))
    )
