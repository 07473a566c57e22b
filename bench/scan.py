"""What reading a file in place costs over S3: seconds of a scan, and their ratio to a local disk.

The reader is the same for all sources: this module's own (`bench.event_file`), or uproot on a file
that uproot wrote, over HTTP through fsspec with presigned URLs. Each scan has a process of its own;
sources take turns, so that what changes meanwhile meets all of them.
"""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import botocore.session
from botocore.config import Config

from bench.endpoint import Api, Endpoint, parse_endpoint, talking
from bench.errors import BenchError
from bench.event_file import write
from bench.experiment import bucket_names
from bench.servers import ACCOUNT, OURS, running
from bench.session import remove
from bench.signing import Account
from bench.tls_front import https

_UPROOT = Path(__file__).with_name("scan_uproot.py")
_KEY = "events.root"
_VALID_S = 3600
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Site:
    """Where the object is read; without `https` that source is left out."""

    http: Endpoint
    https: Endpoint | None
    account: Account


@dataclass(frozen=True, slots=True)
class Command:
    """A process that scans: its command line, its standard input, and whom it trusts."""

    line: list[str]
    given: str = ""
    ca_file: str = ""


@contextmanager
def our_site(directory: Path) -> Iterator[Site]:
    """A server of ours, and nginx in front of it for HTTPS."""
    with ExitStack() as stack:
        server = stack.enter_context(running("server", OURS, directory))
        plain = parse_endpoint(server.endpoint)
        front = stack.enter_context(https(server.port, directory, plain.region))
        yield Site(plain, front, ACCOUNT)


def measure(
    site: Site, directory: Path, *, size: int, rounds: int, python: str, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Return seconds and ratios by source. `python` has uproot; "" for our own reader."""
    path = directory / _KEY
    tell(f"writing a file of {size:,} bytes, and storing it")
    if python:
        _run(Command([python, str(_UPROOT), "write", str(path), str(size)]))
    else:
        write(path, size)
    (bucket,) = bucket_names(1)
    with talking(site.http, site.account) as api:
        api.request("PUT", f"/{bucket}")
        try:
            _upload(api, f"/{bucket}/{_KEY}", path)
            commands = _commands(site, path, bucket, python)
            return _rounds(commands, path.stat().st_size, rounds, tell)
        finally:
            remove(api, bucket)


def _upload(api: Api, key: str, path: Path) -> None:
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped,
        memoryview(mapped) as body,
    ):
        api.request("PUT", key, body=body)


def _commands(site: Site, path: Path, bucket: str, python: str) -> dict[str, Command]:
    """Return by source what scans it."""
    places = {"http": site.http} | ({"https": site.https} if site.https else {})
    if python:
        reader = [python, str(_UPROOT), "scan"]
        found = {LOCAL: Command(reader, str(path))}
        for name, endpoint in places.items():
            found[name] = Command(reader, _url(endpoint, site.account, bucket), endpoint.ca_file)
        return found
    reader = [sys.executable, "-m", "bench.scan_reader"]
    found = {LOCAL: Command([*reader, "local", str(path)])}
    secrets = json.dumps([site.account.access_key, site.account.secret_key, site.account.token])
    for name, endpoint in places.items():
        at = [endpoint.url, endpoint.region, endpoint.ca_file, f"/{bucket}/{_KEY}"]
        at.append(str(path.stat().st_size))
        found[name] = Command([*reader, "single", *at], secrets)
        found[f"{name}, many ranges"] = Command([*reader, "vector", *at], secrets)
    return found


def _url(endpoint: Endpoint, account: Account, bucket: str) -> str:
    """Return a presigned URL of the object."""
    client = botocore.session.Session().create_client(
        "s3",
        region_name=endpoint.region,
        endpoint_url=endpoint.url,
        aws_access_key_id=account.access_key,
        aws_secret_access_key=account.secret_key,
        aws_session_token=account.token or None,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    where = {"Bucket": bucket, "Key": _KEY}
    return str(client.generate_presigned_url("get_object", Params=where, ExpiresIn=_VALID_S))


def _rounds(
    commands: dict[str, Command], size: int, rounds: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    sums = set()
    for number in range(rounds + 1):
        for name, command in commands.items():
            answer = json.loads(_run(command))
            sums.add(answer["sum"])
            tell(f"{number}: {name} {answer['seconds']:.2f} s{'' if number else ', not counted'}")
            if number:  # the first round fills the caches
                seconds[name].append(round(answer["seconds"], 3))
    if len(sums) != 1:
        raise BenchError(f"sources gave different numbers: {sorted(sums)}")
    return {
        "size": size,
        "sources": {name: {"seconds": found} for name, found in seconds.items()},
        "ratio_to_local": {
            name: _ratio(found, seconds[LOCAL]) for name, found in seconds.items() if name != LOCAL
        },
    }


def _ratio(found: list[float], local: list[float]) -> dict[str, float]:
    """Return min, median and max over the rounds."""
    ratios = sorted(one / other for one, other in zip(found, local, strict=True))
    return {
        "min": round(ratios[0], 3),
        "median": round(median(ratios), 3),
        "max": round(ratios[-1], 3),
    }


def _run(command: Command) -> str:
    trusted = {"SSL_CERT_FILE": command.ca_file} if command.ca_file else {}
    done = subprocess.run(
        command.line,
        input=command.given,
        env=os.environ | trusted,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"{command.line[1:3]}: {done.stderr[-1500:]}")
    return done.stdout


def scan(
    site: Site | None,
    directory: str,
    *,
    size: int,
    rounds: int,
    python: str,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Return what measure() does, at a site or at one of our own that is made for it."""
    with ExitStack() as stack:
        made = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=directory or None)))
        place = site or stack.enter_context(our_site(made))
        return measure(place, made, size=size, rounds=rounds, python=python, tell=tell)
