"""PutObject: what is stored, what is refused, and under which conditions."""

from __future__ import annotations

import asyncio
import base64
import hashlib

import pytest

from tests.support.served import Store, credential

BODY = b"content of an object"
MD5 = hashlib.md5(BODY).hexdigest()


async def test_object_comes_back_as_it_was_put(data: Store) -> None:
    put = await data.alice("PUT", "/data/key", body=BODY)
    assert (put.status, put.body, put.header("etag")) == (200, b"", f'"{MD5}"')
    got = await data.alice("GET", "/data/key")
    assert (got.status, got.body, got.header("etag")) == (200, BODY, f'"{MD5}"')


async def test_empty_object_has_no_blob(data: Store) -> None:
    put = await data.alice("PUT", "/data/empty")
    assert put.header("etag") == '"d41d8cd98f00b204e9800998ecf8427e"'
    got = await data.alice("GET", "/data/empty")
    assert (got.status, got.body, got.header("content-length")) == (200, b"", "0")
    assert data.pool.blob_count == 0


async def test_second_put_replaces_the_first_and_gives_its_bytes_up(data: Store) -> None:
    await data.alice.made("/data/key", body=b"old")
    await data.alice.made("/data/key", body=b"newer")
    assert (await data.alice("GET", "/data/key")).body == b"newer"
    listed = await data.alice("GET", "/data?list-type=2")
    assert listed.texts("Contents/Size") == ["5"]
    garbage = [key for key, _ in await data.rows() if key.startswith(b"G")]
    assert len(garbage) == 1


async def test_last_modified_rises_though_the_clock_does_not(data: Store) -> None:
    await data.alice.made("/data/key", body=b"1")
    data.clock.ms -= 60_000
    await data.alice.made("/data/key", body=b"2")
    got = await data.alice("GET", "/data/key")
    assert got.header("last-modified") == "Mon, 21 Sep 2026 14:13:20 GMT"


async def test_keys_that_are_prefixes_of_each_other_live_together(data: Store) -> None:
    for key in ("a", "a/", "a/b"):
        await data.alice.made(f"/data/{key}", body=key.encode())
    for key in ("a", "a/", "a/b"):
        assert (await data.alice("GET", f"/data/{key}")).body == key.encode()


async def test_default_checksum_is_told(data: Store) -> None:
    put = await data.alice("PUT", "/data/key", body=BODY)
    assert put.header("x-amz-checksum-crc64nvme") is not None
    assert put.header("x-amz-checksum-type") == "FULL_OBJECT"


async def test_declared_checksum_is_stored(data: Store) -> None:
    digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    header = {"x-amz-checksum-sha256": digest}
    put = await data.alice("PUT", "/data/key", body=BODY, headers=header)
    assert put.header("x-amz-checksum-sha256") == digest
    plain = await data.alice("GET", "/data/key")
    asked = await data.alice("GET", "/data/key", headers={"x-amz-checksum-mode": "ENABLED"})
    assert plain.header("x-amz-checksum-sha256") is None
    assert asked.header("x-amz-checksum-sha256") == digest


async def test_if_none_match_creates_once(data: Store) -> None:
    only_new = {"if-none-match": "*"}
    await data.alice.made("/data/key", body=b"first", headers=only_new)
    with data.untouched():
        answer = await data.alice("PUT", "/data/key", body=b"second", headers=only_new)
    assert answer.outcome == (412, "PreconditionFailed")
    assert answer.text("Condition") == "If-None-Match"
    assert (await data.alice("GET", "/data/key")).body == b"first"


async def test_if_match_replaces_only_what_it_names(data: Store) -> None:
    etag = (await data.alice.made("/data/key", body=b"first")).header("etag") or ""
    wrong = await data.alice("PUT", "/data/key", body=b"x", headers={"if-match": '"0123"'})
    assert wrong.outcome == (412, "PreconditionFailed")
    right = await data.alice("PUT", "/data/key", body=b"second", headers={"if-match": etag})
    assert right.status == 200
    again = await data.alice("PUT", "/data/key", body=b"third", headers={"if-match": etag})
    assert again.outcome == (412, "PreconditionFailed")
    assert (await data.alice("GET", "/data/key")).body == b"second"


async def test_if_match_on_a_missing_key_finds_nothing(data: Store) -> None:
    answer = await data.alice("PUT", "/data/key", body=b"x", headers={"if-match": '"0123"'})
    assert answer.outcome == (404, "NoSuchKey")


async def test_if_none_match_with_a_tag_is_not_implemented(data: Store) -> None:
    answer = await data.alice("PUT", "/data/key", headers={"if-none-match": '"0123"'})
    assert answer.outcome == (501, "NotImplemented")


async def test_append_is_not_implemented(data: Store) -> None:
    answer = await data.alice("PUT", "/data/key", headers={"x-amz-write-offset-bytes": "0"})
    assert answer.outcome == (501, "NotImplemented")


@pytest.mark.parametrize("who", [None, "bob"])
async def test_stranger_stores_nothing(data: Store, who: str | None) -> None:
    with data.untouched():
        answer = await data.client(who)("PUT", "/data/key", body=BODY)
    assert answer.outcome == (403, "AccessDenied")


@pytest.mark.parametrize("who", [None, "bob"])
async def test_public_read_is_no_leave_to_write(store: Store, who: str | None) -> None:
    await store.alice.made("/data", headers={"x-amz-acl": "public-read"})
    with store.untouched():
        answer = await store.client(who)("PUT", "/data/key", body=BODY)
    assert answer.outcome == (403, "AccessDenied")


@pytest.mark.parametrize("who", [None, "bob"])
async def test_anybody_writes_into_a_public_read_write_bucket(
    store: Store, who: str | None
) -> None:
    await store.alice.made("/data", headers={"x-amz-acl": "public-read-write"})
    await store.client(who).made("/data/key", body=BODY)
    assert (await store.alice("GET", "/data/key")).body == BODY


async def test_owner_reads_what_others_stored_privately(store: Store) -> None:
    await store.alice.made("/data", headers={"x-amz-acl": "public-read-write"})
    await store.bob.made("/data/key", body=BODY, headers={"x-amz-acl": "private"})
    assert (await store.alice("GET", "/data/key")).body == BODY
    assert (await store.bob("GET", "/data/key")).body == BODY
    assert (await store.nobody("GET", "/data/key")).outcome == (403, "AccessDenied")


async def test_expected_owner_must_be_the_owner(data: Store) -> None:
    wrong = {"x-amz-expected-bucket-owner": credential("bob").principal.id}
    with data.untouched():
        answer = await data.alice("PUT", "/data/key", body=BODY, headers=wrong)
    assert answer.outcome == (403, "AccessDenied")


async def test_declared_length_of_zero_is_an_empty_object(data: Store) -> None:
    put = await data.alice("PUT", "/data/key", headers={"content-length": "0"})
    assert put.status == 200


async def test_bytes_that_a_failed_commit_leaves_are_freed(data: Store) -> None:
    only_new = {"if-none-match": "*"}
    answer = await data.alice("PUT", "/data/key", body=b"one", headers=only_new)
    assert answer.status == 200
    assert data.pool.blob_count == 1
    await data.alice("PUT", "/data/key", body=b"two", headers=only_new)
    assert data.pool.blob_count == 1


async def test_of_many_at_once_one_creates(data: Store) -> None:
    only_new = {"if-none-match": "*"}
    answers = await asyncio.gather(
        *(
            data.alice("PUT", "/data/key", body=b"%d" % number, headers=only_new)
            for number in range(20)
        )
    )
    assert sorted(answer.status for answer in answers) == [200] + [412] * 19
    (winner,) = [number for number, answer in enumerate(answers) if answer.status == 200]
    assert (await data.alice("GET", "/data/key")).body == b"%d" % winner
    assert data.pool.blob_count == 1


@pytest.mark.parametrize(
    ("sent", "told"), [("aws-chunked", None), ("gzip, aws-chunked", "gzip"), ("gzip", "gzip")]
)
async def test_plain_body_is_stored_without_the_word_of_a_framing(
    data: Store, sent: str, told: str | None
) -> None:
    await data.alice.made("/data/key", body=b"plain", headers={"content-encoding": sent})
    got = await data.alice("GET", "/data/key")
    assert (got.body, got.header("content-encoding")) == (b"plain", told)
