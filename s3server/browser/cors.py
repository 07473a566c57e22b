"""Cross-origin requests: the preflight, and what answers to others say to the browser."""

from __future__ import annotations

from s3server.core.buckets import Buckets
from s3server.errors import AccessForbidden, BadRequest
from s3server.model import HttpRequest, Target
from s3server.wire.cors import METHODS, Rule, find_rule, requested_headers, sharing_headers
from s3server.wire.response import Headers

_NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of "
    "Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers "
    "are not whitelisted by the resource's CORS spec."
)


class Sharing:
    """Answers by the CORS configurations of buckets, before anybody is authenticated.

    Nobody learns from it whether a bucket exists: without a rule that fits there are no headers,
    and a bucket without rules answers as none does.
    """

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    async def headers(self, http: HttpRequest, target: Target, origin: str) -> Headers:
        """Return what is to be added to the answer to a request that names its origin."""
        found = find_rule(await self._rules(target), origin, http.method)
        return [] if found is None else sharing_headers(*found)

    async def preflight(self, http: HttpRequest, target: Target) -> Headers:
        """Return the headers that answer OPTIONS. Raises BadRequest, AccessForbidden."""
        origin = http.headers.get("origin")
        if not origin:
            raise BadRequest("Insufficient information. Origin request header needed.")
        method = http.headers.get("access-control-request-method", "")
        if method not in METHODS:
            raise BadRequest(f"Invalid Access-Control-Request-Method: {method or 'null'}")
        rules = await self._rules(target)
        level = target.level.upper()
        if not rules:
            raise AccessForbidden(Method=method, ResourceType=level)
        names = requested_headers(http.headers.get("access-control-request-headers", ""))
        found = None if names is None else find_rule(rules, origin, method, names)
        if found is None or names is None:
            raise AccessForbidden(_NOT_ALLOWED, Method=method, ResourceType=level)
        return sharing_headers(*found, names)

    async def _rules(self, target: Target) -> list[Rule]:
        bucket = None if target.bucket is None else await self._buckets.find(target.bucket)
        if bucket is None:
            return []
        document = await self._buckets.configuration(bucket[0], "cors")
        return [] if document is None else document["CORSRules"]
