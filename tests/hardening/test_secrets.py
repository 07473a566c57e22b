"""Keys, tokens and passwords are shown when they are made, and never again, anywhere.

A real server is spoken to in every way that carries a proof, rightly and wrongly; then everything
that it said, logged and stored is searched for each of the secrets.
"""

from __future__ import annotations

import http.client
import json
import select
import signal
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from botocore.exceptions import ClientError

from s3server.admin import cli
from tests.support.everybody import (
    CERTIFICATES,
    ROLE,
    Person,
    Site,
    federation,
    run_site,
    trusting,
)
from tests.support.forms import BOUNDARY, encode_form
from tests.support.grid_ca import proxy
from tests.support.iam import ACCOUNT, allow

pytestmark = pytest.mark.clients

WAIT_S = 60
READ_BYTES = 8 << 20  # of each file: volumes and journals are longer, and empty behind
TOPICS = {
    "amqp": {"push-endpoint": "amqp://user:canary-of-amqp@127.0.0.1:1", "amqp-exchange": "e"},
    "kafka": {"push-endpoint": "kafka://user:canary-of-kafka@127.0.0.1:1", "use-ssl": "true"},
    "http": {"push-endpoint": "http://127.0.0.1:1/", "http-signature-secret": "canary-of-web-hook"},
}
NOT_ALLOWED = "amqp://user:canary-of-wrong@elsewhere.org"
SETTINGS = """
[log]
requests = "all"
[server]
metrics_token = "canary-of-metrics"
"""
FOR_SECRETS = ("s3server.toml", "site.toml", "credentials.env")
COMMANDS = (
    ("user", "list"), ("user", "show", "ann"), ("key", "list", "ann"), ("project", "list"),
    ("config", "show"), ("status",), ("usage",), ("topic", "list"),
)  # fmt: skip


class Heard:
    """What the server said, and what must not be in it."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.secrets: dict[str, str] = {}

    def call(self, what: str, person: Person, service: str, operation: str, **more: Any) -> None:
        """Ask for something that must be answered; keep what was."""
        try:
            answer = person(service, operation, **more)
        except ClientError as error:
            answer = error.response
        self.texts[what] = repr(answer)

    def get(self, what: str, url: str, status: int, **headers: str) -> None:
        """Open a URL; keep the answer."""
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
                found, content = answer.status, answer.read()
        except HTTPError as error:
            with error:
                found, content = error.status, error.read()
        assert found == status, (what, content)
        self.texts[what] = content.decode("latin-1")

    def keep(self, name: str, credentials: dict[str, Any]) -> Any:
        """Remember what is secret of new credentials."""
        self.secrets[f"secret of {name}"] = credentials["SecretAccessKey"]
        if "SessionToken" in credentials:
            self.secrets[f"token of {name}"] = credentials["SessionToken"]
        return credentials


def damaged(text: str) -> str:
    """Return a text of which one character is another."""
    return text[:-1] + ("a" if text[-1] != "a" else "b")


def spellings(secret: str) -> set[str]:
    """Return a secret as it may be written, in a URL too."""
    bare = secret.rstrip("=")
    return {bare, quote(bare, safe="")}


def signatures(url: str) -> dict[str, str]:
    found = dict(parse_qsl(urlsplit(url).query))
    names = ("X-Amz-Signature", "X-Amz-Security-Token", "Signature", "x-amz-security-token")
    return {name: found[name] for name in names if name in found}


def by_urls(heard: Heard, who: str, person: Person) -> None:
    """Open URLs of both versions, good ones and damaged ones, and one that is spelt otherwise."""
    for version in ("s3v4", "s3"):
        client = person.client("s3", signature_version=version)
        url = client.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "key"})
        for name, value in signatures(url).items():
            heard.secrets[f"{name} of {who}, {version}"] = value
        heard.get(f"URL of {who}, {version}", url, 200)
        name = "X-Amz-Signature" if version == "s3v4" else "Signature"
        value = signatures(url)[name]
        spelt = url.replace(f"{name}=", f"{name[:-1]}%65=")
        heard.get(f"spelt URL of {who}, {version}", spelt, 200, referer=spelt)
        heard.get(
            f"broken URL of {who}, {version}", url.replace(quote(value, safe=""), "AAAA"), 403
        )


def by_form(heard: Heard, who: str, person: Person, endpoint: str) -> None:
    """Upload by a form, well signed and not."""
    client = person.client("s3", signature_version="s3v4")
    made = client.generate_presigned_post("data", "uploaded")
    fields = dict(made["fields"])
    heard.secrets[f"signature of the form of {who}"] = fields["x-amz-signature"]
    for key, status in (("uploaded", 204), ("another", 403)):
        body = encode_form({**fields, "key": key})
        host = endpoint.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=WAIT_S)
        connection.request(
            "POST", "/data", body, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        )
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        assert answer.status == status, content
        heard.texts[f"form of {who}, {key}"] = content.decode()


def by_tokens_and_certificates(heard: Heard, site: Site) -> None:
    """Become roles by all ways of STS, and fail to."""
    nobody, token = site.person(), site.issuer.token(time.time())
    heard.secrets["web identity token"] = token
    asked = {"RoleArn": f"{ROLE}/web", "RoleSessionName": "job"}
    answer = nobody("sts", "assume_role_with_web_identity", **asked, WebIdentityToken=token)
    heard.keep("web identity", answer["Credentials"])
    for what, wrong in (
        ("forged", damaged(token)),
        ("late", site.issuer.token(time.time() - 9_999)),
    ):
        heard.secrets[f"{what} token"] = wrong
        heard.call(f"{what} web identity", nobody, "sts", "assume_role_with_web_identity",
                   **asked, WebIdentityToken=wrong)  # fmt: skip
    file = proxy(site.authority.user()).write(site.directory / "x509up")
    heard.secrets["key of a proxy"] = file.read_text().split("PRIVATE KEY-----")[1].split("\n")[1]
    heard.keep("certificate", site.keys_by_proxy(f"{ROLE}/certificate-all"))
    form = {"Challenge": "AAAA", "CertificateChain": "x", "Signature": "canary-of-a-signature"}
    heard.secrets["signature of a challenge"] = form["Signature"]
    body = "Action=AssumeRoleWithCertificate&Version=2011-06-15&" + "&".join(
        f"{name}={value}" for name, value in form.items()
    )
    try:
        urllib.request.urlopen(site.server.endpoint, body.encode())
    except HTTPError as error:
        with error:
            heard.texts["wrong certificate"] = error.read().decode()


def by_headers(heard: Heard, who: str, person: Person, keys: dict[str, Any], site: Site) -> None:
    """Sign requests to each service, rightly and with a wrong secret."""
    wrong = site.person({**keys, "SecretAccessKey": damaged(keys["SecretAccessKey"])})
    heard.secrets[f"wrong secret of {who}"] = damaged(keys["SecretAccessKey"])
    for one, how in ((person, ""), (wrong, "wrong ")):
        for service, operation, more in (
            ("s3", "get_object", {"Bucket": "data", "Key": "key"}),
            ("s3", "put_object", {"Bucket": "data", "Key": "new", "Body": b"x"}),
            ("iam", "list_access_keys", {"UserName": "ann"}), ("iam", "get_user", {}),
            ("sts", "get_caller_identity", {}), ("sns", "list_topics", {}),
        ):  # fmt: skip
            heard.call(f"{how}{operation} of {who}", one, service, operation, **more)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run_site(tmp_path_factory.mktemp("secrets"), SETTINGS) as running:
        yield running


def speak(heard: Heard, site: Site) -> None:
    """Make people, buckets, topics and sessions, and speak to the server as all of them."""
    root = site.root
    site.user("ann", allow("*"))
    key = heard.keep("ann", root("iam", "create_access_key", UserName="ann")["AccessKey"])
    trust = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ann"}
    site.role("job", trusting(trust), allow("*"))
    site.role("web", federation(site.issuer), allow("*"))
    site.role("certificate-all", CERTIFICATES, allow("*"))
    ann = site.person(key)
    for bucket in ("data", "logs"):
        root("s3", "create_bucket", Bucket=bucket)
    root("s3", "put_object", Bucket="data", Key="key", Body=b"x")
    root("s3", "put_bucket_logging", Bucket="data", BucketLoggingStatus={
        "LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": ""}})  # fmt: skip
    rules = []
    for name, attributes in TOPICS.items():
        arn = root(
            "sns", "create_topic", Name=name, Attributes={**attributes, "persistent": "true"}
        )["TopicArn"]
        rules.append({"TopicArn": arn, "Events": ["s3:ObjectCreated:*"]})
        heard.call(f"topic {name}", root, "sns", "get_topic_attributes", TopicArn=arn)
        changed = {"AttributeName": "push-endpoint", "AttributeValue": NOT_ALLOWED}
        heard.call(f"wrong {name}", root, "sns", "set_topic_attributes", TopicArn=arn, **changed)
    root("s3", "put_bucket_notification_configuration", Bucket="data",
         NotificationConfiguration={"TopicConfigurations": rules})  # fmt: skip
    own = heard.keep("session", ann("sts", "get_session_token")["Credentials"])
    role = ann("sts", "assume_role", RoleArn=f"{ROLE}/job", RoleSessionName="job")["Credentials"]
    everybody = {"ann": key, "session": own, "role": heard.keep("role", role)}
    for who, keys in everybody.items():
        person = site.person(keys)
        by_headers(heard, who, person, keys, site)
        by_urls(heard, who, person)
        by_form(heard, who, person, site.server.endpoint)
    by_tokens_and_certificates(heard, site)
    heard.call("all of IAM", root, "iam", "get_account_authorization_details")
    heard.get("metrics", f"{site.server.endpoint}/-/metrics", 200,
              authorization="Bearer canary-of-metrics")  # fmt: skip
    heard.get("no metrics", f"{site.server.endpoint}/-/metrics", 403, authorization="Bearer wrong")


def look_at_commands(heard: Heard, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        capsys.readouterr()
        assert cli.run([*command, "--json", "--dir", str(site.server.directory)]) == 0, command
        heard.texts[" ".join(command)] = capsys.readouterr().out
    bundle = site.directory / "support.tar.gz"
    assert cli.run(["support-bundle", str(bundle), "--dir", str(site.server.directory)]) == 0
    with tarfile.open(bundle) as packed:
        for entry in packed:
            file = packed.extractfile(entry)
            heard.texts[f"bundle: {entry.name}"] = "" if file is None else file.read().decode()


def stored(directory: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what lies in the files of a store but those that are there to hold secrets."""
    for path in directory.rglob("*"):
        is_for_secrets = path.name in FOR_SECRETS or path.suffix in (
            ".key",
            ".keys",
        )
        if path.is_file() and not is_for_secrets:
            with suppress(FileNotFoundError), path.open("rb") as file:  # it may go meanwhile
                yield str(path.relative_to(directory)), file.read(READ_BYTES).rstrip(b"\0")


def test_no_secret_is_seen_after_it_was_made(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = Heard()
    heard.secrets["secret of root"] = site.server.secret_key
    for canary in ("amqp", "kafka", "web-hook", "metrics", "wrong"):
        heard.secrets[f"password of {canary}"] = f"canary-of-{canary}"
    command = [sys.executable, "-m", "s3server", "trace", "--json", "--dir"]
    with subprocess.Popen(
        [*command, str(site.server.directory)], stdout=subprocess.PIPE, text=True
    ) as trace:
        try:
            while not select.select([trace.stdout], [], [], 0)[0]:  # it listens by and by
                site.root("s3", "list_buckets")
            speak(heard, site)
            look_at_commands(heard, site, capsys)
        finally:
            trace.send_signal(signal.SIGINT)
        heard.texts["trace"] = trace.communicate(timeout=WAIT_S)[0]
    heard.texts["log"] = Path(f"{site.server.directory}.log").read_text()
    assert len(heard.texts["log"].splitlines()) > 50
    for name, content in stored(site.server.directory):
        heard.texts[f"file {name}"] = content.decode("latin-1")
    seen = {
        (what, name)
        for what, text in heard.texts.items()
        for name, secret in heard.secrets.items()
        if any(spelt in text for spelt in spellings(secret))
    }
    assert seen == set(), sorted(seen)
    assert json.loads(heard.texts["user show ann"])["name"] == "ann"
