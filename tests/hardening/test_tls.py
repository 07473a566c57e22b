"""A real server that ends TLS itself: it serves, changes its certificate, and drops nobody."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from bench.tls_front import certificate
from s3server.config import ConfigError, TlsConfig
from s3server.process import state, tls
from tests.hardening.framing import REFUSED, TOO_LARGE
from tests.support.raw_http import exchange
from tests.support.server_process import RunningServer, run_server

WAIT_S = 60
KEYS = ["plain", "a b+c%20d", "ä/ö//ü", "dots/../x", "~!*'()&=;:@$,"]


@dataclass
class Served:
    """A server with TLS, and where its certificate is."""

    server: RunningServer
    trusted: Path

    @property
    def address(self) -> tuple[str, int]:
        url = urlsplit(self.server.endpoint)
        assert (url.hostname, url.scheme) == ("127.0.0.1", "https")
        assert url.port is not None
        return "127.0.0.1", url.port

    def shown(self) -> bytes:
        """Return the certificate that a new connection is shown."""
        with socket.create_connection(self.address, WAIT_S) as plain:
            context = ssl._create_unverified_context()
            with context.wrap_socket(plain) as wrapped:
                found = wrapped.getpeercert(binary_form=True)
        assert found is not None
        return found

    def log(self) -> str:
        return Path(f"{self.server.directory}.log").read_text()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("tls")
    trusted = certificate(directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S3SERVER_TLS__CERTIFICATE", str(trusted))
        patch.setenv("S3SERVER_TLS__KEY", str(directory / "key.pem"))
        with run_server(directory / "store") as server:
            yield Served(server, trusted)


@pytest.fixture
def s3(served: Served) -> Iterator[Any]:
    client = boto3.client(
        "s3",
        endpoint_url=served.server.endpoint,
        aws_access_key_id=served.server.access_key,
        aws_secret_access_key=served.server.secret_key,
        region_name=served.server.region,
        verify=str(served.trusted),
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    yield client
    client.close()


def pem(der: bytes) -> str:
    return ssl.DER_cert_to_PEM_cert(der)


def test_objects_of_all_sizes_and_keys_go_both_ways(s3: Any) -> None:
    s3.create_bucket(Bucket="tls")
    bodies = [os.urandom(size) for size in (0, 1, 70_000, 3_000_000, 20_000_000)]
    for key, body in zip(KEYS, bodies, strict=True):
        s3.put_object(Bucket="tls", Key=key, Body=body)
        assert body == s3.get_object(Bucket="tls", Key=key)["Body"].read()
    listed = s3.list_objects_v2(Bucket="tls")["Contents"]
    assert sorted(KEYS, key=str.encode) == [entry["Key"] for entry in listed]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_old_versions_of_tls_and_plain_http_are_refused(served: Served, s3: Any) -> None:
    context = ssl._create_unverified_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(served.address) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain)
    connection = http.client.HTTPConnection(*served.address, timeout=WAIT_S)
    connection.request("GET", "/")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        connection.getresponse()
    connection.close()
    assert s3.list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize(
    "what",
    [
        "length and chunked",
        "two hosts",
        "chunk that ends in LF",
        "header section of 9 KiB",
        "folded",
    ],
)
def test_framing_is_as_strict_as_without(served: Served, what: str) -> None:
    answer = exchange(served.server.endpoint, (REFUSED | TOO_LARGE)[what])
    assert (answer.status, answer.headers["connection"]) == (400, "close")


@dataclass
class Visitor(threading.Thread):
    """Asks for the health of the server, again and again on one connection, and counts failures."""

    served: Served
    stopped: threading.Event = field(default_factory=threading.Event)
    asked: int = 0
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(
            *self.served.address, timeout=WAIT_S, context=context
        )
        while not self.stopped.is_set():
            try:
                connection.request("GET", "/-/health/live")
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.failures.append(str(answer.status))
            except Exception as error:
                self.failures.append(repr(error))
                connection.close()
            self.asked += 1
        connection.close()


def test_certificate_that_is_over_can_be_served_and_is_known(served: Served) -> None:
    """Without one there would be no server at all, after a restart for instance."""
    config = TlsConfig(certificate=served.trusted, key=served.trusted.parent / "key.pem")
    now = datetime.now(UTC)
    assert [False, True] == [tls.is_over(config, now + timedelta(days=days)) for days in (0, 2)]
    assert tls.context(config) is not None


def test_a_new_certificate_is_shown_after_sighup_and_no_request_fails(served: Served) -> None:
    before = served.shown()
    assert pem(before) == served.trusted.read_text()
    visitors = [Visitor(served) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    try:
        renewed = certificate(served.trusted.parent).read_text()
        os.kill(served.server.pid, signal.SIGHUP)
        seen = {pem(before)}
        while '"reloaded"' not in served.log():
            seen.add(pem(served.shown()))
        assert pem(served.shown()) == renewed
        assert seen <= {pem(before), renewed}
    finally:
        for visitor in visitors:
            visitor.stopped.set()
        for visitor in visitors:
            visitor.join(WAIT_S)
    assert [] == [failure for visitor in visitors for failure in visitor.failures]
    assert min(visitor.asked for visitor in visitors) > 0


@pytest.fixture
def broken(served: Served) -> Iterator[bytes]:
    """Make the file of the certificate useless; return the certificate that was in it."""
    good = served.trusted.read_text()
    served.trusted.write_text("nonsense")
    yield ssl.PEM_cert_to_DER_cert(good)
    served.trusted.write_text(good)


def test_a_certificate_that_cannot_be_used_changes_nothing(served: Served, broken: bytes) -> None:
    lines = served.log().count('"reloaded"')
    os.kill(served.server.pid, signal.SIGHUP)
    while served.log().count('"reloaded"') == lines:
        assert served.shown() == broken
    assert "settings not changed" in served.log()
    assert f"tls.certificate {served.trusted}, tls.key {served.trusted.parent}/key" in served.log()
    assert served.shown() == broken


def test_workers_that_die_are_replaced_whatever_became_of_the_files(
    served: Served, broken: bytes
) -> None:
    def workers() -> set[int]:
        return set(state.read(served.server.directory / "meta")["workers"].values())

    before = workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    ends_s = time.monotonic() + WAIT_S
    while len(workers() - before) < len(before):
        assert time.monotonic() < ends_s, served.log()[-2_000:]
    assert served.shown() == broken


def test_files_that_change_while_they_are_read_are_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by who renews them: what was found good may not be what is held."""
    key = tmp_path / "key.pem"
    config = TlsConfig(certificate=certificate(tmp_path), key=key)
    found_good, seen = tls.context, list[ssl.SSLContext | None]()

    def and_then_changed(config: TlsConfig) -> ssl.SSLContext | None:
        made = found_good(config)
        seen.append(made)
        if len(seen) == 2:
            key.write_text("another key")
        return made

    monkeypatch.setattr(tls, "context", and_then_changed)
    with pytest.raises(ConfigError, match="changed while they were read"):
        tls.Held(config)
