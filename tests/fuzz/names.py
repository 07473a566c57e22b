"""What requests name things by: sources of copies, tokens of listings, ids, grantees."""

from __future__ import annotations

from s3server.core.multipart import parse_upload_id
from s3server.core.versions import parse_version_id
from s3server.errors import S3Error
from s3server.ops.acls import _grantees
from s3server.ops.bucket_list import _make_token, _open_token
from s3server.ops.object_copy import parse_copy_source
from tests.support.fuzzing import Target

GRANTEES = (
    b'id="11112222", uri="http://acs.amazonaws.com/groups/global/AllUsers"',
    b"emailAddress=alice@site.org,id=a",
)


def read_source(data: bytes) -> None:
    bucket, key, _ = parse_copy_source(data.decode("latin-1"))
    assert bucket
    assert 0 < len(key.encode()) <= 1_024


def read_page_token(data: bytes) -> None:
    _open_token(data.decode("latin-1")).encode()


def read_version(data: bytes) -> None:
    assert parse_version_id(data.decode("latin-1")) >= 0


def read_upload(data: bytes) -> None:
    assert len(parse_upload_id(data.decode("latin-1"))) == 16


def read_grantees(data: bytes) -> None:
    assert _grantees(data.decode("latin-1"))


_S3 = (S3Error,)
TARGETS = (
    Target("sources of copies", (b"/data/a%20b/c?versionId=null", b"data/%C3%A9+%2B"), read_source,
           _S3, 10_000),
    Target("tokens of listings", (_make_token("a/\u00e9 b").encode(),), read_page_token, _S3),
    Target("ids of versions", (b"0123456789abcdef", b"0" * 16), read_version, _S3),
    Target("ids of uploads", (b"0123456789abcdef" * 2,), read_upload, _S3),
    Target("grantees", GRANTEES, read_grantees, _S3),
)  # fmt: skip
