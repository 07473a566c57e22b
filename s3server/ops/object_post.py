"""PostObject: the upload by a form. `browser.post` made a PutObject of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from s3server.core.versions import shown_version_id
from s3server.operation import Ctx, handles
from s3server.ops.acls import with_acl
from s3server.ops.attributes import attributes_of, checksums_of, quote_etag
from s3server.ops.encryption import told_encryption, with_encryption
from s3server.wire.xml_write import escape

_URL = re.compile(r"https?://[!-~]+").fullmatch  # printable ASCII without blanks


@handles("PostObject")
async def post_object(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Store the file of a form; the answer is the one that the form asks for."""
    bucket, key, form = ctx.require_bucket(), request["Key"], ctx.http.headers
    attributes = attributes_of(ctx, request, ctx.cause("ObjectCreated:Post"))
    attributes = await with_acl(ctx, request, attributes)
    attributes = with_encryption(ctx, request, attributes)
    record = await ctx.services.open_uploads.put(bucket, key, request["Body"], attributes)
    host, etag = form.get("host", ""), quote_etag(record.etag)
    location = f"{ctx.http.scheme}://{host}{ctx.http.raw_path.rstrip('/')}/{quote(key)}"
    version = shown_version_id(bucket, record)
    result: dict[str, Any] = {"ETag": etag, "VersionId": version, **checksums_of(record)}
    result |= told_encryption(record.encryption)
    after = _redirection(form, bucket.name, key, etag)
    if after:
        return {**result, "@status": 303, "@headers": {"location": after}}
    headers = {"location": location}
    wanted = form.get("success_action_status", "")
    if wanted == "201":
        headers["content-type"] = "application/xml"
        return {**result, "@status": 201, "@headers": headers,
                "@body": _document(location, bucket.name, key, etag)}  # fmt: skip
    return {**result, "@status": 200 if wanted == "200" else 204, "@headers": headers}


def _redirection(form: Mapping[str, str], bucket: str, key: str, etag: str) -> str:
    """Return where the browser is sent; "" where the form names no URL that it could be sent to."""
    url = form.get("success_action_redirect") or form.get("redirect") or ""
    if not _URL(url):
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    told = urlencode({"bucket": bucket, "key": key, "etag": etag}, quote_via=quote)
    query = f"{parts.query}&{told}" if parts.query else told
    return urlunsplit(parts._replace(query=query))


def _document(location: str, bucket: str, key: str, etag: str) -> bytes:
    values = {"Location": location, "Bucket": bucket, "Key": key, "ETag": etag}
    inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in values.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<PostResponse>{inner}</PostResponse>'
    return text.encode()
