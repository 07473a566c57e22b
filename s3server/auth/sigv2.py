"""AWS Signature Version 2 as S3 knows it, in the Authorization header and in URLs. Pure.

Still sent by boto3's presigned URLs without a region, by SNS clients configured for S3 and by
ROOT. Source: "Signing and authenticating REST requests", Amazon S3 developer guide (2020).
It covers neither the host nor the body nor unlisted query parameters: a URL that carries one
which is not known to be harmless is refused, or it could be turned into another operation.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Literal
from urllib.parse import unquote_to_bytes

import msgspec

from s3server.auth.canonical import Pairs, any_time, iso_time
from s3server.auth.sigv4 import MAX_SKEW_S, too_skewed
from s3server.errors import AccessDenied, InvalidArgument, SignatureDoesNotMatch
from s3server.model import HttpRequest, Target

SUB_RESOURCES = frozenset({
    "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory",
    "lifecycle", "location", "logging", "metrics", "notification", "object-lock", "partNumber",
    "policy", "replication", "requestPayment", "restore", "select", "select-type",
    "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning",
    "versions", "website",
    "response-cache-control", "response-content-disposition", "response-content-encoding",
    "response-content-language", "response-content-type", "response-expires",
})  # fmt: skip
# Parameters that a signed URL may carry unsigned: they only page through or filter a listing.
HARMLESS = frozenset({
    "AWSAccessKeyId", "Expires", "Signature", "continuation-token", "delimiter",
    "encoding-type", "fetch-owner", "key-marker", "list-type", "marker", "max-keys",
    "max-parts", "max-uploads", "part-number-marker", "prefix", "start-after",
    "upload-id-marker", "version-id-marker", "x-id",
})  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search
_HOISTED = ("content-type", "content-md5")  # besides x-amz-*: boto3 moves them into the URL


class Claim(msgspec.Struct, frozen=True, gc=False):
    """What a signature says of itself: well formed, not yet proven."""

    form: Literal["header", "query"]
    access_key_id: str
    signature: str  # base64
    date: str  # the line of the string to sign; "" where x-amz-date takes its place
    moment: float  # POSIX time when it was signed, or when the URL expires
    timestamp: str  # as sent


def read_header(authorization: str, headers: Mapping[str, str]) -> Claim:
    """Parse "AWS access-key-id:signature". Raises InvalidArgument, AccessDenied without a time."""
    access_key_id, colon, signature = authorization[4:].strip().rpartition(":")
    if not colon or not access_key_id:
        raise InvalidArgument(
            "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
            ArgumentName="Authorization",
            ArgumentValue=authorization,
        )
    amz_date = headers.get("x-amz-date")
    timestamp = amz_date if amz_date is not None else headers.get("date", "")
    moment = any_time(timestamp)
    if moment is None:
        raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header")
    date = timestamp if amz_date is None else ""
    return Claim("header", access_key_id, signature, date, moment, timestamp)


def read_query(parameters: Mapping[str, str]) -> Claim:
    """Parse the parameters of a signed URL. Raises AccessDenied."""
    access_key_id, signature, expires = (
        parameters.get(name, "") for name in ("AWSAccessKeyId", "Signature", "Expires")
    )
    if not access_key_id or not signature or not expires:
        raise AccessDenied(
            "Query-string authentication requires the Signature, Expires and "
            "AWSAccessKeyId parameters"
        )
    if not (expires.isascii() and expires.isdigit()) or len(expires) > 11:
        raise AccessDenied(f"Invalid date (should be seconds since epoch): {expires}")
    # Base64 knows no blank: one that was found came from a "+" left unencoded.
    signature = signature.replace(" ", "+")
    return Claim("query", access_key_id, signature, expires, float(expires), expires)


def check(claim: Claim, pairs: Pairs, *, now: float) -> None:
    """Hold a claim against the clock, and a URL's parameters against what V2 can sign.

    Raises RequestTimeTooSkewed or AccessDenied.
    """
    if claim.form == "header":
        if abs(now - claim.moment) > MAX_SKEW_S:
            raise too_skewed(claim.timestamp, now)
        return
    if now > claim.moment:
        raise AccessDenied(
            "Request has expired", Expires=iso_time(claim.moment), ServerTime=iso_time(now)
        )
    unsigned = [
        name
        for name, _ in pairs
        if name not in SUB_RESOURCES and name not in HARMLESS and not is_hoisted(name)
    ]
    if unsigned:
        raise AccessDenied(
            "There were query parameters present in the request which were not signed",
            ParametersNotSigned=", ".join(sorted(unsigned)),
        )
    if any(_is_ambiguous(name, value) for name, value in pairs):
        raise AccessDenied("A query parameter of a signed URL can be read in two ways")


def _is_ambiguous(name: str, value: str) -> bool:
    """Whether the string to sign would be the same for other parameters: it escapes nothing.

    "a=1&b=2" in one value is two sub-resources, "1\\nx-amz-b:2" in one header is two headers.
    """
    if is_hoisted(name):
        return ":" in name or _CONTROL(name + value) is not None
    parts = value.split("&")[1:] if name in SUB_RESOURCES else ()
    return any(part.partition("=")[0] in SUB_RESOURCES for part in parts)


def is_hoisted(name: str) -> bool:
    """Whether a query parameter of a signed URL stands for the header of the same name."""
    name = name.lower()
    return name.startswith("x-amz-") or name in _HOISTED


def verify(
    claim: Claim,
    request: HttpRequest,
    target: Target,
    pairs: Pairs,
    *,
    secret: str,
    prefixes: Iterable[str],
) -> None:
    """Prove a claim under one of the path prefixes that a proxy may have cut off.

    Raises SignatureDoesNotMatch.
    """
    given = claim.signature.encode("latin-1", "replace")
    first = b""
    for prefix, end in product(prefixes, _ends(request.raw_path, target)):
        text = string_to_sign(claim, request, target, pairs, f"{prefix}{request.raw_path}{end}")
        expected = b64encode(hmac.digest(secret.encode(), text, "sha1"))
        if hmac.compare_digest(expected, given):
            return
        first = first or text
    raise SignatureDoesNotMatch(
        AWSAccessKeyId=claim.access_key_id,
        StringToSign=first.decode("utf-8", "replace"),
        SignatureProvided=claim.signature,
        StringToSignBytes=first.hex(" "),
    )


def string_to_sign(
    claim: Claim, request: HttpRequest, target: Target, pairs: Pairs, path: str
) -> bytes:
    """Return the text whose HMAC-SHA1 is the signature, if the client signed this path."""
    headers = request.headers
    if claim.form == "query":
        # A header that was really sent wins over its twin in the URL, here as in the server.
        headers = {**{n.lower(): v for n, v in pairs if is_hoisted(n)}, **headers}
    lines = [
        request.method,
        headers.get("content-md5", "").strip(),
        headers.get("content-type", "").strip(),
        claim.date,
    ]
    lines += [
        f"{name}:{headers[name].strip()}" for name in sorted(headers) if name.startswith("x-amz-")
    ]
    # Received values are latin-1 for bytes as sent; values out of the URL are text.
    head = "\n".join(lines)
    try:
        signed = head.encode("latin-1")
    except UnicodeEncodeError:
        signed = head.encode()
    if target.bucket is not None and _names_no_bucket(request.raw_path, target):
        path = f"/{target.bucket}{path}"
    return signed + b"\n" + canonical_resource(path, pairs).encode()


def _ends(raw_path: str, target: Target) -> tuple[str, ...]:
    """Return what may end the path that was signed: boto3 asks for /bucket and signs /bucket/."""
    is_bucket = target.bucket is not None and target.key is None
    return ("", "/") if is_bucket and not raw_path.endswith("/") else ("",)


def canonical_resource(path: str, pairs: Pairs) -> str:
    """Return what the request is about: bucket, path as sent, and the sub-resources."""
    chosen = sorted((name, value) for name, value in pairs if name in SUB_RESOURCES)
    if not chosen:
        return path
    return path + "?" + "&".join([f"{n}={v}" if v else n for n, v in chosen])


def _names_no_bucket(raw_path: str, target: Target) -> bool:
    """Whether the bucket was in the host name: then the path is the key alone."""
    return unquote_to_bytes(raw_path) == b"/" + (target.key or "").encode()
