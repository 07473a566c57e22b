"""Keys and names: every legal one comes back, no other leaves a trace.

Sources: "Creating object key names" and "General purpose bucket naming rules", Amazon S3 user
guide; hardening reference, 4.3 (CVE-2026-54917, CVE-2026-58372, CVE-2026-42882, CVE-2022-3854).
"""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from pathlib import Path
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

import pytest

from tests.support.served import DiskStore, Store

ODD_KEYS = [
    "a", "a/", "a/b", "a//b", "//", "/", "///", "..", ".", "../..", "a/../b", "./a", "/lead",
    "+", " ", "  two  ", "%", "%2F", "%252F", "a%2Fb", "a+b", "a&b=c;d", "?", "#", "a?uploads",
    "'\"<>&", "\n", "\r\n", "\t", "\x01", "\x7f", "\\", "..\\..\\x", "~", "*", ":", "con",
    "😀", "中文/キー", unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é"),
    "\ufffe", "\uffff", "\u202e", "\ufeff", "soap", "x" * 1_024, "é" * 512, ("y" * 255 + "/") * 4,
]  # fmt: skip


async def test_every_legal_key_comes_back_beside_all_others(data: Store) -> None:
    for key in ODD_KEYS:
        await data.alice.made(f"/data/{quote(key, safe='')}", body=key.encode())
    for key in ODD_KEYS:
        answer = await data.alice("GET", f"/data/{quote(key, safe='/')}")
        assert (answer.status, answer.body) == (200, key.encode()), key
    listed = await data.alice("GET", "/data?list-type=2&encoding-type=url")
    assert [unquote(key) for key in listed.texts("Contents/Key")] == sorted(
        ODD_KEYS, key=str.encode
    )
    for key in ODD_KEYS:
        await data.alice.made(f"/data/{quote(key, safe='')}", method="DELETE")
    assert (await data.alice("GET", "/data?list-type=2")).texts("Contents/Key") == []


@pytest.mark.parametrize("how", ["header", "query", "v2-header", "v2-query"])
async def test_slash_and_its_escape_are_the_same_character(data: Store, how: str) -> None:
    """CVE-2026-42882: what is authorised must be what is read. It is decoded exactly once."""
    await data.alice.made("/data/a%2Fb", body=b"once")
    await data.alice.made("/data/a%252Fb", body=b"twice")
    for target, body in (("a/b", b"once"), ("a%2fb", b"once"), ("a%252Fb", b"twice")):
        assert (await data.alice("GET", f"/data/{target}", how=how)).body == body  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["k" * 1_025, "é" * 512 + "k", "%6B" * 1_025])
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
async def test_key_of_1025_bytes_is_too_long(data: Store, key: str, method: str) -> None:
    target = f"/data/{quote(key, safe='%')}"
    with data.untouched():
        answer = await data.alice(method, target)
    assert answer.outcome == (400, "KeyTooLongError")
    told = (answer.text("Size"), answer.text("MaxSizeAllowed"))
    assert told == ("1025", "1024")


@pytest.mark.parametrize(
    "key",
    [
        "%00",
        "a%00b",
        "%ff",
        "%c3",
        "%c0%ae%c0%ae",
        "%ed%a0%80",
        "%f5%80%80%80",
        "%",
        "%2",
        "%zz",
        "%u0041",
        "a%",
    ],
)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
async def test_bytes_that_are_no_key_are_no_uri(data: Store, key: str, method: str) -> None:
    with data.untouched():
        answer = await data.alice(method, f"/data/{key}")
    assert answer.outcome == (400, "InvalidURI")


BAD_NAMES = [
    "ab", "a" * 64, "Upper", "under_score", "-lead", "trail-", ".lead", "trail.", "two..dots",
    "192.168.5.4", "xn--name", "sthree-name", "amzn-s3-demo-name", "name-s3alias", "name--ol-s3",
    "name.mrap", "name--x-s3", "space%20", "caf%C3%A9", "..", ".", "%2e%2e", "a%2Fb", "%0d%0aset",
    ".minio.sys", ".s3server", "_system",
    "semi;colon", "quote'", "new%0aline", "-", "%3Cscript%3E", "a" * 2_000,
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_bad_name_is_no_bucket(store: Store, name: str) -> None:
    with store.untouched():
        created = await store.alice("PUT", f"/{name}")
        read = await store.alice("GET", f"/{name}")
    assert created.outcome == (400, "InvalidBucketName")
    assert created.text("BucketName") == unquote(name)
    assert read.outcome == (400, "InvalidBucketName")


async def test_name_that_no_bucket_can_have_is_no_source_of_a_copy(data: Store) -> None:
    source = {"x-amz-copy-source": f"{'a' * 2_000}/key"}
    with data.untouched():
        answer = await data.alice("PUT", "/data/key", headers=source)
    assert answer.outcome == (404, "NoSuchBucket")


@pytest.mark.parametrize("name", ["abc", "a" * 63, "a.b", "0-9", "192.168.5.4.5", "a--b", "1.2.3"])
async def test_good_name_is_a_bucket(store: Store, name: str) -> None:
    assert (await store.alice("PUT", f"/{name}")).status == 200


async def test_path_without_bucket_is_refused(store: Store) -> None:
    """CVE-2022-3854: a path of slashes crashed the gateway."""
    for target in ("//", "///key", "//key"):
        assert (await store.alice("GET", target)).outcome == (400, "InvalidBucketName")


TRAVERSALS = [
    "../evil", "..%2fevil", "%2e%2e/evil", "%2e%2e%2fevil", "..%5cevil", "%5c..%5cevil",
    "....//evil", "/..//..//evil", "a/../../evil", "./../evil", "%2fetc%2fpasswd", "/etc/passwd",
    "%252e%252e%252fevil", "..%2f" * 20 + "etc/passwd", "osd.0/..", "C:%5cevil", "~root",
]  # fmt: skip


def outside(directory: Path) -> set[str]:
    """Return what lies in and beside the store, apart from what the OSDs and LMDB hold."""
    roots = [directory, directory.parent]
    return {str(path) for root in roots for path in root.iterdir()}


async def test_no_key_reaches_the_file_system_or_another_bucket(disk_store: DiskStore) -> None:
    """Through each channel that carries a key; CVE-2026-54917, CVE-2026-58372."""
    root, directory = disk_store.root, disk_store.directory
    await root.made("/data")
    await root.made("/evil")
    await root.made("/evil/key", body=b"precious")
    await root.made("/data/source", body=b"x" * 100_000)
    beside = outside(directory)
    for raw in TRAVERSALS:
        key = unquote(raw)
        assert (await root("PUT", f"/data/{raw}", body=key.encode())).status == 200
        got = await root("GET", f"/data/{raw}")
        assert got.body == key.encode()
        copied = await root("PUT", f"/data/{raw}", headers={"x-amz-copy-source": "data/source"})
        assert copied.status == 200
        source = {"x-amz-copy-source": f"data/{raw}"}
        assert (await root("PUT", "/data/copy", headers=source)).status == 200
        missing = {"x-amz-copy-source": f"data/x{raw}/key"}
        assert (await root("PUT", "/data/copy", headers=missing)).code == "NoSuchKey"
        for name in (
            "prefix",
            "marker",
            "delimiter",
            "start-after",
            "key-marker",
            "upload-id-marker",
        ):
            version = "&list-type=2" if name == "start-after" else ""
            answer = await root("GET", f"/data?{name}={quote(key, safe='')}{version}")
            assert answer.status in (200, 400)
            assert b"precious" not in answer.body
        body = f"<Delete><Object><Key>{escape(key)}</Key></Object></Delete>".encode()
        digest = base64.b64encode(hashlib.md5(body).digest()).decode()
        deleted = await root("POST", "/data?delete", body=body, headers={"content-md5": digest})
        assert deleted.texts("Deleted/Key") == [key]
        assert (await root("GET", f"/data/{raw}")).code == "NoSuchKey"
    assert (await root("GET", "/evil/key")).body == b"precious"
    assert (await root("GET", "/evil?list-type=2")).texts("Contents/Key") == ["key"]
    named = (await root("GET", "/")).texts("Buckets/Bucket/Name")
    assert named == ["data", "evil"]  # and none of the server's own
    assert outside(directory) == beside
    assert not any("evil" in path or "passwd" in path for path in disk_store.files())


@pytest.mark.parametrize(
    "path", ["/-/secret", "/-/health/../../data/key", "/-/health/live/x", "/-/"]
)
async def test_paths_of_the_server_itself_tell_nothing(disk_store: DiskStore, path: str) -> None:
    await disk_store.root.made("/data")
    answer = await disk_store.nobody("GET", path)
    assert answer.status in (200, 404, 503)
    assert len(answer.body) < 100
    assert b"secret-of" not in answer.body


@pytest.mark.parametrize(
    "name",
    ["'; DROP TABLE objects;--", '" OR 1=1', "$(reboot)", "`id`", "${jndi:ldap://x}", "{{7*7}}"],
)
async def test_names_are_only_names(data: Store, name: str) -> None:
    """CVE-2024-40120: injection through names."""
    path = f"/data/{quote(name, safe='')}"
    await data.alice.made(path, body=b"x", headers={"x-amz-meta-name": name})
    assert (await data.alice("GET", path)).header("x-amz-meta-name") == name
    for parameter in ("prefix", "delimiter"):
        listed = await data.alice("GET", f"/data?{parameter}={quote(name, safe='')}")
        assert listed.status == 200
