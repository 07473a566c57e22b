"""s3server-credentials: temporary keys for a grid proxy or a token, as `credential_process` wants.

    # ~/.aws/config
    [profile grid]
    endpoint_url = https://s3.site.org
    credential_process = s3server-credentials --endpoint https://s3.site.org

Finds the proxy as grid tools do ($X509_USER_PROXY, /tmp/x509up_u<uid>), a token with
`--web-identity` as WLCG's tools do ($BEARER_TOKEN, $BEARER_TOKEN_FILE, $XDG_RUNTIME_DIR/bt_u<uid>,
/tmp/bt_u<uid>). What it got it keeps in a file of its user's alone until shortly before its end.
Imports little: it is started for every command that uses the profile.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import json
import os
import re
import ssl
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from xml.etree.ElementTree import XMLParser

MARGIN = timedelta(minutes=5)  # AWS's tools renew at about this distance
TIMEOUT_S = 20
MAX_ANSWER_BYTES = 64 << 10
_VERSION = "2011-06-15"
_FIELDS = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")


class RefusedError(Exception):
    """There are no credentials; the text says why."""


def main() -> int:
    """Print the credentials; return the exit status."""
    options = _options()
    try:
        print(json.dumps(_credentials(options)))  # noqa: T201 (what this program is for)
    except (RefusedError, OSError, ValueError) as error:
        print(f"s3server-credentials: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="s3server-credentials", description=__doc__.split("\n")[0]
    )
    environ = os.environ  # noqa: TID251 (a client of its own, which no settings file speaks of)
    endpoint = environ.get("AWS_ENDPOINT_URL_STS") or environ.get("AWS_ENDPOINT_URL")
    parser.add_argument("--endpoint", default=endpoint, help="URL of the server")
    parser.add_argument("--role", help="ARN of the role; the first that the server's rules give")
    parser.add_argument("--duration", type=int, help="seconds; as long as the role and proxy last")
    parser.add_argument("--proxy", type=Path, help="file of the proxy certificate")
    parser.add_argument("--web-identity", action="store_true", help="use a token, not a proxy")
    parser.add_argument("--token-file", type=Path, help="file of the token")
    parser.add_argument(
        "--ca-bundle", default=environ.get("AWS_CA_BUNDLE"), help="CA of the server"
    )
    parser.add_argument("--no-cache", action="store_true", help="ask the server every time")
    options = parser.parse_args()
    if not options.endpoint:
        parser.error("--endpoint or $AWS_ENDPOINT_URL is needed")
    if options.web_identity and not options.role:
        parser.error("--web-identity needs --role")
    return options


def _credentials(options: argparse.Namespace) -> dict[str, object]:
    secret = _token(options) if options.web_identity else _proxy_file(options).read_text("ascii")
    asked = f"{options.endpoint}\n{options.role}\n{options.duration}\n{secret}"
    cache = _cache_directory() / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"
    kept = None if options.no_cache else _read_cache(cache)
    if kept is not None:
        return kept
    fields = _by_token(options, secret) if options.web_identity else _by_proxy(options, secret)
    found: dict[str, object] = {"Version": 1, **fields}
    if not options.no_cache:
        _write_cache(cache, found)
    return found


# --- asking the server ----------------------------------------------------------------------------


def _by_proxy(options: argparse.Namespace, pem: str) -> dict[str, str]:
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa  # noqa: PLC0415 (slow)
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    certificates, keys = _blocks(pem, "CERTIFICATE"), _blocks(pem, "(?:RSA |EC )?PRIVATE KEY")
    if not certificates or len(keys) != 1:
        raise RefusedError("the proxy file holds no certificate, or not one key")
    key = load_pem_private_key(keys[0].encode(), None)
    challenge = _ask(options, {"Action": "GetCertificateChallenge"}, ("Challenge",))["Challenge"]
    host = urlsplit(options.endpoint).netloc
    text = f"AssumeRoleWithCertificate\n{host.lower()}\n{challenge}".encode()
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(text, padding.PKCS1v15(), SHA256())
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(text, ec.ECDSA(SHA256()))
    else:
        raise RefusedError("the key of the proxy is neither RSA nor EC")
    form = {
        "Action": "AssumeRoleWithCertificate",
        "Challenge": challenge,
        "CertificateChain": "".join(certificates),
        "Signature": base64.b64encode(signature).decode(),
    }
    return _ask(options, {**form, **_wanted(options)}, _FIELDS)


def _blocks(pem: str, kind: str) -> list[str]:
    return re.findall(f"-----BEGIN {kind}-----.*?-----END {kind}-----\n?", pem, re.DOTALL)


def _by_token(options: argparse.Namespace, token: str) -> dict[str, str]:
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "RoleSessionName": f"uid-{os.getuid()}",
        "WebIdentityToken": token,
    }
    return _ask(options, {**form, **_wanted(options)}, _FIELDS)


def _wanted(options: argparse.Namespace) -> dict[str, str]:
    wanted = {"RoleArn": options.role, "DurationSeconds": options.duration}
    return {name: str(value) for name, value in wanted.items() if value is not None}


def _ask(
    options: argparse.Namespace, form: dict[str, str], names: tuple[str, ...]
) -> dict[str, str]:
    """Return fields of an answer of STS. Raises RefusedError with the server's own words."""
    parts = urlsplit(options.endpoint)
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=options.ca_bundle)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.netloc, timeout=TIMEOUT_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
    body = urlencode({**form, "Version": _VERSION})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        connection.request("POST", parts.path or "/", body, headers)
        response = connection.getresponse()
        content = response.read(MAX_ANSWER_BYTES)
    except http.client.HTTPException as error:
        raise RefusedError(f"{options.endpoint}: {error}") from None
    finally:
        connection.close()
    found = _texts(content)
    if response.status != 200:
        code = found.get("Code", str(response.status))
        raise RefusedError(f"{options.endpoint}: {code}: {found.get('Message', '')}")
    return {name: found[name] for name in names}


class _Texts:
    """Collects the texts of elements by their names, without namespaces."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._name = ""

    def start(self, tag: str, _: dict[str, str]) -> None:
        self._name = tag.rpartition("}")[2]

    def data(self, text: str) -> None:
        if text.strip():
            self.found[self._name] = self.found.get(self._name, "") + text

    def end(self, _: str) -> None:
        self._name = ""

    def close(self) -> None:
        pass


def _texts(content: bytes) -> dict[str, str]:
    texts = _Texts()
    parser = XMLParser(target=texts)  # noqa: S314 (of the server that the user named)
    try:
        parser.feed(content)
        parser.close()
    except SyntaxError:
        raise RefusedError("the server's answer cannot be read") from None
    return texts.found


# --- what is in files -----------------------------------------------------------------------------


def _proxy_file(options: argparse.Namespace) -> Path:
    named = os.environ.get("X509_USER_PROXY")  # noqa: TID251
    return options.proxy or Path(named or f"/tmp/x509up_u{os.getuid()}")  # noqa: S108


def _token(options: argparse.Namespace) -> str:
    """Return a token, found as WLCG's "Bearer Token Discovery" says."""
    environ = os.environ  # noqa: TID251
    if options.token_file is None and environ.get("BEARER_TOKEN"):
        return environ["BEARER_TOKEN"].strip()
    name = f"bt_u{os.getuid()}"
    places = [options.token_file, environ.get("BEARER_TOKEN_FILE")]
    if not any(places):
        places = [Path(environ.get("XDG_RUNTIME_DIR", "/nonexistent")) / name, Path("/tmp") / name]  # noqa: S108
    for place in filter(None, places):
        if Path(place).is_file():
            return Path(place).read_text("ascii").strip()
    raise RefusedError("there is no token: $BEARER_TOKEN and its files are empty")


def _cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"  # noqa: TID251
    return Path(base) / "s3server"


def _read_cache(path: Path) -> dict[str, object] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with open(descriptor, encoding="ascii") as file:
        status = os.fstat(descriptor)
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            return None
        try:
            kept: dict[str, object] = json.load(file)
            ends = datetime.fromisoformat(str(kept["Expiration"]))
            return kept if datetime.now(UTC) + MARGIN < ends else None
        except (ValueError, KeyError, TypeError):  # no object, or a time without a zone
            return None


def _write_cache(path: Path, found: dict[str, object]) -> None:
    with suppress(OSError):  # without it the server is asked the next time, too
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)  # mode 0600
        with open(descriptor, "w", encoding="ascii") as file:
            json.dump(found, file)
        Path(temporary).replace(path)
        for other in path.parent.glob("*.json"):  # of proxies and tokens before
            if _read_cache(other) is None:
                other.unlink()
