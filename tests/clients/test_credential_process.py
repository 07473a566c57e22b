"""aws cli and boto3 with `credential_process`: a grid proxy is all that they need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support.grid_ca import Authority, proxy
from tests.support.server_process import ROOT, RunningServer, run_server

pytestmark = pytest.mark.clients

PROGRAM = Path(sys.executable).with_name("s3server-credentials")
ARN = "arn:aws:iam::000000000000:role/grid"
TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow", "Principal": {"Federated": "x509"},
        "Action": "sts:AssumeRoleWithCertificate",
    },
}  # fmt: skip
ALL_OF_GRID = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow", "Action": "s3:*",
        "Resource": ["arn:aws:s3:::grid", "arn:aws:s3:::grid/*"],
    },
}  # fmt: skip


class Site:
    """A server that trusts a grid's authority, and a job's environment."""

    def __init__(self, running: RunningServer, directory: Path) -> None:
        self.running, self.directory = running, directory
        self.root = self._client("s3")

    def _client(self, service: str, **more: Any) -> Any:
        return boto3.client(
            service, endpoint_url=self.running.endpoint, region_name=self.running.region,
            aws_access_key_id=self.running.access_key,
            aws_secret_access_key=self.running.secret_key, **more,
        )  # fmt: skip

    def iam(self) -> Any:
        return self._client("iam")

    def environment(self, proxy_file: Path) -> dict[str, str]:
        config = self.directory / "config"
        command = f"{PROGRAM} --endpoint {self.running.endpoint}"
        config.write_text(
            f"[profile grid]\nregion = {self.running.region}\n"
            f"endpoint_url = {self.running.endpoint}\ncredential_process = {command}\n"
        )
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return kept | {
            "AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "grid",
            "X509_USER_PROXY": str(proxy_file), "XDG_CACHE_HOME": str(self.directory / "cache"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip


CA = Authority()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("grid")
    CA.write(directory / "ca")
    store = directory / "store"
    (store / "conf.d").mkdir(parents=True)
    (store / "conf.d" / "grid.toml").write_text(
        f'[certificates]\nauthorities = "{directory / "ca"}"\n'
        f'[[certificate_roles]]\ndn = "/DC=org/DC=grid/CN=Alice"\nrole = "{ARN}"\n'
    )
    with run_server(store) as running:
        made = Site(running, directory)
        made.root.create_bucket(Bucket="grid")
        made.iam().create_role(RoleName="grid", AssumeRolePolicyDocument=json.dumps(TRUST))
        made.iam().put_role_policy(
            RoleName="grid", PolicyName="data", PolicyDocument=json.dumps(ALL_OF_GRID)
        )
        yield made


@pytest.fixture
def proxy_file(tmp_path: Path) -> Path:
    return proxy(proxy(CA.user(), kind="RSA2048"), "2").write(tmp_path / "x509up")


def aws(site: Site, proxy_file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("aws")), *arguments]
    environment = site.environment(proxy_file)
    return subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def test_aws_cli_uses_a_proxy(site: Site, proxy_file: Path, tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.write_text("hello")
    done = aws(site, proxy_file, "s3", "cp", str(source), "s3://grid/data")
    assert done.returncode == 0, done.stderr
    assert "s3://grid/data" in done.stdout
    whoami = aws(site, proxy_file, "sts", "get-caller-identity")
    assert json.loads(whoami.stdout)["Arn"].endswith("assumed-role/grid/Alice"), whoami.stderr


def test_boto3_uses_a_proxy(site: Site, proxy_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in site.environment(proxy_file).items():
        monkeypatch.setenv(name, value)
    client = boto3.session.Session().client("s3")
    client.put_object(Bucket="grid", Key="by-boto3", Body=b"x")
    assert client.get_object(Bucket="grid", Key="by-boto3")["Body"].read() == b"x"
    with pytest.raises(ClientError, match="AccessDenied"):
        client.create_bucket(Bucket="not-mine-to-make")


def test_credentials_are_kept_for_their_user_alone(site: Site, proxy_file: Path) -> None:
    environment = site.environment(proxy_file)
    runs = [
        subprocess.run(
            [PROGRAM, "--endpoint", site.running.endpoint],
            env=environment, capture_output=True, text=True, check=True, timeout=60,
        ).stdout
        for _ in range(2)
    ]  # fmt: skip
    first, second = map(json.loads, runs)
    assert first == second
    assert first["Version"] == 1
    (kept,) = (one for one in (site.directory / "cache" / "s3server").iterdir()
               if first["AccessKeyId"] in one.read_text())  # fmt: skip
    assert kept.stat().st_mode & 0o777 == 0o600


def test_credentials_that_ended_or_cannot_be_read_are_kept_no_longer(
    site: Site, tmp_path: Path
) -> None:
    kept = site.directory / "cache" / "s3server"
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    valid = {"Expiration": "2099-01-01T00:00:00+00:00"}
    ended = {"Expiration": "2020-01-01T00:00:00+00:00"}
    files = []
    for number, text in enumerate((valid, ended, [ended], {"Expiration": "2099-01-01T00:00:00"})):
        files.append(kept / f"{str(number) * 64}.json")
        files[-1].write_text(json.dumps(text))
        files[-1].chmod(0o600)
    environment = site.environment(proxy(CA.user()).write(tmp_path / "x509up"))
    command = [PROGRAM, "--endpoint", site.running.endpoint]
    subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
    assert [file.exists() for file in files] == [True, False, False, False]


def test_revocation_acts_at_once_on_every_worker(site: Site, proxy_file: Path) -> None:
    assert aws(site, proxy_file, "s3", "ls", "s3://grid").returncode == 0
    command = [sys.executable, "-m", "s3server", "sessions", "revoke", "--role", "grid"]
    command += ["--dir", str(site.running.directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    for _ in range(4):  # connections of their own: some worker or other
        refused = aws(site, proxy_file, "s3", "ls", "s3://grid")
        assert "InvalidToken" in refused.stderr


def test_refusal_is_told_and_shows_no_secret(site: Site, tmp_path: Path) -> None:
    holder = proxy(Authority("Other CA").user())
    refused = subprocess.run(
        [PROGRAM, "--endpoint", site.running.endpoint, "--proxy", holder.write(tmp_path / "p")],
        env=site.environment(tmp_path / "none"), capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "AccessDenied" in refused.stderr
    assert "PRIVATE KEY" not in refused.stderr
