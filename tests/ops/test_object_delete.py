"""DeleteObject and DeleteObjects."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from xml.sax.saxutils import escape

import pytest

from tests.support.asgi_client import Answer, Client
from tests.support.served import Store


def document(keys: Sequence[str], *, quiet: bool = False, extra: str = "") -> bytes:
    objects = "".join(f"<Object><Key>{escape(key)}</Key>{extra}</Object>" for key in keys)
    start = "<Quiet>true</Quiet>" if quiet else ""
    return f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{start}{objects}</Delete>'.encode()


async def delete(
    client: Client, body: bytes, bucket: str = "data", *, headers: dict[str, str] | None = None
) -> Answer:
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    headers = {"content-md5": digest, **(headers or {})}
    return await client("POST", f"/{bucket}?delete", body=body, headers=headers)


@pytest.fixture
async def three(data: Store) -> Store:
    for key in ("a", "b", "c"):
        await data.alice.made(f"/data/{key}", body=key.encode())
    return data


async def keys_of(store: Store) -> list[str]:
    return (await store.alice("GET", "/data?list-type=2")).texts("Contents/Key")


async def test_key_is_deleted(three: Store) -> None:
    answer = await three.alice("DELETE", "/data/b")
    assert (answer.status, answer.body) == (204, b"")
    assert await keys_of(three) == ["a", "c"]


async def test_deleting_what_is_not_there_is_no_error(three: Store) -> None:
    with three.untouched():
        answer = await three.alice("DELETE", "/data/missing")
    assert answer.status == 204


@pytest.mark.parametrize("who", [None, "bob"])
async def test_stranger_deletes_nothing(three: Store, who: str | None) -> None:
    with three.untouched():
        answer = await three.client(who)("DELETE", "/data/b")
        many = await delete(three.client(who), document(["a"]))
    assert answer.outcome == (403, "AccessDenied")
    assert many.outcome == (403, "AccessDenied")
    assert await keys_of(three) == ["a", "b", "c"]


async def test_many_keys_are_deleted_and_told(three: Store) -> None:
    answer = await delete(three.alice, document(["c", "a", "missing"]))
    assert answer.status == 200
    assert answer.document.tag == "DeleteResult"
    assert answer.texts("Deleted/Key") == ["c", "a", "missing"]
    assert answer.texts("Error/Key") == []
    assert await keys_of(three) == ["b"]


async def test_quiet_tells_only_errors(three: Store) -> None:
    answer = await delete(three.alice, document(["a", "k" * 1_025], quiet=True))
    assert answer.texts("Deleted/Key") == []
    assert answer.texts("Error/Key") == ["k" * 1_025]
    assert answer.texts("Error/Code") == ["KeyTooLongError"]
    assert await keys_of(three) == ["b", "c"]


async def test_same_key_twice_is_deleted_once_and_told_twice(three: Store) -> None:
    answer = await delete(three.alice, document(["a", "a"]))
    assert answer.texts("Deleted/Key") == ["a", "a"]
    assert await keys_of(three) == ["b", "c"]
    counters = [key for key, _ in await three.rows() if key.startswith(b"N")]
    assert len(counters) == 2


async def test_null_version_of_an_entry_is_the_object(three: Store) -> None:
    answer = await delete(three.alice, document(["a"], extra="<VersionId>null</VersionId>"))
    assert answer.texts("Deleted/Key") == ["a"]
    assert await keys_of(three) == ["b", "c"]


async def test_entries_with_and_without_version_are_told_apart(three: Store) -> None:
    body = (
        b"<Delete><Object><Key>a</Key></Object>"
        b"<Object><Key>a</Key><VersionId>3</VersionId></Object></Delete>"
    )
    answer = await delete(three.alice, body)
    assert answer.texts("Deleted/Key") == ["a"]
    assert answer.texts("Error/Key") == ["a"]
    assert answer.texts("Error/VersionId") == ["3"]


@pytest.mark.parametrize("count", [0, 1_001])
async def test_request_has_1_to_1000_keys(three: Store, count: int) -> None:
    with three.untouched():
        answer = await delete(three.alice, document([f"{at}" for at in range(count)]))
    assert answer.outcome == (400, "MalformedXML")


async def test_thousand_keys_of_1024_bytes_are_deleted(data: Store) -> None:
    keys = [f"{at:04}" + "&" * 1_020 for at in range(1_000)]
    await data.alice.made("/data/" + "0999" + "%26" * 1_020, body=b"x")
    answer = await delete(data.alice, document(keys))
    assert len(answer.texts("Deleted/Key")) == 1_000
    assert await keys_of(data) == []


async def test_body_needs_a_digest(three: Store) -> None:
    with three.untouched():
        answer = await three.alice("POST", "/data?delete", body=document(["a"]))
    assert answer.outcome == (400, "InvalidRequest")


async def test_wrong_digest_deletes_nothing(three: Store) -> None:
    wrong = {"content-md5": base64.b64encode(bytes(16)).decode()}
    with three.untouched():
        answer = await three.alice("POST", "/data?delete", body=document(["a"]), headers=wrong)
    assert answer.outcome == (400, "BadDigest")


async def test_checksum_is_digest_enough(three: Store) -> None:
    body = document(["a"])
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    answer = await three.alice(
        "POST", "/data?delete", body=body, headers={"x-amz-checksum-sha256": digest}
    )
    assert answer.texts("Deleted/Key") == ["a"]


async def test_anybody_deletes_from_a_public_read_write_bucket(store: Store) -> None:
    await store.alice.made("/data", headers={"x-amz-acl": "public-read-write"})
    await store.alice.made("/data/key", body=b"x")
    answer = await delete(store.nobody, document(["key"]))
    assert answer.texts("Deleted/Key") == ["key"]


async def test_key_without_text_is_malformed(three: Store) -> None:
    with three.untouched():
        answer = await delete(three.alice, document([""]))
    assert answer.outcome in [(400, "MalformedXML"), (400, "UserKeyMustBeSpecified")]


async def test_key_that_needs_escaping_is_told_as_it_is(three: Store) -> None:
    answer = await delete(three.alice, document(["<a>&'\"", "  b  "]))
    assert answer.texts("Deleted/Key") == ["<a>&'\"", "  b  "]
