"""ListObjects and ListObjectsV2."""

from __future__ import annotations

import base64
import random
from urllib.parse import quote, unquote

import pytest

from s3server.ops.bucket_list import spell_url
from tests.support.asgi_client import Answer
from tests.support.served import Store, credential

KEYS = ["a", "a/", "a/1", "a/2/x", "a0", "b//c", "b/c", "c", "d/e/f", "z"]


@pytest.fixture
async def filled(data: Store) -> Store:
    for key in random.Random(2).sample(KEYS, len(KEYS)):
        await data.alice.made(f"/data/{key}", body=key.encode())
    return data


async def listed(store: Store, query: str, version: int = 2) -> Answer:
    prefix = "list-type=2&" if version == 2 else ""
    answer = await store.alice("GET", f"/data?{prefix}{query}".rstrip("?&"))
    assert answer.status == 200, answer.body
    return answer


@pytest.mark.parametrize("version", [1, 2])
async def test_all_keys_in_the_order_of_their_bytes(filled: Store, version: int) -> None:
    answer = await listed(filled, "", version)
    assert answer.document.tag == "ListBucketResult"
    assert answer.texts("Contents/Key") == KEYS
    assert answer.texts("Contents/Size") == [str(len(key)) for key in KEYS]
    assert answer.text("IsTruncated") == "false"
    assert (answer.text("Name"), answer.text("MaxKeys")) == ("data", "1000")
    assert answer.text("Contents/StorageClass") == "STANDARD"
    assert set(answer.texts("Contents/ChecksumAlgorithm")) == {"CRC64NVME"}


async def test_entry_tells_what_head_tells(filled: Store) -> None:
    answer = await listed(filled, "prefix=c")
    head = await filled.alice("HEAD", "/data/c")
    assert answer.text("Contents/ETag") == head.header("etag")
    assert answer.text("Contents/LastModified") == "2026-09-21T14:13:20.000Z"


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("query", "keys", "prefixes"),
    [
        ("delimiter=/", ["a", "a0", "c", "z"], ["a/", "b/", "d/"]),
        ("delimiter=/&prefix=a", ["a", "a0"], ["a/"]),
        ("delimiter=/&prefix=a/", ["a/", "a/1"], ["a/2/"]),
        ("delimiter=/&prefix=b/", ["b/c"], ["b//"]),
        ("prefix=a/", ["a/", "a/1", "a/2/x"], []),
        ("prefix=nothing", [], []),
        ("delimiter=%2F&prefix=d%2F", [], ["d/e/"]),
        ("delimiter=//", ["a", "a/", "a/1", "a/2/x", "a0", "b/c", "c", "d/e/f", "z"], ["b//"]),
        ("delimiter=", KEYS, []),
        ("prefix=", KEYS, []),
    ],
)
async def test_prefix_and_delimiter(
    filled: Store, version: int, query: str, keys: list[str], prefixes: list[str]
) -> None:
    answer = await listed(filled, query, version)
    assert answer.texts("Contents/Key") == keys
    assert answer.texts("CommonPrefixes/Prefix") == prefixes
    if version == 2:
        assert answer.text("KeyCount") == str(len(keys) + len(prefixes))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
@pytest.mark.parametrize("query", ["", "delimiter=/&", "prefix=a&", "delimiter=/&prefix=a/&"])
async def test_pages_of_version_2_add_up(filled: Store, size: int, query: str) -> None:
    whole = await listed(filled, query)
    keys, prefixes, token = [], [], ""
    while True:
        after = f"&continuation-token={quote(token)}" if token else ""
        page = await listed(filled, f"{query}max-keys={size}{after}")
        keys += page.texts("Contents/Key")
        prefixes += page.texts("CommonPrefixes/Prefix")
        assert len(page.texts("Contents/Key") + page.texts("CommonPrefixes/Prefix")) <= size
        assert page.text("ContinuationToken") == (token or None)
        token = page.text("NextContinuationToken") or ""
        assert page.text("IsTruncated") == ("true" if token else "false")
        if not token:
            break
    assert (keys, prefixes) == (
        whole.texts("Contents/Key"),
        whole.texts("CommonPrefixes/Prefix"),
    )


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("delimiter", ["", "delimiter=/&"])
async def test_pages_of_version_1_add_up(filled: Store, size: int, delimiter: str) -> None:
    """Without delimiter S3 sends no NextMarker: the client goes on behind the last key."""
    whole = await listed(filled, delimiter, 1)
    keys, prefixes, marker = [], [], ""
    while True:
        page = await listed(filled, f"{delimiter}max-keys={size}&marker={quote(marker)}", 1)
        keys += page.texts("Contents/Key")
        prefixes += page.texts("CommonPrefixes/Prefix")
        assert page.text("Marker") == marker
        if page.text("IsTruncated") == "false":
            assert page.text("NextMarker") is None
            break
        assert (page.text("NextMarker") is not None) == bool(delimiter)
        marker = page.text("NextMarker") or page.texts("Contents/Key")[-1]
    assert (keys, prefixes) == (
        whole.texts("Contents/Key"),
        whole.texts("CommonPrefixes/Prefix"),
    )


async def test_start_after_need_not_exist(filled: Store) -> None:
    answer = await listed(filled, "start-after=a/1x")
    assert answer.texts("Contents/Key") == KEYS[3:]
    assert answer.text("StartAfter") == "a/1x"


async def test_token_counts_more_than_start_after(filled: Store) -> None:
    page = await listed(filled, "max-keys=8")
    token = quote(page.text("NextContinuationToken") or "")
    answer = await listed(filled, f"continuation-token={token}&start-after=a")
    assert answer.texts("Contents/Key") == KEYS[8:]


@pytest.mark.parametrize(
    "token", ["x", "%00", "a%C3%A9", base64.b64encode(b"\xff\xfe").decode(), "%2B%2B%2B%2B", "AAAA"]
)
async def test_forged_token_is_refused_or_lists_on(filled: Store, token: str) -> None:
    answer = await filled.alice("GET", f"/data?list-type=2&continuation-token={quote(token)}")
    assert answer.outcome in [(400, "InvalidArgument"), (200, "")]
    if answer.status == 200:
        assert answer.texts("Contents/Key") == KEYS


@pytest.mark.parametrize(("asked", "told"), [("0", "0"), ("5", "5"), ("1001", "1000")])
@pytest.mark.parametrize("version", [1, 2])
async def test_page_size_is_told(filled: Store, asked: str, told: str, version: int) -> None:
    answer = await listed(filled, f"max-keys={asked}", version)
    assert answer.text("MaxKeys") == told
    assert len(answer.texts("Contents/Key")) == min(int(told), len(KEYS))
    assert answer.text("IsTruncated") == ("true" if asked == "5" else "false")


@pytest.mark.parametrize("asked", ["-1", "many", "1.5", "2147483648", "0x10", "1" * 30])
@pytest.mark.parametrize("version", [1, 2])
async def test_page_size_that_is_no_number_is_refused(
    filled: Store, asked: str, version: int
) -> None:
    prefix = "list-type=2&" if version == 2 else ""
    answer = await filled.alice("GET", f"/data?{prefix}max-keys={asked}")
    assert answer.outcome == (400, "InvalidArgument")
    assert answer.text("ArgumentName") == "max-keys"


ODD = ["\n", "\x01", " lead", "+", "%2F", "a&b<c>", "e\u0301", "é", "\ufffe", "😀", "\x7f", "~*"]


async def test_odd_keys_are_spelt_as_url_on_demand(data: Store) -> None:
    for key in ODD:
        await data.alice.made(f"/data/{quote(key, safe='')}", body=b"x")
    expected = sorted(ODD, key=str.encode)
    for version in (1, 2):
        answer = await listed(data, "encoding-type=url", version)
        assert answer.text("EncodingType") == "url"
        assert [unquote(key) for key in answer.texts("Contents/Key")] == expected
    plain = await listed(data, "")
    assert len(plain.texts("Contents/Key")) == len(ODD)


async def test_encoding_covers_all_that_is_told_of_keys(data: Store) -> None:
    for key in ("p %/x/1", "p %/y"):
        await data.alice.made(f"/data/{quote(key)}", body=b"x")
    query = f"encoding-type=url&prefix={quote('p %')}&delimiter=/&start-after={quote('p $')}"
    answer = await listed(data, query)
    assert answer.text("Prefix") == "p%20%25"
    assert answer.text("StartAfter") == "p%20%24"
    assert answer.texts("CommonPrefixes/Prefix") == ["p%20%25/"]
    answer = await listed(
        data, f"encoding-type=url&delimiter=/&max-keys=1&marker={quote('p $')}", 1
    )
    assert answer.text("Marker") == "p%20%24"


async def test_unknown_encoding_is_refused(data: Store) -> None:
    answer = await data.alice("GET", "/data?encoding-type=base64")
    assert answer.outcome == (400, "InvalidArgument")


async def test_owner_is_told_in_version_1_and_on_demand(filled: Store) -> None:
    owner = credential("alice").principal.id
    assert set((await listed(filled, "", 1)).texts("Contents/Owner/ID")) == {owner}
    assert (await listed(filled, "")).texts("Contents/Owner/ID") == []
    assert set((await listed(filled, "fetch-owner=true")).texts("Contents/Owner/ID")) == {owner}


@pytest.mark.parametrize("who", [None, "bob"])
@pytest.mark.parametrize("target", ["/data", "/data?list-type=2", "/data?prefix=a"])
async def test_stranger_lists_nothing(filled: Store, who: str | None, target: str) -> None:
    with filled.untouched():
        answer = await filled.client(who)("GET", target)
    assert answer.outcome == (403, "AccessDenied")


async def test_listing_reads_no_bytes(filled: Store) -> None:
    with filled.untouched():
        await listed(filled, "delimiter=/")


def test_url_spelling_is_that_of_s3() -> None:
    assert spell_url("a/b c+é*~") == "a/b%20c%2B%C3%A9*~"
