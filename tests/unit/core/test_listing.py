"""Listings: order, delimiters that seek, markers anywhere, pages that lose and repeat nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from s3server.core.listing import ObjectPage
from s3server.core.multipart import format_upload_id, parse_upload_id
from s3server.core.objects import NewVersion
from s3server.core.records import BucketRecord, UploadRecord, encode, upload_key
from s3server.data.memory import MemoryPool
from s3server.meta.base import Put, Row
from s3server.meta.memory import MemoryStore
from tests.support.blobs import numbered_ids
from tests.support.core_store import ATTRIBUTES, TestStore

ODD_KEYS = [
    "a", "a b", "a\t", "a+", "a%2Fb", "a&amp;", "a/", "a//b", "a/b", "a/é", "a/e\u0301", "./x",
    "../x", " ", "\n", "\x01", "\x7f", "ÿ", "日本/語", "\U0001f600", "\uffff", "\uffee/x",
    "z" * 1_024, "'\"\\", "a\u2028",
]  # fmt: skip


class CountingStore(MemoryStore):
    """Counts the rows that scans return."""

    def __init__(self) -> None:
        super().__init__()
        self.rows_read = 0

    async def scan(
        self, start: bytes, stop: bytes, *, limit: int, reverse: bool = False
    ) -> list[Row]:
        rows = await super().scan(start, stop, limit=limit, reverse=reverse)
        self.rows_read += len(rows)
        return rows


@pytest.fixture
def meta() -> CountingStore:
    return CountingStore()


@pytest.fixture
def store(meta: CountingStore) -> TestStore:
    return TestStore(meta, {"main": MemoryPool("main", numbered_ids())})


async def fill(store: TestStore, keys: Sequence[str]) -> BucketRecord:
    """Make a bucket that holds an empty object under each key."""
    bucket = await store.bucket()
    for key in keys:
        version = NewVersion(size=0, etag="e", attributes=ATTRIBUTES)
        await store.objects.commit_bytes(bucket, key, None, version)
    return bucket


async def page_of(
    store: TestStore,
    bucket: BucketRecord,
    *,
    prefix: str = "",
    delimiter: str = "",
    after: str = "",
    limit: int = 1_000,
) -> ObjectPage:
    return await store.listing.objects(
        bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit
    )


def names(page: ObjectPage) -> tuple[list[str], list[str]]:
    return [key for key, _ in page.objects], page.prefixes


async def all_pages(
    store: TestStore, bucket: BucketRecord, *, limit: int, prefix: str = "", delimiter: str = ""
) -> list[str]:
    """Return what pages of a size list, common prefixes among the keys, in the order of pages."""
    found: list[str] = []
    after, is_truncated = "", True
    while is_truncated:
        page = await page_of(
            store, bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit
        )
        keys, prefixes = names(page)
        entries = sorted(keys + prefixes, key=str.encode)
        assert page.last == (entries[-1] if entries else "")
        assert len(entries) == limit or not page.is_truncated
        found += entries
        after, is_truncated = page.last, page.is_truncated
    return found


def expected(keys: Sequence[str], prefix: str, delimiter: str) -> list[str]:
    """Return what a listing has to hold, computed from all keys."""
    found = set()
    for key in keys:
        if key.startswith(prefix):
            head, delimited, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("",) * 3
            found.add(prefix + head + delimited if delimited else key)
    return sorted(found, key=str.encode)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1_000])
@pytest.mark.parametrize("delimiter", ["", "/", "//", "b", "é", "a/"])
@pytest.mark.parametrize("prefix", ["", "a", "a/", "a//", "日本", "absent", "\uffff", "z" * 1_024])
async def test_odd_keys_in_pages(store: TestStore, prefix: str, delimiter: str, limit: int) -> None:
    bucket = await fill(store, ODD_KEYS)
    found = await all_pages(store, bucket, limit=limit, prefix=prefix, delimiter=delimiter)
    assert expected(ODD_KEYS, prefix, delimiter) == found


async def test_order_is_that_of_utf8_bytes_not_of_utf16(store: TestStore) -> None:
    keys = ["\uffee", "\U0001f600", "e", "é", "Z", "a"]
    bucket = await fill(store, keys)
    assert ["Z", "a", "e", "é", "\uffee", "\U0001f600"] == names(await page_of(store, bucket))[0]


async def test_thousands_of_keys_come_in_pages_of_a_thousand(store: TestStore) -> None:
    keys = [f"{number:05}" for number in range(3_500)]
    bucket = await fill(store, keys)
    first = await page_of(store, bucket)
    assert (1_000, True) == (len(first.objects), first.is_truncated)
    assert keys == await all_pages(store, bucket, limit=1_000)
    exact = await page_of(store, bucket, after="02499")
    assert (1_000, False) == (len(exact.objects), exact.is_truncated)


async def test_delimiter_seeks_past_what_it_folds(store: TestStore, meta: CountingStore) -> None:
    keys = [f"{year}/{number:04}" for year in range(2000, 2004) for number in range(2_000)]
    bucket = await fill(store, [*keys, "last"])
    meta.rows_read = 0
    page = await page_of(store, bucket, delimiter="/")
    assert (["last"], ["2000/", "2001/", "2002/", "2003/"]) == names(page)
    assert meta.rows_read <= 5 * 16


async def test_next_page_does_not_read_under_its_marker(
    store: TestStore, meta: CountingStore
) -> None:
    keys = [f"{name}/{number:04}" for name in "abc" for number in range(2_000)]
    bucket = await fill(store, keys)
    first = await page_of(store, bucket, delimiter="/", limit=1)
    meta.rows_read = 0
    second = await page_of(store, bucket, delimiter="/", limit=1, after=first.last)
    assert (["a/"], ["b/"]) == (first.prefixes, second.prefixes)
    assert meta.rows_read <= 2 * 16


async def test_page_reads_about_as_many_rows_as_it_holds(
    store: TestStore, meta: CountingStore
) -> None:
    bucket = await fill(store, [f"{number:05}" for number in range(3_000)])
    meta.rows_read = 0
    await page_of(store, bucket, limit=10)
    assert 11 == meta.rows_read


async def test_marker_inside_a_common_prefix_lists_that_prefix_again(store: TestStore) -> None:
    bucket = await fill(store, ["a/1", "a/2", "b"])
    assert (["b"], ["a/"]) == names(await page_of(store, bucket, delimiter="/", after="a/1"))
    assert (["b"], []) == names(await page_of(store, bucket, delimiter="/", after="a/2"))
    assert (["b"], []) == names(await page_of(store, bucket, delimiter="/", after="a/"))


async def test_marker_need_not_exist(store: TestStore) -> None:
    bucket = await fill(store, ["a", "c", "p/x"])
    assert ["c", "p/x"] == names(await page_of(store, bucket, after="b"))[0]
    assert ["p/x"] == names(await page_of(store, bucket, prefix="p/", after="b"))[0]
    assert [] == names(await page_of(store, bucket, prefix="c", after="p"))[0]


async def test_placeholder_of_a_prefix_is_a_key_below_it(store: TestStore) -> None:
    bucket = await fill(store, ["a/", "a/x", "a/y/z"])
    assert ([], ["a/"]) == names(await page_of(store, bucket, delimiter="/"))
    inside = await page_of(store, bucket, prefix="a/", delimiter="/")
    assert (["a/", "a/x"], ["a/y/"]) == names(inside)
    rest = await page_of(store, bucket, prefix="a/", delimiter="/", after="a/")
    assert (["a/x"], ["a/y/"]) == names(rest)


async def test_limit_zero_is_an_empty_page_that_is_not_truncated(store: TestStore) -> None:
    bucket = await fill(store, ["a"])
    page = await page_of(store, bucket, limit=0)
    assert ([], [], False) == (page.objects, page.prefixes, page.is_truncated)


async def test_neighbouring_buckets_are_not_listed(store: TestStore) -> None:
    bucket = await fill(store, ["x"])
    other = await store.bucket("other-bucket")
    await store.put(other, "y", b"")
    assert ["x"] == names(await page_of(store, bucket))[0]
    assert ["y"] == names(await page_of(store, other))[0]


async def begin_uploads(store: TestStore, keys: Sequence[str]) -> BucketRecord:
    """Make a bucket with uploads of known ids: 1, 2, ... in the order of `keys`."""
    bucket = await store.bucket()
    for number, key in enumerate(keys, 1):
        # Ids full of what a delimiter could be: they are no part of the key.
        upload = UploadRecord(id=b"/" * 15 + bytes([number]), key=key, owner="o", started_ms=number)
        row_key = upload_key(bucket.id, key, upload.id)
        await store.meta.commit([Put(row_key, encode(upload))])
    return bucket


UPLOAD_KEYS = ["a", "a", "a", "a\x01", "a/b", "a/c/d", "b", "b/", "b/"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("prefix", "delimiter", "expected_names"),
    [
        ("", "", UPLOAD_KEYS),
        ("a", "", ["a", "a", "a", "a\x01", "a/b", "a/c/d"]),
        ("", "/", ["a", "a", "a", "a\x01", "a/", "b", "b/"]),
        ("a/", "/", ["a/b", "a/c/"]),
    ],
)
async def test_uploads_in_pages(
    store: TestStore, prefix: str, delimiter: str, expected_names: list[str], limit: int
) -> None:
    bucket = await begin_uploads(store, UPLOAD_KEYS)
    found: list[str] = []
    seen: list[bytes] = []
    after_key, after_upload, is_truncated = "", None, True
    while is_truncated:
        page = await store.listing.uploads(
            bucket,
            prefix=prefix,
            delimiter=delimiter,
            after_key=after_key,
            after_upload=after_upload,
            limit=limit,
        )
        found += sorted([upload.key for upload in page.uploads] + page.prefixes, key=str.encode)
        seen += [upload.id for upload in page.uploads]
        after_key, after_upload = page.last_key, page.last_upload or None
        is_truncated = page.is_truncated
    assert expected_names == found
    assert len(seen) == len(set(seen))


async def test_uploads_after_a_key_leave_out_all_of_that_key(store: TestStore) -> None:
    bucket = await begin_uploads(store, UPLOAD_KEYS)
    page = await store.listing.uploads(
        bucket, prefix="", delimiter="", after_key="a", after_upload=None, limit=100
    )
    assert UPLOAD_KEYS[3:] == [upload.key for upload in page.uploads]


async def test_first_uploads(store: TestStore) -> None:
    bucket = await begin_uploads(store, UPLOAD_KEYS)
    assert ["a", "a"] == [each.key for each in await store.listing.first_uploads(bucket, 2)]


def test_upload_id_as_clients_see_it() -> None:
    assert b"u" * 16 == parse_upload_id(format_upload_id(b"u" * 16))
