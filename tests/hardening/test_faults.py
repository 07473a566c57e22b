"""What a client is told when the store itself cannot: the right status, and nothing of ours.

Source: hardening reference, section 5 (overload, disk full); a 507 is not retried by boto3.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from s3server import logs
from s3server.core.objects import Objects
from s3server.data import base as data_errors
from s3server.meta import base as meta_errors
from tests.ops.test_object_delete import delete, document
from tests.support.asgi_client import How
from tests.support.served import Store

FAULTS = {
    "device full": (data_errors.FullError("osd.0 is full"), (507, "InsufficientStorage")),
    "metadata full": (meta_errors.FullError("map full"), (507, "InsufficientStorage")),
    "devices gone": (data_errors.UnavailableError("too few shards"), (503, "SlowDown")),
    "metadata gone": (meta_errors.UnavailableError("closed"), (503, "SlowDown")),
    "late": (TimeoutError("too late"), (503, "SlowDown")),
    "bug": (ZeroDivisionError("secret detail"), (500, "InternalError")),
}


@pytest.mark.parametrize("what", sorted(FAULTS))
@pytest.mark.parametrize("place", ["pool", "meta"])
async def test_fault_becomes_an_answer(
    data: Store, monkeypatch: pytest.MonkeyPatch, what: str, place: str
) -> None:
    fault, outcome = FAULTS[what]

    async def fail(*_: object) -> None:
        raise fault

    target = data.pool if place == "pool" else data.meta
    monkeypatch.setattr(target, "write" if place == "pool" else "commit", fail)
    with capture_logs() as events:
        answer = await data.alice("PUT", "/data/key", body=b"content")
    assert answer.outcome == outcome
    assert str(fault).encode() not in answer.body
    assert b"Traceback" not in answer.body
    assert answer.header("retry-after") == ("1" if outcome[0] == 503 else None)
    assert any(log["log_level"] == "error" for log in events) == (outcome[0] != 507)
    monkeypatch.undo()
    assert (await data.alice("GET", "/data/key")).outcome == (404, "NoSuchKey")


@pytest.mark.parametrize("what", sorted(FAULTS))
async def test_fault_is_told_of_many_deletions_as_of_one(
    data: Store, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    fault, outcome = FAULTS[what]
    for key in ("a", "b"):
        await data.alice.made(f"/data/{key}", body=b"content")

    async def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(data.meta, "commit", fail)
    with capture_logs():
        for answer in (
            await data.alice("DELETE", "/data/a"),
            await delete(data.alice, document(["a", "b"])),
        ):
            assert answer.outcome == outcome


async def test_read_that_fails_before_the_first_byte_is_an_error(
    data: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await data.alice.made("/data/key", body=b"content")

    async def fail(*_: object) -> bytes:
        raise data_errors.UnavailableError("too few shards")

    monkeypatch.setattr(data.pool, "read", fail)
    with capture_logs():
        answer = await data.alice("GET", "/data/key")
    assert answer.outcome == (503, "SlowDown")


async def test_read_that_fails_on_its_way_ends_the_connection(
    data: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that has begun cannot become an error; cut short, it is never taken for whole."""
    await data.alice.made("/data/key", body=bytes(3_000_000))
    whole = data.pool.stream

    async def fail(ref, start, stop):  # type: ignore[no-untyped-def]
        async for piece in whole(ref, start, stop):
            yield piece
            raise data_errors.UnavailableError("too few shards")

    monkeypatch.setattr(data.pool, "stream", fail)
    with pytest.raises(data_errors.UnavailableError):
        await data.alice("GET", "/data/key")


@pytest.fixture
def log_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("how", ["header", "query", "v2-header", "v2-query"])
async def test_log_of_a_fault_holds_no_secret_and_no_signature(
    data: Store, monkeypatch: pytest.MonkeyPatch, log_restored: None, how: How, form: logs.Form
) -> None:
    """CVE-2017-8761, CVE-2018-16889: secrets in logs."""
    stream = io.StringIO()
    logs.configure(stream=stream, form=form)
    seen: list[str] = []

    async def fail(self: Objects, bucket: object, key: str, version_id: object) -> None:
        raise ZeroDivisionError("a bug")

    async def watch(scope: Any, receive: Any, send: Any) -> None:
        seen.append(str(scope["headers"]) + str(scope["query_string"]))
        await data.asgi(scope, receive, send)

    monkeypatch.setattr(Objects, "get", fail)
    answer = await data.alice.changed(asgi=watch)("GET", "/data/key", how=how)
    assert answer.outcome == (500, "InternalError")
    log = stream.getvalue()
    assert "a bug" in log
    assert (answer.header("x-amz-request-id") or "?") in log
    signature = re.findall(r"ignature=([^&']{20,})|AWS \w+:([^']{20,})", seen[0])[-1]
    assert "".join(signature) not in log
    assert "secret-of-alice" not in log
