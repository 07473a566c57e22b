"""CreateBucket, HeadBucket, GetBucketLocation, DeleteBucket."""

from __future__ import annotations

import pytest

from s3server.core.records import BucketRecord, bucket_key, decode
from tests.support.served import Store, credential

ALICE = credential("alice").principal.id


async def test_created_bucket_is_there_and_private(store: Store) -> None:
    answer = await store.alice("PUT", "/photos")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("location") == "/photos"
    assert (await store.alice("HEAD", "/photos")).status == 200
    assert (await store.nobody("GET", "/photos")).outcome == (403, "AccessDenied")
    assert (await store.bob("GET", "/photos")).outcome == (403, "AccessDenied")


async def test_slash_behind_the_name_is_still_the_bucket(store: Store) -> None:
    await store.alice.made("/photos/")
    assert (await store.alice("HEAD", "/photos")).status == 200


async def test_own_bucket_cannot_be_created_again(data: Store) -> None:
    answer = await data.alice("PUT", "/data")
    assert answer.outcome == (409, "BucketAlreadyOwnedByYou")
    assert answer.text("BucketName") == "data"


async def test_bucket_of_another_cannot_be_created(data: Store) -> None:
    assert (await data.bob("PUT", "/data")).outcome == (409, "BucketAlreadyExists")


async def test_nobody_cannot_create_a_bucket(store: Store) -> None:
    with store.untouched():
        answer = await store.nobody("PUT", "/photos")
    assert answer.outcome == (403, "AccessDenied")


def location(region: str) -> bytes:
    return (
        '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
    ).encode()


async def test_location_is_the_region_of_the_store() -> None:
    store = Store(region="fr-clermont-mesocentre")
    await store.alice.made("/data", body=location("fr-clermont-mesocentre"))
    answer = await store.alice("GET", "/data?location")
    assert answer.document.tag == "LocationConstraint"
    assert answer.document.text == "fr-clermont-mesocentre"
    head = await store.alice("HEAD", "/data")
    assert head.header("x-amz-bucket-region") == "fr-clermont-mesocentre"


async def test_location_of_us_east_1_is_empty(data: Store) -> None:
    assert (await data.alice("GET", "/data?location")).document.text is None


async def test_other_region_is_refused(store: Store) -> None:
    answer = await store.alice("PUT", "/data", body=location("eu-west-9"))
    assert answer.outcome == (400, "IllegalLocationConstraintException")
    assert (await store.alice("HEAD", "/data")).status == 404


async def test_alias_of_the_region_is_accepted() -> None:
    store = Store(region_aliases=("eu-west-9",))
    assert (await store.alice("PUT", "/data", body=location("eu-west-9"))).status == 200


async def pool_of(store: Store, bucket: str) -> str:
    rows = dict(await store.rows())
    return decode(BucketRecord, rows[bucket_key(bucket)]).pool


@pytest.mark.parametrize(
    ("constraint", "pool"),
    [
        ("us-east-1:fast", "fast"),
        (":fast", "fast"),
        ("us-east-1:", "default"),
        ("us-east-1:default", "default"),
    ],
)
async def test_pool_is_chosen_behind_the_region(constraint: str, pool: str) -> None:
    store = Store(more_pools=("fast",))
    await store.alice.made("/data", body=location(constraint))
    await store.alice("PUT", "/data/key", body=b"bytes")

    assert pool == await pool_of(store, "data")
    assert (await store.alice("GET", "/data/key")).body == b"bytes"
    assert (await store.alice("GET", "/data?location")).document.text is None


async def test_bucket_without_a_constraint_is_in_the_default_pool() -> None:
    store = Store(more_pools=("fast",))
    await store.alice.made("/data")
    assert await pool_of(store, "data") == "default"


@pytest.mark.parametrize("constraint", ["us-east-1:slow", ":slow", "us-east-1:fast:2"])
async def test_pool_that_is_not_there_creates_nothing(constraint: str) -> None:
    store = Store(more_pools=("fast",))
    with store.untouched():
        answer = await store.alice("PUT", "/data", body=location(constraint))
    assert answer.outcome == (400, "InvalidLocationConstraint")
    assert (await store.alice("HEAD", "/data")).status == 404


async def test_pool_of_another_region_is_refused() -> None:
    store = Store(more_pools=("fast",))
    answer = await store.alice("PUT", "/data", body=location("eu-west-9:fast"))
    assert answer.outcome == (400, "IllegalLocationConstraintException")


@pytest.mark.parametrize(
    "acl", ["private", "public-read", "public-read-write", "authenticated-read"]
)
async def test_canned_acl_is_accepted(store: Store, acl: str) -> None:
    assert (await store.alice("PUT", "/data", headers={"x-amz-acl": acl})).status == 200


@pytest.mark.parametrize("acl", ["aws-exec-read", "bucket-owner-read", "Public-Read", ""])
async def test_other_acl_creates_nothing(store: Store, acl: str) -> None:
    answer = await store.alice("PUT", "/data", headers={"x-amz-acl": acl})
    assert answer.outcome == (400, "InvalidArgument")
    assert answer.text("ArgumentName") == "x-amz-acl"
    assert (await store.alice("HEAD", "/data")).status == 404


@pytest.mark.parametrize(
    "header",
    [
        {"x-amz-bucket-namespace": "account-regional"},
    ],
)
async def test_what_would_be_ignored_is_not_implemented(
    store: Store, header: dict[str, str]
) -> None:
    answer = await store.alice("PUT", "/data", headers=header)
    assert answer.outcome == (501, "NotImplemented")
    assert (await store.alice("HEAD", "/data")).status == 404


async def test_missing_bucket_is_missing_everywhere(store: Store) -> None:
    assert (await store.alice("HEAD", "/missing")).status == 404
    for method, target in (
        ("GET", "/missing?location"),
        ("DELETE", "/missing"),
        ("GET", "/missing"),
        ("GET", "/missing/key"),
        ("PUT", "/missing/key"),
    ):
        answer = await store.alice(method, target)
        assert (answer.outcome, answer.text("BucketName")) == ((404, "NoSuchBucket"), "missing")


async def test_head_of_a_private_bucket_tells_strangers_nothing(data: Store) -> None:
    answer = await data.nobody("HEAD", "/data")
    assert (answer.status, answer.body) == (403, b"")


async def test_empty_bucket_is_deleted(data: Store) -> None:
    answer = await data.alice("DELETE", "/data")
    assert (answer.status, answer.body) == (204, b"")
    assert (await data.alice("HEAD", "/data")).status == 404
    left = {key.rpartition(b"\0")[2]: row for key, row in await data.rows()}
    assert left == {b"buckets": bytes(8)}  # of alice and her project: none


async def test_name_is_free_once_deleted(data: Store) -> None:
    await data.alice.made("/data", method="DELETE")
    await data.bob.made("/data")
    assert (await data.bob("GET", "/")).texts("Buckets/Bucket/Name") == ["data"]


async def test_bucket_with_an_object_stays(data: Store) -> None:
    await data.alice.made("/data/key", body=b"content")
    assert (await data.alice("DELETE", "/data")).outcome == (409, "BucketNotEmpty")
    assert (await data.alice("GET", "/data/key")).body == b"content"


async def test_upload_in_progress_does_not_keep_a_bucket(data: Store) -> None:
    for number in range(3):
        await data.alice.made(f"/data/key{number}?uploads", method="POST")
    assert (await data.alice("DELETE", "/data")).status == 204
    assert (await data.alice("HEAD", "/data")).status == 404


@pytest.mark.parametrize("who", [None, "bob"])
async def test_stranger_deletes_no_bucket(data: Store, who: str | None) -> None:
    with data.untouched():
        answer = await data.client(who)("DELETE", "/data")
    assert answer.outcome == (403, "AccessDenied")
    assert (await data.alice("HEAD", "/data")).status == 200


@pytest.mark.parametrize(
    ("method", "target"), [("HEAD", "/data"), ("GET", "/data?location"), ("DELETE", "/data")]
)
async def test_expected_owner_must_be_the_owner(data: Store, method: str, target: str) -> None:
    wrong = {"x-amz-expected-bucket-owner": "somebody"}
    right = {"x-amz-expected-bucket-owner": ALICE}
    assert (await data.alice(method, target, headers=wrong)).status == 403
    assert (await data.alice(method, target, headers=right)).status in (200, 204)
