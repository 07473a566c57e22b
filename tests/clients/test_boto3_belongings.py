"""Annotations, renames, tags of buckets and acceleration, as boto3 asks for them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.clients


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_annotations(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="scan.tif", Body=b"pixels")
    place = {"Bucket": bucket, "Key": "scan.tif"}
    for name, text in (("provenance", "Envisat, 2004"), ("quality/clouds", "12 %")):
        put = s3.put_object_annotation(
            **place, AnnotationName=name, AnnotationPayload=text.encode()
        )
        assert put["ETag"]
    got = s3.get_object_annotation(**place, AnnotationName="provenance", ChecksumMode="ENABLED")
    assert got["AnnotationPayload"].read() == b"Envisat, 2004"
    pages = s3.get_paginator("list_object_annotations").paginate(
        **place, PaginationConfig={"PageSize": 1}
    )
    names = [each["AnnotationName"] for page in pages for each in page["Annotations"]]
    assert names == ["provenance", "quality/clouds"]
    s3.delete_object_annotation(**place, AnnotationName="provenance")
    with pytest.raises(ClientError) as missing:
        s3.get_object_annotation(**place, AnnotationName="provenance")
    assert code_of(missing) == "NoSuchAnnotation"


def test_rename(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="raw/a b.csv", Body=b"1,2")
    source = f"{bucket}/raw/a%20b.csv"
    s3.rename_object(Bucket=bucket, Key="done/a b.csv", RenameSource=source)
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [each["Key"] for each in listed] == ["done/a b.csv"]
    assert s3.get_object(Bucket=bucket, Key="done/a b.csv")["Body"].read() == b"1,2"


def test_properties_of_buckets(s3: Any, bucket: str) -> None:
    assert s3.get_bucket_abac(Bucket=bucket)["AbacStatus"] == {"Status": "Disabled"}
    s3.put_bucket_abac(Bucket=bucket, AbacStatus={"Status": "Enabled"})
    assert s3.get_bucket_abac(Bucket=bucket)["AbacStatus"] == {"Status": "Enabled"}
    s3.put_bucket_accelerate_configuration(
        Bucket=bucket, AccelerateConfiguration={"Status": "Suspended"}
    )
    assert s3.get_bucket_accelerate_configuration(Bucket=bucket)["Status"] == "Suspended"
