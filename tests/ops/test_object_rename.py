"""RenameObject: another key in one commit, with all that belongs to the object."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from s3server.core.project_records import QuotaRecord, bucket_scope
from s3server.core.quotas import Quotas
from tests.ops.test_bucket_versioning import set_versioning
from tests.ops.test_object_annotations import annotate, bytes_counted, uses
from tests.support.asgi_client import Answer, Client
from tests.support.served import Store


async def rename(
    client: Client, target: str = "/data/new", source: str = "data/key", **headers: str
) -> Answer:
    sent = {"x-amz-rename-source": source}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await client("PUT", f"{target}?renameObject", headers=sent)


async def keys(store: Store) -> list[str]:
    return (await store.alice("GET", "/data?list-type=2")).texts("Contents/Key")


@pytest.fixture
async def kept(data: Store) -> Store:
    headers = {"x-amz-meta-a": "1", "x-amz-tagging": "b=2", "content-type": "text/csv"}
    await data.alice.made("/data/key", body=b"content", headers=headers)
    await annotate(data.alice, "notes")
    return data


async def test_object_has_another_key_and_all_that_it_had(kept: Store) -> None:
    before = await kept.alice("HEAD", "/data/key")
    calls = kept.pool.calls
    answer = await rename(kept.alice)
    assert (answer.status, answer.body, kept.pool.calls) == (200, b"", calls)
    assert await keys(kept) == ["new"]
    after = await kept.alice("GET", "/data/new")
    assert after.body == b"content"
    for name in ("etag", "x-amz-meta-a", "content-type", "x-amz-tagging-count"):
        assert after.header(name) == before.header(name), name
    text = await kept.alice("GET", "/data/new?annotation&annotationName=notes")
    assert text.body == b"text"
    assert (await uses(kept), await bytes_counted(kept)) == (2, 7 + 4)


async def test_what_lies_there_is_replaced_unless_the_condition_forbids(kept: Store) -> None:
    there = (await kept.alice("PUT", "/data/new", body=b"there")).header("etag") or ""
    for header, value in (("if_none_match", "*"), ("if_match", '"0123"')):
        answer = await rename(kept.alice, **{header: value})
        assert answer.outcome == (412, "PreconditionFailed")
    assert await keys(kept) == ["key", "new"]
    assert (await rename(kept.alice, if_match=there)).status == 200
    assert await keys(kept) == ["new"]
    assert (await uses(kept), await bytes_counted(kept)) == (2, 7 + 4)


async def test_conditions_on_the_source_decide(kept: Store) -> None:
    wrong = await rename(kept.alice, x_amz_rename_source_if_match='"0123"')
    assert wrong.outcome == (412, "PreconditionFailed")
    later = await rename(
        kept.alice, x_amz_rename_source_if_unmodified_since="Mon, 21 Sep 2020 14:13:20 GMT"
    )
    assert later.outcome == (412, "PreconditionFailed")
    assert await keys(kept) == ["key"]


async def test_request_that_is_sent_again_is_answered_as_before(kept: Store) -> None:
    for _ in range(2):
        assert (await rename(kept.alice, x_amz_client_token="one")).status == 200
    other = await rename(kept.alice, source="data/other", x_amz_client_token="one")
    assert other.outcome == (400, "IdempotencyParameterMismatch")
    assert (await rename(kept.alice, x_amz_client_token="two")).outcome == (404, "NoSuchKey")
    assert (await rename(kept.alice)).outcome == (404, "NoSuchKey")


async def test_versions_stay_under_the_old_key(kept: Store) -> None:
    await set_versioning(kept.alice, "Enabled")
    assert (await rename(kept.alice)).status == 200
    assert await keys(kept) == ["new"]
    listed = await kept.alice("GET", "/data?versions")
    assert listed.texts("Version/Key") == ["key", "new"]
    assert listed.texts("DeleteMarker/Key") == ["key"]
    assert (await kept.alice("GET", "/data/key?versionId=null")).body == b"content"
    assert await uses(kept) == 4


BAD: dict[str, tuple[str, dict[str, Any], tuple[int, str]]] = {
    "another bucket": ("/data/new", {"source": "other/key"}, (400, "InvalidArgument")),
    "itself": ("/data/key", {}, (400, "InvalidRequest")),
    "a version": ("/data/new", {"source": "data/key?versionId=null"}, (400, "InvalidArgument")),
    "no key": ("/data/new", {"source": "data"}, (400, "InvalidArgument")),
    "nothing there": ("/data/new", {"source": "data/no"}, (404, "NoSuchKey")),
    "a long token": ("/data/new", {"x_amz_client_token": "t" * 65}, (400, "InvalidArgument")),
    "a token of blanks": ("/data/new", {"x_amz_client_token": "a b"}, (400, "InvalidArgument")),
}


@pytest.mark.parametrize("what", BAD)
async def test_bad_rename_changes_nothing(kept: Store, what: str) -> None:
    target, more, outcome = BAD[what]
    before = await kept.rows()
    assert (await rename(kept.alice, target, **more)).outcome == outcome
    assert await kept.rows() == before


async def test_stranger_needs_every_right(kept: Store) -> None:
    needed = ["s3:RenameObject", "s3:GetObject", "s3:DeleteObject", "s3:PutObject"]
    for given in [[one for one in needed if one != missing] for missing in needed]:
        await allow(kept, given)
        assert (await rename(kept.bob)).outcome == (403, "AccessDenied"), given
    await allow(kept, needed)
    assert (await rename(kept.bob)).status == 200


async def allow(store: Store, actions: list[str]) -> None:
    statement = {"Effect": "Allow", "Principal": "*", "Action": actions,
                 "Resource": "arn:aws:s3:::data/*"}  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()
    assert (await store.alice.sent("/data?policy", document)).status == 204


async def test_version_that_a_rename_makes_is_one_more_to_quota_and_lock(kept: Store) -> None:
    bucket = await kept.services.buckets.get("data")
    await set_versioning(kept.alice, "Enabled")
    rule = "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule>"
    lock = f"<ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}"
    document = f"<ObjectLockConfiguration>{lock}</ObjectLockConfiguration>".encode()
    assert (await kept.alice.configure("/data?object-lock", document)).status == 200
    await Quotas(kept.meta).put(bucket_scope(bucket.id), QuotaRecord(bytes=21))
    assert (await rename(kept.alice)).outcome == (403, "QuotaExceeded")
    assert await keys(kept) == ["key"]
    await Quotas(kept.meta).put(bucket_scope(bucket.id), QuotaRecord(bytes=22))
    assert (await rename(kept.alice)).status == 200
    head = await kept.alice("HEAD", "/data/new")
    assert head.header("x-amz-object-lock-mode") == "GOVERNANCE"


async def test_of_two_that_rename_the_same_one_succeeds(kept: Store) -> None:
    answers = await asyncio.gather(
        *(rename(kept.alice, f"/data/new{number}") for number in range(8))
    )
    assert sorted(answer.status for answer in answers) == [200] + [404] * 7
    assert len(await keys(kept)) == 1
    assert await uses(kept) == 2
