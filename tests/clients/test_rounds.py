"""Every client: up, listed, back, read in parts, copied, signed for, deleted; byte for byte."""

from __future__ import annotations

import itertools
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client_tools import over_http_and_https
from tests.support.clients.arrow import Arrow
from tests.support.clients.aws_cli import AwsCli
from tests.support.clients.boto import Boto3
from tests.support.clients.client import (
    Client,
    Copies,
    Library,
    MakesBuckets,
    ReadsRanges,
    Signs,
)
from tests.support.clients.compiled import Go, Java, RustAwsSdk, RustS3
from tests.support.clients.javascript import JavaScript
from tests.support.clients.libcloud import Libcloud
from tests.support.clients.libs3 import Libs3
from tests.support.clients.minio_py import MinioPy
from tests.support.clients.obstore import Obstore
from tests.support.clients.rclone import Rclone
from tests.support.clients.s3cmd import S3cmd, S3cmdVersion2
from tests.support.clients.s3fs import S3fs
from tests.support.clients.s5cmd import S5cmd
from tests.support.clients.trees import COPIED, LARGE, differences, make_tree, read_tree

pytestmark = pytest.mark.clients

CLIENTS = (
    Arrow,
    AwsCli,
    Boto3,
    JavaScript,
    Libcloud,
    Libs3,
    MinioPy,
    Obstore,
    Rclone,
    S3cmd,
    S3cmdVersion2,
    S3fs,
    S5cmd,
    *(pytest.param(one, marks=pytest.mark.slow) for one in (Go, Java, RustAwsSdk, RustS3)),
)
NAMES = itertools.count()


@pytest.fixture(params=CLIENTS, ids=lambda client: client.__name__)
def client(
    request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path
) -> Iterator[Client]:
    """One of the clients."""
    made = request.param(environment, tmp_path)
    yield made
    made.close()


@pytest.fixture
def bucket(client: Client, s3) -> str:
    """A new bucket, by the client where it can make one."""
    name = f"round-{next(NAMES)}"
    if isinstance(client, MakesBuckets):
        client.make(name)
    else:
        s3.create_bucket(Bucket=name)
    return name


def stored(s3, bucket: str) -> dict[str, bytes]:
    """Return what the bucket holds, as boto3 reads it."""
    entries = s3.list_objects_v2(Bucket=bucket).get("Contents", ())
    return {
        entry["Key"]: s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        for entry in entries
    }


@over_http_and_https
def test_round(client: Client, s3, bucket: str, tmp_path: Path) -> None:
    up, back = tmp_path / "up", tmp_path / "back"
    contents = make_tree(up, client.spell)
    large, copied = client.spell(LARGE), client.spell(COPIED)

    client.upload(up, bucket)
    assert [] == differences(contents, stored(s3, bucket))
    assert contents.keys() == client.keys(bucket)
    parts = s3.head_object(Bucket=bucket, Key=large)["ETag"].strip('"').partition("-")[2]
    assert parts in client.parts

    client.download(bucket, back)
    assert [] == differences(contents, read_tree(back))
    if isinstance(client, ReadsRanges):
        assert contents[large][5_000_000:6_000_001] == client.read(
            bucket, large, 5_000_000, 6_000_001
        )
    if isinstance(client, Signs):
        with urllib.request.urlopen(client.url(bucket, copied), timeout=60) as answer:
            assert contents[copied] == answer.read()

    if isinstance(client, Copies):
        for source in (copied, large):
            target = client.spell(f"copies/of {source}")
            client.copy(bucket, source, target)
            contents[target] = contents[source]
    client.delete(bucket, copied)
    del contents[copied]
    assert [] == differences(contents, stored(s3, bucket))

    contents |= add_odd_keys(client, s3, bucket, tmp_path)
    assert contents.keys() == client.keys(bucket)
    client.delete_all(bucket)
    assert {} == stored(s3, bucket)
    s3.delete_bucket(Bucket=bucket)  # nothing is left behind, uploads neither


def add_odd_keys(client: Client, s3, bucket: str, home: Path) -> dict[str, bytes]:
    """Store odd keys by the client, where it handles single ones, and read them by it."""
    up, back = home / "odd", home / "odd back"
    contents = {client.spell(key): b"at " + key.encode() for key in client.odd_keys}
    for key, content in contents.items():
        if isinstance(client, Library):
            up.write_bytes(content)
            client.put(bucket, key, up)
            client.get(bucket, key, back)
            assert content == back.read_bytes()
            assert content == s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        else:
            s3.put_object(Bucket=bucket, Key=key, Body=content)
    return contents
