"""SDKs of compiled languages: built where their toolchains are, in a directory that git ignores.

Versions are those of go.mod and go.sum, Cargo.toml and pom.xml; what is built stays for the next
run.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

from tests.support.client_tools import installed
from tests.support.clients.driver import Driven
from tests.support.server_process import ROOT

SOURCES = Path(__file__).with_name("drivers")
BUILDS = ROOT / ".client-builds"
BUILD_S = 1_800
OURS = dict(os.environ)  # before a test gives this process another home and other authorities


def fetch(*command: str, source: str) -> None:
    """Fetch what is built on; skip the test where there is no mirror."""
    done = subprocess.run(
        command,
        cwd=SOURCES / source,
        env=OURS,
        capture_output=True,
        timeout=BUILD_S,
        check=False,
    )
    if done.returncode != 0:
        output = (done.stdout + done.stderr).decode(errors="replace")[-500:]
        pytest.skip(f"what {source} is built on could not be fetched: {output}")


def build(*command: str, source: str, **variables: str) -> None:
    """Build, and fail where that fails."""
    done = subprocess.run(
        command,
        cwd=SOURCES / source,
        env=OURS | variables,
        capture_output=True,
        timeout=BUILD_S,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")


class Go(Driven):
    """The AWS SDK for Go, version 2, with the Uploader of its manager."""

    def command(self) -> list[str]:
        go, program = installed("go", "golang"), BUILDS / "go" / "client"
        fetch(go, "mod", "download", source="go")
        build(go, "build", "-o", str(program), ".", source="go")
        return [str(program)]


class RustAwsSdk(Driven):
    """The crate aws-sdk-s3."""

    program = "aws_sdk"

    def command(self) -> list[str]:
        cargo, target = installed("cargo", "cargo"), BUILDS / "rust"
        # Cargo wants to write its lock file beside the manifest, and it would name a registry.
        manifest = target / "source"
        manifest.mkdir(parents=True, exist_ok=True)
        for name in ("Cargo.toml", "src"):
            if not (manifest / name).is_symlink():
                (manifest / name).symlink_to(SOURCES / "rust" / name)
        project = ("--manifest-path", str(manifest / "Cargo.toml"))
        fetch(cargo, "fetch", *project, source="rust")
        build(cargo, "build", "--bins", *project, source="rust", CARGO_TARGET_DIR=str(target))
        return [str(target / "debug" / self.program)]


class RustS3(RustAwsSdk):
    """The crate rust-s3, whose parts are 8 MiB, and which resolves dots and drops a first slash."""

    odd_keys = ("a//b", "trail/", "100% +1?#&;=")

    program = "rust_s3"


class Java(Driven):
    """The AWS SDK for Java, version 2: its asynchronous client, which uploads in parts."""

    def command(self) -> list[str]:
        java, maven = installed("java", "default-jdk-headless"), installed("mvn", "maven")
        jars = BUILDS / "java"
        copy = ("-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={jars}")
        if not jars.exists():
            fetch(maven, *copy, source="java")
        options = ["-cp", f"{jars}/*"]
        if self.authority is not None:
            trusted = x509.load_pem_x509_certificate(Path(self.authority).read_bytes())
            store = self.home / "trust.p12"
            certificates = [pkcs12.PKCS12Certificate(trusted, b"test")]
            store.write_bytes(pkcs12.serialize_java_truststore(certificates, NoEncryption()))
            options += [
                f"-Djavax.net.ssl.trustStore={store}",
                "-Djavax.net.ssl.trustStorePassword=",
            ]
        return [java, *options, str(SOURCES / "java" / "Driver.java")]
