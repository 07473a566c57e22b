"""`deploy/nginx.conf`, the real nginx and a real server: what was signed arrives as signed."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from bench.servers import free_port
from bench.tls_front import certificate
from tests.support.grid_ca import Authority, proxy
from tests.support.server_process import ROOT, RunningServer, run_server

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed")

DOMAIN = "s3.nginx.test"
CA = Authority()
GRID_ROLE = "arn:aws:iam::000000000000:role/grid"
GRID_TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow", "Principal": {"Federated": "x509"},
        "Action": "sts:AssumeRoleWithCertificate",
    },
}  # fmt: skip
WAIT_S = 60
KEYS = ["a b+c%20d", "ä/ö//ü", "//", "dots/./../x", "~!*'()&=;:@$,", "%2F", "q?x=1#y", "\\"]
MAIN = """
daemon off; worker_processes 1; pid {0}/pid; error_log stderr;
events {{ worker_connections 512; }}
http {{ log_format behind "$upstream_addr"; access_log {0}/access behind;
client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f;
uwsgi_temp_path {0}/u; scgi_temp_path {0}/s; include {0}/s3server.conf; }}
"""


@dataclass(frozen=True)
class Front:
    """nginx, and the server behind it."""

    server: RunningServer
    url: str
    trusted: Path
    directory: Path

    @contextmanager
    def s3(self, style: str = "path", endpoint: str = "") -> Iterator[Any]:
        client = boto3.client(
            "s3",
            endpoint_url=endpoint or self.url,
            aws_access_key_id=self.server.access_key,
            aws_secret_access_key=self.server.secret_key,
            region_name=self.server.region,
            verify=str(self.trusted),
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": style}),
        )
        try:
            yield client
        finally:
            client.close()

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.trusted))


def configuration(directory: Path, behind: int, port: int, *, verify: bool, second: str) -> str:
    """Return deploy/nginx.conf with our names; the second endpoint is not there, by default."""
    text = (ROOT / "deploy/nginx.conf").read_text()
    for pattern, replacement in (
        (r"server 10\.0\.0\.11:9000", f"server 127.0.0.1:{behind}"),
        (r"server 10\.0\.0\.12:9000", f"server {second or f'127.0.0.1:{free_port()}'}"),
        (r"listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        (r"s3\.example\.org", DOMAIN),
        (r"/etc/s3server/tls/fullchain\.pem", str(directory / "certificate.pem")),
        (r"/etc/s3server/tls/key\.pem", str(directory / "key.pem")),
        (r"# (ssl_client_certificate) \S+;", rf"\1 {directory / 'certificate.pem'};"),
        *([(r"# (ssl_verify_client on;)", r"\1")] if verify else []),
    ):
        text, count = re.subn(pattern, replacement, text)
        assert count, pattern
    return text


@contextmanager
def nginx(
    directory: Path, behind: int, *, port: int = 0, verify: bool = False, second: str = ""
) -> Iterator[int]:
    """Run nginx; give its port."""
    port = port or free_port()
    text = configuration(directory, behind, port, verify=verify, second=second)
    (directory / "s3server.conf").write_text(text)
    (directory / "nginx.conf").write_text(MAIN.format(directory))
    command = [str(NGINX), "-c", str(directory / "nginx.conf"), "-p", str(directory)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
        try:
            while not is_open(port):
                assert process.poll() is None, (directory / "log").read_text()
            yield port
        finally:
            process.terminate()
            process.wait(WAIT_S)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    directory = tmp_path_factory.mktemp("nginx")
    trusted = certificate(directory, DOMAIN, f"*.{DOMAIN}")
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S3SERVER_SERVER__EXTERNAL_URLS", f'["https://127.0.0.1:{port}"]')
        patch.setenv("S3SERVER_SERVER__BASE_DOMAINS", f'["{DOMAIN}"]')
        patch.setenv("S3SERVER_SERVER__TRUSTED_PROXIES", '["127.0.0.1"]')
        conf = directory / "store" / "conf.d"
        conf.mkdir(parents=True)
        (conf / "grid.toml").write_text(
            f'[certificates]\nauthorities = "{CA.write(directory / "ca")}"\n'
            f'[[certificate_roles]]\ndn = "/DC=org/DC=grid/CN=Alice"\nrole = "{GRID_ROLE}"\n'
        )
        # At all addresses of this machine: 127.0.0.2 is its second endpoint.
        with run_server(directory / "store", "--listen", "0.0.0.0:0") as server:
            behind = urlsplit(server.endpoint).port or 0
            with nginx(directory, behind, port=port):
                found = Front(server, f"https://127.0.0.1:{port}", trusted, directory)
                with found.s3() as s3:
                    s3.create_bucket(Bucket="front")
                yield found


@pytest.fixture
def s3(front: Front) -> Iterator[Any]:
    with front.s3() as client:
        yield client


def test_odd_keys_keep_their_signatures(s3: Any) -> None:
    for key in KEYS:
        s3.put_object(Bucket="front", Key=key, Body=key.encode(), Metadata={"under_score": "x"})
        got = s3.get_object(Bucket="front", Key=key)
        assert (key.encode(), {"under_score": "x"}) == (got["Body"].read(), got["Metadata"])
    listed = s3.list_objects_v2(Bucket="front")["Contents"]
    assert sorted(KEYS, key=str.encode) == [entry["Key"] for entry in listed]
    s3.delete_objects(Bucket="front", Delete={"Objects": [{"Key": key} for key in KEYS]})


@pytest.mark.parametrize("size", [64 << 20, pytest.param(5 << 30, marks=pytest.mark.slow)])
def test_a_large_body_passes_in_both_directions_and_touches_no_disk_of_nginx(
    front: Front, s3: Any, size: int
) -> None:
    piece = os.urandom(1 << 20)
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "front", "Key": "large"})
    target = urlsplit(url)
    connection = http.client.HTTPSConnection(
        "127.0.0.1", target.port, timeout=WAIT_S, context=front.context
    )
    digest = hashlib.sha256()
    connection.putrequest("PUT", f"{target.path}?{target.query}")
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    for _ in range(size // len(piece)):
        digest.update(piece)
        connection.send(piece)
        assert 0 == sum(path.stat().st_size for path in front.directory.glob("[bp]/**/*"))
    answer = connection.getresponse()
    assert (200, b"") == (answer.status, answer.read())
    connection.close()
    received = hashlib.sha256()
    for chunk in s3.get_object(Bucket="front", Key="large")["Body"].iter_chunks(1 << 20):
        received.update(chunk)
    assert digest.digest() == received.digest()
    s3.delete_object(Bucket="front", Key="large")


def test_buckets_may_be_in_the_host_name(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def resolve_domain(host: Any, *arguments: Any, **options: Any) -> Any:
        is_ours = isinstance(host, str) and host.endswith(DOMAIN)
        return resolve("127.0.0.1" if is_ours else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_domain)
    with front.s3("virtual", f"https://{DOMAIN}:{urlsplit(front.url).port}") as s3:
        round_trip(front, s3)


def round_trip(front: Front, s3: Any) -> None:
    s3.create_bucket(Bucket="virtual")
    s3.put_object(Bucket="virtual", Key="a b", Body=b"data")
    assert b"data" == s3.get_object(Bucket="virtual", Key="a b")["Body"].read()
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "virtual", "Key": "a b"})
    assert f"//virtual.{DOMAIN}:" in url
    with urllib.request.urlopen(url, context=front.context, timeout=WAIT_S) as answer:
        assert b"data" == answer.read()
    s3.delete_object(Bucket="virtual", Key="a b")
    s3.delete_bucket(Bucket="virtual")


def test_many_ranges_and_their_long_field_pass(front: Front, s3: Any) -> None:
    s3.put_object(Bucket="front", Key="ranges", Body=bytes(2_000_000))
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "front", "Key": "ranges"})
    wanted = "bytes=" + ",".join(f"{at * 1900}-{at * 1900 + 9}" for at in range(1000))
    request = urllib.request.Request(url, headers={"Range": wanted})
    with urllib.request.urlopen(request, context=front.context, timeout=WAIT_S) as answer:
        assert 1000 == answer.read().count(b"Content-Range: bytes ")
    s3.delete_object(Bucket="front", Key="ranges")


def test_an_endpoint_that_is_down_is_left_out(front: Front) -> None:
    """One of the two upstream servers refuses every connection."""
    connection = http.client.HTTPSConnection(
        "127.0.0.1", urlsplit(front.url).port, timeout=WAIT_S, context=front.context
    )
    for _ in range(20):
        connection.request("GET", "/-/health/live")
        answer = connection.getresponse()
        answer.read()
        assert (200, "keep-alive") == (answer.status, answer.headers["Connection"])
    connection.close()


def test_several_endpoints_share_the_requests(front: Front, tmp_path: Path) -> None:
    certificate(tmp_path, DOMAIN)
    behind = urlsplit(front.server.endpoint).port or 0
    trusted = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
    endpoints = {f"127.0.0.{number}:{behind}" for number in (1, 2)}
    with nginx(tmp_path, behind, second=f"127.0.0.2:{behind}") as port:
        with front.s3() as s3:
            s3.put_object(Bucket="front", Key="shared", Body=b"x" * 10)
            params = {"Bucket": "front", "Key": "shared"}
            with front.s3(endpoint=f"https://127.0.0.1:{port}") as through:
                url = urlsplit(through.generate_presigned_url("get_object", Params=params))
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=WAIT_S, context=trusted)
        for _ in range(20):
            connection.request("GET", f"{url.path}?{url.query}")
            answer = connection.getresponse()
            assert (200, b"x" * 10) == (answer.status, answer.read())
        connection.close()
        with front.s3() as s3:
            s3.delete_object(Bucket="front", Key="shared")
    assert endpoints == set((tmp_path / "access").read_text().split())


def test_clients_without_a_certificate_are_turned_away_where_that_is_asked_for(
    front: Front, tmp_path: Path
) -> None:
    certificate(tmp_path, DOMAIN)
    behind = urlsplit(front.server.endpoint).port or 0
    with nginx(tmp_path, behind, verify=True) as port:
        statuses = []
        for own in (False, True):
            context = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
            if own:
                context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
            connection = http.client.HTTPSConnection(
                "127.0.0.1", port, timeout=WAIT_S, context=context
            )
            connection.request("GET", "/-/health/live")
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
            connection.close()
    assert [400, 200] == statuses


def test_a_grid_proxy_proves_itself_through_nginx(front: Front, tmp_path: Path) -> None:
    iam = boto3.client(
        "iam",
        endpoint_url=front.url,
        aws_access_key_id=front.server.access_key,
        aws_secret_access_key=front.server.secret_key,
        region_name=front.server.region,
        verify=str(front.trusted),
    )
    iam.create_role(RoleName="grid", AssumeRolePolicyDocument=json.dumps(GRID_TRUST))
    command = [Path(sys.executable).with_name("s3server-credentials"), "--no-cache"]
    command += ["--endpoint", front.url, "--ca-bundle", front.trusted]
    command += ["--proxy", proxy(CA.user()).write(tmp_path / "x509up")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    keys = json.loads(done.stdout)
    sts = boto3.client(
        "sts",
        endpoint_url=front.url,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
        region_name=front.server.region,
        verify=str(front.trusted),
    )
    assert sts.get_caller_identity()["Arn"].endswith("assumed-role/grid/Alice")
    sts.close()
    iam.close()
