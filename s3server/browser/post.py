"""A form upload becomes a PutObject: who signed it, whether it keeps to its policy, what it says.

The bucket is that of the URL (CVE-2023-43040); fields become headers by a list of those that a
form may set, so that none reaches what a form has no word in (x-amz-copy-source).
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from s3server.auth.authenticate import AuthSettings, Lookup
from s3server.auth.form import authenticate_form
from s3server.auth.post_policy import MAX_SIZE_BYTES, read_post_policy
from s3server.errors import AccessDenied, InvalidArgument, InvalidURI, KeyTooLongError
from s3server.model import HttpRequest, Identity, Target
from s3server.wire.body import Receive
from s3server.wire.form_file import FormFile
from s3server.wire.request import MAX_KEY_BYTES
from s3server.wire.tagging import header_of_document

_FILE_NAME = "${filename}"
_AS_HEADERS = {
    "acl": "x-amz-acl",
    **dict.fromkeys(("cache-control", "content-disposition", "content-encoding"), ""),
    **dict.fromkeys(("content-type", "expires", "x-amz-storage-class"), ""),
    "x-amz-website-redirect-location": "",
    # How to answer: no headers of PutObject, but what its handler looks for.
    **dict.fromkeys(("success_action_status", "success_action_redirect", "redirect"), ""),
}
_HEADER_PREFIXES = (
    "x-amz-meta-",
    "x-amz-server-side-encryption",
    "x-amz-checksum-",
    "x-amz-object-lock-",
)
# What a decision may ask of the request itself; the rest of its headers speaks of the form.
_KEPT = ("host", "user-agent", "referer")


async def open_post(
    http: HttpRequest,
    target: Target,
    receive: Receive,
    *,
    payload: str,
    lookup: Lookup,
    settings: AuthSettings,
    now: float,
) -> tuple[HttpRequest, Target, Identity, FormFile]:
    """Read a form up to its file; return the PutObject that it stands for, and the file.

    Raises AccessDenied where the form does not keep to its policy, the errors of
    authenticate_form(), and those of a malformed form.
    """
    file = FormFile(receive, http.headers, payload)
    sent = await file.read_fields()
    identity = await authenticate_form(sent, lookup=lookup, settings=settings, now=now)
    bucket = target.bucket or ""
    name = file.parser.file_name.replace("\\", "/").rpartition("/")[2]
    fields = {
        field: value if field == "policy" else value.replace(_FILE_NAME, name)
        for field, value in sent.items()
    }
    if fields.get("bucket", bucket) != bucket:
        raise AccessDenied("The bucket of the form is not that of its URL.")
    least, most = 0, MAX_SIZE_BYTES
    if "policy" in fields:
        policy = read_post_policy(fields["policy"])
        policy.check(fields, bucket=bucket, now=now)
        least, most = policy.min_bytes, policy.max_bytes
    headers = _headers(fields)
    file.begin(headers, least=least, most=most)
    kept = {name: http.headers[name] for name in _KEPT if name in http.headers}
    request = replace(http, headers={**headers, **kept})
    return request, Target(bucket, _key(fields)), identity, file


def _key(fields: Mapping[str, str]) -> str:
    if "key" not in fields:
        raise InvalidArgument(
            "Bucket POST must contain a field named 'key'.  "
            "If it is specified, please check the order of the fields.",
            ArgumentName="key",
            ArgumentValue="",
        )
    key = fields["key"]
    if not key:
        raise InvalidArgument(
            "User key must have a length greater than 0.", ArgumentName="key", ArgumentValue=""
        )
    if "\0" in key:
        raise InvalidURI
    size = len(key.encode())
    if size > MAX_KEY_BYTES:
        raise KeyTooLongError(Size=str(size), MaxSizeAllowed=str(MAX_KEY_BYTES))
    return key


def _headers(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields that mean headers, spelt as received headers are: bytes as latin-1."""
    headers = {}
    for field, value in fields.items():
        name = _AS_HEADERS.get(field)
        if name is None and not field.startswith(_HEADER_PREFIXES):
            continue
        if not value.isprintable():
            raise InvalidArgument(
                "A header value contains control characters.",
                ArgumentName=field,
                ArgumentValue="",
            )
        if value:
            headers[name or field] = value.encode().decode("latin-1")
    if "tagging" in fields:
        headers["x-amz-tagging"] = header_of_document(fields["tagging"])
    return headers
