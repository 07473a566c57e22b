"""AWS Signature Version 4, in the Authorization header and in presigned URLs. Pure.

A request is handled in three steps, because the secret is looked up in between:
`read_header` or `read_query` give a Claim, `check` holds it against clock and region,
`verify` proves it. Source: "Authenticating Requests (AWS Signature Version 4)", Amazon S3
API Reference.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Literal

import msgspec

from s3server import errors
from s3server.auth.canonical import (
    any_time,
    basic_time,
    canonical_path,
    canonical_query,
    iso_time,
    trimmed,
)
from s3server.auth.hmac_key import HmacKey
from s3server.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
    InvalidRequest,
    RequestTimeTooSkewed,
    S3Error,
    SignatureDoesNotMatch,
)
from s3server.model import HttpRequest

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = sha256(b"").hexdigest()
MAX_EXPIRY_S = 604_800
MAX_SKEW_S = 900
SERVICES = frozenset({"s3", "sns", "sts", "iam"})
GLOBAL_SERVICES = frozenset({"sts", "iam"})  # AWS's tools sign these for us-east-1 everywhere

_QUERY_NAMES = (
    "x-amz-algorithm", "x-amz-credential", "x-amz-signature",
    "x-amz-date", "x-amz-signedheaders", "x-amz-expires",
)  # fmt: skip
_THREE_PARTS = (
    "The authorization header is malformed; the authorization header requires three "
    "components: Credential, SignedHeaders, and Signature."
)
_QUERY_MISSING = (
    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
    "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
)
# A proxy that answers "Expect: 100-continue" itself drops the header, which clients sign.
_DROPPED_BY_PROXIES = {"expect": "100-continue"}


class Host(msgspec.Struct, frozen=True):
    """A name under which the client may know this server, and the path its proxy cuts off."""

    name: str
    prefix: str = ""  # "/s3", without "/" at its end


class Claim(msgspec.Struct, frozen=True, gc=False):
    """What a signature says of itself: well formed, not yet proven."""

    form: Literal["header", "query"]
    access_key_id: str
    date: str  # of the credential scope
    region: str
    service: str
    signed_headers: str  # as sent: "host;x-amz-date"
    signature: str
    timestamp: str  # as signed
    moment: float  # POSIX time of `timestamp`
    payload: str  # what stands for the body in the canonical request; "" if nothing was sent
    scope: str  # date/region/service/aws4_request
    expires_s: int = 0  # of a presigned URL


def read_header(authorization: str, headers: Mapping[str, str]) -> Claim:
    """Parse an Authorization header that begins with the name of the algorithm.

    Raises AuthorizationHeaderMalformed; AccessDenied where no valid time was sent.
    """
    # All but the signature, which comes last, is the same in most requests of a client and day.
    front, _, signature = authorization.rpartition("Signature=")
    if not front or "," in signature:
        signature, front = _signature_and_rest(authorization)
    credential = _read_front(front)
    if not signature:
        raise AuthorizationHeaderMalformed(_THREE_PARTS)
    timestamp = headers.get("x-amz-date")
    signed = credential.signed_headers
    if timestamp is None and "date" in _names(signed):
        timestamp = _basic(headers.get("date", ""))
    moment = basic_time(timestamp or "")
    if timestamp is None or moment is None:
        raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header")
    return Claim(
        "header", credential.access_key_id, credential.date, credential.region,
        credential.service, signed, signature, timestamp, moment,
        headers.get("x-amz-content-sha256", ""), credential.scope,
    )  # fmt: skip


def read_query(parameters: Mapping[str, str], headers: Mapping[str, str]) -> Claim:
    """Parse the parameters of a presigned URL (names in lower case).

    Raises AuthorizationQueryParametersError; NotImplemented for other algorithms.
    """
    values = [parameters.get(name, "") for name in _QUERY_NAMES]
    algorithm, credential, signature, timestamp, signed, expires = values
    if algorithm.startswith("AWS4-ECDSA"):
        raise errors.NotImplemented("Signature Version 4A (ECDSA) is not supported.")
    if not all(values):
        raise AuthorizationQueryParametersError(_QUERY_MISSING)
    if algorithm != ALGORITHM:
        raise AuthorizationQueryParametersError(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or not parts[0] or parts[4] != "aws4_request":
        raise AuthorizationQueryParametersError(
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; "
            'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        )
    moment = basic_time(timestamp)
    if moment is None:
        raise AuthorizationQueryParametersError(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        )
    if not (expires.isascii() and expires.isdigit()):
        raise AuthorizationQueryParametersError("X-Amz-Expires should be a number")
    if len(expires) > 6 or not 1 <= int(expires) <= MAX_EXPIRY_S:
        raise AuthorizationQueryParametersError(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given "
            f"X-Amz-Expires must be between 1 and {MAX_EXPIRY_S} seconds"
        )
    payload = headers.get("x-amz-content-sha256") or parameters.get("x-amz-content-sha256", "")
    access_key_id, date, region, service, _ = parts
    return Claim(
        "query", access_key_id, date, region, service, signed, signature,
        timestamp, moment, payload or "UNSIGNED-PAYLOAD",
        f"{date}/{region}/{service}/aws4_request", int(expires),
    )  # fmt: skip


class _Front(msgspec.Struct, frozen=True, gc=False):
    """An Authorization header without its signature."""

    access_key_id: str
    date: str
    region: str
    service: str
    scope: str
    signed_headers: str


@lru_cache(maxsize=4096)
def _read_front(front: str) -> _Front:
    """Parse "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=...,"."""
    fields = {}
    for field in front[len(ALGORITHM) :].rstrip(" \t").removesuffix(",").split(","):
        name, _, value = field.strip(" \t").partition("=")
        fields[name] = value
    credential = fields.get("Credential", "").rsplit("/", 4)
    signed = fields.get("SignedHeaders", "")
    if len(credential) != 5 or not credential[0] or credential[4] != "aws4_request":
        raise AuthorizationHeaderMalformed(
            "The authorization header is malformed; the Credential is mal-formed; "
            'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        )
    if len(fields) != 2 or not signed:
        raise AuthorizationHeaderMalformed(_THREE_PARTS)
    access_key_id, date, region, service, _ = credential
    scope = f"{date}/{region}/{service}/aws4_request"
    return _Front(access_key_id, date, region, service, scope, signed)


def _signature_and_rest(authorization: str) -> tuple[str, str]:
    """Return the signature, wherever it stands in the header, and the header without it."""
    signature, rest = "", []
    for field in authorization[len(ALGORITHM) :].split(","):
        if field.strip(" \t").startswith("Signature=") and not signature:
            signature = field.strip(" \t").removeprefix("Signature=")
        else:
            rest.append(field)
    return signature, ALGORITHM + ",".join(rest)


def check(
    claim: Claim, headers: Mapping[str, str], *, region: str, aliases: Iterable[str], now: float
) -> None:
    """Hold a claim against its own date, our region, the clock (POSIX) and the headers sent.

    Raises AuthorizationHeaderMalformed or AuthorizationQueryParametersError for a wrong
    scope, RequestTimeTooSkewed, AccessDenied for an expired URL or an unsigned header.
    """
    if claim.region != region or claim.service != "s3":
        _check_scope(claim, region, aliases)
    if claim.timestamp[:8] != claim.date:
        raise malformed(
            claim,
            f'Invalid credential date "{claim.date}". This date is not the same as '
            f'X-Amz-Date: "{claim.timestamp[:8]}".',
        )
    if claim.form == "header":
        if not -MAX_SKEW_S <= now - claim.moment <= MAX_SKEW_S:
            raise too_skewed(claim.timestamp, now)
        if claim.service == "s3" and not claim.payload:
            raise InvalidRequest("Missing required header for this request: x-amz-content-sha256")
    else:
        _check_expiry(claim, now)
    signed = _names(claim.signed_headers)
    unsigned = [n for n in headers if n not in signed and n.startswith("x-amz-")]
    if "host" not in signed:
        unsigned.append("host")
    if unsigned:
        raise AccessDenied(
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(sorted(unsigned)),
        )


def verify(
    claim: Claim, request: HttpRequest, secret: str, payload: str, hosts: Iterable[Host]
) -> HmacKey:
    """Prove a claim under one of the hosts, tried in order, and return the signing key.

    `payload` is what stands for the body in the canonical request. Raises
    SignatureDoesNotMatch with what was calculated from (never with the expected signature).
    """
    key = signing_key(secret, claim.date, claim.region, claim.service)
    given = claim.signature.encode("latin-1", "replace")
    first: tuple[bytes, bytes] | None = None
    for host in hosts:
        canonical = canonical_request(claim, request, payload, host)
        text = string_to_sign(claim, canonical)
        if hmac.compare_digest(key.hex(text).encode(), given):
            return key
        first = first or (canonical, text)
    canonical, text = first or (b"", b"")
    raise SignatureDoesNotMatch(
        AWSAccessKeyId=claim.access_key_id,
        StringToSign=text.decode("latin-1"),
        SignatureProvided=claim.signature,
        StringToSignBytes=text.hex(" "),
        CanonicalRequest=canonical.decode("latin-1"),
        CanonicalRequestBytes=canonical.hex(" "),
    )


def canonical_request(claim: Claim, request: HttpRequest, payload: str, host: Host) -> bytes:
    """Return what is hashed and signed of the request, as if it had been sent to `host`."""
    headers = request.headers
    lines = [
        request.method,
        host.prefix + canonical_path(request.raw_path),
        canonical_query(request.query, without="x-amz-signature" if claim.form == "query" else ""),
    ]
    for name in _listed(claim.signed_headers):
        if name == "host":
            lines.append(f"host:{host.name}")
            continue
        value = headers.get(name) or _DROPPED_BY_PROXIES.get(name, "")
        # A date or a hash has nothing to trim, which is quicker found than looked for.
        lines.append(f"{name}:{value if value.isalnum() else trimmed(value)}")
    lines += ("", claim.signed_headers, payload)
    # Header values were decoded as latin-1: this gives back the bytes that were sent.
    return "\n".join(lines).encode("latin-1", "replace")


def string_to_sign(claim: Claim, canonical: bytes) -> bytes:
    """Return the text whose HMAC is the signature."""
    return f"{ALGORITHM}\n{claim.timestamp}\n{claim.scope}\n{sha256(canonical).hexdigest()}".encode(
        "latin-1", "replace"
    )


@lru_cache(maxsize=4096)
def signing_key(secret: str, date: str, region: str, service: str) -> HmacKey:
    """Derive the key that is good for one day, region and service."""
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return HmacKey(key)


def too_skewed(request_time: str, now: float) -> RequestTimeTooSkewed:
    """Return the error that tells a client how wrong its clock is."""
    return RequestTimeTooSkewed(
        RequestTime=request_time,
        ServerTime=iso_time(now),
        MaxAllowedSkewMilliseconds=str(MAX_SKEW_S * 1000),
    )


@lru_cache(maxsize=256)
def _names(signed_headers: str) -> frozenset[str]:
    return frozenset(signed_headers.split(";"))


@lru_cache(maxsize=256)
def _listed(signed_headers: str) -> tuple[str, ...]:
    return tuple(signed_headers.split(";"))


def _basic(date: str) -> str | None:
    moment = any_time(date)
    return None if moment is None else iso_time(moment).replace("-", "").replace(":", "")


def _check_scope(claim: Claim, region: str, aliases: Iterable[str]) -> None:
    if claim.service not in SERVICES:
        raise malformed(
            claim, f'incorrect service "{claim.service}". This endpoint belongs to "s3".'
        )
    is_known = claim.region == region or claim.region in aliases or "*" in aliases
    is_global = claim.service in GLOBAL_SERVICES and claim.region == "us-east-1"
    if not is_known and not is_global:
        error = malformed(claim, f"the region '{claim.region}' is wrong; expecting '{region}'")
        error.fields["Region"] = region
        raise error


def _check_expiry(claim: Claim, now: float) -> None:
    until = claim.moment + claim.expires_s
    if claim.moment - now > MAX_SKEW_S:
        error = AccessDenied("Request is not valid yet", ServerTime=iso_time(now))
        error.fields["X-Amz-Date"] = claim.timestamp
        raise error
    if now > until:
        error = AccessDenied(
            "Request has expired", Expires=iso_time(until), ServerTime=iso_time(now)
        )
        error.fields["X-Amz-Expires"] = str(claim.expires_s)
        raise error


def malformed(claim: Claim, why: str) -> S3Error:
    """Return the error for a credential scope that does not fit, in the form of the claim."""
    if claim.form == "header":
        return AuthorizationHeaderMalformed(f"The authorization header is malformed; {why}")
    return AuthorizationQueryParametersError(f"Error parsing the X-Amz-Credential parameter; {why}")
