"""PutBucketNotificationConfiguration, its GET, and which changes cause which events."""

from __future__ import annotations

import json

import pytest
from structlog.testing import capture_logs

from s3server.core.lifecycle_rules import DAY_MS
from s3server.core.log_spool import Spool
from s3server.core.records import EventRecord, topic_key
from s3server.jobs.lifecycle import LifecycleJob
from s3server.meta.base import Put
from tests.ops.test_bucket_versioning import set_versioning
from tests.support.damage import damage_row
from tests.support.events import AMQP, configure, make_topic, rule, sns, waiting
from tests.support.forms import encode_form, post, signed_fields
from tests.support.served import BACKLOG, Store
from tests.support.uploads import begin, complete, send_part

ALL = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
EVENT = f"<Event>{ALL[0]}</Event>"
FUNCTION = "<CloudFunction>arn</CloudFunction>"
TAGS = b"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
VERSIONED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
OBJECT_WRITER = (
    b"<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>"
    b"</OwnershipControls>"
)
EXPIRE = (
    b"<LifecycleConfiguration><Rule><Status>Enabled</Status><Prefix/>"
    b"<Expiration><Days>1</Days></Expiration><NoncurrentVersionExpiration>"
    b"<NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration></Rule>"
    b"</LifecycleConfiguration>"
)


def key_filter(**rules: str) -> str:
    listed = "".join(
        f"<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>"
        for name, value in rules.items()
    )
    return f"<Filter><S3Key>{listed}</S3Key></Filter>"


@pytest.fixture
async def topic(data: Store) -> str:
    return await make_topic(data.alice, "t")


async def expire(store: Store, spool: Spool | None = None) -> None:
    """Let two days pass, and lifecycle rules do what has fallen due."""
    services = store.services
    job = LifecycleJob(
        store.meta,
        buckets=services.buckets,
        objects=services.objects,
        multipart=services.multipart,
        lifecycle=services.lifecycle,
        clock=store.clock,
        spool=spool,
    )
    store.clock.ms += 2 * DAY_MS
    while (await job.step()).has_more:
        pass


async def names(store: Store) -> list[tuple[str, str]]:
    return [(event.name, event.key) for event in await waiting(store.meta)]


async def test_configuration_is_told_as_it_was_given(data: Store, topic: str) -> None:
    extra = key_filter(prefix="a/", suffix=".tif", regex=".*x.*")
    assert (await configure(data.alice, rule(topic, *ALL, name="r", extra=extra))).status == 200
    answer = await data.alice("GET", "/data?notification")
    assert answer.texts("TopicConfiguration/Topic") == [topic]
    assert answer.texts("TopicConfiguration/Event") == list(ALL)
    assert answer.texts(".//FilterRule/Name") == ["Prefix", "Suffix", "regex"]
    assert (await configure(data.alice)).status == 200
    assert (await data.alice("GET", "/data?notification")).texts(".//Topic") == []


async def test_rules_without_ids_get_ids_that_no_other_rule_has(data: Store, topic: str) -> None:
    unnamed = [rule(topic, event) for event in (ALL[1], "s3:ObjectAcl:Put")]
    await configure(data.alice, rule(topic, ALL[0], name="rule-2"), *unnamed)
    answer = await data.alice("GET", "/data?notification")
    assert answer.texts("TopicConfiguration/Id") == ["rule-2", "rule-1", "rule-3"]


async def test_new_configuration_sends_each_topic_one_test_event(data: Store, topic: str) -> None:
    await configure(data.alice, rule(topic, ALL[0]), rule(topic, ALL[1]))
    rows = [row for row in await data.rows() if row[0].startswith(b"E")]
    assert len(rows) == 1


CREATED, PUT, REMOVED = "s3:ObjectCreated:*", "s3:ObjectCreated:Put", "s3:ObjectRemoved:*"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((CREATED, {}), (PUT, {})),
        ((PUT, {"prefix": "a/"}), (PUT, {"suffix": ".tif"})),
        ((PUT, {"prefix": "a/", "suffix": ".tif"}), (PUT, {"prefix": "a/b", "suffix": "f"})),
    ],
)
async def test_topic_is_not_told_one_event_by_two_rules(
    data: Store, topic: str, one: tuple[str, dict[str, str]], other: tuple[str, dict[str, str]]
) -> None:
    rules = [rule(topic, event, extra=key_filter(**keys)) for event, keys in (one, other)]
    assert (await configure(data.alice, *rules)).outcome == (400, "InvalidArgument")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((CREATED, {}), (REMOVED, {})),
        ((PUT, {"prefix": "a/"}), (PUT, {"prefix": "b/"})),
        ((PUT, {"prefix": "a/", "suffix": ".tif"}), (PUT, {"prefix": "a/", "suffix": ".nc"})),
        ((PUT, {"regex": "a.*"}), (PUT, {"regex": "b.*"})),
    ],
)
async def test_rules_that_no_key_or_event_meets_both_of_stand_together(
    data: Store, topic: str, one: tuple[str, dict[str, str]], other: tuple[str, dict[str, str]]
) -> None:
    rules = [rule(topic, event, extra=key_filter(**keys)) for event, keys in (one, other)]
    assert (await configure(data.alice, *rules)).status == 200


async def test_one_event_goes_to_as_many_topics_as_ask_for_it(data: Store, topic: str) -> None:
    second = await make_topic(data.alice, "second")
    assert (await configure(data.alice, rule(topic, PUT), rule(second, CREATED))).status == 200
    await data.alice("PUT", "/data/k", body=b"x")
    assert {event.topic for event in await waiting(data.meta)} == {topic, second}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (rule("{topic}", "s3:ObjectCreated:Nothing"), "InvalidArgument"),
        (rule("{topic}", "s3:ObjectRestore:Post"), "InvalidArgument"),
        (rule("{topic}", "s3:*"), "InvalidArgument"),
        (rule("arn:aws:sns:us-east-1:x:none", *ALL), "InvalidArgument"),
        (rule("nonsense", *ALL), "InvalidArgument"),
        (rule("{topic}", *ALL, extra=key_filter(middle="x")), "InvalidArgument"),
        (rule("{topic}", *ALL, extra=key_filter(regex="(")), "InvalidArgument"),
        (rule("{topic}", *ALL, extra=key_filter(prefix="x" * 1_025)), "InvalidArgument"),
        (rule("{topic}", ALL[0], name="a") + rule("{topic}", ALL[1], name="a"), "InvalidArgument"),
        (rule("{topic}"), "MalformedXML"),
        ("<TopicConfiguration><Event>x</Event></TopicConfiguration>", "MalformedXML"),
        ("<Typo/>", "MalformedXML"),
    ],
)
async def test_wrong_configurations_are_refused(
    data: Store, topic: str, wrong: str, code: str
) -> None:
    answer = await configure(data.alice, wrong.replace("{topic}", topic))
    assert answer.outcome == (400, code)
    assert (await data.alice("GET", "/data?notification")).texts(".//Topic") == []


@pytest.mark.parametrize(
    "target",
    [
        f"<QueueConfiguration><Queue>arn</Queue>{EVENT}</QueueConfiguration>",
        f"<CloudFunctionConfiguration>{FUNCTION}{EVENT}</CloudFunctionConfiguration>",
        "<EventBridgeConfiguration/>",
    ],
)
async def test_targets_that_are_no_topics_are_not_implemented(data: Store, target: str) -> None:
    assert (await configure(data.alice, target)).outcome == (501, "NotImplemented")


async def test_another_users_topic_needs_its_policy(data: Store) -> None:
    topic = await make_topic(data.bob, "bobs")
    assert (await configure(data.alice, rule(topic, *ALL))).outcome == (400, "InvalidArgument")


def publishers(effect: str, principal: object, condition: object = None) -> str:
    statement = {
        "Effect": effect, "Principal": principal, "Action": "sns:Publish", "Resource": "*",
        **({"Condition": condition} if condition else {}),
    }  # fmt: skip
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


SERVICE = {"Service": "s3.amazonaws.com"}


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (publishers("Allow", "*"), 200),
        (publishers("Allow", {"AWS": "arn:aws:iam::alice-project:user/alice"}), 200),
        (publishers("Allow", {"AWS": "arn:aws:iam::bob-project:user/bob"}), 400),
        (publishers("Allow", SERVICE), 200),
        (
            publishers(
                "Allow",
                SERVICE,
                {
                    "ArnLike": {"aws:SourceArn": "arn:aws:s3:*:*:data"},
                    "StringEquals": {"aws:SourceAccount": "alice-project"},
                },
            ),
            200,
        ),
        (
            publishers("Allow", SERVICE, {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::another"}}),
            400,
        ),
        # Events come about when no request is there to be asked.
        (publishers("Allow", "*", {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}), 400),
        (publishers("Deny", "*"), 400),
    ],
)
async def test_topics_policy_says_who_publishes(data: Store, policy: str, status: int) -> None:
    topic = await make_topic(data.bob, "bobs", AMQP | {"Policy": policy})
    assert (await configure(data.alice, rule(topic, *ALL))).status == status


async def test_what_a_topics_policy_takes_back_ends_at_once(data: Store) -> None:
    topic = await make_topic(data.bob, "bobs", AMQP | {"Policy": publishers("Allow", "*")})
    await configure(data.alice, rule(topic, *ALL))
    await data.alice.made("/data/before", body=b"1")
    fields = {"TopicArn": topic, "AttributeName": "Policy"}
    only_bob = publishers("Allow", {"AWS": "arn:aws:iam::bob-project:user/bob"})
    assert (await sns(data.bob, "SetTopicAttributes", {**fields, "AttributeValue": only_bob})).status == 200  # fmt: skip # noqa: E501
    await data.alice.made("/data/after", body=b"1")
    assert await names(data) == [("ObjectCreated:Put", "before")]
    services = data.services
    counters = await services.notifications.counters(await services.topics.get(topic))
    assert (counters["refused"], counters["backlog"]) == (1, 2)  # with the test event


async def test_every_way_of_storing_and_deleting_is_an_event(data: Store, topic: str) -> None:
    await configure(data.alice, rule(topic, *ALL))
    await data.alice.made("/data/a", body=b"1")
    await data.alice.made("/data/b", headers={"x-amz-copy-source": "/data/a"})
    upload = await begin(data.alice, "/data/c")
    part = await send_part(data.alice, "/data/c", upload, 1, b"x")
    await complete(data.alice, "/data/c", upload, [part])
    await data.alice("DELETE", "/data/a")
    await data.alice("DELETE", "/data/b")
    await data.alice("DELETE", "/data/never-was")
    assert await names(data) == [
        ("ObjectCreated:Put", "a"),
        ("ObjectCreated:Copy", "b"),
        ("ObjectCreated:CompleteMultipartUpload", "c"),
        ("ObjectRemoved:Delete", "a"),
        ("ObjectRemoved:Delete", "b"),
    ]


async def test_upload_by_a_form_is_an_event(data: Store, topic: str) -> None:
    await configure(data.alice, rule(topic, "s3:ObjectCreated:Post"))
    conditions = [{"bucket": "data"}, {"key": "f"}]
    fields = signed_fields(data.alice, conditions, {"key": "f"})
    assert (await post(data.alice, "/data", encode_form(fields))).status == 204
    (event,) = await waiting(data.meta)
    assert (event.name, event.key, event.size) == ("ObjectCreated:Post", "f", len(b"content"))


async def test_tags_and_acls_are_events_where_they_change(data: Store, topic: str) -> None:
    await data.alice.configure("/data?ownershipControls", OBJECT_WRITER)
    await configure(data.alice, rule(topic, "s3:ObjectTagging:*", "s3:ObjectAcl:Put"))
    await data.alice.made("/data/a", body=b"1")
    for _ in range(2):  # the second changes nothing
        assert (await data.alice.configure("/data/a?tagging", TAGS)).status == 200
    for _ in range(2):
        assert (await data.alice("DELETE", "/data/a?tagging")).status == 204
    for _ in range(2):
        answer = await data.alice.configure(
            "/data/a?acl", b"", headers={"x-amz-acl": "public-read"}
        )
        assert answer.status == 200
    events = await waiting(data.meta)
    assert [(event.name, event.tags) for event in events] == [
        ("ObjectTagging:Put", (("k", "v"),)),
        ("ObjectTagging:Delete", ()),
        ("ObjectAcl:Put", ()),
    ]


async def test_full_backlog_blocks_changes_of_tags(data: Store, topic: str) -> None:
    await data.alice.made("/data/a", body=b"1")
    await configure(data.alice, rule(topic, *ALL, "s3:ObjectTagging:*"))
    for number in range(BACKLOG - 1):
        await data.alice.made(f"/data/{number}", body=b"x")
    answer = await data.alice.configure("/data/a?tagging", TAGS)
    assert answer.outcome == (503, "SlowDown")
    assert (await data.alice("GET", "/data/a?tagging")).texts(".//Tag/Key") == []


async def test_lifecycle_says_what_it_removed(data: Store, topic: str) -> None:
    await configure(data.alice, rule(topic, "s3:LifecycleExpiration:*"))
    await data.alice.made("/data/plain", body=b"1")
    await data.alice.configure("/data?lifecycle", EXPIRE)
    await expire(data)
    await data.alice.configure("/data?versioning", VERSIONED)
    await data.alice.made("/data/kept", body=b"1")
    await expire(data)
    await expire(data)
    assert await names(data) == [
        ("LifecycleExpiration:Delete", "plain"),
        ("LifecycleExpiration:DeleteMarkerCreated", "kept"),
        ("LifecycleExpiration:Delete", "kept"),
    ]
    assert {event.principal for event in await waiting(data.meta)} == {""}


async def test_lifecycle_waits_for_a_full_backlog(data: Store, topic: str) -> None:
    await data.alice.made("/data/a", body=b"1")
    await configure(data.alice, rule(topic, *ALL, "s3:LifecycleExpiration:*"))
    for number in range(BACKLOG - 1):
        await data.alice.made(f"/data/more/{number}", body=b"x")
    await data.alice.configure("/data?lifecycle", EXPIRE)
    await expire(data)
    assert (await data.alice("GET", "/data/a")).status == 200
    await configure(data.alice)  # nobody is to be told any more
    await expire(data)
    assert (await data.alice("GET", "/data/a")).status == 404


async def test_delete_markers_are_events_of_their_own(data: Store, topic: str) -> None:
    await data.alice.configure("/data?versioning", VERSIONED)
    await configure(data.alice, rule(topic, "s3:ObjectRemoved:DeleteMarkerCreated"))
    version = (await data.alice.made("/data/a", body=b"1")).header("x-amz-version-id")
    await data.alice("DELETE", "/data/a")
    await data.alice("DELETE", f"/data/a?versionId={version}")
    assert await names(data) == [("ObjectRemoved:DeleteMarkerCreated", "a")]


async def test_versions_that_are_deleted_by_their_id_are_told(data: Store, topic: str) -> None:
    await set_versioning(data.alice, "Enabled")
    await configure(data.alice, rule(topic, "s3:ObjectRemoved:Delete"))
    version = (await data.alice.made("/data/a", body=b"x")).header("x-amz-version-id")
    for _ in range(2):  # the second time nothing is there
        await data.alice("DELETE", f"/data/a?versionId={version}")
    assert await names(data) == [("ObjectRemoved:Delete", "a")]
    assert (await waiting(data.meta))[0].version_id == version


async def test_event_says_what_happened_and_who_did_it(data: Store, topic: str) -> None:
    await configure(data.alice, rule(topic, *ALL, name="mine"))
    answer = await data.alice.made(
        "/data/a%20b/%C3%A9", body=b"12345", headers={"x-amz-meta-fairease.kind": "COG"}
    )
    (event,) = await waiting(data.meta)
    assert isinstance(event, EventRecord)
    assert (event.bucket, event.key, event.size, event.rule) == ("data", "a b/é", 5, "mine")
    assert event.metadata == (("fairease.kind", "COG"),)
    assert event.request_id == answer.header("x-amz-request-id")
    assert f'"{event.etag}"' == answer.header("etag")


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (key_filter(prefix="img/"), ["img/a.tif", "img/b.txt"]),
        (key_filter(suffix=".tif"), ["img/a.tif", "c.tif", "d.tif", "e.tif"]),
        (key_filter(prefix="img/", suffix=".tif"), ["img/a.tif"]),
        (key_filter(regex="[a-c]\\.tif"), ["c.tif"]),
        (
            (
                "<Filter><S3Metadata><FilterRule><Name>x-amz-meta-kind</Name>"
                "<Value>COG</Value></FilterRule></S3Metadata></Filter>"
            ),
            ["c.tif"],
        ),
        (
            (
                "<Filter><S3Tags><FilterRule><Name>kind</Name><Value>COG</Value></FilterRule>"
                "<FilterRule><Name>year</Name><Value>2026</Value></FilterRule></S3Tags></Filter>"
            ),
            ["d.tif"],
        ),
    ],
)
async def test_filters_choose_objects(
    data: Store, topic: str, extra: str, expected: list[str]
) -> None:
    assert (await configure(data.alice, rule(topic, *ALL, extra=extra))).status == 200
    for key in ("img/a.tif", "img/b.txt"):
        await data.alice.made(f"/data/{key}", body=b"x")
    await data.alice.made("/data/c.tif", body=b"x", headers={"x-amz-meta-kind": "COG"})
    tags = {"x-amz-tagging": "kind=COG&year=2026"}
    await data.alice.made("/data/d.tif", body=b"x", headers=tags)
    await data.alice.made("/data/e.tif", body=b"x", headers={"x-amz-tagging": "kind=COG"})
    assert [key for _, key in await names(data)] == expected


async def test_failed_writes_cause_nothing(data: Store, topic: str) -> None:
    await configure(data.alice, rule(topic, *ALL))
    wrong = await data.alice("PUT", "/data/a", body=b"x", headers={"content-md5": "A" * 22 + "=="})
    assert wrong.status == 400
    assert [] == await names(data)


async def test_full_backlog_blocks_writes_and_loses_nothing(data: Store, topic: str) -> None:
    await configure(data.alice, rule(topic, *ALL))  # whose test event is the first to wait
    for number in range(BACKLOG - 1):
        await data.alice.made(f"/data/{number}", body=b"x")
    answer = await data.alice("PUT", "/data/more", body=b"x")
    assert answer.outcome == (503, "SlowDown")
    assert (await data.alice("GET", "/data/more")).status == 404
    assert len(await names(data)) == BACKLOG - 1


async def test_rule_whose_topic_is_gone_does_nothing(data: Store, topic: str) -> None:
    await configure(data.alice, rule(topic, *ALL))
    await sns(data.alice, "DeleteTopic", {"TopicArn": topic})
    await make_topic(data.alice, "t", AMQP)  # another one, although of the same name
    await data.alice.made("/data/a", body=b"1")
    assert [] == await names(data)


async def test_topic_that_is_damaged_stops_no_write_and_no_other_topic(
    data: Store, topic: str
) -> None:
    other = await make_topic(data.alice, "u")
    rules = [rule(each, *ALL, name=each[-1]) for each in (topic, other)]
    assert (await configure(data.alice, *rules)).status == 200
    found = await data.services.topics.get(topic)
    row_key = topic_key(found.account, found.name)
    row = await damage_row(data.meta, row_key)
    with capture_logs() as logs:
        for key in ("a", "b"):
            await data.alice.made(f"/data/{key}", body=b"x")
    assert (await data.alice("DELETE", "/data/b")).status == 204
    events = await waiting(data.meta)
    assert [each.key for each in events if each.topic == other and each.key] == ["a", "b", "b"]
    assert [line["key"] for line in logs if line["log_level"] == "error"] == [row_key.hex()]
    await data.meta.commit([Put(row_key, row)])
    assert (await data.services.notifications.counters(found))["dropped"] == 3
    await data.alice.made("/data/c", body=b"x")
    events = await waiting(data.meta)
    assert [each.key for each in events if each.topic == topic] == ["c"]
