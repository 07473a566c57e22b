"""From an ASGI scope to what was asked: headers, query and target, each decoded exactly once.

Only `raw_path` and `query_string` of the scope are read. Nothing is normalised: `//`, `.`, `..`
and `%2F` are characters of a key, and a key never becomes a path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from s3server.errors import (
    InvalidArgument,
    InvalidBucketName,
    InvalidRequest,
    InvalidURI,
    KeyTooLongError,
    RequestHeaderSectionTooLarge,
)
from s3server.model import HttpRequest, Target

MAX_HEADERS = 100
MAX_QUERY_KEYS = 100
MAX_KEY_BYTES = 1_024
# Of S3 Control, which names the account in a header whatever its host says.
ACCOUNT_PATH, ACCOUNT_HEADER = "/v20180820/configuration/publicAccessBlock", "x-amz-account-id"

_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?").fullmatch
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_SINGLE = frozenset(
    {"authorization", "content-length", "content-md5", "content-type", "date", "expect", "host"}
    | {"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since"}
    | {"range", "transfer-encoding"}
)
# AWS's SDK for Java sends such a list as one header per item.
_LISTS = frozenset({"x-amz-object-attributes", "x-amz-optional-object-attributes"})
_NONE: Mapping[str, Any] = {}


def read_request(scope: MutableMapping[str, Any]) -> HttpRequest:
    """Return the request of an ASGI HTTP scope, whose header names are in lower case.

    Headers that may come once only (those of `_SINGLE`, and x-amz-* other than metadata and lists)
    raise InvalidArgument when repeated; the others are joined with a comma, as RFC 9110, 5.2 says.
    Raises InvalidRequest for a missing or malformed Host, RequestHeaderSectionTooLarge
    above 100 headers, and InvalidURI for a target that is not an ASCII path.
    """
    raw = scope["headers"]
    if len(raw) > MAX_HEADERS:
        raise RequestHeaderSectionTooLarge
    headers: dict[str, str] = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in raw
    }
    if len(headers) != len(raw):
        headers = _join_repeats(raw)
    host = headers.get("host")
    if host is None:
        raise InvalidRequest("Missing required header for this request: Host")
    if not is_host(host):
        raise InvalidRequest("The Host header is not valid.")
    try:
        path = scope["raw_path"].decode("ascii")
        query = scope["query_string"].decode("ascii")
    except UnicodeDecodeError:
        raise InvalidURI from None
    if path[:1] != "/":
        path = _strip_authority(path, host)
    client = scope.get("client")
    peer = client[0] if client else ""
    tls = scope.get("extensions", _NONE).get("tls")
    if tls is None:
        return HttpRequest(scope["method"], path, query, headers, scope["scheme"], peer)
    chain = "".join(tls["client_cert_chain"])
    return HttpRequest(
        scope["method"], path, query, headers, scope["scheme"], peer, client_chain=chain
    )


@lru_cache(maxsize=1_024)
def is_host(text: str) -> bool:
    """Return whether a Host header can have this value."""
    return _HOST(text) is not None


def _join_repeats(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name not in headers:
            headers[name] = value
        elif _is_single(name):
            raise InvalidArgument(
                "A header that may be sent once only was repeated.",
                ArgumentName=name,
                ArgumentValue=value,
            )
        else:
            headers[name] += "," + value
    return headers


def _is_single(name: str) -> bool:
    if name.startswith("x-amz-"):
        return not name.startswith("x-amz-meta-") and name not in _LISTS
    return name in _SINGLE


def _strip_authority(target: str, host: str) -> str:
    """Return the path of an absolute-form target, whose authority must be the Host header."""
    scheme, separator, rest = target.partition("://")
    authority, slash, path = rest.partition("/")
    if not separator or scheme.lower() not in {"http", "https"}:
        raise InvalidURI
    if authority.lower() != host.lower():
        raise InvalidRequest("The request target and the Host header name different hosts.")
    return slash + path or "/"


def find_target(request: HttpRequest, base_domains: Sequence[str]) -> Target:
    """Return the bucket and key of a request.

    Where the Host is `<bucket>.<one of base_domains>` (lower case, without port) the whole path is
    the key, else its first segment is the bucket. A path `/bucket/` is the bucket. Names of
    buckets are decoded but not validated here.
    Raises InvalidURI for escapes, UTF-8 or NUL that no key can have, InvalidBucketName for an
    empty bucket, KeyTooLongError.
    """
    path = request.raw_path
    if path == ACCOUNT_PATH and (account := request.headers.get(ACCOUNT_HEADER)) is not None:
        return Target(None, None, account)
    bucket = bucket_of_host(request.headers["host"], tuple(base_domains))
    if bucket is not None:
        return Target(bucket, _decode_key(path[1:]) if len(path) > 1 else None)
    raw_bucket, _, raw_key = path[1:].partition("/")
    if not raw_bucket:
        if raw_key or len(path) > 1:
            raise InvalidBucketName(BucketName="")
        return Target(None, None)
    return Target(_decode_path(raw_bucket), _decode_key(raw_key) if raw_key else None)


@lru_cache(maxsize=1_024)
def bucket_of_host(host: str, base_domains: tuple[str, ...]) -> str | None:
    """Return the bucket that a Host header names in front of one of the domains, or None."""
    name = host.lower()
    if not name.startswith("["):
        name = name.partition(":")[0]
    if name in base_domains:
        return None
    for domain in sorted(base_domains, key=len, reverse=True):
        if name.endswith("." + domain):
            return name[: -len(domain) - 1]
    return None


def _decode_key(raw: str) -> str:
    key = _decode_path(raw)
    if len(raw) > MAX_KEY_BYTES:  # decoding never lengthens
        size = len(key.encode())
        if size > MAX_KEY_BYTES:
            raise KeyTooLongError(Size=str(size), MaxSizeAllowed=str(MAX_KEY_BYTES))
    return key


def _decode_path(raw: str) -> str:
    """Percent-decode once; "+" is a plus. Raises InvalidURI."""
    text = raw
    if "%" in raw:
        if _BAD_ESCAPE(raw):
            raise InvalidURI
        try:
            text = unquote_to_bytes(raw).decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidURI from None
    if "\0" in text:
        raise InvalidURI
    return text


def parse_query(query: str) -> dict[str, str]:
    """Return the keys and values of a query string, percent-decoded, "+" as a space.

    A key without value has the value "". Raises InvalidURI as for paths, and InvalidArgument for
    a repeated key or for more than 100 of them: two readers must never see two values.
    """
    return parse_pairs(query, limit=MAX_QUERY_KEYS) if query else {}


def parse_pairs(text: str, *, limit: int) -> dict[str, str]:
    """Return the pairs of a query string or urlencoded form, as parse_query() does."""
    result: dict[str, str] = {}
    pairs = text.split("&")
    if len(pairs) > limit:
        raise InvalidArgument("The request has too many parameters.")
    is_encoded = "%" in text or "+" in text
    for pair in pairs:
        if not pair:
            continue
        key, _, value = pair.partition("=")
        if is_encoded:
            key = _decode_path(key.replace("+", " "))
            value = _decode_path(value.replace("+", " "))
        if key in result:
            raise InvalidArgument(
                "A parameter was repeated.", ArgumentName=key, ArgumentValue=value
            )
        result[key] = value
    return result
