"""What this server does not do is refused by name, and never ignored."""

from __future__ import annotations

import pytest

from tests.support.served import Store

ON_WRITES = {
    "kms": {"x-amz-server-side-encryption": "aws:kms"},
    "kms key": {"x-amz-server-side-encryption-aws-kms-key-id": "key"},
    "kms context": {"x-amz-server-side-encryption-context": "e30="},
    "bucket key": {"x-amz-server-side-encryption-bucket-key-enabled": "true"},
}
WRITES = [("PUT", "/data/new", {}), ("POST", "/data/new?uploads", {})]
WRITES += [("PUT", "/data/new", {"x-amz-copy-source": "data/key"})]


@pytest.mark.parametrize("what", sorted(ON_WRITES))
@pytest.mark.parametrize("write", WRITES, ids=["put", "create upload", "copy"])
async def test_header_of_a_feature_that_is_missing_stores_nothing(
    data: Store, write: tuple[str, str, dict[str, str]], what: str
) -> None:
    await data.alice.made("/data/key", body=b"x")
    method, target, headers = write
    with data.untouched():
        answer = await data.alice(method, target, headers={**headers, **ON_WRITES[what]})
    assert answer.outcome == (501, "NotImplemented")


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_null_version_is_the_object(data: Store, method: str) -> None:
    await data.alice.made("/data/key", body=b"x")
    answer = await data.alice(method, "/data/key?versionId=null")
    assert answer.status == (204 if method == "DELETE" else 200)


async def test_only_the_standard_storage_class_is_there(data: Store) -> None:
    standard = {"x-amz-storage-class": "STANDARD"}
    assert (await data.alice("PUT", "/data/key", headers=standard)).status == 200
    for wanted in ("GLACIER", "REDUCED_REDUNDANCY", "SILK"):
        answer = await data.alice("PUT", "/data/key", headers={"x-amz-storage-class": wanted})
        assert answer.outcome == (400, "InvalidStorageClass")
        assert answer.text("StorageClassRequested") == wanted
