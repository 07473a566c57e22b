"""Static websites: buckets as browsers see them, on domains of their own, read by nobody signed.

What is signed counts for nothing here: an object is served where everybody may read it. Errors
are pages of ours, escaped, or the bucket's error document.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from html import escape
from typing import Any

from msgspec.structs import replace

from s3server.configuration_errors import NoSuchWebsiteConfiguration
from s3server.core.buckets import Buckets
from s3server.errors import (
    KeyTooLongError,
    MethodNotAllowed,
    NoSuchBucket,
    S3Error,
)
from s3server.model import HttpRequest, Target
from s3server.wire.request import MAX_KEY_BYTES
from s3server.wire.response import Headers, Response, header_value
from s3server.wire.website import Redirect, find_redirect, path_of, redirect_all

# (request, target): answers a GET or HEAD of nobody; raises S3Error
Read = Callable[[HttpRequest, Target], Awaitable[Response]]

_METHODS = ("GET", "HEAD")
# What of a request reaches an object; neither proofs nor x-amz-* do.
_PASSED = frozenset(
    {"host", "origin", "referer", "user-agent", "range", "if-range", "if-match", "if-none-match"}
    | {"if-modified-since", "if-unmodified-since"}
)
_REDIRECT_HEADER = b"x-amz-website-redirect-location"


class Websites:
    """Serves the buckets that have a website configuration."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    async def respond(
        self, http: HttpRequest, target: Target, ids: Headers, read: Read
    ) -> Response:
        """Answer a request for a page: the object, a redirection or an error as HTML.

        `target` is bucket and key as in the host name and the path; `ids` go into every answer of
        ours; `read` answers for objects.
        """
        headers = {name: text for name, text in http.headers.items() if name in _PASSED}
        visit = _Visit(replace(http, headers=headers, query=""), target.bucket or "", ids, read)
        key = target.key or ""
        try:
            if http.method not in _METHODS:
                raise MethodNotAllowed(headers={"allow": ", ".join(_METHODS)})
            document = await self._document(visit.bucket)
        except S3Error as error:
            return visit.failed(error)
        host = http.headers["host"]
        redirect = redirect_all(document, key, http.scheme) or find_redirect(
            document, key, scheme=http.scheme, host=host
        )
        if redirect is not None:
            return visit.redirected(redirect)
        try:
            return await self._page(visit, document, key)
        except S3Error as error:
            redirect = find_redirect(
                document, key, scheme=http.scheme, host=host, error=error.status
            )
            if redirect is not None:
                return visit.redirected(redirect)
            return await self._error_page(visit, document, error)

    async def _document(self, name: str) -> Mapping[str, Any]:
        found = await self._buckets.find(name)
        if found is None:
            raise NoSuchBucket(BucketName=name)
        document = await self._buckets.configuration(found[0], "website")
        if document is None:
            raise NoSuchWebsiteConfiguration(BucketName=name)
        return document

    async def _page(self, visit: _Visit, document: Mapping[str, Any], key: str) -> Response:
        index = document["IndexDocument"]["Suffix"]
        is_directory = not key or key.endswith("/")
        try:
            page = _page_in(key, index) if is_directory else key
            return visit.found(await visit.read(visit.http, Target(visit.bucket, page)))
        except S3Error as error:
            if is_directory or error.status not in {403, 404}:
                raise
            # A directory that was asked for without its slash, if it has an index.
            head = replace(visit.http, method="HEAD", headers={"host": visit.http.headers["host"]})
            try:
                await visit.read(head, Target(visit.bucket, _page_in(f"{key}/", index)))
            except S3Error:
                raise error from None
            return visit.redirected(Redirect(path_of(f"{key}/"), 302))

    async def _error_page(
        self, visit: _Visit, document: Mapping[str, Any], error: S3Error
    ) -> Response:
        page = document.get("ErrorDocument")
        if page is None or error.status < 400:
            return visit.failed(error)
        plain = replace(visit.http, headers={"host": visit.http.headers["host"]})
        try:
            response = await visit.read(plain, Target(visit.bucket, page["Key"]))
        except S3Error:
            return visit.failed(error)
        return replace(response, status=error.status)


def _page_in(directory: str, index: str) -> str:
    """Return the key of a directory's page. Raises KeyTooLongError, as for a key that is sent."""
    key = directory + index
    if len(key.encode()) > MAX_KEY_BYTES:
        raise KeyTooLongError
    return key


class _Visit:
    """One request for a page, and the answers that are no object."""

    def __init__(self, http: HttpRequest, bucket: str, ids: Headers, read: Read) -> None:
        self.http, self.bucket, self._ids, self.read = http, bucket, ids, read

    def found(self, response: Response) -> Response:
        """Return an object, or where it says that its page is."""
        for name, value in response.headers:
            if name == _REDIRECT_HEADER:
                return self.redirected(Redirect(value.decode()))
        return response

    def redirected(self, redirect: Redirect) -> Response:
        """Return a redirection."""
        location = (b"location", header_value(redirect.location))
        return Response(redirect.status, [*self._ids, location, (b"content-length", b"0")], b"")

    def failed(self, error: S3Error) -> Response:
        """Return an error as a page; nothing in it is taken for markup."""
        extra = [(name.encode(), header_value(text)) for name, text in error.headers.items()]
        if error.status == 304:
            return Response(304, [*self._ids, *extra], b"")
        items = {"Code": error.code, "Message": error.message, **error.fields}
        listed = "".join(f"<li>{escape(name)}: {escape(text)}</li>" for name, text in items.items())
        title = f"{error.status} {escape(error.code)}"
        text = (
            f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>"
            f"<body><h1>{title}</h1><ul>{listed}</ul></body></html>\n"
        )
        body = text.encode()
        headers = [
            *self._ids,
            *extra,
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"x-content-type-options", b"nosniff"),
        ]
        return Response(error.status, headers, b"" if self.http.method == "HEAD" else body)
