"""A key ring that is lost, or lacks a key: what needs it is told so, and all else goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from structlog.testing import capture_logs

from s3server.core.keys import Envelope, KeyRing, KeyRingError, read_envelope
from s3server.core.records import OBJECT, ObjectRecord, decode
from s3server.meta.base import after_prefix
from tests.ops.test_encryption import SSE
from tests.support.asgi_client import Answer
from tests.support.served import Store
from tests.support.server_process import RunningServer, run_server
from tests.support.uploads import begin


def lose(ring: Path) -> str:
    ring.rename(ring.with_name("away"))
    return "is missing"


def damage(ring: Path) -> str:
    ring.write_text("no key")
    return "does not hold keys"


def put_a_directory_there(ring: Path) -> str:
    ring.unlink()
    ring.mkdir(0o700)
    return "cannot be read"


ENVELOPE = Envelope("AES256", "0" * 16, b"x" * 60)
UNUSABLE = [lose, damage, put_a_directory_there]


async def ask(store: Store, method: str, url: str, headers: dict[str, str]) -> tuple[Answer, str]:
    """Return the answer, and what the log says of it to operators."""
    with capture_logs() as events:
        body = b"body" if method == "PUT" else b""
        answer = await store.alice(method, url, headers=headers, body=body)
    return answer, " ".join(each["reason"] for each in events if each["log_level"] == "error")


async def reads(store: Store) -> list[tuple[str, str, dict[str, str]]]:
    """Return requests that need the key of an object, which lies there."""
    await store.alice.made("/data/key", body=b"content", headers=SSE)
    upload = await begin(store.alice, "/data/parts", SSE)
    return [
        ("GET", "/data/key", {}),
        ("HEAD", "/data/key", {}),
        ("PUT", "/data/copy", {"x-amz-copy-source": "/data/key"}),
        ("PUT", f"/data/parts?partNumber=1&uploadId={upload}", {}),
    ]


@pytest.mark.parametrize("fault", UNUSABLE)
async def test_ring_that_cannot_be_used_is_told(data: Store, fault: Callable[[Path], str]) -> None:
    asked = [*await reads(data), ("PUT", "/data/new", SSE)]
    reason = fault(data.keys)
    for method, url, headers in asked:
        answer, told = await ask(data, method, url, headers)
        assert answer.outcome == (503, "" if method == "HEAD" else "ServiceUnavailable")
        assert str(data.keys).encode() not in answer.body
        assert told.startswith(f"{data.keys} {reason}")


async def test_key_that_the_ring_lacks_is_named(data: Store) -> None:
    asked = await reads(data)
    ((_, row),) = await data.meta.scan(OBJECT, after_prefix(OBJECT), limit=9)
    key_id = read_envelope(decode(ObjectRecord, row).encryption).key_id
    data.keys.write_text("ab" * 32)
    for method, url, headers in asked:
        answer, told = await ask(data, method, url, headers)
        assert answer.outcome == (503, "" if method == "HEAD" else "ServiceUnavailable")
        assert told == f"{data.keys} lacks the key {key_id}"


async def test_what_needs_no_ring_goes_on_without(data: Store) -> None:
    await data.alice.made("/data/plain", body=b"plain")
    await reads(data)
    lose(data.keys)
    assert (await data.alice("GET", "/data/plain")).body == b"plain"
    await data.alice.made("/data/new", body=b"new")
    assert (await data.alice("DELETE", "/data/key")).status == 204


async def test_ring_that_is_put_back_is_used_at_once(data: Store) -> None:
    await reads(data)
    lose(data.keys)
    assert (await data.alice("GET", "/data/key")).status == 503
    data.keys.with_name("away").rename(data.keys)
    assert (await data.alice("GET", "/data/key")).body == b"content"


def test_ring_counts_its_keys_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "encryption.keys"
    assert (KeyRing(path).count(), list(tmp_path.iterdir())) == (0, [])
    KeyRing(path).rotate()
    KeyRing(path).rotate()
    assert KeyRing(path).count() == 2


def test_ring_whose_directory_cannot_be_searched_is_told(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / ("k" * 300))  # too long a name, as root may search any directory
    for use in (ring.count, lambda: ring.wrap(b"x" * 32), lambda: ring.unwrap(ENVELOPE)):
        with pytest.raises(KeyRingError, match="cannot be read: File name too long"):
            use()


def test_health_tells_of_a_ring_that_cannot_be_used(tmp_path: Path) -> None:
    with run_server(tmp_path / "store", "--workers", "1") as server:
        ring = server.directory / "encryption.keys"
        KeyRing(ring).rotate()
        assert "key_ring" not in health(server)
        lose(ring)
        told = health(server)
    assert (told["status"], told["key_ring"]) == ("ok", "cannot be used")


def health(server: RunningServer) -> dict[str, Any]:
    with urlopen(f"{server.endpoint}/-/health/ready") as answer:
        told: dict[str, Any] = json.load(answer)
    return told
