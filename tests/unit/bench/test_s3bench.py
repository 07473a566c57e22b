"""`s3bench` against a real server: what it measures, writes, shows, and leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import matplotlib as mpl
import pytest

from bench.result import load
from tests.support.server_process import ROOT, RunningServer, run_server

OPS = "put,get,head,delete,list,mixed"


@dataclass(frozen=True)
class Site:
    """A server, two accounts in a home directory's ~/.aws, and what a run made."""

    server: RunningServer
    home: Path

    def command(self, *arguments: str) -> tuple[list[str], dict[str, Any]]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment = {**kept, "HOME": str(self.home), "AWS_ENDPOINT_URL": self.server.endpoint}
        environment["MPLCONFIGDIR"] = mpl.get_cachedir()  # else it lists all fonts once more
        return [sys.executable, "-m", "bench", *arguments], {"env": environment, "cwd": ROOT}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command, options = self.command(*arguments)
        return subprocess.run(command, **options, capture_output=True, text=True, check=False)

    def buckets(self) -> list[str]:
        client = boto3.client(
            "s3",
            endpoint_url=self.server.endpoint,
            aws_access_key_id=self.server.access_key,
            aws_secret_access_key=self.server.secret_key,
            region_name=self.server.region,
        )
        return [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]


def new_user(server: RunningServer, name: str) -> dict[str, str]:
    """Make a user; return its first key."""
    found: dict[str, str] = {}
    for noun in ("user", "key"):
        command = [sys.executable, "-m", "s3server", noun, "create", name, "--json"]
        command += ["--dir", str(server.directory)]
        found = json.loads(
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
        )
    return found


def section(name: str, access_key: str, secret_key: str) -> str:
    keys = f"aws_access_key_id={access_key}\naws_secret_access_key={secret_key}\n"
    return f"[{name}]\n{keys}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("s3bench")
    with run_server(directory / "store") as server:
        (directory / ".aws").mkdir()
        user = new_user(server, "alice")
        root = server.access_key, server.secret_key
        sections = [section(name, *root) for name in ("default", "bench-1")]
        sections.append(section("bench-2", user["access_key"], user["secret_key"]))
        (directory / ".aws/credentials").write_text("".join(sections))
        yield Site(server, directory)


def test_every_operation_is_measured_without_errors_and_no_secret_is_told(site: Site) -> None:
    """By two accounts, on five buckets of a chosen pool."""
    out, page = site.home / "all.json", site.home / "page.html"
    done = site.run(
        *("run", "--op", OPS, "--connections", "4", "--buckets", "5", "--profile", "bench-*"),
        *("--location", f"{site.server.region}:default", "--objects", "60", "--rounds", "1"),
        *("--duration", "2", "--warmup", "0.1", "--out", str(out)),
        *("--plots", str(site.home / "plots"), "--html", str(page)),
    )
    assert done.returncode == 0, done.stderr
    found = load(out)
    assert OPS.split(",") == [point.op for point in found.points]
    for point in found.points:
        assert point.ops_per_s > 0
        assert {} == point.errors, point.error_sample
        assert 0 < point.latency_ms.p50 <= point.latency_ms.p99 <= point.latency_ms.max
    by_op = {point.op: point for point in found.points}
    assert {"get", "head", "put", "delete"} >= set(by_op["mixed"].by_kind) > {"get"}
    assert by_op["get"].bodies_verified > 0
    assert (2, 5) == (found.experiment.accounts, found.experiment.buckets)
    assert [] == site.buckets()
    credentials = (site.home / ".aws/credentials").read_text()
    secrets = [line.partition("=")[2] for line in credentials.splitlines() if "=" in line]
    assert 6 == len(secrets)
    for written in (out, page):
        assert [] == [secret for secret in secrets if secret in written.read_text()]
    assert 2 == len(list((site.home / "plots").glob("*.png")))


def test_an_open_loop_sends_at_its_rate(site: Site) -> None:
    out = site.home / "open.json"
    done = site.run(
        *("run", "--op", "get", "--rate", "100", "--connections", "8", "--objects", "20"),
        *("--rounds", "1", "--duration", "2", "--warmup", "0.2", "--out", str(out)),
        *("--arrivals", "uniform"),
    )
    assert done.returncode == 0, done.stderr
    (point,) = load(out).points
    assert (100.0, {}) == (point.offered_per_s, point.errors)
    assert 190 <= point.by_kind["get"].ops + point.unsent <= 201


def test_a_run_that_is_stopped_removes_its_buckets(site: Site) -> None:
    command, options = site.command(
        *("run", "--op", "put", "--connections", "2", "--buckets", "3", "--objects", "20"),
        *("--rounds", "1000", "--duration", "0.2", "--warmup", "0", "--profile", "default"),
        *("--out", str(site.home / "never.json")),
    )
    process = subprocess.Popen(command, **options, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "put" in process.stderr.readline()  # the first point is done, the second one goes on
    assert 3 == len(site.buckets())
    process.send_signal(signal.SIGINT)
    try:
        rest = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130, rest
    assert [] == site.buckets()
    assert not (site.home / "never.json").exists()


def test_what_cannot_be_measured_is_one_line(site: Site) -> None:
    wrong = ("--access-key", site.server.access_key, "--secret-key", "wrong")
    for arguments, complaint in (
        (wrong, "answered 403: are the keys of this server?"),
        (("--endpoint", "http://127.0.0.1:1"), "http://127.0.0.1:1: Connection refused"),
        (("--profile", "nobody-*"), "no profile is named"),
        (("--location", f"{site.server.region}:nowhere"), "InvalidLocationConstraint"),
    ):
        done = site.run("run", *arguments)
        assert (1, 1) == (done.returncode, len(done.stderr.strip().splitlines())), done.stderr
        assert complaint in done.stderr
    assert [] == site.buckets()
    missing = site.run("compare", "none.json", "none.json")
    assert (1, "s3bench: none.json: No such file or directory\n") == (
        missing.returncode,
        missing.stderr,
    )
