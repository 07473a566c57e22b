"""aws cli and boto3 with `credential_process` and a token of an issuer on https."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.clients.test_credential_process import ALL_OF_GRID, PROGRAM
from tests.support.grid_ca import Authority
from tests.support.oidc_issuer import AUDIENCE, Issuer, run_issuer
from tests.support.server_process import ROOT, RunningServer, run_server

pytestmark = pytest.mark.clients

ROLES = "arn:aws:iam::000000000000:role"


class Site:
    """A server that trusts an issuer, and a user's environment with a token."""

    def __init__(self, running: RunningServer, issuer: Issuer, directory: Path) -> None:
        self.running, self.issuer, self.directory = running, issuer, directory

    def root(self, service: str) -> Any:
        return self.client(service, self.running.access_key, self.running.secret_key)

    def client(self, service: str, key: str, secret: str, token: str | None = None) -> Any:
        return boto3.client(
            service, endpoint_url=self.running.endpoint, region_name=self.running.region,
            aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token,
        )  # fmt: skip

    def environment(self, role: str) -> dict[str, str]:
        token, config = self.directory / "token", self.directory / "config"
        token.write_text(self.issuer.token(time.time()))
        command = f"{PROGRAM} --web-identity --role {ROLES}/{role} --token-file {token}"
        config.write_text(
            f"[profile grid]\nregion = {self.running.region}\n"
            f"endpoint_url = {self.running.endpoint}\n"
            f"credential_process = {command} --endpoint {self.running.endpoint}\n"
        )
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return kept | {
            "AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "grid",
            "XDG_CACHE_HOME": str(self.directory / "cache"), "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("oidc")
    authority = Authority("Site CA")
    (ca_file,) = authority.write(directory / "ca").glob("*.0")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.server().write(directory / "issuer.pem"))
    store = directory / "store"
    (store / "conf.d").mkdir(parents=True)
    with run_issuer(context) as issuer:
        (store / "conf.d" / "oidc.toml").write_text(
            f'[[oidc]]\nissuer = "{issuer.url}"\naudiences = ["{AUDIENCE}"]\n'
            f'ca_file = "{ca_file}"\nroles = ["{ROLES}/grid-*"]\n'
        )
        with run_server(store) as running:
            made = Site(running, issuer, directory)
            made.root("s3").create_bucket(Bucket="grid")
            for role in ("grid-reader", "other"):
                add_role(made, role)
            yield made


def add_role(site: Site, name: str) -> None:
    provider = site.issuer.url.partition("://")[2]
    trust = {
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": f"arn:aws:iam::000000000000:oidc-provider/{provider}"},
        "Condition": {"StringEquals": {f"{provider}:sub": "alice"}},
    }  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    iam = site.root("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
    iam.put_role_policy(RoleName=name, PolicyName="data", PolicyDocument=json.dumps(ALL_OF_GRID))


def aws(site: Site, role: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("aws")), *arguments], env=site.environment(role),
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_aws_cli_and_boto3_use_a_token(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    whoami = aws(site, "grid-reader", "sts", "get-caller-identity")
    assert "assumed-role/grid-reader/" in whoami.stdout, whoami.stderr
    for name, value in site.environment("grid-reader").items():
        monkeypatch.setenv(name, value)
    s3 = boto3.session.Session().client("s3")
    s3.put_object(Bucket="grid", Key="by-token", Body=b"x")
    assert s3.get_object(Bucket="grid", Key="by-token")["Body"].read() == b"x"


def test_role_that_the_issuer_may_not_name_is_refused(site: Site) -> None:
    refused = aws(site, "other", "s3", "ls", "s3://grid")
    assert refused.returncode != 0
    assert "IDPRejectedClaim" in refused.stderr
    assert site.issuer.token(time.time())[:40] not in refused.stderr


def test_command_ends_all_sessions_of_a_user_at_once(site: Site) -> None:
    site.root("iam").create_user(UserName="ann")
    document = json.dumps(ALL_OF_GRID)
    site.root("iam").put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=document)
    key = site.root("iam").create_access_key(UserName="ann")["AccessKey"]
    sts = site.client("sts", key["AccessKeyId"], key["SecretAccessKey"])

    def session() -> tuple[str, str, str]:
        found = sts.get_session_token()["Credentials"]
        return found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]

    sessions = [session() for _ in range(2)]
    for each in sessions:
        site.client("s3", *each).put_object(Bucket="grid", Key="of-ann", Body=b"x")
    command = [sys.executable, "-m", "s3server", "sessions", "revoke", "--user", "ann"]
    command += ["--dir", str(site.running.directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    for each in sessions * 2:  # connections of their own: some worker or other
        with pytest.raises(ClientError, match="InvalidToken"):
            site.client("s3", *each).get_object(Bucket="grid", Key="of-ann")
    site.client("s3", *session()).get_object(Bucket="grid", Key="of-ann")
