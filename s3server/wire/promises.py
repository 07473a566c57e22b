"""What the headers of a request promise of its body: length, framing, digests. Pure.

Source: "Common Request Headers" and "Checking object integrity for data uploads", Amazon S3.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from s3server import errors
from s3server.errors import InvalidArgument, InvalidDigest, InvalidRequest
from s3server.wire.checksums import ALGORITHMS, BY_HEADER, NO_CHECKSUM, Algorithm, decoded
from s3server.wire.digest_fields import Promised, promised_digests

_PREFIX = "x-amz-checksum-"
_OF_NOTHING = frozenset({"UNSIGNED-PAYLOAD", sha256(b"").hexdigest()})
_ABOUT_BODIES = frozenset(
    {"content-digest", "content-md5", "digest", "repr-digest", "transfer-encoding"}
    | {"x-amz-decoded-content-length", "x-amz-sdk-checksum-algorithm", "x-amz-trailer"}
)
_NOT_ALONE = (
    "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
    "x-amz-trailer headers were found."
)


class Promises(msgspec.Struct, frozen=True, gc=False):
    """What is to be verified of a body."""

    size: int | None  # bytes of payload; None: not said
    is_empty: bool  # HTTP says that nothing follows the headers
    is_chunked: bool  # in aws-chunked framing
    is_signed: bool  # each chunk, and the trailers
    has_trailers: bool
    sha256: str  # hexadecimal; "": none promised
    md5: str  # base64; "": none promised
    algorithm: Algorithm | None  # of the declared checksum
    checksum: str  # base64; "": none, or it comes as the trailer
    trailer: str  # name of the trailing header that was announced; "": none
    digests: Promised = ()  # of the fields of HTTP itself


def read_promises(headers: Mapping[str, str], *, payload: str, has_checksum: bool) -> Promises:
    """Return what `headers` promise of a body whose payload mode is `payload`.

    Raises InvalidRequest, InvalidDigest, InvalidArgument or NotImplemented where a promise is
    malformed, contradicts another, or could not be held against the body.
    """
    is_chunked = payload.startswith("STREAMING-")
    has_trailers = is_chunked and payload.endswith("-TRAILER")
    if not is_chunked and "x-amz-decoded-content-length" in headers:
        _refuse_framing(headers.get("content-encoding", ""))
    trailer = _trailer(headers, has_trailers=has_trailers)
    algorithm, checksum = None, ""
    if has_checksum:
        algorithm, checksum = _checksum(headers, trailer)
    md5 = headers.get("content-md5", "")
    if "content-md5" in headers and decoded(md5, 16) is None:
        raise InvalidDigest("The Content-MD5 you specified was invalid.")
    length = _number(headers, "content-length")
    size = _number(headers, "x-amz-decoded-content-length") if is_chunked else length
    return Promises(
        size=size,
        is_empty=not length and "transfer-encoding" not in headers,
        is_chunked=is_chunked,
        is_signed=is_chunked and payload.startswith("STREAMING-AWS4-"),
        has_trailers=has_trailers,
        sha256=payload if len(payload) == 64 else "",
        md5=md5,
        algorithm=algorithm,
        checksum=checksum,
        trailer=trailer,
        digests=_digests(headers) if has_checksum else (),
    )


def promises_nothing(headers: Mapping[str, str], *, payload: str) -> bool:
    """Return whether there is no body, and no word of one that read_promises() would look at."""
    if payload not in _OF_NOTHING or headers.get("content-length", "0") != "0":
        return False
    if not _ABOUT_BODIES.isdisjoint(headers):
        return False
    return not any(name.startswith(_PREFIX) for name in headers)


def _digests(headers: Mapping[str, str]) -> Promised:
    if "digest" in headers or "repr-digest" in headers or "content-digest" in headers:
        return promised_digests(headers)
    return ()


def require_digest(headers: Mapping[str, str]) -> None:
    """Raise InvalidRequest unless some digest of the body is promised."""
    promised = "content-md5" in headers or "x-amz-trailer" in headers
    if not promised and not any(name in BY_HEADER for name in headers):
        raise InvalidRequest(
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
        )


def _refuse_framing(content_encoding: str) -> None:
    """Never store framing as content: some clients frame the body and do not say so in each place.

    Content-Encoding alone says nothing of the body: AWS stores it as it comes, without the word.
    """
    if "aws-chunked" in [word.strip().lower() for word in content_encoding.split(",")]:
        raise InvalidRequest(
            "Content-Encoding aws-chunked needs an x-amz-content-sha256 header that says how "
            "the chunks are signed (STREAMING-...)."
        )


def _trailer(headers: Mapping[str, str], *, has_trailers: bool) -> str:
    announced = headers.get("x-amz-trailer")
    if announced is None:
        return ""
    name = announced.strip().lower()
    if not has_trailers or name not in BY_HEADER:
        raise InvalidRequest("The value specified in the x-amz-trailer header is not supported")
    return name


def _checksum(headers: Mapping[str, str], trailer: str) -> tuple[Algorithm | None, str]:
    """Return the one declared algorithm, and its value where that is known already."""
    names = [n for n in headers if n.startswith(_PREFIX) and n not in NO_CHECKSUM]
    if len(names) + bool(trailer) > 1:
        raise InvalidRequest(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    algorithm, value = None, ""
    if trailer:
        algorithm = BY_HEADER[trailer]
    elif names:
        algorithm, value = BY_HEADER.get(names[0]), headers[names[0]]
        if algorithm is None:
            raise errors.NotImplemented(Header=names[0])
        if decoded(value, algorithm.size) is None:
            raise InvalidRequest(f"Value for {names[0]} header is invalid.")
    stated = headers.get("x-amz-sdk-checksum-algorithm")
    if stated is not None:
        if algorithm is None:
            raise InvalidRequest(_NOT_ALONE)
        if ALGORITHMS.get(stated.upper()) is not algorithm:
            raise InvalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
    return algorithm, value


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        raise InvalidArgument(ArgumentName=name, ArgumentValue=text)
    return int(text)
