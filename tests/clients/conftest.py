"""What the tests of real clients share: site A's server, its environment variables, buckets."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.support.client_tools import (
    BASE_DOMAIN,
    REGION,
    TRUST,
    WEBSITE_DOMAIN,
    environment_of,
    program,
    run,
    run_failing,
)
from tests.support.grid_ca import Authority
from tests.support.server_process import RunningServer, run_server

COUNTER = itertools.count()


@contextmanager
def _serve(directory: Path, **settings: str) -> Iterator[RunningServer]:
    """Run a server with site A's region and a domain for virtual-host addresses."""
    settings |= {
        "S3SERVER_SERVER__BASE_DOMAINS": f'["{BASE_DOMAIN}"]',
        "S3SERVER_SERVER__WEBSITE_DOMAINS": f'["{WEBSITE_DOMAIN}"]',
    }
    with run_server(directory / "store", "--region", REGION, **settings) as running:
        yield running
    log = (directory / "store.log").read_text()
    shutil.rmtree(directory)  # gigabytes that pytest would keep
    events = [json.loads(line) for line in log.splitlines()]
    assert "ready" in [event["event"] for event in events]
    # Nothing that a client did was an error of ours.
    assert [] == [event for event in events if event["level"] != "info"], log


@pytest.fixture(scope="session")
def http_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A real server, plain."""
    with _serve(tmp_path_factory.mktemp("site-a")) as running:
        yield running


@pytest.fixture(scope="session")
def https_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A real server that ends TLS itself, with a certificate of a test's authority."""
    directory = tmp_path_factory.mktemp("site-a-tls")
    authority = Authority("Site A")
    trusted = authority.write_pem(directory / "ca.pem")
    file = str(authority.server().write(directory / "server.pem"))  # with its key
    tls = {"S3SERVER_TLS__CERTIFICATE": file, "S3SERVER_TLS__KEY": file}
    with _serve(directory, **tls) as running:
        yield replace(running, authority=trusted)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> RunningServer:
    """The plain server, or the one that `over_http_and_https` says."""
    found: RunningServer = request.getfixturevalue(f"{getattr(request, 'param', 'http')}_server")
    return found


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """A directory whose files, of megabytes here, are gone after the test."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.fixture
def environment(
    server: RunningServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The variables of site A's slides, also set in this process for boto3."""
    variables = environment_of(server, tmp_path_factory.mktemp("home"))
    for name, value in variables.items():
        if name.startswith("AWS_") or name in {"HOME", *TRUST}:
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    return variables


class Aws:
    """Runs aws cli: aws("s3", "ls")."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._path, self._environment = program("aws"), environment

    def __call__(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return run([self._path, *arguments], self._environment, stdin=stdin)

    def fails(self, *arguments: str) -> str:
        return run_failing([self._path, *arguments], self._environment)


@pytest.fixture
def aws(environment: dict[str, str]) -> Aws:
    """The aws cli of root."""
    return Aws(environment)


@pytest.fixture
def connect(environment: dict[str, str]) -> Iterator[Callable[..., Any]]:
    """Make boto3 clients that do not retry: connect("s3", Config(...), **options)."""
    opened = []

    def make(service: str = "s3", config: Config | None = None, **options: Any) -> Any:
        base = Config(retries={"total_max_attempts": 1}, read_timeout=60)
        client = boto3.client(service, config=base.merge(config or Config()), **options)
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def s3(connect: Callable[..., Any]) -> Any:
    """A boto3 client of root."""
    return connect()


@pytest.fixture
def bucket(s3: Any) -> str:
    """A new, empty, private bucket."""
    name = f"bucket-{next(COUNTER)}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    """A file of 200 MB in which no two blocks are alike."""
    file = tmp_path / "E0033.tif"
    with file.open("wb") as stream:
        for number in range(200):
            stream.write((b"%08d" % number) * 125_000)
    return file
