"""Locks in the headers of uploads, and the header that lifts governance."""

from __future__ import annotations

import pytest

from tests.ops.test_bucket_object_lock import locked
from tests.ops.test_bucket_versioning import put
from tests.ops.test_object_lock import BYPASS, DAY, iso, named, retain
from tests.support.served import Store

__all__ = ["locked"]


async def test_bypass_needs_its_permission(store: Store) -> None:
    """CVE-2023-25812: the header alone lifts nothing."""
    await store.alice.made(
        "/data",
        headers={"x-amz-acl": "public-read-write", "x-amz-bucket-object-lock-enabled": "true"},
    )
    version_id = await put(store.alice, b"kept")
    await retain(store, "GOVERNANCE", 1)
    policy = (
        b'{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", '
        b'"Action": ["s3:DeleteObjectVersion", "s3:PutObjectRetention"], '
        b'"Resource": "arn:aws:s3:::data/*"}]}'
    )
    answer = await store.alice.configure("/data?policy", policy)
    assert answer.status == 204
    denied = await store.bob("DELETE", named(version_id), headers=BYPASS)
    shortened = await store.bob.configure("/data/key?retention", b"<Retention/>", headers=BYPASS)
    assert (denied.outcome, shortened.outcome) == ((403, "AccessDenied"),) * 2
    allowed = policy.replace(b'"s3:Put', b'"s3:BypassGovernanceRetention", "s3:Put')
    denying = (
        b'{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", '
        b'"Action": "s3:BypassGovernanceRetention", "Resource": "arn:aws:s3:::data/*"}]}'
    )
    await store.alice.configure("/data?policy", denying)
    of_owner = await store.alice("DELETE", named(version_id), headers=BYPASS)
    assert of_owner.outcome == (403, "AccessDenied")
    await store.alice.configure("/data?policy", allowed)
    assert (await store.bob("DELETE", named(version_id), headers=BYPASS)).status == 204


async def test_lock_in_the_headers_of_an_upload_holds(locked: Store) -> None:
    until = iso(locked.clock.now() + DAY)
    headers = {
        "x-amz-object-lock-mode": "COMPLIANCE",
        "x-amz-object-lock-retain-until-date": until,
        "x-amz-object-lock-legal-hold": "ON",
    }
    await locked.alice.made("/data/source", body=b"x")
    await locked.alice.made("/data/put", body=b"x", headers=headers)
    await locked.alice.made("/data/copy", headers={"x-amz-copy-source": "data/source", **headers})
    upload = (await locked.alice("POST", "/data/parts?uploads", headers=headers)).text("UploadId")
    target = f"/data/parts?uploadId={upload}"
    etag = (await locked.alice("PUT", f"{target}&partNumber=1", body=b"x")).header("etag")
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    await locked.alice.made(target, method="POST", body=body)
    await locked.alice.made("/data/free", headers={"x-amz-copy-source": "data/put"})
    for key in ("put", "copy", "parts", "free"):
        head = await locked.alice("HEAD", f"/data/{key}")
        mode = None if key == "free" else "COMPLIANCE"
        assert head.header("x-amz-object-lock-mode") == mode
        version_id = head.header("x-amz-version-id")
        deleted = await locked.alice("DELETE", f"/data/{key}?versionId={version_id}")
        assert deleted.status == (204 if key == "free" else 403)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-object-lock-mode": "GOVERNANCE"},
        {"x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z"},
        {
            "x-amz-object-lock-mode": "governance",
            "x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z",
        },
        {
            "x-amz-object-lock-mode": "GOVERNANCE",
            "x-amz-object-lock-retain-until-date": "2026-09-21T14:13:20Z",
        },
        {
            "x-amz-object-lock-mode": "GOVERNANCE",
            "x-amz-object-lock-retain-until-date": "tomorrow",
        },
        {"x-amz-object-lock-legal-hold": "on"},
    ],
)
async def test_bad_lock_headers_store_nothing(locked: Store, headers: dict[str, str]) -> None:
    with locked.untouched():
        answer = await locked.alice("PUT", "/data/key", body=b"x", headers=headers)
    assert answer.outcome == (400, "InvalidArgument")
