"""Every legal key is stored, listed and deleted as what it is."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.clients

KEYS = ["a", "a/", "a/b", "a//b", "//", " ", "+", "%2F", "a?b#c", "\n\t\x01", "é" * 512, "日本 😀"]


def test_every_legal_key_is_a_key_of_its_own(s3, bucket: str) -> None:
    for number, key in enumerate(KEYS):
        s3.put_object(Bucket=bucket, Key=key, Body=b"%d" % number)
    for number, key in enumerate(KEYS):
        assert b"%d" % number == s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    in_order = sorted(KEYS, key=str.encode)
    for operation in ("list_objects", "list_objects_v2"):
        pages = s3.get_paginator(operation).paginate(
            Bucket=bucket, PaginationConfig={"PageSize": 1}
        )
        assert in_order == [entry["Key"] for page in pages for entry in page["Contents"]]
    folders = s3.list_objects_v2(Bucket=bucket, Delimiter="/")["CommonPrefixes"]
    assert ["/", "a/"] == [folder["Prefix"] for folder in folders]

    deleted = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": key} for key in KEYS if "\x01" not in key]}
    )
    assert "Errors" not in deleted
    assert len(KEYS) - 1 == len(deleted["Deleted"])
    s3.delete_object(Bucket=bucket, Key="\n\t\x01")  # XML 1.0 cannot say it
    s3.delete_bucket(Bucket=bucket)
