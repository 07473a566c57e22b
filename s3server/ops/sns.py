"""Topics, over SNS on the same endpoint, with the attributes of Ceph's gateway."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from s3server.auth.policy_parse import PolicyError, parse_policy
from s3server.core.records import TopicRecord
from s3server.core.topic_attributes import ENDPOINT
from s3server.core.topics import PAGE
from s3server.errors import InvalidParameter, NotFound
from s3server.model import Pairs
from s3server.operation import Ctx, handles
from s3server.ops.principals import bound_principals, shown_with_names


@handles("CreateTopic")
async def create_topic(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Create a topic; repeated, give it these attributes as SetTopicAttributes would."""
    topics, attributes = ctx.services.topics, request.get("Attributes") or {}
    principals = await _principals(ctx, attributes.get("Policy"))

    def may_change(topic: TopicRecord) -> None:
        ctx.require_topic("sns:SetTopicAttributes", topic)

    topic = await topics.create(ctx.principal, request["Name"], attributes, may_change, principals)
    return {"TopicArn": topics.arn(topic)}


@handles("DeleteTopic")
async def delete_topic(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Delete a topic. What waits for it is given up; rules that name it do nothing.

    Deleting what is not there is no error ("DeleteTopic", Amazon SNS API reference).
    """
    with suppress(NotFound):
        topic = await _own(ctx, request["TopicArn"], "sns:DeleteTopic")
        await ctx.services.topics.delete(topic)
    return {}


@handles("ListTopics")
async def list_topics(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """List the topics of the caller's account; root sees everybody's."""
    topics = ctx.services.topics
    account = None if ctx.principal.is_root else ctx.principal.account
    found = await topics.list_all(account, request.get("NextToken") or "")
    arns = [topics.arn(topic) for topic in found[:PAGE]]
    result: dict[str, Any] = {"Topics": [{"TopicArn": arn} for arn in arns]}
    if len(found) > PAGE:
        result["NextToken"] = arns[-1]
    return result


@handles("GetTopicAttributes")
async def get_topic_attributes(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return a topic's attributes without its secrets."""
    topic = await _own(ctx, request["TopicArn"], "sns:GetTopicAttributes", on_policy=True)
    given = dict(topic.attributes)
    if "Policy" in given:
        given["Policy"] = await shown_with_names(ctx, given["Policy"], topic.principals)
    destination = {
        "EndpointAddress": given[ENDPOINT],
        "EndpointTopic": topic.name,
        "HasStoredSecret": "********" in given[ENDPOINT],
        "Persistent": given.get("persistent") == "true",
    }
    described = {
        "User": topic.owner,
        "Owner": topic.account,
        "Name": topic.name,
        "TopicArn": ctx.services.topics.arn(topic),
        "EndPoint": json.dumps(destination),
    }
    return {"Attributes": given | described}


@handles("SetTopicAttributes")
async def set_topic_attributes(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Change one attribute of a topic."""
    name, value = request["AttributeName"], request.get("AttributeValue") or ""
    on_policy = name == "Policy"
    topic = await _own(ctx, request["TopicArn"], "sns:SetTopicAttributes", on_policy=on_policy)
    principals = await _principals(ctx, value) if on_policy else None
    await ctx.services.topics.set_attribute(topic, name, value, principals)
    return {}


async def _principals(ctx: Ctx, text: str | None) -> Pairs:
    """Return whom a policy names. Raises InvalidParameter where it is none."""
    if text is None:
        return ()
    try:
        policy = parse_policy(text, has_principals=True)
    except PolicyError as error:
        raise InvalidParameter(f"Invalid parameter: Policy: {error}") from None
    return await bound_principals(ctx, policy, InvalidParameter)


async def _own(ctx: Ctx, arn: str, action: str, *, on_policy: bool = False) -> TopicRecord:
    """Return a topic that the caller may manage. Raises NotFound, AuthorizationError."""
    topic = await ctx.services.topics.get(arn)
    ctx.require_topic(action, topic, on_policy=on_policy)
    return topic
