"""Notifications of a bucket: which events go to which topics.

Beside prefix and suffix a filter may have `regex`, and in elements of their own (`S3Metadata`,
`S3Tags`) what an object's metadata and tags must be, as on Ceph's gateway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, count
from typing import Any

from msgspec.structs import replace

from s3server import errors
from s3server.core.notifications import EVENTS, WILDCARDS, compile_regex, overlap
from s3server.core.record_parts import NotificationRule
from s3server.core.records import BucketRecord
from s3server.errors import InvalidArgument, NotFound, S3Error
from s3server.operation import Ctx, handles
from s3server.ops.refusals import check_owner

MAX_RULES = 100
_MAX_REGEX = 1_024
_OTHER_TARGETS = (
    "QueueConfigurations",
    "LambdaFunctionConfigurations",
    "EventBridgeConfiguration",
)


@handles("PutBucketNotificationConfiguration")
async def put_bucket_notification_configuration(
    ctx: Ctx, request: dict[str, Any]
) -> dict[str, Any]:
    """Replace the rules of a bucket; each topic of the new ones is sent a test event."""
    check_owner(ctx, request)
    configuration = request["NotificationConfiguration"]
    for name in _OTHER_TARGETS:
        if name in configuration:
            raise errors.NotImplemented(f"{name} are not implemented; use topics.", Header=name)
    given = configuration.get("TopicConfigurations") or []
    if len(given) > MAX_RULES:
        raise InvalidArgument(f"A bucket has at most {MAX_RULES} notification configurations.")
    named = {one.get("Id") for one in given}
    free = (name for number in count(1) if (name := f"rule-{number}") not in named)
    rules = tuple([await _rule(ctx, one, one.get("Id") or next(free)) for one in given])
    if len({rule.id for rule in rules}) != len(rules):
        raise InvalidArgument("Same ID used for multiple configurations.")
    for one, other in combinations(rules, 2):
        if overlap(one, other):
            raise InvalidArgument(
                "Configurations overlap. Configurations on the same bucket cannot share a common "
                f"event type: {one.id}, {other.id}"
            )
    bucket = ctx.require_bucket()
    tests = await ctx.services.notifications.test(bucket, rules, ctx.cause("TestEvent"))

    def change(found: BucketRecord) -> BucketRecord:
        return replace(found, notifications=rules)

    await ctx.services.buckets.update(bucket, change, also=tests)
    return {}


@handles("GetBucketNotificationConfiguration")
async def get_bucket_notification_configuration(
    ctx: Ctx, request: dict[str, Any]
) -> dict[str, Any]:
    """Return the rules of a bucket."""
    check_owner(ctx, request)
    rules = ctx.require_bucket().notifications
    return {"TopicConfigurations": [_described(rule) for rule in rules]} if rules else {}


async def _rule(ctx: Ctx, given: Mapping[str, Any], name: str) -> NotificationRule:
    events = tuple(event.removeprefix("s3:") for event in given["Events"])
    for event in events:
        if event not in EVENTS and event not in WILDCARDS:
            raise InvalidArgument(
                "The event is not supported for notifications",
                ArgumentName="Event",
                ArgumentValue=f"s3:{event}"[:200],
            )
    arn = given["TopicArn"]
    try:
        topic = await ctx.services.topics.get(arn)
        author = ctx.door.author_of_rule(ctx.caller, topic, arn)
    except (NotFound, errors.InvalidParameter, errors.AuthorizationError) as error:
        raise _invalid_destination(arn, error) from None
    rule = NotificationRule(
        name,
        arn,
        topic.id,
        events or ("ObjectCreated:*", "ObjectRemoved:*"),
        **_filter(given.get("Filter") or {}),
        author=author,
    )
    if not ctx.services.notifications.may_publish(ctx.require_bucket(), rule, topic):
        raise _invalid_destination(arn, errors.AuthorizationError())
    return rule


def _invalid_destination(arn: str, error: S3Error) -> S3Error:
    return InvalidArgument(
        f"Unable to validate the following destination configurations: {error.message}",
        ArgumentName=arn[:1024],
        ArgumentValue=error.code,
    )


def _filter(given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for rule in (given.get("Key") or {}).get("FilterRules") or []:
        name, value = (rule.get("Name") or "").lower(), rule.get("Value") or ""
        if name not in ("prefix", "suffix", "regex"):
            raise InvalidArgument("filter rule name must be either prefix, suffix or regex")
        if name in found:
            raise InvalidArgument(f"Cannot specify more than one {name} rule in a filter.")
        if len(value.encode()) > _MAX_REGEX:
            raise InvalidArgument(f"Size of filter rule value cannot exceed {_MAX_REGEX} bytes.")
        found[name] = value
    if "regex" in found:
        try:
            compile_regex(found["regex"])
        except ValueError as error:
            raise InvalidArgument(f"The regex of a filter is not valid: {error}") from None
    metadata = _pairs((given.get("Metadata") or {}).get("FilterRules") or [])
    found["metadata"] = tuple(
        (name.lower().removeprefix("x-amz-meta-"), value) for name, value in metadata
    )
    found["tags"] = _pairs((given.get("Tags") or {}).get("FilterRules") or [])
    return found


def _pairs(rules: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple((rule.get("Name") or "", rule.get("Value") or "") for rule in rules)


def _described(rule: NotificationRule) -> dict[str, Any]:
    described: dict[str, Any] = {
        "Id": rule.id,
        "TopicArn": rule.topic,
        "Events": [f"s3:{event}" for event in rule.events],
    }
    key = [
        {"Name": name.capitalize() if name != "regex" else name, "Value": value}
        for name in ("prefix", "suffix", "regex")
        if (value := getattr(rule, name))
    ]
    filters: dict[str, Any] = {}
    for name, pairs in (("Metadata", rule.metadata), ("Tags", rule.tags)):
        if pairs:
            filters[name] = {"FilterRules": [{"Name": n, "Value": v} for n, v in pairs]}
    if key:
        filters["Key"] = {"FilterRules": key}
    if filters:
        described["Filter"] = filters
    return described
