"""Programs and environments that the tests of real clients run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.server_process import ROOT, RunningServer

REGION = "fr-clermont-mesocentre"  # site A's
BASE_DOMAIN = "s3.localhost"
WEBSITE_DOMAIN = "web.localhost"
CLIENTS_PYTHON = ROOT / ".venv-clients" / "bin" / "python"
NODE_MODULES = ROOT / ".node-clients" / "node_modules"
NODE_AT_LEAST = 20  # what the AWS SDK for JavaScript needs
TOOL_S = 240
# botocore; OpenSSL, Go and Rust; curl; GDAL of pyogrio; requests; Node.js
TRUST = (
    "AWS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GDAL_CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)


# Marks a test that runs against the plain server and against the one with TLS.
over_http_and_https = pytest.mark.parametrize("server", ["http", "https"], indirect=True)


def environment_of(server: RunningServer, home: Path) -> dict[str, str]:
    """Return the environment that site A tells its users to set, and nothing else of ours.

    AWS_S3_ENDPOINT, without a scheme, is what GDAL reads; AWS_DEFAULT_REGION what boto3 does.
    Where the server has TLS, its authority is the only one that is trusted, by whatever name the
    clients' libraries read it.
    """
    authority = {} if server.authority is None else dict.fromkeys(TRUST, str(server.authority))
    return authority | {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_S3_ENDPOINT": server.endpoint.partition("://")[2],
        "AWS_REGION": server.region,
        "AWS_DEFAULT_REGION": server.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",  # a retry would hide an error
    }


def program(name: str) -> str:
    """Return the path of a program of our virtual environment; skip the test where it is not."""
    found = Path(sys.executable).with_name(name)
    if not found.exists():
        pytest.skip(f"{name} is not installed: make test installs it")
    return str(found)


def installed(command: str, package: str) -> str:
    """Return the path of a program of Debian's; skip the test where it is not."""
    found = shutil.which(command)
    if found is None:
        pytest.skip(f"{command} is not installed: it is in the Debian package {package}")
    return found


def clients_python() -> str:
    """Return the Python of s3fs and pandas; skip the test where it is not installed."""
    if not CLIENTS_PYTHON.exists():
        pytest.skip(".venv-clients is not installed: make test installs it")
    return str(CLIENTS_PYTHON)


def node() -> str:
    """Return Node.js; skip the test where it or the AWS SDK is not installed, or it is too old."""
    found = installed("node", "nodejs")
    if not NODE_MODULES.exists():
        pytest.skip("the packages of Node.js are not installed: make test installs them")
    version = subprocess.run([found, "-v"], check=True, capture_output=True, text=True).stdout
    if int(version[1:].partition(".")[0]) < NODE_AT_LEAST:
        pytest.skip(f"the SDK needs Node.js {NODE_AT_LEAST}; this is {version.strip()}")
    return found


def run(command: list[str], environment: Mapping[str, str], *, stdin: bytes = b"") -> bytes:
    """Run a command to its end and return its standard output; fail on an exit status."""
    done = subprocess.run(
        command,
        env=dict(environment),
        input=stdin,
        capture_output=True,
        timeout=TOOL_S,
        check=False,
    )
    assert 0 == done.returncode, (done.stdout + done.stderr).decode(errors="replace")
    return done.stdout


def run_failing(command: list[str], environment: Mapping[str, str]) -> str:
    """Run a command that has to fail and return all that it prints."""
    done = subprocess.run(
        command, env=dict(environment), capture_output=True, timeout=TOOL_S, check=False
    )
    output = (done.stdout + done.stderr).decode(errors="replace")
    assert 0 < done.returncode, output
    return output


def run_python(source: str, environment: Mapping[str, str], *arguments: str) -> str:
    """Run Python in the virtual environment of s3fs and pandas; return what it prints."""
    output = run([clients_python(), "-c", source, *arguments], environment)
    return output.decode().strip()


def status_of(url: str) -> int:
    """Return the status that anybody gets for a URL."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
