"""Requests signed by botocore's own signers, at a time that the test chooses."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes, urlsplit

from botocore.auth import HmacV1Auth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "us-east-1"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
UNSIGNED_CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


@dataclass(frozen=True, slots=True)
class Key:
    """An access key of a test."""

    id: str
    secret: str
    region: str = REGION
    token: str = ""  # of a session


@dataclass(frozen=True, slots=True)
class Signed:
    """A request ready to be sent: target and headers as they go over the wire."""

    target: str
    headers: dict[str, str]


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    *,
    key: Key,
    at: datetime,
    payload: str,
    service: str = "s3",
) -> Signed:
    """Sign in the Authorization header; `payload` is what stands for the body."""
    sent = {**headers, **_token(key), "X-Amz-Content-SHA256": payload}
    request = AWSRequest(method, url, headers=sent)
    request.context["timestamp"] = _timestamp(at)
    signer = _Header(_credentials(key), service, key.region)
    signer.apply(request)
    return Signed(_target(url), _plain(request.headers))


def presign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    *,
    key: Key,
    at: datetime,
    expires_s: int = 600,
) -> Signed:
    """Sign in the query; `headers` are signed too."""
    request = AWSRequest(method, url, headers=dict(headers))
    request.context["timestamp"] = _timestamp(at)
    _Query(_credentials(key), "s3", key.region, expires=expires_s).apply(request)
    return Signed(_target(request.url), _plain(request.headers))


def sign_v2(method: str, url: str, headers: Mapping[str, str], *, key: Key, at: datetime) -> Signed:
    """Sign with version 2 in the Authorization header; the URL is in path style."""
    sent = {**headers, **_token(key), "Date": at.strftime("%a, %d %b %Y %H:%M:%S GMT")}
    request = AWSRequest(method, url, headers=sent)
    signature = _Version2(key, sent["Date"]).of(method, url, request)
    sent["Authorization"] = f"AWS {key.id}:{signature}"
    return Signed(_target(url), {name.lower(): value for name, value in sent.items()})


def presign_v2(method: str, url: str, *, key: Key, at: datetime, expires_s: int = 600) -> Signed:
    """Sign with version 2 in the query."""
    until = str(int(at.timestamp()) + expires_s)
    request = AWSRequest(method, url, headers={"Date": until, **_token(key)})
    signature = _Version2(key, until).of(method, url, request)
    added = f"AWSAccessKeyId={key.id}&Expires={until}&Signature={quote(signature, safe='')}"
    for name, value in _token(key).items():
        added += f"&{name.lower()}={quote(value, safe='')}"
    return Signed(_target(url) + ("&" if "?" in url else "?") + added, {})


def signed_chunks(signed: Signed, body: bytes, *, key: Key, sizes: Sequence[int]) -> bytes:
    """Frame `body` as aws-chunked whose chunks are chained to the signature of the headers.

    Source: "Signature Calculations for the Authorization Header: Transferring Payload in
    Multiple Chunks", Amazon S3 API Reference.
    """
    stamp = signed.headers["x-amz-date"]
    scope = f"{stamp[:8]}/{key.region}/s3/aws4_request"
    secret = b"AWS4" + key.secret.encode()
    for part in (stamp[:8], key.region, "s3", "aws4_request"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    previous = signed.headers["authorization"].rpartition("Signature=")[2]
    framed, start = [], 0
    for size in (*sizes, 0):
        piece = body[start : start + size]
        start += size
        text = "\n".join(
            (
                "AWS4-HMAC-SHA256-PAYLOAD", stamp, scope, previous,
                hashlib.sha256(b"").hexdigest(), hashlib.sha256(piece).hexdigest(),
            )
        )  # fmt: skip
        previous = hmac.digest(secret, text.encode(), "sha256").hex()
        framed.append(b"%x;chunk-signature=%s\r\n%s\r\n" % (size, previous.encode(), piece))
    return b"".join(framed)


def unsigned_chunks(body: bytes, *, sizes: Iterable[int], trailer: str = "") -> bytes:
    """Frame `body` as aws-chunked without signatures, with one trailer or none."""
    framed, start = [], 0
    for size in sizes:
        framed.append(b"%x\r\n%s\r\n" % (size, body[start : start + size]))
        start += size
    end = f"0\r\n{trailer}\r\n\r\n" if trailer else "0\r\n\r\n"
    return b"".join(framed) + end.encode()


class _Header(S3SigV4Auth):
    """botocore's signer, without its clock and its choice of what stands for the body.

    botocore encodes targets before it signs them; those of tests are as they are, so what is
    signed is encoded here, by the rule of "Create a signed AWS API request".
    """

    def _normalize_url_path(self, path: str) -> str:
        return _canonical(path)

    def apply(self, request: AWSRequest) -> None:
        request.headers["X-Amz-Date"] = request.context["timestamp"]
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))

    def canonical_query_string(self, request: AWSRequest) -> str:
        pairs = []
        for pair in filter(None, urlsplit(request.url).query.split("&")):
            name, _, value = pair.partition("=")
            pairs.append((_encoded(name), _encoded(value)))
        return "&".join(f"{name}={value}" for name, value in sorted(pairs))


class _Query(S3SigV4QueryAuth):
    """botocore's signer of links, without its clock."""

    def _normalize_url_path(self, path: str) -> str:
        return _canonical(path)

    def apply(self, request: AWSRequest) -> None:
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))


class _Version2(HmacV1Auth):
    """botocore's signer of version 2, without its clock."""

    def __init__(self, key: Key, date: str) -> None:
        super().__init__(_credentials(key))
        self._date = date

    def _get_date(self) -> str:
        return self._date

    def of(self, method: str, url: str, request: AWSRequest) -> str:
        return str(self.get_signature(method, urlsplit(url), request.headers))


def _canonical(path: str) -> str:
    return quote(unquote_to_bytes(path), safe="/-_.~")


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", " ")), safe="-_.~")


def _credentials(key: Key) -> Credentials:
    return Credentials(key.id, key.secret, key.token or None)


def _token(key: Key) -> dict[str, str]:
    return {"X-Amz-Security-Token": key.token} if key.token else {}


def _timestamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _target(url: str) -> str:
    return "/" + url.partition("://")[2].partition("/")[2]


def _plain(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
