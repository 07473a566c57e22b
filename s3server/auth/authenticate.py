"""Who sent a request: the one function that every request passes, whatever carries its proof.

The mechanism is chosen from everything that could carry credentials, never from one header,
and the payload mode is looked at only after the signature was proven: both orders were
bypasses in other servers (CVE-2025-31489, CVE-2026-41145).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from s3server import errors
from s3server.auth import sigv2, sigv4
from s3server.auth.canonical import Pairs, query_pairs
from s3server.auth.chunk_signatures import ChunkSignatures
from s3server.auth.credentials import Credential
from s3server.auth.sigv4 import Host
from s3server.errors import (
    AccessDenied,
    AuthorizationQueryParametersError,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    S3Error,
    SignatureDoesNotMatch,
    XAmzContentSHA256Mismatch,
)
from s3server.model import ANONYMOUS, HttpRequest, Identity, Target

Lookup = Callable[[str, str | None], Awaitable[Credential | None]]  # access key id, session token
Mechanism = Literal["anonymous", "v4-header", "v4-query", "v2-header", "v2-query"]

SIGNED_CHUNKS = frozenset({
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
})  # fmt: skip
UNSIGNED = frozenset({"UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"})

_V4_QUERY = frozenset({
    "x-amz-algorithm", "x-amz-credential", "x-amz-signature", "x-amz-signedheaders",
    "x-amz-expires", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token",
})  # fmt: skip
_V4_MARKS = frozenset({"x-amz-algorithm", "x-amz-credential", "x-amz-signature"})
_V2_MARKS = frozenset({"AWSAccessKeyId", "Signature"})
_is_sha256 = re.compile(r"[0-9a-f]{64}").fullmatch
_TOKEN_IN_TEXT = re.compile(r"(x-amz-security-token[:=])[^\n&]+", re.IGNORECASE)
# Stands in where the access key is unknown, so that the answer takes as long.
NO_SECRET = "0" * 40
_DEFAULT_PORTS = (":80", ":443")


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """What signatures are held against."""

    region: str
    region_aliases: frozenset[str] = field(default_factory=frozenset)  # "*": any region
    external_urls: tuple[str, ...] = ()  # under which clients know us: "https://s3.site.org"
    base_domains: tuple[str, ...] = ()  # lower case; a host below one of them names a bucket
    allow_sigv2: bool = True


class _Attempt(msgspec.Struct, gc=False):
    """What is known of a request before its proof."""

    request: HttpRequest
    target: Target
    pairs: Pairs
    mechanism: Mechanism
    settings: AuthSettings
    now: float  # POSIX
    trusted_peer: bool
    body_sha256: str | None


async def authenticate(
    request: HttpRequest,
    target: Target,
    *,
    lookup: Lookup,
    settings: AuthSettings,
    now: float,
    trusted_peer: bool,
    body_sha256: str | None,
) -> Identity:
    """Return who sent `request`, proven; a request without any credentials is anonymous's.

    `now` is POSIX time. `body_sha256` is the hash of the whole body, in hexadecimal, where the
    server has read it: forms to IAM, STS and SNS, whose signatures cover it. X-Forwarded-Host
    counts only where `trusted_peer`. Raises the S3Errors of AWS's "Authenticating Requests" pages.
    """
    pairs = query_pairs(request.query) if request.query else []
    mechanism = choose_mechanism(request.headers, pairs)
    attempt = _Attempt(request, target, pairs, mechanism, settings, now, trusted_peer, body_sha256)
    match mechanism:
        case "v4-header" | "v4-query":
            return await _version_4(attempt, lookup)
        case "v2-header" | "v2-query":
            return await _version_2(attempt, lookup)
        case "anonymous":
            return Identity(ANONYMOUS, "anonymous", _anonymous_payload(request.headers))


def choose_mechanism(headers: Mapping[str, str], pairs: Pairs) -> Mechanism:
    """Return how a request says it is signed. Raises InvalidArgument for two ways, or unknown ones.

    A single trace is enough: credentials in part are broken credentials, not none.
    """
    found: list[Mechanism] = []
    authorization = headers.get("authorization")
    if authorization is not None:
        found.append(_header_mechanism(authorization))
    if pairs:
        names = [name for name, _ in pairs]
        if not _V4_MARKS.isdisjoint([name.lower() for name in names]):
            found.append("v4-query")
        if not _V2_MARKS.isdisjoint(names):
            found.append("v2-query")
    if len(found) > 1:
        raise InvalidArgument(
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
            "Signature query string parameter or the Authorization header should be specified",
            ArgumentName="Authorization",
            ArgumentValue=authorization or "",
        )
    return found[0] if found else "anonymous"


def hoisted_headers(request: HttpRequest, identity: Identity) -> dict[str, str]:
    """Return the headers that a signed URL carries as parameters (x-amz-acl=...), lower case.

    They are signed with the URL; a header that was really sent wins over its twin.
    """
    if identity.mechanism not in {"v4-query", "v2-query"}:
        return {}
    return {
        name.lower(): value
        for name, value in query_pairs(request.query)
        if sigv2.is_hoisted(name)
        and name.lower() not in _V4_QUERY
        and name.lower() not in request.headers
    }


def _header_mechanism(authorization: str) -> Mechanism:
    if not authorization:
        raise AccessDenied
    scheme = authorization.partition(" ")[0]
    if scheme == "AWS4-HMAC-SHA256":
        return "v4-header"
    if scheme == "AWS":
        return "v2-header"
    if scheme.startswith("AWS4-ECDSA"):
        raise errors.NotImplemented("Signature Version 4A (ECDSA) is not supported.")
    raise InvalidArgument(
        "Unsupported Authorization Type", ArgumentName="Authorization", ArgumentValue=authorization
    )


async def _version_4(attempt: _Attempt, lookup: Lookup) -> Identity:
    headers, settings = attempt.request.headers, attempt.settings
    if attempt.mechanism == "v4-header":
        claim = sigv4.read_header(headers["authorization"], headers)
        token = headers.get("x-amz-security-token")
    else:
        parameters = _auth_parameters(attempt.pairs)
        claim = sigv4.read_query(parameters, headers)
        token = parameters.get("x-amz-security-token", headers.get("x-amz-security-token"))
    sigv4.check(
        claim, headers, region=settings.region, aliases=settings.region_aliases, now=attempt.now
    )
    payload = claim.payload
    if claim.service != "s3" or attempt.body_sha256 is not None:
        payload = _form_payload(claim, attempt)
    credential = await lookup(claim.access_key_id, token)
    secret = credential.secret if credential else NO_SECRET
    try:
        key = sigv4.verify(claim, attempt.request, secret, payload, _hosts(attempt))
    except SignatureDoesNotMatch as error:
        raise _refused(error, credential, attempt) from None
    known = known_credential(credential, claim.access_key_id)
    is_chunked = _check_payload(payload)
    chunks = ChunkSignatures(claim, key) if is_chunked else None
    return Identity(known.principal, attempt.mechanism, payload, chunks)


async def _version_2(attempt: _Attempt, lookup: Lookup) -> Identity:
    headers, pairs = attempt.request.headers, attempt.pairs
    parameters = dict(pairs)
    if not attempt.settings.allow_sigv2:
        raise InvalidRequest(
            "The authorization mechanism you have provided is not supported. "
            "Please use AWS4-HMAC-SHA256."
        )
    if attempt.mechanism == "v2-header":
        claim = sigv2.read_header(headers["authorization"], headers)
    elif len(parameters) == len(pairs):
        claim = sigv2.read_query(parameters)
    else:
        raise AccessDenied("A query parameter of a signed URL was given twice")
    token = headers.get("x-amz-security-token", parameters.get("x-amz-security-token"))
    sigv2.check(claim, pairs, now=attempt.now)
    credential = await lookup(claim.access_key_id, token)
    secret = credential.secret if credential else NO_SECRET
    prefixes = dict.fromkeys(host.prefix for host in _hosts(attempt))
    try:
        sigv2.verify(
            claim, attempt.request, attempt.target, pairs, secret=secret, prefixes=prefixes
        )
    except SignatureDoesNotMatch as error:
        raise _refused(error, credential, attempt) from None
    known = known_credential(credential, claim.access_key_id)
    payload = headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    if _check_payload(payload):
        raise InvalidRequest("Signed chunks need Signature Version 4.")
    return Identity(known.principal, attempt.mechanism, payload)


def _refused(
    error: SignatureDoesNotMatch, credential: Credential | None, attempt: _Attempt
) -> S3Error:
    if credential is None:
        return InvalidAccessKeyId(AWSAccessKeyId=error.fields["AWSAccessKeyId"])
    for name in ("StringToSign", "CanonicalRequest"):  # logs of clients keep what they are told
        shown = error.fields.get(name)
        if shown is None:
            continue
        error.fields[name] = _TOKEN_IN_TEXT.sub(r"\1...", shown)
        if error.fields[name] != shown:
            error.fields.pop(f"{name}Bytes", None)
    urls = ", ".join(attempt.settings.external_urls) or "none"
    error.fields["Hint"] = (
        f"Host seen: {attempt.request.headers.get('host', '')}; "
        f"configured external URLs: {urls}; did a proxy rewrite it?"
    )
    return error


def known_credential(credential: Credential | None, access_key_id: str) -> Credential:
    if credential is None:
        raise InvalidAccessKeyId(AWSAccessKeyId=access_key_id)
    return credential


def _check_payload(payload: str) -> bool:
    """Accept what may stand for a body; return whether its chunks are signed."""
    if payload == sigv4.EMPTY_SHA256 or payload in UNSIGNED or _is_sha256(payload):
        return False
    if payload in SIGNED_CHUNKS:
        return True
    if payload.startswith("STREAMING-AWS4-ECDSA"):
        raise errors.NotImplemented("Signature Version 4A (ECDSA) is not supported.")
    raise InvalidArgument(
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a "
        "valid sha256 value.",
        ArgumentName="x-amz-content-sha256",
        ArgumentValue=payload,
    )


def _anonymous_payload(headers: Mapping[str, str]) -> str:
    payload = headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    if _check_payload(payload):
        raise AccessDenied("Signed chunks need a signed request.")
    return payload


def _form_payload(claim: sigv4.Claim, attempt: _Attempt) -> str:
    """Return what the signature of a form covers: always the body, whatever its scope.

    Services other than S3 are spoken to in forms only.
    """
    actual = attempt.body_sha256
    if actual is None or (claim.service != "s3" and attempt.target.bucket is not None):
        raise sigv4.malformed(
            claim, f'incorrect service "{claim.service}". This endpoint belongs to "s3".'
        )
    declared = attempt.request.headers.get("x-amz-content-sha256", actual)
    if declared != actual:
        raise XAmzContentSHA256Mismatch(
            ClientComputedContentSHA256=declared, S3ComputedContentSHA256=actual
        )
    return actual


def _auth_parameters(pairs: Pairs) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for sent, value in pairs:
        name = sent.lower()
        if name in _V4_QUERY:
            if name in parameters:
                raise AuthorizationQueryParametersError(f"{name} was given twice")
            parameters[name] = value
    return parameters


def _hosts(attempt: _Attempt) -> Iterator[Host]:
    """Yield the hosts that the client may have signed for, the likeliest first.

    None that names another bucket than the Host seen does, or none at all where that one does:
    what was signed for "/a/key" must never reach the key "a/key" of the bucket in the Host.
    """
    seen = attempt.request.headers.get("host", "")
    yield Host(seen)
    domains = attempt.settings.base_domains
    bucket = _bucket_label(seen, domains)
    for host in _candidates(attempt, seen):
        if _bucket_label(host.name, domains) == bucket:
            yield host


def _candidates(attempt: _Attempt, seen: str) -> Iterator[Host]:
    headers = attempt.request.headers
    if attempt.trusted_peer:
        name = headers.get("x-forwarded-host", "").partition(",")[0].strip()
        prefix = headers.get("x-forwarded-prefix", "").partition(",")[0].strip().rstrip("/")
        if name or prefix:
            yield from _with_ports(name or seen, prefix)
    yield from _with_ports(seen, "")
    for url in attempt.settings.external_urls:
        parts = urlsplit(url)
        yield from _with_ports(parts.netloc, parts.path.rstrip("/"))


def _bucket_label(host: str, domains: tuple[str, ...]) -> str:
    """Return what a host name says in front of a base domain; "" where it is in path style."""
    name = host.lower().partition(":")[0]
    if name in domains:
        return ""
    found = [name[: -len(domain) - 1] for domain in domains if name.endswith("." + domain)]
    return min(found, key=len, default="")


def _with_ports(name: str, prefix: str) -> Iterator[Host]:
    yield Host(name, prefix)
    for port in _DEFAULT_PORTS:
        if name.endswith(port):
            yield Host(name.removesuffix(port), prefix)
        elif ":" not in name.rpartition("]")[2]:
            yield Host(name + port, prefix)
