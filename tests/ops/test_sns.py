"""CreateTopic, DeleteTopic, ListTopics, GetTopicAttributes, SetTopicAttributes."""

from __future__ import annotations

import json

import pytest

from s3server.core.records import EVENT, topic_key
from s3server.meta.base import after_prefix
from s3server.metrics.events import render_events
from tests.support.damage import damage_row
from tests.support.events import AMQP, configure, entries, make_topic, rule, sns
from tests.support.iam import allow, make_user
from tests.support.served import Store

WITH_SECRETS = {
    "push-endpoint": "amqp://me:topsecret1@broker.test:5672/vhost",
    "amqp-exchange": "ex",
    "http-signature-secret": "0123456789abcdef",
    "OpaqueData": "mine",
}


async def attributes(store: Store, arn: str) -> dict[str, str]:
    answer = await sns(store.alice, "GetTopicAttributes", {"TopicArn": arn})
    assert answer.status == 200, answer.body
    found = answer.document.findall("GetTopicAttributesResult/Attributes/entry")
    return {entry.findtext("key") or "": entry.findtext("value") or "" for entry in found}


async def test_topic_is_named_as_ceph_names_it_and_listed(store: Store) -> None:
    arn = await make_topic(store.alice, "fairease")
    assert arn.split(":")[:4] == ["arn", "aws", "sns", store.region]
    assert arn.endswith(":fairease")
    listed = await sns(store.alice, "ListTopics")
    assert [arn] == listed.texts("ListTopicsResult/Topics/member/TopicArn")


async def test_creating_a_topic_again_gives_it_the_new_attributes(store: Store) -> None:
    arn = await make_topic(store.alice, "t")
    assert arn == await make_topic(store.alice, "t", {**AMQP, "amqp-exchange": "other"})
    assert (await attributes(store, arn))["amqp-exchange"] == "other"


async def test_secrets_are_neither_shown_nor_stored_in_the_clear(store: Store) -> None:
    arn = await make_topic(store.alice, "t", WITH_SECRETS)
    found = await attributes(store, arn)
    assert found["push-endpoint"] == "amqp://me:********@broker.test:5672/vhost"
    assert json.loads(found["EndPoint"])["HasStoredSecret"] is True
    assert "http-signature-secret" not in found
    stored = b"".join(row for _, row in await store.rows())
    for secret in (b"topsecret1", b"0123456789abcdef"):
        assert secret not in stored


async def test_setting_one_attribute_keeps_the_others(store: Store) -> None:
    arn = await make_topic(store.alice, "t", WITH_SECRETS)
    fields = {"TopicArn": arn, "AttributeName": "persistent", "AttributeValue": "true"}
    assert (await sns(store.alice, "SetTopicAttributes", fields)).status == 200
    found = await attributes(store, arn)
    assert (found["persistent"], found["OpaqueData"]) == ("true", "mine")


async def test_creating_a_topic_again_takes_the_leave_to_change_it(store: Store) -> None:
    ann = await make_user(store, "ann", allow("sns:CreateTopic"))
    created = await sns(ann, "CreateTopic", {"Name": "t", **entries(AMQP)})
    assert created.status == 200
    assert (await sns(ann, "CreateTopic", {"Name": "t", **entries(AMQP)})).status == 200
    changed = entries({**AMQP, "amqp-exchange": "other"})
    refused = await sns(ann, "CreateTopic", {"Name": "t", **changed})
    assert (refused.status, refused.text("Error/Code")) == (403, "AuthorizationError")
    bob = await make_user(store, "bob", allow("sns:CreateTopic", "sns:SetTopicAttributes"))
    assert (await sns(bob, "CreateTopic", {"Name": "u", **entries(AMQP)})).status == 200
    assert (await sns(bob, "CreateTopic", {"Name": "u", **changed})).status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"push-endpoint": ""},
        {"push-endpoint": "amqp://elsewhere.test:5672"},  # not allowed by the operator
        {"push-endpoint": "amqp://broker.test:5673"},
        {"push-endpoint": "amqp://broker.test@169.254.169.254:5672"},
        {"push-endpoint": "http://127.0.0.1:80/"},
        {"push-endpoint": "http://[::1]:80/"},
        {"push-endpoint": "http://0x7f000001/"},
        {"push-endpoint": "file:///etc/passwd"},
        {"push-endpoint": "kafka://broker.test:9092"},  # not allowed by the operator
        {"push-endpoint": "amqp://broker.test:0x1"},
        {"push-endpoint": "amqp://broker.test:5672\r\nX: y"},
        {"amqp-exchange": ""},
        {"amqp-ack-level": "always"},
        {"persistent": "yes"},
        {"max_retries": "-1"},
        {"ca-location": "/etc/shadow"},
        {"ca-location": "/etc/ssl/certs/../shadow"},
        {"Policy": "not json"},
        {"Policy": '{"Version": "2012-10-17"}'},
        {"no-such-attribute": "x"},
        {"OpaqueData": "x" * 5_000},
    ],
)
async def test_wrong_attributes_are_refused_and_nothing_is_made(
    store: Store, wrong: dict[str, str]
) -> None:
    fields = {"Name": "t", **entries(AMQP | wrong)}
    answer = await sns(store.alice, "CreateTopic", fields)
    assert (answer.status, answer.text("Error/Code")) == (400, "InvalidParameter"), answer.body
    assert [] == (await sns(store.alice, "ListTopics")).texts(".//TopicArn")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "x" * 257, "a\0b"])
async def test_wrong_names_are_refused(store: Store, name: str) -> None:
    answer = await sns(store.alice, "CreateTopic", {"Name": name, **entries(AMQP)})
    assert answer.status == 400


async def test_other_users_topics_are_theirs(store: Store) -> None:
    arn = await make_topic(store.alice, "t")
    for action, more in (
        ("GetTopicAttributes", {}),
        ("DeleteTopic", {}),
        ("SetTopicAttributes", {"AttributeName": "persistent", "AttributeValue": "false"}),
    ):
        answer = await sns(store.bob, action, {"TopicArn": arn, **more})
        assert (answer.status, answer.text("Error/Code")) == (403, "AuthorizationError"), action
        assert (await sns(store.nobody, action, {"TopicArn": arn, **more})).status == 403
    taken = await sns(store.bob, "CreateTopic", {"Name": "t", **entries(AMQP)})
    shares_account = taken.text("CreateTopicResult/TopicArn") in (arn, None)
    assert taken.status == (400 if shares_account else 200)
    assert (await attributes(store, arn))["persistent"] == "true"


async def test_topics_policy_lets_others_in(store: Store) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "sns:GetTopicAttributes",
             "Resource": "*"},
        ],
    }  # fmt: skip
    arn = await make_topic(store.alice, "t", AMQP | {"Policy": json.dumps(policy)})
    assert (await sns(store.bob, "GetTopicAttributes", {"TopicArn": arn})).status == 200
    assert (await sns(store.bob, "DeleteTopic", {"TopicArn": arn})).status == 403


@pytest.mark.parametrize("who", ["alice", "root"])
async def test_topics_policy_may_forbid_its_owner_all_but_the_policy(
    store: Store, who: str
) -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "sns:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    arn = await make_topic(store.alice, "t", AMQP | {"Policy": policy})
    client = store.client(who)

    async def set_attribute(name: str, value: str) -> int:
        fields = {"TopicArn": arn, "AttributeName": name, "AttributeValue": value}
        return (await sns(client, "SetTopicAttributes", fields)).status

    assert (await sns(client, "DeleteTopic", {"TopicArn": arn})).status == 403
    assert await set_attribute("persistent", "false") == 403
    assert (await sns(client, "GetTopicAttributes", {"TopicArn": arn})).status == 200
    await store.alice.made("/data")
    refused = await configure(store.alice, rule(arn, "s3:ObjectCreated:*"))
    assert refused.outcome == (400, "InvalidArgument")
    assert await set_attribute("Policy", policy.replace("sns:*", "sns:Publish")) == 200
    assert await set_attribute("persistent", "false") == 200
    assert (await sns(client, "DeleteTopic", {"TopicArn": arn})).status == 200


async def test_deleted_topic_is_gone_and_deleting_it_again_is_no_error(store: Store) -> None:
    arn = await make_topic(store.alice, "t")
    for _ in range(2):
        assert (await sns(store.alice, "DeleteTopic", {"TopicArn": arn})).status == 200
    answer = await sns(store.alice, "GetTopicAttributes", {"TopicArn": arn})
    assert (answer.status, answer.text("Error/Code")) == (404, "NotFound")


@pytest.mark.parametrize("arn", ["", "x", "arn:aws:sns:r:a", "arn:aws:s3:r:a:t", "a:" * 900])
async def test_what_is_no_arn_is_refused(store: Store, arn: str) -> None:
    answer = await sns(store.alice, "GetTopicAttributes", {"TopicArn": arn})
    assert answer.text("Error/Code") in ("InvalidParameter", "ValidationError")


async def test_long_lists_come_in_pages(store: Store) -> None:
    made = [await make_topic(store.alice, f"t{number:03}") for number in range(120)]
    first = await sns(store.alice, "ListTopics")
    token = first.text("ListTopicsResult/NextToken")
    assert token is not None
    second = await sns(store.alice, "ListTopics", {"NextToken": token})
    assert made == first.texts(".//TopicArn") + second.texts(".//TopicArn")
    assert second.text("ListTopicsResult/NextToken") is None


async def test_topic_that_is_damaged_hides_no_other(store: Store) -> None:
    made = [await make_topic(store.alice, f"t{number:03}") for number in range(105)]
    whole = await store.services.topics.get(made[3])
    await damage_row(store.meta, topic_key(whole.account, whole.name))
    first = await sns(store.alice, "ListTopics")
    token = first.text("ListTopicsResult/NextToken")
    assert token is not None
    second = await sns(store.alice, "ListTopics", {"NextToken": token})
    assert first.texts(".//TopicArn") + second.texts(".//TopicArn") == made[:3] + made[4:]


async def test_metrics_tell_of_all_topics_that_can_be_read(data: Store) -> None:
    made = [await make_topic(data.alice, name) for name in ("damaged", "whole")]
    assert (await configure(data.alice, rule(made[1], "s3:ObjectCreated:*"))).status == 200
    whole = await data.services.topics.get(made[0])
    await damage_row(data.meta, topic_key(whole.account, whole.name))
    ((event, _),) = await data.meta.scan(EVENT, after_prefix(EVENT), limit=9)
    await damage_row(data.meta, event)
    told = (await render_events(data.services.topics, data.services.notifications)).decode()
    assert f's3server_events_backlog{{topic="{made[1]}"}} 1.0' in told
    assert made[0] not in told
