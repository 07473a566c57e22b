"""Statuses, headers and the documents' details; test_model_oracle.py has the rest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from lxml import etree

from s3server.wire.response import Response
from s3server.wire.serialize import compile_renderer
from s3server.wire.service_model import VERSIONS, load_model

OPERATIONS = {name: one for s in VERSIONS for name, one in load_model(s).operations.items()}
MOMENT = datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)
XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def render(name: str, result: dict[str, Any]) -> Response:
    return compile_renderer(OPERATIONS[name])(result, request_id="RID", host_id="HID")


def headers(answer: Response) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in answer.headers}


def document(name: str, result: dict[str, Any]) -> str:
    body = render(name, result).body
    assert isinstance(body, bytes)
    return body.decode().removeprefix('<?xml version="1.0" encoding="UTF-8"?>\n')


@pytest.mark.parametrize(
    ("name", "result", "expected"),
    [
        ("PutObject", {}, 200),
        ("DeleteObject", {}, 204),
        ("DeleteBucket", {}, 204),
        ("AbortMultipartUpload", {}, 204),
        ("PutBucketPolicy", {}, 204),
        ("DeleteObjects", {}, 200),
        ("GetObject", {"Body": b""}, 200),
        ("GetObject", {"Body": b"", "ContentRange": "bytes 0-0/1"}, 206),
        ("RestoreObject", {"@status": 202}, 202),
        ("CreateUser", {}, 200),
    ],
)
def test_status(name: str, result: dict[str, Any], expected: int) -> None:
    assert render(name, result).status == expected


def test_object_is_headers_and_its_bytes() -> None:
    async def stream() -> Any:
        yield b"x"

    body = stream()
    answer = render(
        "GetObject",
        {
            "Body": body,
            "ContentLength": 1,
            "ContentType": "text/plain",
            "ETag": '"e"',
            "LastModified": MOMENT,
            "DeleteMarker": None,
            "ObjectLockRetainUntilDate": MOMENT,
            "Metadata": {"fairease.catalog": "COG", "u": "ü"},
            "@headers": {"Access-Control-Allow-Origin": "*"},
        },
    )
    assert answer.body is body
    assert headers(answer) == {
        "x-amz-request-id": "RID",
        "x-amz-id-2": "HID",
        "content-length": "1",
        "content-type": "text/plain",
        "etag": '"e"',
        "last-modified": "Tue, 03 Feb 2026 04:05:06 GMT",
        "x-amz-object-lock-retain-until-date": "2026-02-03T04:05:06.000Z",
        "x-amz-meta-fairease.catalog": "COG",
        "x-amz-meta-u": "ü",
        "access-control-allow-origin": "*",
    }


@pytest.mark.parametrize(
    ("name", "result", "expected"),
    [
        ("PutObject", {"ETag": '"e"'}, "0"),
        ("CreateBucket", {"Location": "/b"}, "0"),
        ("HeadObject", {"ContentLength": 7}, "7"),
        ("HeadBucket", {}, None),
        ("DeleteObject", {}, None),
        ("GetBucketPolicy", {"Policy": '{"é": 1}'}, "9"),
        ("GetObject", {"Body": b"abc"}, "3"),
    ],
)
def test_content_length(name: str, result: dict[str, Any], expected: str | None) -> None:
    assert headers(render(name, result)).get("content-length") == expected


def test_head_and_empty_answers_have_no_body_and_no_type() -> None:
    for name in ("HeadObject", "PutObject", "DeleteObject"):
        answer = render(name, {})
        assert (answer.body, "content-type" in headers(answer)) == (b"", False)


def test_policy_is_json() -> None:
    answer = render("GetBucketPolicy", {"Policy": "{}"})
    assert (answer.body, headers(answer)["content-type"]) == (b"{}", "application/json")


@pytest.mark.parametrize(
    ("name", "result", "expected"),
    [
        ("GetBucketVersioning", {}, f"<VersioningConfiguration {XMLNS}></VersioningConfiguration>"),
        (
            "GetBucketLocation",
            {"LocationConstraint": "fr<1>"},
            f"<LocationConstraint {XMLNS}>fr&lt;1&gt;</LocationConstraint>",
        ),
        ("GetBucketLocation", {}, f"<LocationConstraint {XMLNS}></LocationConstraint>"),
        (
            "ListObjects",
            {
                "Contents": [{"Key": "a", "LastModified": MOMENT, "ETag": '"e"', "Size": 0}],
                "CommonPrefixes": [{"Prefix": "p/"}],
                "Name": "b",
                "Prefix": "",
                "Marker": None,
                "IsTruncated": False,
            },
            (
                f"<ListBucketResult {XMLNS}><Name>b</Name><Prefix></Prefix>"
                "<IsTruncated>false</IsTruncated><Contents><Key>a</Key>"
                "<LastModified>2026-02-03T04:05:06.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
                "<Size>0</Size></Contents><CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>"
                "</ListBucketResult>"
            ),
        ),
        (
            "GetBucketAcl",
            {"Grants": [{"Grantee": {"Type": "Group", "URI": "u&v"}, "Permission": "READ"}]},
            (
                f"<AccessControlPolicy {XMLNS}><AccessControlList><Grant>"
                '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group">'
                "<URI>u&amp;v</URI></Grantee><Permission>READ</Permission></Grant>"
                "</AccessControlList></AccessControlPolicy>"
            ),
        ),
        (
            "GetObjectLegalHold",
            {"LegalHold": {"Status": "ON"}},
            f"<LegalHold {XMLNS}><Status>ON</Status></LegalHold>",
        ),
        (
            "GetObjectRetention",
            {"Retention": {"Mode": "GOVERNANCE"}},
            f"<Retention {XMLNS}><Mode>GOVERNANCE</Mode></Retention>",
        ),
    ],
)
def test_document(name: str, result: dict[str, Any], expected: str) -> None:
    assert document(name, result) == expected


def test_query_protocol_has_its_envelope() -> None:
    answer = render("CreateUser", {"User": {"UserName": "a<b", "CreateDate": MOMENT}})
    assert answer.body == (
        b'<CreateUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><CreateUserResult>'
        b"<User><UserName>a&lt;b</UserName><CreateDate>2026-02-03T04:05:06Z</CreateDate></User>"
        b"</CreateUserResult><ResponseMetadata><RequestId>RID</RequestId></ResponseMetadata>"
        b"</CreateUserResponse>"
    )
    answer = render("DeleteUser", {})
    assert answer.body == (
        b'<DeleteUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata>'
        b"<RequestId>RID</RequestId></ResponseMetadata></DeleteUserResponse>"
    )
    assert headers(answer)["content-type"] == "text/xml"


@pytest.mark.parametrize(
    ("key", "read_back"),
    [
        ("a\r\n\tb", "a\r\n\tb"),
        ("<script>&amp;\"'", "<script>&amp;\"'"),
        ("a\x01b\x1f\ufffe\uffff", "a\ufffdb\ufffd\ufffd\ufffd"),
        ("\x85\xa0\u2028\U0001f4be", "\x85\xa0\u2028\U0001f4be"),
        ("\ud800", "\ufffd"),
        ("]]>", "]]>"),
    ],
)
def test_any_key_gives_a_well_formed_listing(key: str, read_back: str) -> None:
    body = render("ListObjectsV2", {"Contents": [{"Key": key}]}).body
    assert isinstance(body, bytes)
    assert etree.fromstring(body).findtext("{*}Contents/{*}Key") == read_back


@pytest.mark.parametrize("bad", ["a\r\nb", "a\nb", "a\rb", "a\0b", "a\x7fb", "a\tb", "é\n"])
def test_control_characters_never_reach_a_header(bad: str) -> None:
    for result in ({"ContentType": bad}, {"@headers": {"x": bad}}, {"@headers": {bad: "x"}}):
        with pytest.raises(ValueError, match="header"):
            render("GetObject", result)
    assert headers(render("GetObject", {"Metadata": {"a": bad}}))["x-amz-meta-a"].isprintable()


def test_metadata_name_that_is_no_token_is_a_bug() -> None:
    with pytest.raises(ValueError, match="token"):
        render("GetObject", {"Metadata": {"a: b": "c"}})


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("PutObject", {"Etag": "e"}),
        ("GetObject", {"Body": b"", "Key": "k"}),
        ("ListObjectsV2", {"Keys": []}),
        ("ListObjectsV2", {"Contents": [{"key": "a"}]}),
        ("CreateUser", {"Usr": {}}),
    ],
)
def test_result_that_the_model_lacks_is_a_bug(name: str, result: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        render(name, result)
