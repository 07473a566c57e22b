"""Every signature that botocore makes is accepted, for odd keys, queries and headers, and no other.

botocore's signers are the oracle: each generated request is signed by them and proven by us.
"""

import asyncio
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from s3server.auth.authenticate import AuthSettings, authenticate, hoisted_headers
from s3server.auth.credentials import Credential
from s3server.errors import S3Error, SignatureDoesNotMatch
from s3server.model import HttpRequest, Principal, Target

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CREDENTIALS = Credentials(KEY_ID, SECRET)
CREDENTIAL = Credential(KEY_ID, SECRET, Principal("user", "a" * 64, "ada", access_key_id=KEY_ID))
NOW = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
HOST = "s3.site.org:9000"

keys = st.text(min_size=1, max_size=30).filter(lambda k: "\0" not in k and _is_utf8(k))
texts = st.text(max_size=10).filter(lambda t: "\0" not in t and _is_utf8(t))
queries = st.dictionaries(
    st.sampled_from(["prefix", "delimiter", "marker", "uploads", "acl", "versionId", "a b", "é+"]),
    texts, max_size=4,
)  # fmt: skip
values = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
headers = st.dictionaries(
    st.sampled_from(["Content-Type", "x-amz-meta-a", "X-Amz-Meta-B", "x-amz-acl", "Range"]),
    values, max_size=4,
)  # fmt: skip


def _is_utf8(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@pytest.fixture(autouse=True, scope="module")
def _clock():
    patch = pytest.MonkeyPatch()
    patch.setattr(auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))
    patch.setattr(auth, "formatdate", lambda *_, **__: "Sat, 21 Nov 2026 10:00:00 GMT")
    patch.setattr(auth.time, "time", NOW.timestamp)
    yield
    patch.undo()


def sign(signer, *, method="GET", path, query=None, headers=None, data=b""):
    request = AWSRequest(
        method, f"http://{HOST}{path}", headers=headers, params=query or {}, data=data
    )
    signer.add_auth(request)
    parts = urlsplit(request.prepare().url)
    received = {name.lower(): value.strip() for name, value in request.headers.items()}
    return HttpRequest(method, parts.path, parts.query, received | {"host": HOST})


def prove(request, target):
    async def lookup(access_key_id, token=None):
        return CREDENTIAL if access_key_id == KEY_ID else None

    coroutine = authenticate(
        request, target, lookup=lookup, settings=AuthSettings("eu-west-3"), now=NOW.timestamp(),
        trusted_peer=False, body_sha256=None,
    )  # fmt: skip
    return asyncio.run(coroutine)


def path_of(key):
    return "/bucket/" + quote(key, safe="/~")


@given(key=keys, query=queries, headers=headers)
def test_version_4_header(key, query, headers):
    signer = auth.S3SigV4Auth(CREDENTIALS, "s3", "eu-west-3")
    request = sign(signer, path=path_of(key), query=query, headers=headers)
    assert prove(request, Target("bucket", key)).mechanism == "v4-header"


@given(key=keys, query=queries)
def test_version_4_url(key, query):
    signer = auth.S3SigV4QueryAuth(CREDENTIALS, "s3", "eu-west-3", expires=60)
    target = Target("bucket", key)
    url = f"http://{HOST}{path_of(key)}"
    request = AWSRequest("GET", url, params=query)
    signer.add_auth(request)
    parts = urlsplit(request.url)
    received = HttpRequest("GET", parts.path, parts.query, {"host": HOST})
    assert prove(received, target).mechanism == "v4-query"
    longer = HttpRequest("GET", parts.path, parts.query + "&max-keys=1", {"host": HOST})
    with pytest.raises(SignatureDoesNotMatch):
        prove(longer, target)


@given(key=keys, query=queries, headers=headers)
def test_version_2_header(key, query, headers):
    query = {name: value for name, value in query.items() if name not in {"a b", "é+"}}
    # botocore signs sub-resources where they stand in the URL, and never params
    url = f"http://{HOST}{path_of(key)}"
    if query:
        url += "?" + "&".join(f"{n}={quote(v, safe='')}" if v else n for n, v in query.items())
    signed = AWSRequest("GET", url, headers=headers)
    auth.HmacV1Auth(CREDENTIALS).add_auth(signed)
    request = HttpRequest(
        "GET", urlsplit(url).path, urlsplit(url).query,
        {n.lower(): v.strip() for n, v in signed.headers.items()} | {"host": HOST},
    )  # fmt: skip
    assert prove(request, Target("bucket", key)).mechanism == "v2-header"


@given(key=keys, headers=headers)
def test_version_2_url(key, headers):
    url = f"http://{HOST}{path_of(key)}"
    request = AWSRequest("PUT", url, headers=headers)
    auth.HmacV1QueryAuth(CREDENTIALS, expires=60).add_auth(request)
    parts = urlsplit(request.url)
    received = HttpRequest("PUT", parts.path, parts.query, {"host": HOST})
    identity = prove(received, Target("bucket", key))
    assert identity.mechanism == "v2-query"
    expected = {n.lower(): v for n, v in headers.items() if n.lower() != "range"}
    assert hoisted_headers(received, identity) == expected


def test_version_2_of_a_bucket_in_the_host_name():
    request = AWSRequest("GET", "http://bucket.site.org/bucket/key?acl")
    request.auth_path = "/bucket/bucket/key"
    auth.HmacV1Auth(CREDENTIALS).add_auth(request)
    received = HttpRequest(
        "GET", "/bucket/key", "acl",
        {n.lower(): v for n, v in request.headers.items()} | {"host": "bucket.site.org"},
    )  # fmt: skip
    assert prove(received, Target("bucket", "bucket/key")).mechanism == "v2-header"
    with pytest.raises(SignatureDoesNotMatch):
        prove(received, Target("bucket", "key"))


@pytest.mark.parametrize("query", ["", "acl", "prefix=a"])
def test_version_2_of_a_bucket_in_the_path(query):
    """boto3 asks for /bucket and signs /bucket/ (botocore's authPath)."""
    request = AWSRequest("GET", f"http://{HOST}/bucket?{query}".rstrip("?"))
    request.auth_path = "/bucket/"
    auth.HmacV1Auth(CREDENTIALS).add_auth(request)
    headers = {n.lower(): v for n, v in request.headers.items()} | {"host": HOST}
    received = HttpRequest("GET", "/bucket", query, headers)
    assert prove(received, Target("bucket", None)).mechanism == "v2-header"
    other = HttpRequest("GET", "/other", query, headers)
    with pytest.raises(SignatureDoesNotMatch):
        prove(other, Target("other", None))


def test_version_2_form_to_sns():
    request = sign(
        auth.HmacV1Auth(CREDENTIALS), method="POST", path="/",
        headers={"Content-Type": "application/x-www-form-urlencoded"}, data=b"Action=CreateTopic",
    )  # fmt: skip
    assert prove(request, Target(None, None)).mechanism == "v2-header"


# One request of each mechanism, and every way to change one byte of it.
def _header_4():
    signer = auth.S3SigV4Auth(CREDENTIALS, "s3", "eu-west-3")
    return sign(
        signer, path="/bucket/a%20key", query={"prefix": "x y"}, headers={"x-amz-meta-a": "b"}
    )


def _header_2():
    url = f"http://{HOST}/bucket/a%20key?acl"
    signed = AWSRequest("GET", url, headers={"x-amz-meta-a": "b"})
    auth.HmacV1Auth(CREDENTIALS).add_auth(signed)
    return HttpRequest(
        "GET", "/bucket/a%20key", "acl",
        {n.lower(): v for n, v in signed.headers.items()} | {"host": HOST},
    )  # fmt: skip


def _url(signer):
    request = AWSRequest("GET", f"http://{HOST}/bucket/a%20key?versionId=x")
    signer.add_auth(request)
    parts = urlsplit(request.url)
    return HttpRequest("GET", parts.path, parts.query, {"host": HOST})


REQUESTS = {
    "v4-header": _header_4,
    "v2-header": _header_2,
    "v4-query": lambda: _url(auth.S3SigV4QueryAuth(CREDENTIALS, "s3", "eu-west-3", expires=60)),
    "v2-query": lambda: _url(auth.HmacV1QueryAuth(CREDENTIALS, expires=60)),
}


def changed(request):
    """Yield the request with one character of its method, path, query or a header changed."""

    def variants(text):
        for index, character in enumerate(text):
            yield text[:index] + ("0" if character != "0" else "1") + text[index + 1 :]

    fields = {n: getattr(request, n) for n in ("method", "raw_path", "query", "headers")}
    for name in ("method", "raw_path", "query"):
        for text in variants(fields[name]):
            yield HttpRequest(**{**fields, name: text})
    for header, value in request.headers.items():
        for text in variants(value):
            yield HttpRequest(**{**fields, "headers": request.headers | {header: text}})


@pytest.mark.parametrize("mechanism", REQUESTS)
def test_every_changed_character_is_refused(mechanism):
    request = REQUESTS[mechanism]()
    target = Target("bucket", "a key")
    assert prove(request, target).mechanism == mechanism
    for forged in changed(request):
        is_covered = forged.headers.get("host") == HOST or mechanism.startswith("v4")
        # a "+" that arrived as a blank is still the same signature
        is_same = forged.query.replace("%20", "%2B") == request.query
        if is_covered and not (is_same and mechanism == "v2-query"):
            with pytest.raises(S3Error) as error:
                prove(forged, target)
            assert error.value.status in {400, 403}
