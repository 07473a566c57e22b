"""Our requests carry the signature that botocore would have made."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from unittest import mock

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.signing import UNSIGNED, signer

NOW = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)


def botocore_authorization(method: str, url: str, sha256: str) -> str:
    request = AWSRequest(method=method, url=url, headers={"X-Amz-Content-SHA256": sha256})
    request.context["payload_signing_enabled"] = True
    auth = S3SigV4Auth(Credentials("AKEXAMPLE", "very/secret"), "s3", "eu-west-3")
    with (
        mock.patch("botocore.auth.get_current_datetime", return_value=NOW),
        mock.patch.object(auth, "payload", return_value=sha256),
    ):
        auth.add_auth(request)
    return str(request.headers["Authorization"])


@pytest.mark.parametrize(
    ("method", "path", "query", "sha256"),
    [
        ("GET", "/bucket/object-00000001", "", hashlib.sha256(b"").hexdigest()),
        ("PUT", "/bucket/object-00000001", "", hashlib.sha256(b"hello").hexdigest()),
        ("GET", "/bucket", "list-type=2&max-keys=1000", hashlib.sha256(b"").hexdigest()),
        ("DELETE", "/bucket/a", "", UNSIGNED),
    ],
)
def test_signature_equals_botocore(method: str, path: str, query: str, sha256: str) -> None:
    ours = signer("127.0.0.1:9000", "AKEXAMPLE", "very/secret", "20260131T235959Z", "eu-west-3")
    lines = ours.render(method, path, query, sha256=sha256).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:-2])
    url = f"http://127.0.0.1:9000{path}" + (f"?{query}" if query else "")
    assert botocore_authorization(method, url, sha256) == headers["Authorization"]


def test_only_requests_with_a_body_name_its_length() -> None:
    ours = signer("h", "a", "s", "20260131T235959Z", "r")
    assert b"\r\nContent-Length: 5\r\n" in ours.render("PUT", "/b/k", size=5)
    assert b"Content-Length" not in ours.render("GET", "/b/k")
