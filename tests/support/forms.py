"""Forms as browsers and boto3 send them, and policies that are signed like boto3's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tests.support.asgi_client import Answer, Client
from tests.support.signing import REGION

BOUNDARY = "----form-boundary-7MA4YWxkTrZu0gW"
Fields = Mapping[str, str] | Sequence[tuple[str, str]]


def encode_form(
    fields: Fields,
    content: bytes | None = b"content",
    *,
    file_name: str = "photo.jpg",
    after: Fields = (),
    boundary: str = BOUNDARY,
    field: str = "file",
) -> bytes:
    """Return the body of a form: fields, the file (unless None), and what comes after it."""
    body = b""
    for name, value in _pairs(fields):
        body += _part(boundary, f'name="{name}"', value.encode())
    if content is not None:
        body += _part(boundary, f'name="{field}"; filename="{file_name}"', content)
    for name, value in _pairs(after):
        body += _part(boundary, f'name="{name}"', value.encode())
    return body + f"--{boundary}--\r\n".encode()


def _pairs(fields: Fields) -> list[tuple[str, str]]:
    return list(fields.items()) if isinstance(fields, Mapping) else list(fields)


def _part(boundary: str, disposition: str, content: bytes) -> bytes:
    head = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + content + b"\r\n"


def signed_fields(
    client: Client,
    conditions: list[Any],
    fields: Mapping[str, str],
    *,
    version: int = 4,
    lifetime_s: int = 600,
    secret: str | None = None,
) -> dict[str, str]:
    """Return `fields` with a policy of these conditions, and its proof by the client's key."""
    now, key = client.now(), client.key
    assert key is not None
    secret = secret or key.secret
    proof: dict[str, str] = {}
    if version == 4:
        day = now.strftime("%Y%m%d")
        proof = {
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-credential": f"{key.id}/{day}/{REGION}/s3/aws4_request",
            "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
        }
    policy = encode_policy([*conditions, *({n: v} for n, v in proof.items())], now, lifetime_s)
    if version == 2:
        digest = hmac.digest(secret.encode(), policy.encode(), "sha1")
        signature = base64.b64encode(digest).decode()
        return {**fields, "AWSAccessKeyId": key.id, "policy": policy, "signature": signature}
    signing = ("AWS4" + secret).encode()
    for part in (proof["x-amz-date"][:8], REGION, "s3", "aws4_request"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    signature = hmac.new(signing, policy.encode(), hashlib.sha256).hexdigest()
    return {**fields, **proof, "policy": policy, "x-amz-signature": signature}


def encode_policy(conditions: list[Any], now: datetime, lifetime_s: int = 600) -> str:
    """Return a policy document in base64."""
    until = (now + timedelta(seconds=lifetime_s)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    document = {"expiration": until, "conditions": conditions}
    return base64.b64encode(json.dumps(document).encode()).decode()


async def post(client: Client, target: str, body: bytes, **headers: str) -> Answer:
    """Send a form that nobody signed but by its fields."""
    sent = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.changed(key=None)("POST", target, body=body, headers=sent)
