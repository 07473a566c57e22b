"""What a client is told when the store itself cannot: the right status, and nothing of ours.

Source: hardening reference, section 5 (overload, disk full); a 507 is not retried by boto3.
"""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from s3server.data import base as data_errors
from s3server.meta import base as meta_errors
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
    with capture_logs() as logs:
        answer = await data.alice("PUT", "/data/key", body=b"content")
    assert answer.outcome == outcome
    assert str(fault).encode() not in answer.body
    assert b"Traceback" not in answer.body
    assert answer.header("retry-after") == ("1" if outcome[0] == 503 else None)
    assert any(log["log_level"] == "error" for log in logs) == (outcome[0] != 507)
    monkeypatch.undo()
    assert (await data.alice("GET", "/data/key")).outcome == (404, "NoSuchKey")


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
