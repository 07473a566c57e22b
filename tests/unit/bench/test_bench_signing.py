"""Our requests carry the signature that botocore would have made, for the second they leave in."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from unittest import mock

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.signing import EMPTY_SHA256, UNSIGNED, Account, Signer, Template

NOW = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
HELLO = hashlib.sha256(b"hello").hexdigest().encode()


class Clock:
    """Time that stands still until a test moves it."""

    seconds = NOW.timestamp()

    def __call__(self) -> float:
        return self.seconds


def signer(token: str = "", clock: Clock | None = None) -> Signer:
    account = Account("AKEXAMPLE", "very/secret", token)
    return Signer("127.0.0.1:9000", account, "eu-west-3", clock=clock or Clock())


def headers_of(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")
    return dict(line.split(": ", 1) for line in lines[1:-2])


def by_botocore(method: str, url: str, headers: dict[str, str], token: str = "") -> str:
    request = AWSRequest(method=method, url=url, headers=headers)
    request.context["payload_signing_enabled"] = True
    credentials = Credentials("AKEXAMPLE", "very/secret", token or None)
    auth = S3SigV4Auth(credentials, "s3", "eu-west-3")
    with (
        mock.patch("botocore.auth.get_current_datetime", return_value=NOW),
        mock.patch.object(auth, "payload", return_value=headers["X-Amz-Content-SHA256"]),
    ):
        auth.add_auth(request)
    return str(request.headers["Authorization"])


@pytest.mark.parametrize(
    ("method", "path", "query", "sha256", "token", "more"),
    [
        ("GET", "/bucket/object-00000001", "", EMPTY_SHA256, "", {}),
        ("PUT", "/bucket/object-00000001", "", HELLO, "", {}),
        ("GET", "/bucket", "list-type=2&max-keys=1000", EMPTY_SHA256, "", {}),
        ("DELETE", "/bucket/a", "", UNSIGNED, "", {}),
        ("GET", "/bucket/a", "", EMPTY_SHA256, "a/session/token==", {}),
        ("POST", "/bucket", "delete=", HELLO, "", {"content-md5": "XUFAKrxLKna5cZ2REBfFkg=="}),
    ],
)
def test_signature_equals_botocore(
    method: str, path: str, query: str, sha256: bytes, token: str, more: dict[str, str]
) -> None:
    ours = signer(token).render(method, path, query, sha256=sha256, headers=more)
    url = f"http://127.0.0.1:9000{path}" + (f"?{query}" if query else "")
    headers = {"X-Amz-Content-SHA256": sha256.decode(), **more}
    assert by_botocore(method, url, headers, token) == headers_of(ours)["Authorization"]


def test_only_requests_with_a_body_name_its_length() -> None:
    assert b"\r\nContent-Length: 5\r\n" in signer().render("PUT", "/b/k", size=5)
    assert b"Content-Length" not in signer().render("GET", "/b/k")


def test_each_second_is_signed_afresh_across_midnight() -> None:
    clock = Clock()
    template = Template(signer(clock=clock), "GET")
    before = headers_of(template.render(b"/b/k"))
    assert before == headers_of(template.render(b"/b/k"))
    clock.seconds += 1
    after = headers_of(template.render(b"/b/k"))
    assert ("20260131T235959Z", "20260201T000000Z") == (before["x-amz-date"], after["x-amz-date"])
    assert "/20260201/eu-west-3/s3/aws4_request" in after["Authorization"]
    assert before["Authorization"][-64:] != after["Authorization"][-64:]


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(Account("AKEXAMPLE", "very/secret", "secret token"))
