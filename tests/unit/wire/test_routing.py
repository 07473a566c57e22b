"""Ties, strays and the query protocol: what tests/test_catalogue.py does not derive from rows."""

from __future__ import annotations

import pytest

from s3server.errors import InvalidAction, MethodNotAllowed, S3Error
from s3server.wire.routing import Router
from s3server.wire.service_model import VERSIONS, load_model

ROUTER = Router([load_model(service) for service in VERSIONS])
COPY = {"x-amz-copy-source": "/b/k"}
FORM = {"content-type": "multipart/form-data; boundary=x"}


def route(line: str, headers: dict[str, str] | None = None) -> str:
    """`"PUT object a=1&b"` -> the name of the operation, or the code of the error."""
    method, level, query = (*line.split(" "), "")[:3]
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    try:
        return ROUTER.find(method, level, {k: v for k, _, v in pairs}, headers or {}).name  # type: ignore[arg-type]
    except S3Error as error:
        return error.code


@pytest.mark.parametrize(
    ("line", "headers", "expected"),
    [
        ("GET object", {}, "GetObject"),
        ("GET object x-id=GetObject", {}, "GetObject"),
        ("GET object versionId=1&partNumber=2&response-content-type=a/b", {}, "GetObject"),
        ("GET object X-Amz-Algorithm=A&X-Amz-Signature=b&x-amz-new-thing=", {}, "GetObject"),
        ("GET object AWSAccessKeyId=a&Signature=b&Expires=3", {}, "GetObject"),
        ("GET object cachebuster", {}, "GetObject"),
        ("GET object uploadId=1&max-parts=3", {}, "ListParts"),
        ("HEAD object partNumber=1", {}, "HeadObject"),
        ("HEAD bucket", {}, "HeadBucket"),
        ("PUT object", {}, "PutObject"),
        ("PUT object", COPY, "CopyObject"),
        ("PUT object acl", COPY, "PutObjectAcl"),
        ("PUT object partNumber=1&uploadId=2", {}, "UploadPart"),
        ("PUT object partNumber=1&uploadId=2", COPY, "UploadPartCopy"),
        ("PUT object partNumber=1", {}, "InvalidArgument"),
        ("PUT object uploadId=1", {}, "InvalidArgument"),
        ("PUT object foo", {}, "NotImplemented"),
        ("PUT object foo=bar", {}, "PutObject"),
        ("PUT object x-id=PutObject", {}, "PutObject"),
        ("PUT object versioning", {}, "MethodNotAllowed"),
        ("PUT bucket foo", {}, "NotImplemented"),
        ("PUT bucket versions", {}, "MethodNotAllowed"),
        ("PUT bucket acl&policy", {}, "InvalidArgument"),
        ("DELETE bucket foo", {}, "NotImplemented"),
        ("DELETE object uploadId=1", {}, "AbortMultipartUpload"),
        ("DELETE object versionId=1", {}, "DeleteObject"),
        ("GET bucket", {}, "ListObjects"),
        ("GET bucket list-type=2&prefix=a&fetch-owner=true", {}, "ListObjectsV2"),
        ("GET bucket list-type=1", {}, "InvalidArgument"),
        ("GET bucket analytics", {}, "ListBucketAnalyticsConfigurations"),
        ("GET bucket analytics&id=1", {}, "GetBucketAnalyticsConfiguration"),
        ("GET bucket lifecycle", {}, "GetBucketLifecycleConfiguration"),
        ("GET service", {}, "ListBuckets"),
        ("POST object uploads", {}, "CreateMultipartUpload"),
        ("POST object uploadId=1", {}, "CompleteMultipartUpload"),
        ("POST object select&select-type=2", {}, "SelectObjectContent"),
        ("POST object", {}, "MethodNotAllowed"),
        ("POST bucket", {}, "MethodNotAllowed"),
        ("POST bucket", FORM, "PostObject"),
        ("POST bucket delete", FORM, "DeleteObjects"),
        ("PATCH object", {}, "MethodNotAllowed"),
        ("DELETE service", {}, "MethodNotAllowed"),
    ],
)
def test_request_is_routed(line: str, headers: dict[str, str], expected: str) -> None:
    assert route(line, headers) == expected


def test_refused_method_says_which_are_allowed() -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        ROUTER.find("PATCH", "object", {}, {})
    assert caught.value.headers == {"allow": "DELETE, GET, HEAD, POST, PUT"}


@pytest.mark.parametrize(
    ("action", "version", "scope", "expected"),
    [
        ("CreateUser", "2010-05-08", "iam", "iam:CreateUser"),
        ("CreateUser", "2010-05-08", None, "iam:CreateUser"),
        ("CreateUser", None, None, "iam:CreateUser"),
        ("AssumeRole", "2011-06-15", "sts", "sts:AssumeRole"),
        ("CreateTopic", "2010-03-31", "s3", "sns:CreateTopic"),
    ],
)
def test_form_action_is_found(
    action: str, version: str | None, scope: str | None, expected: str
) -> None:
    assert ROUTER.find_query_operation(action, version, scope).action == expected


@pytest.mark.parametrize(
    ("action", "version", "scope"),
    [
        ("CreateUser", "2010-05-08", "sts"),
        ("CreateUser", "2011-06-15", None),
        ("PutObject", None, "s3"),
        ("", None, None),
    ],
)
def test_unknown_form_action_is_refused(
    action: str, version: str | None, scope: str | None
) -> None:
    with pytest.raises(InvalidAction):
        ROUTER.find_query_operation(action, version, scope)
