"""What ROOT reads: over a thousand ranges of a file in one request, and what goes with it."""

from __future__ import annotations

import http.client
import itertools
import random
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from boto3.s3.transfer import TransferConfig

from tests.support.client_tools import over_http_and_https, run_python
from tests.support.server_process import RunningServer

pytestmark = pytest.mark.clients

SIZE = 12_000_000
PARTS = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)


@pytest.fixture
def content() -> bytes:
    return random.Random(1).randbytes(SIZE)


@pytest.fixture
def path(s3, content: bytes, tmp_path: Path) -> str:
    """A public object in parts, so that some ranges cross from one into the next."""
    name = f"root-{tmp_path.name.replace('_', '-').lower()}"[:63].rstrip("-")
    s3.create_bucket(Bucket=name, ACL="public-read")
    file = tmp_path / "events.root"
    file.write_bytes(content)
    s3.upload_file(str(file), name, "events.root", Config=PARTS)
    return f"/{name}/events.root"


def spans() -> list[tuple[int, int]]:
    """Return 1,024 ranges: most small and far apart, one over the end of a part, one to the end."""
    seeded = random.Random(2)
    starts = sorted(seeded.sample(range(0, SIZE - 10_000, 10_000), 1022))
    found = [(start, start + seeded.randrange(1, 4_000)) for start in starts]
    return [*found, ((5 << 20) - 100, (5 << 20) + 100), (SIZE - 300, SIZE)]


def test_a_thousand_ranges_come_in_one_answer(
    server: RunningServer, path: str, content: bytes
) -> None:
    asked = spans()
    header = "bytes=" + ",".join(f"{start}-{stop - 1}" for start, stop in asked)
    assert 1024 == len(asked)
    assert 15_000 < len(header) < 17_000
    connection = http.client.HTTPConnection(urlsplit(server.endpoint).netloc)
    connection.request("GET", path, headers={"Range": header})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()

    kind = answer.headers["Content-Type"]
    assert 206 == answer.status
    assert kind.startswith("multipart/byteranges; boundary=")
    assert str(len(body)) == answer.headers["Content-Length"]
    assert _exact(kind, body) == [
        (f"bytes {start}-{stop - 1}/{SIZE}", content[start:stop]) for start, stop in asked
    ]


def _exact(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    """Return the parts byte for byte: parsers of mail change line ends."""
    boundary = b"--" + content_type.partition("boundary=")[2].encode()
    first, *parts, last = body.split(b"\r\n" + boundary)
    assert (b"", b"--\r\n") == (first, last)
    found = []
    for part in parts:
        head, _, data = part.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().strip().split("\r\n"))
        found.append((headers["Content-Range"], data))
    return found


def test_signed_client_reads_ranges_too(s3, path: str, content: bytes) -> None:
    bucket, _, key = path[1:].partition("/")
    got = s3.get_object(Bucket=bucket, Key=key, Range="bytes=0-9,6000000-6000009,-10")
    body = got["Body"].read()
    expected = [content[:10], content[6_000_000:6_000_010], content[-10:]]
    assert expected == [data for _, data in _exact(got["ContentType"], body)]


def test_head_and_single_ranges_are_those_of_a_file(
    server: RunningServer, path: str, content: bytes
) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.endpoint).netloc)
    connection.request("HEAD", path)
    head = connection.getresponse()
    head.read()
    assert (200, str(SIZE)) == (head.status, head.headers["Content-Length"])
    assert "bytes" == head.headers["Accept-Ranges"]

    for start, stop in itertools.islice(spans(), 0, None, 100):
        connection.request("GET", path, headers={"Range": f"bytes={start}-{stop - 1}"})
        answer = connection.getresponse()
        assert (206, content[start:stop]) == (answer.status, answer.read())
    connection.request("GET", path, headers={"Range": f"bytes={SIZE}-"})
    assert 416 == connection.getresponse().status
    connection.close()


UPROOT = """
import sys
import numpy, s3fs, uproot

bucket = sys.argv[1]
values = numpy.arange(200_000, dtype="float64")
with uproot.recreate(sys.argv[2]) as file:
    tree = file.mktree("events", {name: "float64" for name in "abcdefgh"})
    for part in numpy.array_split(values, 20):
        tree.extend({name: part + number for number, name in enumerate("abcdefgh")})
s3fs.S3FileSystem().put(sys.argv[2], bucket + "/events.root")
with uproot.open("s3://" + bucket + "/events.root") as file:
    arrays = file["events"].arrays(["b", "g"], library="np")
print(len(arrays["b"]), (arrays["b"] == values + 1).all(), (arrays["g"] == values + 6).all())
"""


@over_http_and_https
def test_uproot_reads_branches_of_a_tree(environment, bucket: str, tmp_path: Path) -> None:
    """Site B's physicists read ROOT files in place."""
    assert "200000 True True" == run_python(
        UPROOT, environment, bucket, str(tmp_path / "events.root")
    )
