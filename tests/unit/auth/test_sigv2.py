"""Version 2 signatures: expiry, what they cover, and what a URL may not carry."""

import hashlib
import hmac
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import HmacV1Auth

from s3server.auth.authenticate import AuthSettings, authenticate
from s3server.auth.credentials import Credential
from s3server.auth.sigv2 import SUB_RESOURCES
from s3server.errors import (
    AccessDenied,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
)
from s3server.model import HttpRequest, Principal, Target

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CREDENTIAL = Credential(KEY_ID, SECRET, Principal("user", "a" * 64, "ada", access_key_id=KEY_ID))
NOW = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)


def test_what_is_signed_of_a_query_is_what_botocore_signs():
    assert set(HmacV1Auth.QSAOfInterest) == SUB_RESOURCES


async def prove(request, *, now=NOW, **settings):
    async def lookup(access_key_id, token=None):
        return CREDENTIAL if access_key_id == KEY_ID else None

    return await authenticate(
        request, Target("bucket", "key"), lookup=lookup,
        settings=AuthSettings("fr-lyon", **settings), now=now.timestamp(), trusted_peer=False,
        body_sha256=None,
    )  # fmt: skip


async def refusal(error, request, **options):
    with pytest.raises(error) as caught:
        await prove(request, **options)
    return caught.value


def by_version_2(
    *, expires="1795255260", query="", headers=None, method="GET", secret=SECRET, amz="", sub=""
):
    """Sign a URL; `amz` and `sub` are lines and sub-resources that only the signature knows."""
    resource = "/bucket/key"
    text = f"{method}\n\n\n{expires}\n{amz}{resource}{sub}"
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()
    signature = b64encode(digest).decode().replace("+", "%2B")
    url = f"AWSAccessKeyId={KEY_ID}&Expires={expires}&Signature={signature}{query}"
    return HttpRequest(method, resource, url, {"host": "h"} | (headers or {}))


EXPIRES = int((NOW + timedelta(seconds=60)).timestamp())


async def test_version_2_url_expires():
    request = by_version_2(expires=str(EXPIRES))
    assert (await prove(request)).mechanism == "v2-query"
    await prove(request, now=NOW + timedelta(seconds=60))
    error = await refusal(AccessDenied, request, now=NOW + timedelta(seconds=61))
    assert error.message == "Request has expired"


@pytest.mark.parametrize("expires", ["", "x", "-1", "1e9", "9" * 12])
async def test_version_2_url_needs_a_number_of_seconds(expires):
    await refusal(AccessDenied, by_version_2(expires=expires))


@pytest.mark.parametrize("name", ["legal-hold", "retention", "encryption", "attributes", "x"])
async def test_version_2_url_cannot_be_turned_into_another_operation(name):
    error = await refusal(AccessDenied, by_version_2(expires=str(EXPIRES), query="&" + name))
    assert error.fields == {"ParametersNotSigned": name}


@pytest.mark.parametrize(
    "name", ["acl", "tagging", "uploads", "response-content-type=a", "x-amz-acl=a"]
)
async def test_version_2_url_covers_sub_resources_and_headers_it_carries(name):
    await refusal(SignatureDoesNotMatch, by_version_2(expires=str(EXPIRES), query="&" + name))


AMBIGUOUS = {
    # What was signed, as two parameters; then the one whose text is the same.
    "two sub-resources": (
        {"sub": "?response-content-type=a&versionId=b"},
        ("&response-content-type=a&versionId=b", "&response-content-type=a%26versionId=b"),
    ),
    "two sub-resources, one without value": (
        {"sub": "?response-content-type=a&torrent", "method": "GET"},
        ("&response-content-type=a&torrent", "&response-content-type=a%26torrent"),
    ),
    "two headers": (
        {"amz": "x-amz-meta-a:1\nx-amz-meta-b:2\n"},
        ("&x-amz-meta-a=1&x-amz-meta-b=2", "&x-amz-meta-a=1%0Ax-amz-meta-b:2"),
    ),
    "two headers in a name": (
        {"amz": "x-amz-meta-a:1\nx-amz-meta-b:2\n"},
        ("&x-amz-meta-a=1&x-amz-meta-b=2", "&x-amz-meta-a%3A1%0Ax-amz-meta-b=2"),
    ),
    "a header and its name": (
        {"amz": "x-amz-object-lock-retain-until-date:2030-01-01T10:00:00Z\n"},
        (
            "&x-amz-object-lock-retain-until-date=2030-01-01T10:00:00Z",
            "&x-amz-object-lock-retain-until-date%3A2030-01-01T10=00:00Z",
        ),
    ),
}


@pytest.mark.parametrize("what", sorted(AMBIGUOUS))
async def test_version_2_url_cannot_lose_a_parameter_in_another(what):
    signed, (sent, merged) = AMBIGUOUS[what]
    good = by_version_2(expires=str(EXPIRES), query=sent, **signed)
    evil = by_version_2(expires=str(EXPIRES), query=merged, **signed)
    assert (await prove(good)).mechanism == "v2-query"
    error = await refusal(AccessDenied, evil)
    assert error.message == "A query parameter of a signed URL can be read in two ways"


async def test_version_2_url_may_name_a_file_with_an_ampersand():
    sub = '?response-content-disposition=attachment; filename="q&a.txt"'
    query = "&response-content-disposition=attachment%3B%20filename%3D%22q%26a.txt%22"
    request = by_version_2(expires=str(EXPIRES), query=query, sub=sub)
    assert (await prove(request)).mechanism == "v2-query"


async def test_version_2_covers_every_amz_header():
    request = by_version_2(expires=str(EXPIRES), headers={"x-amz-copy-source": "/other/secret"})
    await refusal(SignatureDoesNotMatch, request)


async def test_version_2_url_with_a_parameter_twice_is_refused():
    await refusal(AccessDenied, by_version_2(expires=str(EXPIRES), query=f"&Expires={EXPIRES + 1}"))


async def test_version_2_can_be_switched_off():
    request = by_version_2(expires=str(EXPIRES))
    error = await refusal(InvalidRequest, request, allow_sigv2=False)
    assert "Please use AWS4-HMAC-SHA256" in error.message


async def test_version_2_unknown_key_and_wrong_secret():
    await refusal(SignatureDoesNotMatch, by_version_2(expires=str(EXPIRES), secret="no"))
    request = by_version_2(expires=str(EXPIRES))
    other = HttpRequest(
        "GET", "/bucket/key", request.query.replace(KEY_ID, "AKIAUNKNOWN"), {"host": "h"}
    )
    await refusal(InvalidAccessKeyId, other)


@pytest.mark.parametrize("value", ["AWS", "AWS ", "AWS abc", "AWS :abc"])
async def test_version_2_malformed_header(value):
    headers = {"authorization": value, "date": "Sat, 21 Nov 2026 10:00:00 GMT"}
    await refusal(InvalidArgument, HttpRequest("GET", "/bucket/key", "", headers))


@pytest.mark.parametrize("date", [{}, {"date": "nonsense"}, {"date": ""}])
async def test_version_2_needs_a_time(date):
    headers = {"authorization": f"AWS {KEY_ID}:abc"} | date
    await refusal(AccessDenied, HttpRequest("GET", "/bucket/key", "", headers))


async def test_version_2_clock():
    headers = {
        "authorization": f"AWS {KEY_ID}:abc", "date": "Sat, 21 Nov 2026 09:44:59 GMT"
    }  # fmt: skip
    await refusal(RequestTimeTooSkewed, HttpRequest("GET", "/bucket/key", "", headers))
