"""PutBucketLifecycleConfiguration, GetBucketLifecycleConfiguration, DeleteBucketLifecycle."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from s3server.core.lifecycle_rules import DAY_MS
from s3server.jobs.lifecycle import LifecycleJob
from tests.ops.test_bucket_versioning import put, set_versioning
from tests.support.events import configure, make_topic, waiting
from tests.support.events import rule as notify
from tests.support.served import Store

DAYS = "<Expiration><Days>3</Days></Expiration>"
OLD = (
    "<NoncurrentVersionExpiration><NoncurrentDays>10</NoncurrentDays></NoncurrentVersionExpiration>"
)
ABORT = (
    "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
    "</AbortIncompleteMultipartUpload>"
)
NEWER = OLD.replace(
    "</NoncurrentDays>", "</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions>"
)
TAG = "<Tag><Key>a</Key><Value>1</Value></Tag>"


def rule(inner: str, status: str = "Enabled", id_: str = "r") -> str:
    named = f"<ID>{id_}</ID>" if id_ else ""
    return f"<Rule>{named}<Status>{status}</Status>{inner}</Rule>"


def document(*rules: str) -> bytes:
    return f"<LifecycleConfiguration>{''.join(rules)}</LifecycleConfiguration>".encode()


async def test_rules_are_told_as_they_were_set(data: Store) -> None:
    missing = await data.alice("GET", "/data?lifecycle")
    assert missing.outcome == (404, "NoSuchLifecycleConfiguration")
    both = f"<Filter><And><Prefix>logs/</Prefix>{TAG}</And></Filter>{DAYS}{OLD}"
    body = document(rule(both), rule(ABORT, "Disabled", "second"))
    assert (await data.alice.configure("/data?lifecycle", body)).status == 200
    answer = await data.alice("GET", "/data?lifecycle")
    assert answer.document.tag == "LifecycleConfiguration"
    assert answer.texts("Rule/ID") == ["r", "second"]
    assert answer.texts("Rule/Status") == ["Enabled", "Disabled"]
    assert answer.texts("Rule/Filter/And/Prefix") == ["logs/"]
    assert answer.texts("Rule/Filter/And/Tag/Key") == ["a"]
    assert answer.texts("Rule/Expiration/Days") == ["3"]
    assert answer.texts("Rule/NoncurrentVersionExpiration/NoncurrentDays") == ["10"]
    assert answer.texts("Rule/AbortIncompleteMultipartUpload/DaysAfterInitiation") == ["1"]
    assert (await data.alice("DELETE", "/data?lifecycle")).status == 204
    missing = await data.alice("GET", "/data?lifecycle")
    assert missing.outcome == (404, "NoSuchLifecycleConfiguration")


async def test_smallest_size_of_transitions_is_that_of_aws(data: Store) -> None:
    name, default = "x-amz-transition-default-minimum-object-size", "all_storage_classes_128K"
    body = document(rule(DAYS))
    for headers in ({name: default}, {}):
        put_answer = await data.alice.configure("/data?lifecycle", body, headers=headers)
        assert (put_answer.status, put_answer.header(name)) == (200, default)
        assert (await data.alice("GET", "/data?lifecycle")).header(name) == default
    with data.untouched():
        other = {name: "varies_by_storage_class"}
        refused = await data.alice.configure("/data?lifecycle", body, headers=other)
    assert refused.outcome == (501, "NotImplemented")


async def test_rule_of_site_a_has_neither_filter_nor_prefix(data: Store) -> None:
    body = document(rule(OLD, id_="Delete old versions after 10 days"))
    assert (await data.alice.configure("/data?lifecycle", body)).status == 200


async def test_rules_without_id_get_one_each(data: Store) -> None:
    body = document(rule(DAYS, id_=""), rule(DAYS, id_=""))
    assert (await data.alice.configure("/data?lifecycle", body)).status == 200
    ids = (await data.alice("GET", "/data?lifecycle")).texts("Rule/ID")
    assert len(set(ids)) == 2


INVALID = [
    (document(), "MalformedXML"),
    (document(rule(DAYS.replace("Days", "Dais"))), "MalformedXML"),
    (document(rule(OLD.replace("NoncurrentDays", "NoncurentDays"))), "MalformedXML"),
    (document(rule(DAYS, "enabled")), "MalformedXML"),
    (document("<Rule>" + DAYS + "</Rule>"), "MalformedXML"),
    (document(rule("<Prefix/><Filter/>" + DAYS)), "MalformedXML"),
    (document(rule(f"<Filter><Prefix>a</Prefix>{TAG}</Filter>" + DAYS)), "MalformedXML"),
    (document(rule("<Filter><And><Prefix>a</Prefix></And></Filter>" + DAYS)), "MalformedXML"),
    (document(rule("<Expiration/>")), "MalformedXML"),
    (
        document(rule("<Expiration><Days>1</Days><Date>2030-01-01</Date></Expiration>")),
        "MalformedXML",
    ),
    (document(rule("<NoncurrentVersionExpiration/>")), "MalformedXML"),
    (document(rule("<AbortIncompleteMultipartUpload/>")), "MalformedXML"),
    (document(rule(DAYS), rule(OLD)), "InvalidArgument"),
    (document(rule(DAYS, id_="r" * 256)), "InvalidArgument"),
    (document(rule(DAYS.replace("3", "0"))), "InvalidArgument"),
    (document(rule(DAYS.replace("3", "-1"))), "InvalidArgument"),
    (document(rule(DAYS.replace("3", "99999999999"))), "InvalidArgument"),
    (document(rule(OLD.replace("10", "0"))), "InvalidArgument"),
    (document(rule(ABORT.replace("1", "0"))), "InvalidArgument"),
    (document(rule(NEWER.replace("2", "0"))), "InvalidArgument"),
    (document(rule(NEWER.replace("2", "101"))), "InvalidArgument"),
    (
        document(rule("<Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration>")),
        "InvalidArgument",
    ),
    (document(rule("")), "InvalidRequest"),
    (document(rule(f"<Filter>{TAG}</Filter>" + ABORT)), "InvalidRequest"),
    (
        document(
            rule(
                f"<Filter>{TAG}</Filter><Expiration>"
                "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
            )
        ),
        "InvalidRequest",
    ),
    (
        document(rule("<Filter><ObjectSizeLessThan>0</ObjectSizeLessThan></Filter>" + DAYS)),
        "InvalidRequest",
    ),
    (
        document(
            rule(
                "<Filter><And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>"
                "<ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter>" + DAYS
            )
        ),
        "InvalidRequest",
    ),
    (
        document(rule("<Filter><Prefix>" + "p" * 1025 + "</Prefix></Filter>" + DAYS)),
        "InvalidRequest",
    ),
    (document(rule(f"<Filter>{TAG.replace('>a<', '>aws:a<')}</Filter>" + DAYS)), "InvalidTag"),
    (document(*(rule(DAYS, id_=str(number)) for number in range(1_001))), "MalformedXML"),
]


@pytest.mark.parametrize(("body", "code"), INVALID)
async def test_rules_that_cannot_be_meant_are_refused(data: Store, body: bytes, code: str) -> None:
    with data.untouched():
        answer = await data.alice.configure("/data?lifecycle", body)
    assert answer.outcome == (400, code)


@pytest.mark.parametrize("status", ["Enabled", "Disabled"])
@pytest.mark.parametrize(
    "transition",
    [
        "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>",
        (
            "<NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays>"
            "<StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>"
        ),
    ],
)
async def test_transitions_are_not_stored_without_being_done(
    data: Store, transition: str, status: str
) -> None:
    with data.untouched():
        body = document(rule(DAYS + transition, status))
        answer = await data.alice.configure("/data?lifecycle", body)
    assert answer.outcome == (501, "NotImplemented")


async def test_thousand_rules_are_allowed(data: Store) -> None:
    body = document(*(rule(DAYS, id_=str(number)) for number in range(1_000)))
    assert (await data.alice.configure("/data?lifecycle", body)).status == 200


async def test_expiration_is_told_of_what_will_expire(data: Store) -> None:
    """NOW is 2026-09-21 14:13:20: three days later is the midnight before the 25th."""
    filtered = "<Filter><Prefix>logs/</Prefix></Filter>" + DAYS
    later = "<Filter><Prefix>logs/</Prefix></Filter>" + DAYS.replace("3", "9")
    body = document(rule(later, id_="later"), rule(filtered, id_="a b"))
    await data.alice.configure("/data?lifecycle", body)
    put = await data.alice.made("/data/logs/1", body=b"x")
    expected = 'expiry-date="Fri, 25 Sep 2026 00:00:00 GMT", rule-id="a b"'
    told = [put, *[await data.alice(method, "/data/logs/1") for method in ("GET", "HEAD")]]
    told.append(
        await data.alice("PUT", "/data/logs/2", headers={"x-amz-copy-source": "data/logs/1"})
    )
    assert {unquote(one.header("x-amz-expiration") or "") for one in told} == {expected}
    other = await data.alice.made("/data/other", body=b"x")
    assert other.header("x-amz-expiration") is None


async def test_expiration_is_not_told_of_old_versions(data: Store) -> None:
    await set_versioning(data.alice, "Enabled")
    await data.alice.configure("/data?lifecycle", document(rule(DAYS)))
    version_id = (await data.alice.made("/data/key", body=b"1")).header("x-amz-version-id")
    old = await data.alice("GET", f"/data/key?versionId={version_id}")
    assert old.header("x-amz-expiration") is None


@pytest.mark.parametrize("who", [None, "bob"])
async def test_stranger_neither_sees_nor_sets_rules(data: Store, who: str | None) -> None:
    client = data.client(who)
    with data.untouched():
        outcomes = [
            (await client("GET", "/data?lifecycle")).outcome,
            (await client.configure("/data?lifecycle", document(rule(DAYS)))).outcome,
            (await client("DELETE", "/data?lifecycle")).outcome,
        ]
    assert outcomes == [(403, "AccessDenied")] * 3


async def test_what_rules_remove_is_told_as_events(data: Store) -> None:
    await set_versioning(data.alice, "Enabled")
    arn = await make_topic(data.alice, "expiry")
    assert (await configure(data.alice, notify(arn, "s3:LifecycleExpiration:*"))).status == 200
    body = document(rule(DAYS, id_="new"), rule(OLD, id_="old"))
    assert (await data.alice.configure("/data?lifecycle", body)).status == 200
    old = await put(data.alice, b"old")
    await put(data.alice, b"new")
    job = LifecycleJob(
        data.meta,
        buckets=data.services.buckets,
        objects=data.services.objects,
        multipart=data.services.multipart,
        lifecycle=data.services.lifecycle,
        clock=data.clock,
    )
    assert await waiting(data.meta) == []
    for days in (4, 8):
        data.clock.ms += days * DAY_MS
        while (await job.step()).has_more:
            pass
    events = await waiting(data.meta)
    assert [(event.name, event.key) for event in events] == [
        ("LifecycleExpiration:DeleteMarkerCreated", "key"),
        ("LifecycleExpiration:Delete", "key"),
    ]
    marker = (await data.alice("GET", "/data?versions")).text("DeleteMarker/VersionId")
    assert [event.version_id for event in events] == [marker, old]
