"""Inventory configurations, and how their lists are made."""

from __future__ import annotations

import asyncio
import csv
import gzip
import hashlib
import io
import json
from typing import Any
from urllib.parse import unquote

import pytest

from s3server.core.lifecycle_rules import DAY_MS, Calendar
from s3server.jobs import inventory as module
from s3server.jobs.inventory import InventoryJob
from tests.ops.test_bucket_versioning import set_versioning
from tests.support.asgi_client import Answer
from tests.support.served import Store

ALL_FIELDS = (
    "Size", "LastModifiedDate", "StorageClass", "ETag", "IsMultipartUploaded", "ReplicationStatus",
    "EncryptionStatus", "ObjectLockRetainUntilDate", "ObjectLockMode", "ObjectLockLegalHoldStatus",
    "IntelligentTieringAccessTier", "BucketKeyStatus", "ChecksumAlgorithm", "ObjectOwner",
)  # fmt: skip


def document(
    name: str = "daily",
    *,
    target: str = "arn:aws:s3:::lists",
    form: str = "CSV",
    versions: str = "All",
    enabled: str = "true",
    frequency: str = "Daily",
    fields: tuple[str, ...] = ("Size", "ETag"),
    prefix: str = "",
    more: str = "",
) -> bytes:
    listed = "".join(f"<Field>{field}</Field>" for field in fields)
    chosen = f"<Filter><Prefix>{prefix}</Prefix></Filter>" if prefix else ""
    return (
        f"<InventoryConfiguration><Destination><S3BucketDestination><Bucket>{target}</Bucket>"
        f"<Format>{form}</Format><Prefix>inv</Prefix>{more}</S3BucketDestination></Destination>"
        f"<IsEnabled>{enabled}</IsEnabled>{chosen}<Id>{name}</Id>"
        f"<IncludedObjectVersions>{versions}</IncludedObjectVersions>"
        f"<OptionalFields>{listed}</OptionalFields>"
        f"<Schedule><Frequency>{frequency}</Frequency></Schedule></InventoryConfiguration>"
    ).encode()


async def configure(store: Store, name: str = "daily", **options: Any) -> Answer:
    text = document(name, **options)
    return await store.alice.configure(f"/data?inventory&id={name}", text)


@pytest.fixture
async def listed(data: Store) -> Store:
    """Alice's buckets "data", and "lists" for the inventories."""
    await data.alice.made("/lists")
    return data


def job(store: Store) -> InventoryJob:
    services = store.services
    return InventoryJob(
        store.meta,
        buckets=services.buckets,
        listing=services.listing,
        courier=store.courier,
        clock=store.clock,
        calendar=Calendar(),
    )


async def made(store: Store, maker: InventoryJob | None = None) -> dict[str, Any]:
    """Let a day pass, and return the manifest of the list that is made then."""
    maker = maker or job(store)
    store.clock.ms += DAY_MS
    while (await maker.step()).has_more:
        pass
    return await newest(store)


async def newest(store: Store) -> dict[str, Any]:
    """Return the newest manifest, held against its checksum."""
    keys = (await store.alice("GET", "/lists")).texts("Contents/Key")
    key = max(key for key in keys if key.endswith("manifest.json"))
    body = (await store.alice("GET", f"/lists/{key}")).body
    checksum = (await store.alice("GET", f"/lists/{key[:-4]}checksum")).body.decode()
    assert checksum == hashlib.md5(body).hexdigest()
    found: dict[str, Any] = json.loads(body)
    return found


async def rows(store: Store, manifest: dict[str, Any]) -> list[dict[str, str]]:
    names = manifest["fileSchema"].split(", ")
    found: list[dict[str, str]] = []
    for file in manifest["files"]:
        body = (await store.alice("GET", f"/lists/{file['key']}")).body
        assert (len(body), hashlib.md5(body).hexdigest()) == (file["size"], file["MD5checksum"])
        table = csv.reader(io.StringIO(gzip.decompress(body).decode(), newline=""))
        found += [dict(zip(names, row, strict=True)) for row in table]
    return found


async def test_configuration_is_told_as_it_was_set(listed: Store) -> None:
    assert (await configure(listed, prefix="a/")).status == 200
    got = await listed.alice("GET", "/data?inventory&id=daily")
    assert got.text("Id") == "daily"
    assert got.text("Filter/Prefix") == "a/"
    assert got.texts("OptionalFields/Field") == ["Size", "ETag"]
    assert (await listed.alice("DELETE", "/data?inventory&id=daily")).status == 204
    for method in ("GET", "DELETE"):
        answer = await listed.alice(method, "/data?inventory&id=daily")
        assert answer.outcome == (404, "NoSuchConfiguration")


async def test_configurations_come_in_pages(listed: Store) -> None:
    names = [f"c{number:03}" for number in range(105)]
    for name in names:
        assert (await configure(listed, name)).status == 200
    first = await listed.alice("GET", "/data?inventory")
    assert first.text("IsTruncated") == "true"
    token = first.text("NextContinuationToken")
    second = await listed.alice("GET", f"/data?continuation-token={token}&inventory")
    path = "InventoryConfiguration/Id"
    assert first.texts(path) + second.texts(path) == names
    assert second.text("IsTruncated") == "false"


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        ({"target": "arn:aws:s3:::none"}, (400, "InvalidS3DestinationBucket")),
        ({"target": "lists"}, (400, "InvalidS3DestinationBucket")),
        ({"target": "arn:aws:s3:::bobs"}, (400, "InvalidS3DestinationBucket")),
        ({"more": "<AccountId>999999999999</AccountId>"}, (400, "InvalidS3DestinationBucket")),
        ({"form": "ORC"}, (501, "NotImplemented")),
        ({"form": "XML"}, (400, "MalformedXML")),
        ({"fields": ("Size", "Size")}, (400, "MalformedXML")),
        ({"fields": ("Colour",)}, (400, "MalformedXML")),
        ({"fields": ("ObjectAccessControlList",)}, (501, "NotImplemented")),
        ({"frequency": "Hourly"}, (400, "MalformedXML")),
        (
            {"more": "<Encryption><SSE-KMS><KeyId>k</KeyId></SSE-KMS></Encryption>"},
            (501, "NotImplemented"),
        ),
    ],
)
async def test_what_cannot_be_done_is_refused(
    listed: Store, options: dict[str, Any], outcome: tuple[int, str]
) -> None:
    await listed.bob.made("/bobs")
    assert (await configure(listed, **options)).outcome == outcome
    assert (await listed.alice("GET", "/data?inventory")).texts(".//Id") == []


async def test_ids_are_checked(listed: Store) -> None:
    for name in ("a%20b", "x" * 65, ""):
        answer = await listed.alice.configure(f"/data?inventory&id={name}", document(name))
        assert answer.status == 400, name
    other = await listed.alice.configure("/data?inventory&id=other", document("daily"))
    assert other.outcome == (400, "InvalidArgument")


async def test_list_has_every_version_and_marker(listed: Store) -> None:
    await set_versioning(listed.alice, "Enabled")
    for body in (b"1", b"22"):
        await listed.alice.made("/data/a%20b/%C3%A9", body=body)
    await listed.alice("DELETE", "/data/gone")
    await configure(listed, fields=ALL_FIELDS)
    manifest = await made(listed)
    assert manifest["sourceBucket"] == "data"
    assert manifest["destinationBucket"] == "arn:aws:s3:::lists"
    assert (manifest["version"], manifest["fileFormat"]) == ("2016-11-30", "CSV")
    new, old, marker = await rows(listed, manifest)
    assert set(ALL_FIELDS) <= set(new)
    assert [unquote(each["Key"]) for each in (new, old, marker)] == ["a b/é", "a b/é", "gone"]
    assert [each["IsLatest"] for each in (new, old, marker)] == ["true", "false", "true"]
    assert [each["Size"] for each in (new, old, marker)] == ["2", "1", ""]
    assert (marker["IsDeleteMarker"], marker["ETag"]) == ("true", "")
    assert new["ETag"] == hashlib.md5(b"22").hexdigest()
    assert (new["EncryptionStatus"], new["ChecksumAlgorithm"]) == ("NOT-SSE", "CRC64NVME")
    assert new["VersionId"] != old["VersionId"]


async def test_list_of_current_versions_under_a_prefix(listed: Store) -> None:
    await set_versioning(listed.alice, "Enabled")
    for key in ("img/a", "img/a", "img/b", "txt/c"):
        await listed.alice.made(f"/data/{key}", body=b"x")
    await configure(listed, versions="Current", prefix="img/")
    manifest = await made(listed)
    assert manifest["fileSchema"] == "Bucket, Key, Size, ETag"
    assert [row["Key"] for row in await rows(listed, manifest)] == ["img/a", "img/b"]


async def test_large_list_goes_on_where_it_was_after_a_crash(
    listed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    monkeypatch.setattr(module, "ROWS_PER_FILE", 6)
    await set_versioning(listed.alice, "Enabled")
    for number in range(20):
        await listed.alice.made(f"/data/{number % 7}", body=b"x")
    await configure(listed)
    listed.clock.ms += DAY_MS
    await job(listed).step()

    async def fails(*_: object) -> int:
        raise RuntimeError  # the file is stored, and how far it came is not

    monkeypatch.setattr(InventoryJob, "_replace", fails)
    with pytest.raises(RuntimeError):
        await job(listed).step()
    monkeypatch.undo()
    monkeypatch.setattr(module, "PAGE", 3)
    monkeypatch.setattr(module, "ROWS_PER_FILE", 6)
    maker = job(listed)
    while (await maker.step()).has_more:
        pass
    manifest = await made(listed)
    keys = (await listed.alice("GET", "/lists")).texts("Contents/Key")
    assert len(manifest["files"]) == 4
    assert sum("/data/" in key.removeprefix("inv/data") for key in keys) == 8  # of two days
    found = [(row["Key"], row["VersionId"]) for row in await rows(listed, manifest)]
    told = await listed.alice("GET", "/data?versions")
    assert found == list(
        zip(told.texts("Version/Key"), told.texts("Version/VersionId"), strict=True)
    )


async def test_two_makers_of_one_list_do_each_other_no_harm(
    listed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    monkeypatch.setattr(module, "ROWS_PER_FILE", 6)
    for number in range(20):
        await listed.alice.made(f"/data/{number:02}", body=b"x")
    await configure(listed)
    makers = job(listed), job(listed)
    listed.clock.ms += DAY_MS
    more = True
    while more:
        steps = await asyncio.gather(*[maker.step() for maker in makers])
        more = any(done.has_more for done in steps)
        await listed.alice.made("/data/19", body=b"changed")  # what is listed is not the same twice
    found = await rows(listed, await newest(listed))
    assert [row["Key"] for row in found] == [f"{number:02}" for number in range(20)]


async def test_lists_are_made_by_their_schedule(listed: Store) -> None:
    await configure(listed, "daily")
    await configure(listed, "weekly", frequency="Weekly")
    await configure(listed, "never", enabled="false")
    count = {"daily": 0, "weekly": 0, "never": 0}
    maker = job(listed)
    for _ in range(14):
        listed.clock.ms += DAY_MS
        while (await maker.step()).has_more:
            pass
    keys = (await listed.alice("GET", "/lists")).texts("Contents/Key")
    for key in keys:
        if key.endswith("manifest.json"):
            count[key.split("/")[2]] += 1
    assert count == {"daily": 14, "weekly": 2, "never": 0}


async def test_nothing_is_made_for_what_was_removed(listed: Store) -> None:
    await configure(listed)
    await listed.alice("DELETE", "/data?inventory&id=daily")
    listed.clock.ms += DAY_MS
    assert not (await job(listed).step()).has_more
    await configure(listed)
    await listed.alice("DELETE", "/data")
    await listed.alice.made("/data")  # another bucket, although of the same name
    listed.clock.ms += DAY_MS
    maker = job(listed)
    while (await maker.step()).has_more:
        pass
    assert (await listed.alice("GET", "/lists")).texts("Contents/Key") == []
    assert await maker.states() == []


async def test_destination_that_refuses_is_told_of_and_tried_again_the_next_day(
    listed: Store,
) -> None:
    await configure(listed)
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::lists/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]}).encode()
    await listed.alice.configure("/lists?policy", policy)
    maker = job(listed)
    await listed.alice.made("/data/a", body=b"x")
    listed.clock.ms += DAY_MS
    assert (await maker.step()).failed == 1
    ((_, state),) = await maker.states()
    assert "does not let s3.amazonaws.com write" in state.error
    assert not (await maker.step()).has_more
    await listed.alice("DELETE", "/lists?policy")
    await made(listed, maker)
    ((_, state),) = await maker.states()
    assert (state.error, state.last_rows) == ("", 1)


async def test_lists_may_be_encrypted(listed: Store) -> None:
    await listed.alice.made("/data/a", body=b"x")
    await configure(listed, more="<Encryption><SSE-S3/></Encryption>")
    (file,) = (await made(listed))["files"]
    head = await listed.alice("HEAD", f"/lists/{file['key']}")
    assert head.header("x-amz-server-side-encryption") == "AES256"
