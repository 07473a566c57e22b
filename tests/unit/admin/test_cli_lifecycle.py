"""`s3server lifecycle` on a store whose server does not run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from s3server.admin import cli, quickstart
from s3server.core.clock import SystemClock
from s3server.core.lifecycle_rules import DAY_MS
from s3server.expiry import make_rule_jobs
from s3server.maintenance import open_operated
from s3server.reports import make_spool
from s3server.settings import load
from tests.ops.test_bucket_lifecycle import ABORT, DAYS, OLD, document, rule
from tests.ops.test_bucket_versioning import put, set_versioning
from tests.support.asgi_client import Client
from tests.support.served import open_disk_store

Serve = Callable[[Callable[[Client], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("S3SERVER_ROOT_ACCESS_KEY", raising=False)
    monkeypatch.delenv("S3SERVER_ROOT_SECRET_KEY", raising=False)
    quickstart.prepare(tmp_path / "store", osds=None, codec=None, server={})
    return tmp_path / "store"


@pytest.fixture
def serve(store: Path) -> Serve:
    """Serve the store to root for as long as a coroutine runs."""

    async def served(talk: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
        async with open_disk_store(store) as opened:
            await opened.root.made("/data")
            return await talk(opened.root)

    def serve(talk: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
        with capture_logs():
            return asyncio.run(served(talk))

    return serve


@pytest.fixture
def run(store: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command about lifecycle rules; return its JSON, or its text."""

    def run(*arguments: str, status: int = 0, as_json: bool = True) -> Any:
        options = ["--dir", str(store), *(["--json"] if as_json else [])]
        with capture_logs():
            found = cli.run(["lifecycle", *arguments, *options])
        captured = capsys.readouterr()
        assert found == status, captured.err
        if status:
            return captured.err
        return json.loads(captured.out) if as_json else captured.out

    return run


class LaterClock(SystemClock):
    """A clock that is ten days ahead."""

    def now_ms(self) -> int:
        return super().now_ms() + 10 * DAY_MS


def midnight_after(days: int) -> str:
    """Return the midnight at which what is written now is so many days old."""
    at = datetime.now(UTC) + timedelta(days=days + 1)
    return at.replace(hour=0, minute=0, second=0, microsecond=0).isoformat(timespec="seconds")


def test_explain_names_what_each_rule_will_do_when_and_what_a_lock_keeps(
    serve: Serve, run: Callable[..., Any]
) -> None:
    async def talk(client: Client) -> list[str]:
        await set_versioning(client, "Enabled")
        body = document(rule(DAYS, id_="three"), rule(OLD, id_="ten"), rule(ABORT, id_="abort"))
        assert (await client.configure("/data?lifecycle", body)).status == 200
        ids = [await put(client, b"old"), await put(client, b"new")]
        upload = (await client("POST", "/data/key?uploads")).text("UploadId")
        assert upload is not None
        await client.made("/data/other", body=b"x")
        return [*ids, upload]

    before = [midnight_after(days) for days in (3, 10, 1)]
    old, new, _ = serve(talk)
    rows = run("explain", "s3://data/key")

    if before == [midnight_after(days) for days in (3, 10, 1)]:  # no midnight passed meanwhile
        assert [row["at"] for row in rows] == before
    assert [(row["action"], row["rule"], row["locked"]) for row in rows] == [
        ("Expiration", "three", False),
        ("NoncurrentVersionExpiration", "ten", False),
        ("AbortIncompleteMultipartUpload", "abort", False),
    ]
    assert [row["version"] for row in rows[:2]] == [new, old]
    assert rows[2]["version"].startswith("upload ")
    text = run("explain", "s3://data/key", as_json=False)
    assert all(name in text for name in ("NoncurrentVersionExpiration", old, "abort"))


def test_explain_of_what_no_rule_is_about(serve: Serve, run: Callable[..., Any]) -> None:
    async def talk(client: Client) -> None:
        body = document(rule(f"<Filter><Prefix>logs/</Prefix></Filter>{DAYS}"))
        assert (await client.configure("/data?lifecycle", body)).status == 200
        await client.made("/data/key", body=b"x")

    serve(talk)
    assert run("explain", "s3://data/key") == []
    assert "No rule" in run("explain", "s3://data/key", as_json=False)
    assert "bucket does not exist" in run("explain", "s3://none/key", status=4)
    assert "s3://BUCKET/KEY" in run("explain", "data/key", status=2)


def test_status_tells_what_the_last_run_did_and_what_waits(
    serve: Serve, store: Path, run: Callable[..., Any]
) -> None:
    assert run("status") == {"waiting": 0, "next": "never"}

    async def talk(client: Client) -> None:
        assert (await client.configure("/data?lifecycle", document(rule(DAYS)))).status == 200
        for name in "abc":
            await client.made(f"/data/{name}", body=b"x")

    async def work() -> None:
        config = load(store / "s3server.toml")
        async with open_operated(config) as opened:
            clock = LaterClock()
            spool = make_spool(config, clock)
            jobs = make_rule_jobs(config, opened.meta, opened.cluster.pools, clock, spool)
            while (await jobs[0].step()).has_more:
                pass

    serve(talk)
    assert run("status")["waiting"] == 1  # the bucket, whose rules are new
    asyncio.run(work())
    found = run("status")
    counts = ("expired", "markers", "noncurrent", "uploads", "locked", "waiting")
    assert [found[name] for name in counts] == [3, 0, 0, 0, 0, 0]
    assert found["since"] <= found["until"]
    assert "expired: 3" in run("status", as_json=False).splitlines()
