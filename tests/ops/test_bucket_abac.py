"""PutBucketAbac, GetBucketAbac: tags of buckets in the conditions of policies."""

from __future__ import annotations

import json

import pytest

from tests.ops.test_object_tagging import document
from tests.support.served import Store

DENIED = (403, "AccessDenied")


def status(text: str) -> bytes:
    return f"<AbacStatus><Status>{text}</Status></AbacStatus>".encode()


async def obey(store: Store, key: str, effect: str = "Allow") -> None:
    """Give the bucket a policy that asks for one of its tags."""
    statement = {
        "Effect": effect, "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/*"],
        "Condition": {"StringEquals": {key: "open"}},
    }  # fmt: skip
    text = json.dumps({"Version": "2012-10-17", "Statement": statement}).encode()
    assert (await store.alice.sent("/data?policy", text)).status == 204


async def tag(store: Store, *tags: tuple[str, str]) -> None:
    assert (await store.alice.configure("/data?tagging", document(tags))).status == 204


@pytest.fixture
async def kept(data: Store) -> Store:
    await data.alice.made("/data/key", body=b"content")
    return data


@pytest.mark.parametrize("key", ["aws:ResourceTag/kind", "s3:BucketTag/kind"])
async def test_tag_of_the_bucket_decides_once_it_may(kept: Store, key: str) -> None:
    await obey(kept, key)
    await tag(kept, ("kind", "open"))
    assert (await kept.bob("GET", "/data/key")).outcome == DENIED
    assert (await kept.alice.configure("/data?abac", status("Enabled"))).status == 200
    assert (await kept.bob("GET", "/data/key")).status == 200
    assert (await kept.bob("GET", "/data")).status == 200
    await tag(kept, ("kind", "closed"))
    assert (await kept.bob("GET", "/data/key")).outcome == DENIED
    await tag(kept, ("Kind", "closed"), ("kind", "open"))  # which of them?
    assert (await kept.bob("GET", "/data/key")).outcome == DENIED
    await tag(kept, ("kind", "open"))
    assert (await kept.alice.configure("/data?abac", status("Disabled"))).status == 200
    assert (await kept.bob("GET", "/data/key")).outcome == DENIED


async def test_deny_by_a_tag_holds_for_the_owner(kept: Store) -> None:
    await kept.alice.configure("/data?abac", status("Enabled"))
    await obey(kept, "aws:ResourceTag/kind", "Deny")
    assert (await kept.alice("GET", "/data/key")).status == 200
    await tag(kept, ("kind", "open"))
    assert (await kept.alice("GET", "/data/key")).outcome == DENIED


async def test_status_is_told(kept: Store) -> None:
    assert (await kept.alice("GET", "/data?abac")).text("Status") == "Disabled"
    await kept.alice.configure("/data?abac", status("Enabled"))
    answer = await kept.alice("GET", "/data?abac")
    assert (answer.document.tag, answer.text("Status")) == ("AbacStatus", "Enabled")
    assert (await kept.bob("GET", "/data?abac")).outcome == DENIED
    assert (await kept.bob.configure("/data?abac", status("Enabled"))).outcome == DENIED


@pytest.mark.parametrize("body", [b"<AbacStatus/>", status("On"), b"<Abac"])
async def test_malformed_status_is_refused(kept: Store, body: bytes) -> None:
    answer = await kept.alice.configure("/data?abac", body)
    assert answer.outcome == (400, "MalformedXML")
