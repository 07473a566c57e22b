"""Everybody who can sign, and nobody, on a real server with two projects: as boto3 has them.

The home project is the default one, root's; the other one is `away`, and bob administers it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from s3server.admin.output import settings_file
from s3server.core.directory import USERS
from s3server.maintenance import open_tenants
from s3server.settings import load
from tests.support.grid_ca import Authority, proxy
from tests.support.iam import ACCOUNT, policy
from tests.support.oidc_issuer import AUDIENCE, Issuer, run_issuer
from tests.support.server_process import RunningServer, run_server

TOPIC = {"push-endpoint": "amqp://127.0.0.1:5672", "amqp-exchange": "events"}
ROLE = f"arn:aws:iam::{ACCOUNT}:role"


class Person:
    """One who asks: clients of the services, by name."""

    def __init__(self, server: RunningServer, keys: dict[str, str] | None) -> None:
        self._server, self._keys = server, keys
        self._clients: dict[str, Any] = {}

    def __call__(self, service: str, operation: str, **parameters: Any) -> Any:
        """Call an operation: person("s3", "get_object", Bucket=...). Raises ClientError."""
        return getattr(self.client(service), operation)(**parameters)

    def client(self, service: str, **how: Any) -> Any:
        """Return a client of a service, by settings of botocore's."""
        name = service + "".join(map(str, how.values()))
        if name not in self._clients:
            signer = {} if self._keys else {"signature_version": UNSIGNED}
            config = Config(retries={"total_max_attempts": 1}, **(how or signer))
            self._clients[name] = boto3.client(
                service, endpoint_url=self._server.endpoint, region_name=self._server.region,
                config=config, **(self._keys or {}),
            )  # fmt: skip
        return self._clients[name]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


@dataclass
class Site:
    """A server, an issuer of tokens and an authority that it trusts."""

    server: RunningServer
    issuer: Issuer
    authority: Authority
    directory: Path

    def person(self, keys: dict[str, str] | None = None) -> Person:
        """Return who has these credentials of an answer (`AccessKeyId`...); nobody for None."""
        if keys is None:
            return Person(self.server, None)
        names = {
            "aws_access_key_id": "AccessKeyId",
            "aws_secret_access_key": "SecretAccessKey",
            "aws_session_token": "SessionToken",
        }
        return Person(self.server, {to: keys[name] for to, name in names.items() if name in keys})

    @cached_property
    def root(self) -> Person:
        keys = {"AccessKeyId": self.server.access_key, "SecretAccessKey": self.server.secret_key}
        return self.person(keys)

    def command(self, *arguments: str) -> Any:
        """Run a command of the server on its store; return what it prints as JSON."""
        command = [sys.executable, "-m", "s3server", *arguments, "--json"]
        command += ["--dir", str(self.server.directory)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        return json.loads(done.stdout)

    def user(self, name: str, text: str = "") -> Person:
        """Return a new user of the home project with a policy, or none that allows anything."""
        self.root("iam", "create_user", UserName=name)
        if text:
            self.root("iam", "put_user_policy", UserName=name, PolicyName="p", PolicyDocument=text)
        return self.person(self.root("iam", "create_access_key", UserName=name)["AccessKey"])

    def role(self, name: str, trust_policy: str, text: str = "") -> str:
        """Return the ARN of a new role of the home project."""
        self.root("iam", "create_role", RoleName=name, AssumeRolePolicyDocument=trust_policy)
        if text:
            self.root("iam", "put_role_policy", RoleName=name, PolicyName="p", PolicyDocument=text)
        return f"{ROLE}/{name}"

    def session(self, person: Person) -> Person:
        return self.person(person("sts", "get_session_token")["Credentials"])

    def assume(self, person: Person, arn: str, **more: Any) -> Person:
        asked = {"RoleArn": arn, "RoleSessionName": "job", **more}
        return self.person(person("sts", "assume_role", **asked)["Credentials"])

    def by_token(self, arn: str) -> Person:
        """Return who became a role by a token of the issuer."""
        answer = self.person()(
            "sts", "assume_role_with_web_identity", RoleArn=arn, RoleSessionName="job",
            WebIdentityToken=self.issuer.token(time.time()),
        )  # fmt: skip
        return self.person(answer["Credentials"])

    def by_proxy(self, arn: str) -> Person:
        """Return who became a role by a grid proxy."""
        return self.person(self.keys_by_proxy(arn))

    def keys_by_proxy(self, arn: str) -> dict[str, str]:
        """Return what the credential_process gets for a grid proxy."""
        file = proxy(proxy(self.authority.user()), "2").write(self.directory / "x509up")
        command = [str(Path(sys.executable).with_name("s3server-credentials")), "--no-cache"]
        command += ["--endpoint", self.server.endpoint, "--proxy", str(file), "--role", arn]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        keys: dict[str, str] = json.loads(done.stdout)
        return keys

    def administrator_of(self, project: str, name: str) -> Person:
        """Return a new user of a new project whom its policy allows everything there."""

        async def make() -> tuple[str, str]:
            config = load(settings_file(None, self.server.directory))
            async with open_tenants(config) as tenants:
                account = (await tenants.projects.create(project)).id
                await tenants.users.create_user(name, account=account)
                await tenants.attachments.attach(USERS, account, name, ADMINISTRATOR)
                key, secret = await tenants.users.create_key(name, account=account)
            return key.id, secret

        key_id, secret = asyncio.run(make())
        return self.person({"AccessKeyId": key_id, "SecretAccessKey": secret})


def federation(issuer: Issuer) -> str:
    """Return a trust policy for the tokens of an issuer."""
    name = issuer.url.partition("://")[2]
    federated = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{name}"
    return trusting({"Federated": federated}, "sts:AssumeRoleWithWebIdentity")


def trusting(principal: Any, action: str = "sts:AssumeRole") -> str:
    return policy({"Effect": "Allow", "Principal": principal, "Action": action})


ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
CERTIFICATES = trusting({"Federated": "x509"}, "sts:AssumeRoleWithCertificate")


@contextmanager
def run_site(directory: Path, settings: str = "") -> Iterator[Site]:
    """Serve a new store that trusts a new authority, for any role, and a new issuer."""
    authority = Authority()
    authority.write(directory / "ca")
    store = directory / "store"
    (store / "conf.d").mkdir(parents=True)
    with run_issuer() as issuer:
        (store / "conf.d" / "site.toml").write_text(
            f'[certificates]\nauthorities = "{directory / "ca"}"\n'
            f'[events]\nendpoints = ["127.0.0.1:*"]\n'
            f'[[oidc]]\nissuer = "{issuer.url}"\naudiences = ["{AUDIENCE}"]\n'
            + "".join(
                f'[[certificate_roles]]\ndn = "/*"\nrole = "{ROLE}/certificate-{level}"\n'
                for level in ("all", "reads", "nothing")
            )
            + settings
        )
        with run_server(store) as server:
            yield Site(server, issuer, authority, directory)
