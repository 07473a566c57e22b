"""Description, expiry and scope of access keys, as tags of their users.

AWS's model has no tags on access keys, so that clients of IAM have no other way to them:
`aws iam tag-user --user-name ann --tags Key=s3server:key/AKIA.../expires,Value=2027-01-31`.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from s3server.core.key_scope import scope_policies
from s3server.core.records import AccessKeyRecord
from s3server.core.users import ChangeKey
from s3server.iam_errors import InvalidInput
from s3server.model import Pairs
from s3server.operation import Ctx
from s3server.ops.attributes import at
from s3server.subjects import subject_of

_PREFIX = "s3server:key/"
_FIELDS = ("description", "expires", "scope")


def is_of_key(tag: str) -> bool:
    """Return whether a tag is a setting of a key."""
    return tag.lower().startswith(_PREFIX)


def key_tags(key: AccessKeyRecord) -> Pairs:
    """Return the settings of a key, as tags of its user."""
    expires = at(key.expires_ms).strftime("%Y-%m-%dT%H:%M:%SZ") if key.expires_ms else ""
    scope = dict(key.tags).get("scope", "")
    values = {"description": key.description, "expires": expires}
    if not scope.startswith("{"):  # a document is not what a tag can hold
        values["scope"] = scope
    return tuple((f"{_PREFIX}{key.id}/{name}", value) for name, value in values.items() if value)


def changes_of_keys(tags: dict[str, str]) -> dict[str, ChangeKey]:
    """Return what tags say of keys, by their ids; "" takes a setting away.

    Raises InvalidInput, InvalidArgument.
    """
    by_key: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for tag, value in tags.items():
        key_id, _, name = tag[len(_PREFIX) :].partition("/")
        if name not in _FIELDS:
            raise InvalidInput(f"A key has {', '.join(_FIELDS)}: {tag} is none of them.")
        by_key[key_id].update(_setting(name, value))
    return {key_id: _changed(settings) for key_id, settings in by_key.items()}


async def permit_changes_of_keys(ctx: Ctx, user_name: str) -> None:
    """Demand iam:UpdateAccessKey: who may tag a user may not therefore change its keys.

    Raises AccessDenied.
    """
    named = {"UserName": user_name}
    subject = await subject_of(ctx.services, ctx.principal, "iam", "UpdateAccessKey", named)
    await ctx.door.permit_service(
        ctx.caller, "iam", "UpdateAccessKey", "iam:UpdateAccessKey", subject
    )


def _changed(settings: dict[str, Any]) -> ChangeKey:
    return lambda key: replace(key, **settings)


def _setting(name: str, value: str) -> dict[str, Any]:
    """Return the fields of a key's record that a setting stands for."""
    if name == "description":
        return {"description": value}
    if name == "scope":
        return {
            "scope": scope_policies(value),
            "tags": (("scope", value),) if value else (),
        }
    return {"expires_ms": _moment_ms(value) if value else 0}


def _moment_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput("When a key expires is a date as in 2027-01-31T12:00:00Z.") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    milliseconds = round(moment.timestamp() * 1000)
    if milliseconds <= 0:
        raise InvalidInput("When a key expires is after 1970.")
    return milliseconds
