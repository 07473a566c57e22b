"""What operators and load balancers ask: a small Starlette application under `/-/`.

`-` is not a legal bucket name, so nothing here can collide with S3.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

# Returns why the server cannot serve now; nothing where it can.
Reasons = Callable[[], Awaitable[list[str]]]


# Returns what else there is to know, for people and monitoring.
Details = Callable[[], dict[str, Any]]


# Returns what Prometheus is told.
Metrics = Callable[[], Awaitable[bytes]]


def health_application(
    reasons: Reasons, details: Details, metrics: Metrics, *, metrics_token: str = ""
) -> Starlette:
    """Return the application that answers `/-/health/live`, `/-/health/ready`, `/-/metrics`.

    Metrics are for those who send the token, or, where there is none, for this machine alone.
    """

    async def live(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> JSONResponse:
        found = await reasons()
        if found:
            return JSONResponse(
                {"status": "unavailable", "reasons": found, **details()},
                status_code=503,
                headers={"retry-after": "1"},
            )
        return JSONResponse({"status": "ok", **details()})

    async def exposition(request: Request) -> Response:
        if not _may_see(request, metrics_token):
            return Response("Metrics are for this machine, or take a token.\n", status_code=403)
        return Response(await metrics(), media_type=CONTENT_TYPE_LATEST)

    application = Starlette(
        routes=[
            Route("/-/health/live", live, methods=["GET", "HEAD"]),
            Route("/-/health/ready", ready, methods=["GET", "HEAD"]),
            Route("/-/metrics", exposition, methods=["GET"]),
        ]
    )
    # A redirect would lead to whatever Host the client sent.
    application.router.redirect_slashes = False
    return application


def _may_see(request: Request, token: str) -> bool:
    """Return whether metrics may be told; what came through a proxy is not from this machine."""
    if token:
        sent = request.headers.get("authorization", "").encode()
        return hmac.compare_digest(sent, f"Bearer {token}".encode())
    if request.client is None or {"forwarded", "x-forwarded-for"} & set(request.headers):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
