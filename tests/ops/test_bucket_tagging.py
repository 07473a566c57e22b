"""PutBucketTagging, GetBucketTagging, DeleteBucketTagging."""

from __future__ import annotations

import pytest

from tests.ops.test_object_tagging import Tags, document, tags_of
from tests.support.served import Store


async def test_tags_are_set_told_and_removed(data: Store) -> None:
    assert (await data.alice("GET", "/data?tagging")).outcome == (404, "NoSuchTagSet")
    for tags in ([("project", "STORM"), ("until", "2027")], [("a", "")]):
        answer = await data.alice.configure("/data?tagging", document(tags))
        assert (answer.status, answer.body) == (204, b"")
        assert await tags_of(data.alice, "/data?tagging") == tags
    assert (await data.alice("DELETE", "/data?tagging")).status == 204
    assert (await data.alice("GET", "/data?tagging")).outcome == (404, "NoSuchTagSet")
    assert (await data.alice("DELETE", "/data?tagging")).status == 204


@pytest.mark.parametrize(
    ("tags", "outcome"),
    [
        ([(f"k{n}", "v") for n in range(50)], (204, "")),
        ([(f"k{n}", "v") for n in range(51)], (400, "BadRequest")),
        ([("aws:x", "v")], (400, "InvalidTag")),
        ([("a", "1"), ("a", "1")], (400, "InvalidTag")),
        ([("k" * 129, "v")], (400, "InvalidTag")),
    ],
)
async def test_limits_are_those_of_s3(data: Store, tags: Tags, outcome: tuple[int, str]) -> None:
    answer = await data.alice.configure("/data?tagging", document(tags))
    assert (answer.status, answer.code if answer.status > 204 else "") == outcome


async def test_bucket_is_created_with_tags(store: Store) -> None:
    body = (
        b"<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>1</Value></Tag></Tags>"
        b"</CreateBucketConfiguration>"
    )
    await store.alice.made("/data", body=body)
    assert await tags_of(store.alice, "/data?tagging") == [("a", "1")]


@pytest.mark.parametrize("who", [None, "bob"])
async def test_stranger_neither_sees_nor_sets_tags(data: Store, who: str | None) -> None:
    client = data.client(who)
    with data.untouched():
        outcomes = [
            (await client("GET", "/data?tagging")).outcome,
            (await client.configure("/data?tagging", document([]))).outcome,
            (await client("DELETE", "/data?tagging")).outcome,
        ]
    assert outcomes == [(403, "AccessDenied")] * 3
