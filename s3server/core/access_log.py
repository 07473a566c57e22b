"""Lines of the server access log, and where in the target bucket they go.

Source: "Amazon S3 server access log format" and "Amazon S3 server access log destination prefixes"
(Amazon S3 user guide). What a client says is encoded or quoted so that no line can be forged, and
signatures and session tokens in URLs are masked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote, unquote_plus

import msgspec

NAME = "logging"  # of the bucket's document
UNIQUE = 16  # characters that tell objects of one time apart
_MAX_FIELD = 4_096  # characters of what a client may write at will
_RESOURCES = {
    "AbortMultipartUpload": "UPLOAD",
    "CompleteMultipartUpload": "UPLOAD",
    "CopyObject": "OBJECT",
    "CreateMultipartUpload": "UPLOADS",
    "DeleteBucket": "BUCKET",
    "DeleteObjects": "MULTI_OBJECT_DELETE",
    "GetBucketLogging": "LOGGING_STATUS",
    "GetBucketPolicy": "BUCKETPOLICY",
    "GetObjectAcl": "ACL",
    "HeadBucket": "BUCKET",
    "ListMultipartUploads": "UPLOADS",
    "ListObjectVersions": "BUCKETVERSIONS",
    "ListObjects": "BUCKET",
    "ListObjectsV2": "BUCKET",
    "ListParts": "UPLOAD",
    "PostObject": "OBJECT",
    "PutBucketLogging": "LOGGING_STATUS",
    "PutBucketPolicy": "BUCKETPOLICY",
    "DeleteBucketPolicy": "BUCKETPOLICY",
    "PutObjectAcl": "ACL",
    "UploadPart": "PART",
    "UploadPartCopy": "PART",
}
_VERB = re.compile(r"^(Get|Put|Delete|List|Create|Head)(Bucket)?")
_END = re.compile(r"Configurations?$")
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PARAMETER = re.compile(r"((?:^|[?&])([^=&? ]*)=)[^& ]*")
_SECRETS = frozenset({"x-amz-signature", "x-amz-security-token", "signature"})
_UNQUOTED = re.compile(r"[^\x20\x21\x23-\x7e]")  # controls, quotes and all beyond ASCII


class LoggedBucket(Protocol):
    """A bucket that is logged (core.records.BucketRecord)."""

    @property
    def owner(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def region(self) -> str: ...


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as its line tells it."""

    bucket_owner: str
    bucket: str
    at_ms: int
    requester: str
    operation: str  # of the model, or as lines have it: "PutObject", "BATCH.DELETE.OBJECT"
    key: str
    version_id: str
    remote_ip: str = ""
    request_id: str = ""
    method: str = ""
    uri: str = ""  # as sent, with its query
    status: int = 0
    error_code: str = ""
    bytes_sent: int = 0
    object_size: int | None = None
    total_ms: int | None = None
    turn_around_ms: int | None = None
    headers: Mapping[str, str] = {}
    host_id: str = ""
    mechanism: str = ""  # "v4-header", "v2-query", "post", "anonymous"
    tls_version: str = ""


def line_of(entry: Entry) -> str:
    """Return the line of an entry, its end included."""
    at = datetime.fromtimestamp(entry.at_ms / 1000, UTC)
    version, _, where = entry.mechanism.partition("-")
    signature = {"v4": "SigV4", "v2": "SigV2", "post": "SigV4"}.get(version, "")
    proof = {"header": "AuthHeader", "query": "QueryString", "post": "POST"}.get(where or version)
    fields = (
        entry.bucket_owner,
        entry.bucket,
        at.strftime("[%d/%b/%Y:%H:%M:%S +0000]"),
        entry.remote_ip,
        entry.requester,
        entry.request_id,
        operation_name(entry.operation, entry.method),
        quote(entry.key[:_MAX_FIELD], safe="/~"),
        _quoted(f"{entry.method} {_masked(entry.uri)} HTTP/1.1") if entry.uri else "",
        entry.status or "",
        entry.error_code,
        entry.bytes_sent or "",
        entry.object_size,
        entry.total_ms,
        entry.turn_around_ms,
        _quoted(_masked(entry.headers.get("referer", ""))),
        _quoted(entry.headers.get("user-agent", "")),
        entry.version_id,
        entry.host_id,
        signature,
        "",  # cipher suite: TLS ends before this server
        proof,
        _plain(entry.headers.get("host", "")).replace(" ", "%20"),
        f"TLSv{entry.tls_version}" if entry.tls_version else "",
        "",  # ARN of an access point
        "",  # whether an ACL was needed
    )
    return " ".join(str(field) if field not in ("", None) else "-" for field in fields) + "\n"


def line_of_rule(
    bucket: LoggedBucket, operation: str, key: str, version_id: str, at_ms: int
) -> str:
    """Return the line of what a lifecycle rule did: "S3.EXPIRE.OBJECT".

    Source: "Lifecycle and logging", Amazon S3 user guide.
    """
    return line_of(
        Entry(
            bucket_owner=bucket.owner,
            bucket=bucket.name,
            at_ms=at_ms,
            requester="AmazonS3",
            operation=operation,
            key=key,
            version_id=version_id,
        )
    )


def operation_name(operation: str, method: str) -> str:
    """Return what the log calls an operation: "REST.GET.OBJECT"."""
    if operation in ("CopyObject", "UploadPartCopy"):
        method = "COPY"
    if method == "OPTIONS":
        return "REST.OPTIONS.PREFLIGHT"
    if not operation or "." in operation:
        return operation
    resource = _RESOURCES.get(operation)
    if resource is None:
        name = _END.sub("", _VERB.sub("", operation))
        resource = _WORD.sub("_", name or "Bucket").upper()
    return f"REST.{method}.{resource}"


def object_key(
    document: Mapping[str, Any], source: LoggedBucket, at_ms: int, unique: str, *, event_ms: int
) -> str:
    """Return the key of an object with log lines, delivered at a time.

    `document` is what PutBucketLogging set; `event_ms` is when its lines begin.
    """
    prefix = document.get("TargetPrefix") or ""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    partitions = (document.get("TargetObjectKeyFormat") or {}).get("PartitionedPrefix")
    if partitions is None:
        return f"{prefix}{at:%Y-%m-%d-%H-%M-%S}-{unique}"
    stamp = f"{at:%Y-%m-%d-%H-%M-%S}"
    if partitions.get("PartitionDateSource") == "EventTime":  # the day is that of all its lines
        at = datetime.fromtimestamp(event_ms / 1000, UTC)
        stamp = f"{at:%Y-%m-%d}-00-00-00"
    return f"{prefix}{source.account}/{source.region}/{source.name}/{at:%Y/%m/%d}/{stamp}-{unique}"


def _masked(text: str) -> str:
    """Return a URL without what proves something, however its parameters' names are spelt."""

    def masked(found: re.Match[str]) -> str:
        return f"{found[1]}*" if unquote_plus(found[2]).lower() in _SECRETS else found[0]

    return _PARAMETER.sub(masked, text)


def _quoted(text: str) -> str:
    return f'"{_plain(text)}"' if text else ""


def _plain(text: str) -> str:
    """Return text in which nothing ends a field."""
    return _UNQUOTED.sub(lambda found: quote(found[0]), text[:_MAX_FIELD])
