"""What parsers refuse and forgive; what they read is tests/unit/wire/test_model_oracle.py."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from s3server.errors import S3Error
from s3server.model import HttpRequest, Target
from s3server.wire.parse import body_limit, compile_parser, has_streaming_body
from s3server.wire.request import parse_query
from s3server.wire.service_model import load_model

OPERATIONS = load_model("s3").operations


def parse(
    name: str, body: object = b"", *, query: str = "", headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return what the operation adds to its bucket and key."""
    operation = OPERATIONS[name]
    request = HttpRequest(operation.method, "/", query, {"host": "h"} | (headers or {}))
    result = compile_parser(operation)(request, Target("b", "k"), parse_query(query), body)
    return {key: value for key, value in result.items() if key not in {"Bucket", "Key"}}


def refusal(name: str, body: object = b"", **options: Any) -> tuple[str, dict[str, str]]:
    with pytest.raises(S3Error) as caught:
        parse(name, body, **options)
    return caught.value.code, caught.value.fields


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("max-keys=0", {"MaxKeys": 0}),
        ("max-keys=2147483647", {"MaxKeys": 2_147_483_647}),
        ("max-keys=", {}),
        (
            "encoding-type=url&prefix=&delimiter=%2F",
            {"EncodingType": "url", "Prefix": "", "Delimiter": "/"},
        ),
        ("fetch-owner=true", {"FetchOwner": True}),
        ("fetch-owner=False", {"FetchOwner": False}),
        ("unknown=1&X-Amz-Date=2", {}),
    ],
)
def test_query_value_is_read(query: str, expected: dict[str, Any]) -> None:
    assert parse("ListObjectsV2", query=query) == expected


@pytest.mark.parametrize(
    "query",
    [
        *("max-keys=-1", "max-keys=1.0", "max-keys=a", "max-keys=%201", "max-keys=1_0"),
        *("max-keys=%2B1", "max-keys=2147483648", "max-keys=" + "9" * 50, "max-keys=%D9%A1"),
        *("fetch-owner=maybe", "encoding-type=base64"),
    ],
)
def test_bad_query_value_is_refused_by_name(query: str) -> None:
    code, fields = refusal("ListObjectsV2", query=query)
    assert (code, fields["ArgumentName"]) == ("InvalidArgument", query.partition("=")[0])


@pytest.mark.parametrize(
    ("name", "headers", "expected"),
    [
        ("PutObject", {"x-amz-acl": "public"}, "InvalidArgument"),
        ("PutObject", {"x-amz-storage-class": "COLD"}, "InvalidStorageClass"),
        ("PutObject", {"x-amz-sdk-checksum-algorithm": "CRC8"}, "InvalidRequest"),
        ("PutObject", {"x-amz-object-lock-mode": "STRICT"}, "InvalidArgument"),
        ("PutObject", {"x-amz-object-lock-retain-until-date": "soon"}, "InvalidArgument"),
        ("PutObject", {"content-type": "a/b\x0bc"}, "InvalidArgument"),
        ("PutObject", {"cache-control": "a\tb"}, "InvalidArgument"),
        ("CopyObject", {"x-amz-copy-source-if-modified-since": "never"}, "InvalidArgument"),
        ("GetObjectAttributes", {}, "InvalidRequest"),
        ("GetObjectAttributes", {"x-amz-object-attributes": "ETag,Size"}, "InvalidArgument"),
    ],
)
def test_bad_header_is_refused(name: str, headers: dict[str, str], expected: str) -> None:
    assert refusal(name, headers=headers)[0] == expected


def test_checksum_mode_is_read_as_the_sdk_for_c_plus_plus_writes_it() -> None:
    assert parse("GetObject", headers={"x-amz-checksum-mode": "enabled"}) == {
        "ChecksumMode": "ENABLED"
    }
    assert refusal("GetObject", headers={"x-amz-checksum-mode": "on"})[0] == "InvalidArgument"


@pytest.mark.parametrize("name", ["content-type", "content-disposition", "cache-control"])
def test_response_override_cannot_split_the_response(name: str) -> None:
    assert refusal("GetObject", query=f"response-{name}=a%0D%0Ab")[0] == "InvalidArgument"


def test_response_override_is_decoded_once() -> None:
    override = parse("GetObject", query="response-content-disposition=gr%C3%BCn+%C3%83%C2%BC")
    assert override == {"ResponseContentDisposition": "grün Ã¼"}


def test_date_conditions_are_ignored_where_they_are_no_dates() -> None:
    assert parse("GetObject", headers={"if-modified-since": "yesterday"}) == {}
    assert parse("GetObject", headers={"if-unmodified-since": "Sun, 06 Nov 1994 08:49:37 GMT"}) == {
        "IfUnmodifiedSince": datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    }


def test_aws_chunked_is_no_encoding_of_the_object() -> None:
    headers = {"content-encoding": "aws-chunked"}
    assert parse("PutObject", None, headers=headers) == {"Body": None}
    headers = {"content-encoding": "gzip, aws-chunked"}
    assert parse("PutObject", None, headers=headers)["ContentEncoding"] == "gzip"


def test_metadata_is_gathered() -> None:
    headers = {"x-amz-meta-fairease.catalog": "COG", "x-amz-meta-u": "=?UTF-8?Q?=C3=BC?="}
    found = parse("PutObject", None, headers=headers)["Metadata"]
    assert found == {"fairease.catalog": "COG", "u": "ü"}


def test_metadata_has_at_most_2_kb() -> None:
    headers = {"x-amz-meta-a": "x" * 2_047}
    assert len(parse("PutObject", None, headers=headers)["Metadata"]["a"]) == 2_047
    headers["x-amz-meta-b"] = ""
    code, fields = refusal("PutObject", None, headers=headers)
    assert (code, fields["Size"]) == ("MetadataTooLarge", "2049")


def test_streaming_body_is_passed_through() -> None:
    body = object()
    assert parse("UploadPart", body, query="partNumber=1&uploadId=u") == {
        "Body": body,
        "PartNumber": 1,
        "UploadId": "u",
    }
    assert has_streaming_body(OPERATIONS["UploadPart"])
    assert not has_streaming_body(OPERATIONS["PutBucketPolicy"])
    assert not has_streaming_body(OPERATIONS["GetObject"])


def rule(inner: str) -> bytes:
    return f"<LifecycleConfiguration><Rule>{inner}</Rule></LifecycleConfiguration>".encode()


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("PutBucketCors", b"", "MissingRequestBodyError"),
        ("PutBucketPolicy", b"", "MissingRequestBodyError"),
        ("PutBucketPolicy", b"\xff", "InvalidRequest"),
        ("PutObjectRetention", b"", "MissingRequestBodyError"),
        ("CompleteMultipartUpload", b"", "MalformedXML"),
        ("PutBucketCors", b"<Cors/>", "MalformedXML"),
        ("PutBucketCors", b"<CORSConfiguration/>", "MalformedXML"),
        ("PutBucketVersioning", b"{}", "MalformedXML"),
        (
            "PutBucketVersioning",
            b"<VersioningConfiguration><Status>enabled</Status></VersioningConfiguration>",
            "MalformedXML",
        ),
        (
            "PutBucketLifecycleConfiguration",
            rule(
                "<Status>Enabled</Status>"
                "<NoncurentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurentVersionExpiration>"
            ),
            "MalformedXML",
        ),
        (
            "PutBucketLifecycleConfiguration",
            rule(
                "<Status>Enabled</Status><NoncurrentVersionExpiration>"
                "<NoncurentDays>1</NoncurentDays></NoncurrentVersionExpiration>"
            ),
            "MalformedXML",
        ),
        ("PutBucketLifecycleConfiguration", rule("<ID>1</ID>"), "MalformedXML"),
        (
            "PutBucketLifecycleConfiguration",
            rule("<Status>Enabled</Status><Expiration><Days>ten</Days></Expiration>"),
            "MalformedXML",
        ),
        (
            "PutBucketLifecycleConfiguration",
            rule("<Status>Enabled</Status><Expiration><Date>soon</Date></Expiration>"),
            "MalformedXML",
        ),
        (
            "PutObjectRetention",
            b"<Retention><Mode>GOVERNANCE</Mode><Mode>COMPLIANCE</Mode></Retention>",
            "MalformedXML",
        ),
        ("PutBucketTagging", b"<Tagging><TagSet><Tagg/></TagSet></Tagging>", "MalformedXML"),
        (
            "DeleteObjects",
            b"<Delete><Object><Key>a<b/></Key></Object></Delete>",
            "MalformedXML",
        ),
        ("DeleteObjects", b"<Delete><Quiet>true</Quiet></Delete>", "MalformedXML"),
        (
            "DeleteObjects",
            b"<Delete><Object><VersionId>1</VersionId></Object></Delete>",
            "MalformedXML",
        ),
    ],
)
def test_bad_document_is_refused(name: str, body: bytes, expected: str) -> None:
    query = "uploadId=u" if name == "CompleteMultipartUpload" else ""
    assert refusal(name, body, query=query)[0] == expected


def test_delete_has_at_most_1000_keys() -> None:
    item = b"<Object><Key>a</Key></Object>"
    read = parse("DeleteObjects", b"<Delete>" + item * 1_000 + b"</Delete>")
    assert len(read["Delete"]["Objects"]) == 1_000
    assert refusal("DeleteObjects", b"<Delete>" + item * 1_001 + b"</Delete>")[0] == "MalformedXML"


def test_document_above_its_limit_is_refused() -> None:
    comment = b"<!--" + b"x" * body_limit(OPERATIONS["PutBucketTagging"]) + b"-->"
    body = b"<Tagging>" + comment + b"<TagSet/></Tagging>"
    assert refusal("PutBucketTagging", body)[0] == "MalformedXML"


def test_lifecycle_without_filter_or_prefix_is_read() -> None:
    """The rule of seed A: only an ID, a status and days for noncurrent versions."""
    name = "NoncurrentVersionExpiration"
    days = f"<{name}><NoncurrentDays>10</NoncurrentDays></{name}>"
    body = rule(f"<ID>r</ID><Status>Enabled</Status>{days}")
    expected = {
        "ID": "r",
        "Status": "Enabled",
        "NoncurrentVersionExpiration": {"NoncurrentDays": 10},
    }
    parsed = parse("PutBucketLifecycleConfiguration", body)
    assert parsed == {"LifecycleConfiguration": {"Rules": [expected]}}


def test_unknown_elements_of_a_command_are_ignored() -> None:
    body = b"<Delete><Object><Key> a </Key><New/></Object><Extra>1</Extra></Delete>"
    assert parse("DeleteObjects", body) == {"Delete": {"Objects": [{"Key": " a "}]}}


def test_custom_region_is_a_location() -> None:
    body = (
        b"<CreateBucketConfiguration><LocationConstraint>fr-clermont-mesocentre"
        b"</LocationConstraint></CreateBucketConfiguration>"
    )
    expected = {"LocationConstraint": "fr-clermont-mesocentre"}
    assert parse("CreateBucket", body) == {"CreateBucketConfiguration": expected}
    assert parse("CreateBucket") == {}
