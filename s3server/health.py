"""What operators and load balancers ask: a small Starlette application under `/-/`.

`-` is not a legal bucket name, so nothing here can collide with S3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

# Returns why the server cannot serve now; nothing where it can.
Reasons = Callable[[], Awaitable[list[str]]]


# Returns what else there is to know, for people and monitoring.
Details = Callable[[], dict[str, Any]]


def health_application(reasons: Reasons, details: Details) -> Starlette:
    """Return the application that answers `/-/health/live` and `/-/health/ready`."""

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

    application = Starlette(
        routes=[
            Route("/-/health/live", live, methods=["GET", "HEAD"]),
            Route("/-/health/ready", ready, methods=["GET", "HEAD"]),
        ]
    )
    # A redirect would lead to whatever Host the client sent.
    application.router.redirect_slashes = False
    return application
