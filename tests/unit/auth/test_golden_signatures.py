"""The signatures that AWS prints in its documentation.

Version 4: "Signature Calculations for the Authorization Header" (single chunk, multiple
chunks, trailing headers) and "Using Query Parameters", Amazon S3 API Reference. Version 2:
"Signing and authenticating REST requests".
"""

from datetime import UTC, datetime

import pytest

from s3server.auth.authenticate import AuthSettings, authenticate
from s3server.auth.credentials import Credential
from s3server.errors import SignatureDoesNotMatch
from s3server.model import HttpRequest, Principal, Target

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
CREDENTIAL = Credential(
    KEY_ID, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Principal("user", "a" * 64, "aws")
)
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
DAY = "20130524"
MAY_2013 = datetime(2013, 5, 24, tzinfo=UTC)


async def lookup(access_key_id, token=None):
    return CREDENTIAL if access_key_id == KEY_ID else None


async def run(request, target, now):
    return await authenticate(
        request, target, lookup=lookup, settings=AuthSettings("us-east-1"), now=now.timestamp(),
        trusted_peer=False, body_sha256=None,
    )  # fmt: skip


def signed_request(method, path, query, headers, signed, signature):
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/{DAY}/us-east-1/s3/aws4_request,"
        f"SignedHeaders={signed},Signature={signature}"
    )
    base = {"x-amz-date": f"{DAY}T000000Z", "authorization": authorization}
    return HttpRequest(method, path, query, base | headers)


V4_HEADER = {
    "get object": (
        "GET", "/test.txt", "",
        {"host": "examplebucket.s3.amazonaws.com", "range": "bytes=0-9",
         "x-amz-content-sha256": EMPTY},
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put object": (
        "PUT", "/test%24file.text", "",
        {"host": "examplebucket.s3.amazonaws.com", "date": "Fri, 24 May 2013 00:00:00 GMT",
         "x-amz-storage-class": "REDUCED_REDUNDANCY",
         "x-amz-content-sha256":
             "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "get lifecycle": (
        "GET", "/", "lifecycle",
        {"host": "examplebucket.s3.amazonaws.com", "x-amz-content-sha256": EMPTY},
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list objects": (
        "GET", "/", "max-keys=2&prefix=J",
        {"host": "examplebucket.s3.amazonaws.com", "x-amz-content-sha256": EMPTY},
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", V4_HEADER)
async def test_version_4_header_examples(name):
    request = signed_request(*V4_HEADER[name])
    identity = await run(request, Target("examplebucket", "test.txt"), MAY_2013)
    assert identity.mechanism == "v4-header"
    assert identity.principal == CREDENTIAL.principal


async def test_version_4_query_example():
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential={KEY_ID}%2F{DAY}%2Fus-east-1%2Fs3%2Faws4_request"
        f"&X-Amz-Date={DAY}T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    request = HttpRequest("GET", "/test.txt", query, {"host": "examplebucket.s3.amazonaws.com"})
    identity = await run(request, Target("examplebucket", "test.txt"), MAY_2013)
    assert identity.mechanism == "v4-query"
    assert identity.payload == "UNSIGNED-PAYLOAD"


STREAMING = {
    "host": "s3.amazonaws.com",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
    "content-encoding": "aws-chunked",
    "x-amz-decoded-content-length": "66560",
}
CHUNK_HASHES = [  # 65,536 times "a", 1,024 times "a", nothing
    "bf718b6f653bebc184e1479f1935b8da974d701b893afcf49e701f3e2f9f9c5a",
    "2edc986847e209b4016e141a6dc8716d3207350f416969382d431539bf292e4a",
    EMPTY,
]


async def test_chunk_signature_examples():
    request = signed_request(
        "PUT", "/examplebucket/chunkObject.txt", "",
        STREAMING | {"content-length": "66824",
                     "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
        "x-amz-decoded-content-length;x-amz-storage-class",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    )  # fmt: skip
    identity = await run(request, Target("examplebucket", "chunkObject.txt"), MAY_2013)
    signatures = [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]
    for signature, digest in zip(signatures, CHUNK_HASHES, strict=True):
        identity.chunks.verify_chunk(signature, digest)
    with pytest.raises(SignatureDoesNotMatch):  # the chain has moved on
        identity.chunks.verify_chunk(signatures[-1], EMPTY)


async def test_trailer_signature_examples():
    request = signed_request(
        "PUT", "/examplebucket/chunkObject.txt", "",
        STREAMING | {"x-amz-trailer": "x-amz-checksum-crc32c",
                     "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"},
        "content-encoding;host;x-amz-content-sha256;x-amz-date;"
        "x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    )  # fmt: skip
    identity = await run(request, Target("examplebucket", "chunkObject.txt"), MAY_2013)
    signatures = [
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ]
    for signature, digest in zip(signatures, CHUNK_HASHES, strict=True):
        identity.chunks.verify_chunk(signature, digest)
    trailer = "1e376db7e1a34a8ef1c4bcee131a2d60a1cb62503747488624e10995f448d774"
    identity.chunks.verify_trailer(
        "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435", trailer
    )


V2_HEADER = {
    "get object": ("GET", "/photos/puppy.jpg", "", {"date": "Tue, 27 Mar 2007 19:36:42 +0000"},
                   "bWq2s1WEIj+Ydj0vQ697zp+IXMU="),
    "put object": ("PUT", "/photos/puppy.jpg", "",
                   {"date": "Tue, 27 Mar 2007 21:15:45 +0000", "content-type": "image/jpeg",
                    "content-length": "94328"},
                   "MyyxeRY7whkBe+bq8fHCL/2kKUg="),
    "list": ("GET", "/", "prefix=photos&max-keys=50&marker=puppy",
             {"date": "Tue, 27 Mar 2007 19:42:41 +0000"}, "htDYFYduRNen8P9ZfE/s9SuKy0U="),
    "get acl": ("GET", "/", "acl", {"date": "Tue, 27 Mar 2007 19:44:46 +0000"},
                "c2WLPFtWHVgbEmeEG93a4cG37dM="),
}  # fmt: skip


@pytest.mark.parametrize("name", V2_HEADER)
async def test_version_2_header_examples(name):
    method, path, query, headers, signature = V2_HEADER[name]
    headers = headers | {
        "host": "johnsmith.s3.amazonaws.com", "authorization": f"AWS {KEY_ID}:{signature}",
    }  # fmt: skip
    request = HttpRequest(method, path, query, headers)
    now = datetime(2007, 3, 27, int(headers["date"][17:19]), 30, tzinfo=UTC)
    key = path[1:] or None
    identity = await run(request, Target("johnsmith", key), now)
    assert identity.mechanism == "v2-header"
