"""What is stored of an object beside its bytes, and how it comes back."""

from __future__ import annotations

import pytest

from tests.support.served import Store


async def test_system_headers_come_back(data: Store) -> None:
    sent = {
        "content-type": "text/csv; charset=utf-8",
        "cache-control": "max-age=3600",
        "content-disposition": 'attachment; filename="été.csv"',
        "content-encoding": "gzip",
        "content-language": "fr",
        "expires": "Thu, 01 Dec 2033 16:00:00 GMT",
    }
    await data.alice.made("/data/key", body=b"x", headers=sent)
    for method in ("GET", "HEAD"):
        answer = await data.alice(method, "/data/key")
        told = {name: answer.header(name) for name in sent}
        assert told == sent


async def test_expires_that_is_no_date_comes_back_as_it_was_sent(data: Store) -> None:
    await data.alice.made("/data/key", body=b"x", headers={"expires": "never"})
    assert (await data.alice("GET", "/data/key")).header("expires") == "never"


async def test_content_type_has_a_default(data: Store) -> None:
    await data.alice.made("/data/key", body=b"x")
    assert (await data.alice("HEAD", "/data/key")).header("content-type") == "binary/octet-stream"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("aws-chunked,gzip", "gzip"),
        ("gzip, br", "gzip,br"),
        ("identity", "identity"),
    ],
)
async def test_content_encoding_is_stored_without_aws_chunked(
    data: Store, sent: str, told: str
) -> None:
    headers = {"content-encoding": sent, "x-amz-decoded-content-length": "4"}
    answer = await data.alice(
        "PUT",
        "/data/key",
        body=b"4\r\nbyte\r\n0\r\n\r\n",
        headers=headers,
        payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    )
    assert answer.status == 200, answer.body
    got = await data.alice("GET", "/data/key")
    assert (got.header("content-encoding"), got.body) == (told, b"byte")


async def test_metadata_comes_back_with_dots_and_utf_8(data: Store) -> None:
    sent = {
        "x-amz-meta-stac.item": "sentinel-2",
        "x-amz-meta-site": "Université",
        "X-Amz-Meta-CASE": "Value",
        "x-amz-meta-empty": "",
    }
    await data.alice.made("/data/key", body=b"x", headers=sent)
    got = await data.alice("HEAD", "/data/key")
    told = {name: value for name, value in got.headers if name.startswith("x-amz-meta-")}
    assert told == {
        "x-amz-meta-stac.item": "sentinel-2",
        "x-amz-meta-site": "Université",
        "x-amz-meta-case": "Value",
        "x-amz-meta-empty": "",
    }


@pytest.mark.parametrize(
    ("size", "outcome"), [(2_047, (200, "")), (2_048, (400, "MetadataTooLarge"))]
)
async def test_metadata_has_two_kilobytes_of_names_and_values(
    data: Store, size: int, outcome: tuple[int, str]
) -> None:
    header = {"x-amz-meta-n": "v" * size}
    answer = await data.alice("PUT", "/data/key", headers=header)
    assert answer.outcome == outcome


async def test_metadata_beyond_ascii_counts_in_bytes_of_utf_8(data: Store) -> None:
    header = {"x-amz-meta-n": "é" * 1_024}
    assert (await data.alice("PUT", "/data/key", headers=header)).code == "MetadataTooLarge"


@pytest.mark.parametrize("name", ["sequence", "blob", "owner", "x-amz-acl", "x-internal-source"])
async def test_metadata_never_reaches_the_fields_of_the_record(data: Store, name: str) -> None:
    await data.alice.made("/data/key", body=b"x", headers={f"x-amz-meta-{name}": "root"})
    got = await data.alice("GET", "/data/key")
    assert (got.body, got.header(f"x-amz-meta-{name}")) == (b"x", "root")
    assert (await data.nobody("GET", "/data/key")).outcome == (403, "AccessDenied")


READERS = {
    "private": set(),
    "public-read": {None, "bob"},
    "public-read-write": {None, "bob"},
    "authenticated-read": {"bob"},
    "bucket-owner-read": set(),
    "bucket-owner-full-control": set(),
}


@pytest.mark.parametrize("bucket_acl", ["private", "public-read"])
@pytest.mark.parametrize("acl", sorted(READERS))
async def test_acl_of_an_object_replaces_that_of_its_bucket(
    store: Store, acl: str, bucket_acl: str
) -> None:
    await store.alice.made("/data", headers={"x-amz-acl": bucket_acl})
    await store.alice.made("/data/key", body=b"x", headers={"x-amz-acl": acl})
    for who in (None, "bob", "alice", "root"):
        allowed = who in READERS[acl] or who in ("alice", "root")
        status = 200 if allowed else 403
        assert (who, (await store.client(who)("GET", "/data/key")).status) == (who, status)
        assert (who, (await store.client(who)("HEAD", "/data/key")).status) == (who, status)


@pytest.mark.parametrize(
    ("acl", "readers"),
    [
        ("private", {"alice", "root"}),
        ("public-read", {None, "bob", "alice", "root"}),
        ("public-read-write", {None, "bob", "alice", "root"}),
        ("authenticated-read", {"bob", "alice", "root"}),
    ],
)
async def test_plain_object_follows_its_bucket(
    store: Store, acl: str, readers: set[str | None]
) -> None:
    await store.alice.made("/data", headers={"x-amz-acl": acl})
    await store.alice.made("/data/key", body=b"x")
    for target in ("/data/key", "/data", "/data?list-type=2", "/data/missing"):
        allowed = {
            who
            for who in (None, "bob", "alice", "root")
            if (await store.client(who)("GET", target)).status != 403
        }
        assert (target, allowed) == (target, readers)


async def test_object_acl_that_does_not_exist_is_refused(data: Store) -> None:
    with data.untouched():
        answer = await data.alice("PUT", "/data/key", headers={"x-amz-acl": "everybody"})
    assert answer.outcome == (400, "InvalidArgument")
    assert answer.text("ArgumentName") == "x-amz-acl"
