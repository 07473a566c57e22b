"""ListObjectVersions."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.ops.test_bucket_versioning import put, set_versioning
from tests.support.asgi_client import Answer
from tests.support.served import Store

KEYS = ("a", "a/1", "a/2", "b", "b/c/1", "c&<")


@pytest.fixture
async def filled(data: Store) -> Store:
    """Three versions of each key; a marker on top of some."""
    await data.alice.made("/data/a", body=b"null")
    await set_versioning(data.alice, "Enabled")
    for key in KEYS:
        for body in (b"1", b"22", b"333")[key == "a" :]:
            await put(data.alice, body, f"/data/{quote(key)}")
    for key in ("a/2", "b"):
        await data.alice.made(f"/data/{key}", method="DELETE")
    return data


def entries(answer: Answer) -> list[tuple[str, ...]]:
    """Return common prefixes, and versions by key and id with what else is told of them."""
    assert answer.status == 200
    found: list[tuple[str, ...]] = []
    for entry in answer.document:
        if entry.tag == "CommonPrefixes":
            found.append((entry.findtext("Prefix") or "",))
        elif entry.tag in ("Version", "DeleteMarker"):
            texts = [entry.findtext(name) or "" for name in ("Key", "VersionId", "IsLatest")]
            found.append((*texts, entry.tag))
    return found


async def whole(store: Store, query: str = "") -> list[tuple[str, ...]]:
    return entries(await store.alice("GET", f"/data?versions{query}"))


async def paged(store: Store, limit: int, query: str = "") -> list[tuple[str, ...]]:
    """List in pages, as the aws cli and boto3 do."""
    found: list[tuple[str, ...]] = []
    marker = ""
    while True:
        answer = await store.alice("GET", f"/data?versions&max-keys={limit}{query}{marker}")
        page = entries(answer)
        assert len(page) <= limit
        found += page
        if answer.text("IsTruncated") == "false":
            assert answer.texts("NextKeyMarker") == []
            return found
        assert len(page) == limit
        marker = f"&key-marker={quote(answer.text('NextKeyMarker') or '')}"
        if next_id := answer.text("NextVersionIdMarker"):
            marker += f"&version-id-marker={next_id}"


async def test_versions_are_told_with_their_facts(filled: Store) -> None:
    answer = await filled.alice("GET", "/data?versions&prefix=a%2F2")
    assert answer.document.tag == "ListVersionsResult"
    assert answer.text("Name") == "data"
    assert answer.texts("Version/Size") == ["3", "2", "1"]
    assert answer.texts("Version/StorageClass") == ["STANDARD"] * 3
    assert answer.texts("Version/IsLatest") == ["false"] * 3
    assert len(set(answer.texts("Version/ETag"))) == 3
    assert answer.texts("DeleteMarker/IsLatest") == ["true"]
    assert answer.texts("DeleteMarker/Key") == ["a/2"]
    assert answer.texts("DeleteMarker/Size") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
@pytest.mark.parametrize("query", ["", "&prefix=a", "&delimiter=/", "&prefix=b/&delimiter=/"])
async def test_pages_together_are_the_whole(filled: Store, limit: int, query: str) -> None:
    expected = await whole(filled, query)
    assert sorted(await paged(filled, limit, query)) == sorted(expected)
    latest = [entry[0] for entry in expected if len(entry) > 1 and entry[2] == "true"]
    assert sorted(set(latest)) == sorted(latest)


async def test_delimiter_folds_versions_and_markers(filled: Store) -> None:
    assert {entry[0] for entry in await whole(filled, "&delimiter=/")} == {
        "a", "a/", "b", "b/", "c&<",
    }  # fmt: skip


async def test_key_marker_alone_skips_all_versions_of_its_key(filled: Store) -> None:
    keys = [entry[0] for entry in await whole(filled, "&key-marker=a%2F2")]
    assert sorted(set(keys)) == ["b", "b/c/1", "c&<"]


async def test_marker_that_no_key_can_be_is_an_error_of_the_client(data: Store) -> None:
    marker = f"key-marker={'k' * 2_000}"
    assert entries(await data.alice("GET", f"/data?versions&{marker}")) == []
    within = await data.alice("GET", f"/data?versions&{marker}&version-id-marker=null")
    assert within.outcome == (400, "InvalidArgument")


async def test_null_version_can_be_a_marker(filled: Store) -> None:
    found = await whole(filled, "&key-marker=a&version-id-marker=null")
    assert "a" not in {entry[0] for entry in found}
    assert len(found) == len(await whole(filled)) - 3


async def test_keys_are_encoded_where_asked(filled: Store) -> None:
    answer = await filled.alice(
        "GET", "/data?versions&prefix=c%26&encoding-type=url&max-keys=1&key-marker=b%2Fz%20"
    )
    assert answer.text("EncodingType") == "url"
    assert answer.texts("Version/Key") == ["c%26%3C"]
    assert answer.text("Prefix") == "c%26"
    assert answer.text("KeyMarker") == "b/z%20"
    assert answer.text("NextKeyMarker") == "c%26%3C"


@pytest.mark.parametrize(
    "query",
    [
        "&version-id-marker=" + "0" * 16,
        "&key-marker=a&version-id-marker=x",
        "&key-marker=b&version-id-marker=null",
        "&max-keys=-1",
        "&max-keys=x",
        "&encoding-type=gzip",
    ],
)
async def test_bad_parameters_are_invalid_arguments(filled: Store, query: str) -> None:
    answer = await filled.alice("GET", f"/data?versions{query}")
    assert answer.outcome == (400, "InvalidArgument")


async def test_bucket_that_never_had_versioning_lists_null_versions(data: Store) -> None:
    await data.alice.made("/data/key", body=b"x")
    assert await whole(data) == [("key", "null", "true", "Version")]


async def test_markers_cost_a_listing_of_keys_nothing(versions_below: Store) -> None:
    rows: list[int] = []
    scan = versions_below.meta.scan

    async def counted(*arguments: object, **options: object) -> list[tuple[bytes, bytes]]:
        found = await scan(*arguments, **options)  # type: ignore[arg-type]
        rows.append(len(found))
        return found

    versions_below.meta.scan = counted  # type: ignore[method-assign]
    answer = await versions_below.alice("GET", "/data?list-type=2")
    assert answer.texts("Contents/Key") == ["z"]
    assert sum(rows) == 1


@pytest.fixture
async def versions_below(data: Store) -> Store:
    await set_versioning(data.alice, "Enabled")
    for number in range(200):
        await data.alice.made(f"/data/deleted-{number}", method="DELETE")
    for _ in range(50):
        await put(data.alice, b"x", "/data/z")
    return data
