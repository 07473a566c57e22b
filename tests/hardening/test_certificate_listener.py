"""A real server's listener for certificates: grid proxies in TLS become keys, and nothing else."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bench.servers import free_port
from tests.support.grid_ca import DAY, LIMITED, Authority, Holder, proxy, proxy_info
from tests.support.server_process import RunningServer, run_server

CURL = shutil.which("curl")
ARN = "arn:aws:iam::000000000000:role/grid"
FORM = {"Action": "AssumeRoleWithCertificate", "Version": "2011-06-15"}
TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow", "Principal": {"Federated": "x509"},
        "Action": "sts:AssumeRoleWithCertificate",
    },
}  # fmt: skip
RIGHTS = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::grid*"},
}
WAIT_S = 60
CA = Authority()
ALICE = CA.user()


@dataclass(frozen=True)
class Site:
    """A server with both listeners, and how to reach the one for certificates."""

    running: RunningServer
    port: int
    directory: Path

    def client(self, service: str, **changed: Any) -> closing[Any]:
        given = {
            "endpoint_url": self.running.endpoint,
            "aws_access_key_id": self.running.access_key,
            "aws_secret_access_key": self.running.secret_key,
            **changed,
        }
        return closing(boto3.client(
            service, region_name=self.running.region,
            verify=str(self.directory / "server.pem"), **given,
        ))  # fmt: skip

    def ask(
        self,
        holder: Holder | None,
        *,
        method: str = "POST",
        path: str = "/",
        form: dict[str, str] | None = None,
        tls: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> tuple[int, bytes]:
        """Return status and body of a request by whoever shows a chain. Raises OSError."""
        context = ssl.create_default_context(cafile=str(self.directory / "server.pem"))
        context.maximum_version = tls
        if holder is not None:
            context.load_cert_chain(holder.write(self.directory / "x509up"))
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=WAIT_S, context=context
        )
        with closing(connection):
            body = urlencode(FORM if form is None else form) if method == "POST" else None
            connection.request(method, path, body, TYPE if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def keys(self, holder: Holder, tls: ssl.TLSVersion) -> dict[str, str]:
        status, body = self.ask(holder, tls=tls)
        assert status == 200, body
        found = {one.tag.rpartition("}")[2]: one.text or "" for one in ET.fromstring(body).iter()}
        return {
            "aws_access_key_id": found["AccessKeyId"],
            "aws_secret_access_key": found["SecretAccessKey"],
            "aws_session_token": found["SessionToken"],
        }

    def log(self) -> str:
        return Path(f"{self.running.directory}.log").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory, port = tmp_path_factory.mktemp("certificates"), free_port()
    CA.write(directory / "ca")
    CA.server().write(directory / "server.key")
    (directory / "server.pem").write_text(Holder(CA.key, CA.certificate).chain_pem)
    store = directory / "store"
    (store / "conf.d").mkdir(parents=True)
    (store / "conf.d" / "grid.toml").write_text(
        f'[tls]\ncertificate = "{directory / "server.key"}"\nkey = "{directory / "server.key"}"\n'
        f'[certificates]\nauthorities = "{directory / "ca"}"\nlisten = "127.0.0.1:{port}"\n'
        f'[[certificate_roles]]\ndn = "/DC=org/DC=grid/CN=Alice"\nrole = "{ARN}"\n'
    )
    with run_server(store) as running:
        made = Site(running, port, directory)
        with made.client("s3") as s3, made.client("iam") as iam:
            s3.create_bucket(Bucket="grid")
            iam.create_role(RoleName="grid", AssumeRolePolicyDocument=json.dumps(TRUST))
            document = json.dumps(RIGHTS)
            iam.put_role_policy(RoleName="grid", PolicyName="data", PolicyDocument=document)
        yield made


@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    "holder",
    [ALICE, proxy(ALICE), proxy(proxy(ALICE, kind="RSA2048"), "2")],
    ids=["user", "proxy", "proxy of a proxy"],
)
def test_keys_of_whoever_shows_a_chain_work_for_s3(
    site: Site, holder: Holder, tls: ssl.TLSVersion
) -> None:
    with site.client("s3", **site.keys(holder, tls)) as s3:
        s3.put_object(Bucket="grid", Key="key", Body=b"content")
        assert s3.get_object(Bucket="grid", Key="key")["Body"].read() == b"content"


@pytest.mark.skipif(not CURL, reason="curl is not installed")
def test_curl_needs_nothing_but_a_proxy_file(site: Site) -> None:
    file = proxy(proxy(ALICE), "2").write(site.directory / "x509up")
    command = [str(CURL), "-sS", "--cert", file, "--key", file, "-d", urlencode(FORM)]
    command += ["--cacert", site.directory / "server.pem", f"https://127.0.0.1:{site.port}/"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=WAIT_S)
    assert "<SessionToken>" in done.stdout


def test_nobody_gets_in_whom_no_authority_vouches_for(site: Site) -> None:
    unknown = Authority("Other CA").user()
    expired = CA.user(at=CA.at - 3 * DAY, lasts=DAY)
    late = proxy(ALICE, at=CA.at - DAY, lasts=timedelta(hours=1))
    for holder in (None, unknown, proxy(unknown), expired, late):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            site.ask(holder)
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=WAIT_S)) as plain:
        plain.request("GET", "/-/health/live")
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            plain.getresponse()


def test_what_openssl_lets_through_is_held_against_our_own_rules(site: Site) -> None:
    mallory = CA.user("Mallory")
    assert site.ask(mallory)[0] == 403  # no rule names her
    assert site.ask(proxy(ALICE, info=proxy_info(LIMITED)))[0] == 403
    second = CA.user()
    assert site.ask(proxy(second))[0] == 200
    CA.revoked.append(second.certificate)
    CA.write(site.directory / "ca")
    status, body = site.ask(proxy(second))
    assert (status, b"revoked" in body) == (403, True)
    assert site.ask(proxy(ALICE))[0] == 200


def test_nothing_else_is_served_there(site: Site) -> None:
    holder = proxy(ALICE)
    with site.client("s3") as s3:
        s3.put_object(Bucket="grid", Key="key", Body=b"x")
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "grid", "Key": "key"})
    path = url.split("/", 3)[3]
    for method, target in (
        ("GET", "/"), ("GET", f"/{path}"), ("PUT", "/other"), ("DELETE", "/grid/key"),
        ("OPTIONS", "/grid/key"), ("GET", "/-/metrics"), ("POST", "/grid"),
    ):  # fmt: skip
        assert site.ask(holder, method=method, path=target)[0] in (403, 404), (method, target)
    for action in ("GetCallerIdentity", "GetSessionToken", "AssumeRole"):
        status, body = site.ask(holder, form={**FORM, "Action": action})
        assert (status, b"<Code>AccessDenied</Code>" in body) == (403, True)
    users = {"Action": "ListUsers", "Version": "2010-05-08"}
    assert site.ask(holder, form=users)[0] == 403
    assert site.ask(holder, method="GET", path="/-/health/ready")[0] == 200
    assert site.ask(holder, form={**FORM, "Action": "GetCertificateChallenge"})[0] == 200
    assert site.ask(holder, form={**FORM, "Challenge": "x"})[0] == 400  # half a proof is none


def test_chain_is_asked_for_by_that_listener_alone(site: Site) -> None:
    s3_port = int(site.running.endpoint.rpartition(":")[2])
    status, _ = Site(site.running, s3_port, site.directory).ask(proxy(ALICE))
    assert status == 400


def test_signed_read_is_refused_there_too(site: Site) -> None:
    chain = str(proxy(ALICE).write(site.directory / "x509up"))
    with site.client("s3") as s3:
        s3.put_object(Bucket="grid", Key="key", Body=b"x")
    url, config = f"https://127.0.0.1:{site.port}", Config(client_cert=chain)
    with site.client("s3", endpoint_url=url, config=config) as s3:
        for _ in range(2):
            with pytest.raises(ClientError, match=r"AccessDenied.*nothing else is done"):
                s3.get_object(Bucket="grid", Key="key")


def test_sighup_renews_certificate_that_the_listener_shows(site: Site) -> None:
    other = Authority("Third CA")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        site.ask(other.user())
    renewed = CA.server()
    renewed.write(site.directory / "server.key")
    other.write(site.directory / "ca")
    os.kill(site.running.pid, signal.SIGHUP)
    while '"reloaded"' not in site.log():
        site.ask(ALICE, method="GET", path="/-/health/live")
    context = ssl.create_default_context(cafile=str(site.directory / "server.pem"))
    context.load_cert_chain(ALICE.write(site.directory / "x509up"))
    with (
        socket.create_connection(("127.0.0.1", site.port), WAIT_S) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
    ):
        shown = wrapped.getpeercert(binary_form=True)
    assert shown is not None
    assert ssl.DER_cert_to_PEM_cert(shown) == renewed.chain_pem
    assert site.ask(ALICE)[0] == 200
    assert site.ask(other.user())[0] == 200  # same name; no rule here asks who vouches for it
