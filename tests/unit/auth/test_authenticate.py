"""Which mechanism counts, what each error says, and the bypasses of other servers."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from s3server import errors
from s3server.auth.authenticate import AuthSettings, authenticate, hoisted_headers
from s3server.auth.credentials import Credential
from s3server.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
    XAmzContentSHA256Mismatch,
)
from s3server.model import HttpRequest, Principal, Target

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CREDENTIAL = Credential(KEY_ID, SECRET, Principal("user", "a" * 64, "ada", access_key_id=KEY_ID))
NOW = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
OBJECT, SERVICE = Target("bucket", "key"), Target(None, None)
EMPTY = hashlib.sha256(b"").hexdigest()
CHUNKED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
REST = ", SignedHeaders=host, Signature=a"
PAYLOADS = [
    EMPTY, "UNSIGNED-PAYLOAD", CHUNKED, CHUNKED + "-TRAILER",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-NONSENSE",
]  # fmt: skip


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def sign(request, signed, payload, *, when, scope, secret):
    """Return the Version 4 signature, calculated as AWS's documentation tells it."""
    query = "&".join(sorted(request.query.split("&")))
    lines = [request.method, request.raw_path, query]
    lines += [f"{name}:{request.headers[name]}" for name in signed]
    canonical = "\n".join([*lines, "", ";".join(signed), payload])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = mac(key, part)
    return mac(key, f"AWS4-HMAC-SHA256\n{when}\n{scope}\n{digest}").hex()


def by_header(
    *, at=NOW, day=None, region="fr-lyon", service="s3", payload=EMPTY, secret=SECRET,
    key_id=KEY_ID, extra=None, unsigned=None, path="/bucket/key", host="s3.site.org",
    method="GET", sent_host=None, covers=None, leave=(),
):  # fmt: skip
    when = at.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{day or when[:8]}/{region}/{service}/aws4_request"
    headers = {"host": host, "x-amz-date": when, "x-amz-content-sha256": payload}
    if service != "s3":
        del headers["x-amz-content-sha256"]
    headers |= extra or {}
    signed = [name for name in sorted(headers) if name not in leave]
    request = HttpRequest(method, path, "", headers)
    signature = sign(request, signed, covers or payload, when=when, scope=scope, secret=secret)
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={';'.join(signed)}, "
        f"Signature={signature}"
    )
    received = headers | (unsigned or {}) | {"authorization": authorization}
    return HttpRequest(method, "/bucket/key" if method == "GET" else path, "",
                       received | {"host": sent_host or host})  # fmt: skip


def by_url(
    *, at=NOW, expires="60", secret=SECRET, signed=("host",), headers=None, more="",
    region="fr-lyon", payload="UNSIGNED-PAYLOAD", method="GET",
):  # fmt: skip
    when = at.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{when[:8]}/{region}/s3/aws4_request"
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY_ID}%2F{scope.replace('/', '%2F')}"
        f"&X-Amz-Date={when}&X-Amz-Expires={expires}&X-Amz-SignedHeaders={'%3B'.join(signed)}{more}"
    )
    request = HttpRequest(method, "/bucket/key", query, {"host": "s3.site.org"} | (headers or {}))
    signature = sign(request, list(signed), payload, when=when, scope=scope, secret=secret)
    return HttpRequest(
        method, "/bucket/key", f"{query}&X-Amz-Signature={signature}", request.headers
    )


async def prove(request, target=OBJECT, *, now=NOW, trusted=False, body_sha256=None, **settings):
    async def lookup(access_key_id, token=None):
        return CREDENTIAL if access_key_id == KEY_ID else None

    return await authenticate(
        request, target, lookup=lookup, settings=AuthSettings("fr-lyon", **settings),
        now=now.timestamp(), trusted_peer=trusted, body_sha256=body_sha256,
    )  # fmt: skip


async def refusal(error, request, target=OBJECT, **options):
    with pytest.raises(error) as caught:
        await prove(request, target, **options)
    return caught.value


async def test_signed_requests_are_who_signed_them():
    for request, mechanism in [(by_header(), "v4-header"), (by_url(), "v4-query")]:
        identity = await prove(request)
        assert identity.mechanism == mechanism
        assert identity.principal == CREDENTIAL.principal


async def test_request_without_credentials_is_anonymous():
    identity = await prove(HttpRequest("GET", "/bucket/key", "prefix=a&acl", {"host": "h"}))
    assert identity.mechanism == "anonymous"
    assert identity.principal.is_anonymous


# --- bypasses: hardening.md 4.1 --------------------------------------------------------------


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("method", ["PUT", "POST", "GET"])
async def test_wrong_secret_is_refused_in_every_payload_mode(payload, method):
    await refusal(SignatureDoesNotMatch, by_header(payload=payload, secret="no", method=method))
    headers = {"x-amz-content-sha256": payload}
    url = by_url(
        payload=payload, secret="no", method=method, headers=headers,
        signed=("host", "x-amz-content-sha256"),
    )  # fmt: skip
    await refusal(SignatureDoesNotMatch, url)


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("lost", ["Signature", "Credential", "Algorithm"])
async def test_credentials_in_part_are_not_no_credentials(payload, lost):
    request = by_url()
    kept = [p for p in request.query.split("&") if not p.startswith(f"X-Amz-{lost}=")]
    headers = request.headers | {"x-amz-content-sha256": payload}
    broken = HttpRequest("PUT", "/bucket/key", "&".join(kept), headers)
    await refusal(AuthorizationQueryParametersError, broken)


@pytest.mark.parametrize(
    "query", [f"AWSAccessKeyId={KEY_ID}", "Signature=a", f"AWSAccessKeyId={KEY_ID}&Signature=a"]
)
async def test_version_2_credentials_in_part_are_refused(query):
    await refusal(AccessDenied, HttpRequest("GET", "/bucket/key", query, {"host": "h"}))


SMUGGLED = [
    "x-amz-copy-source", "x-amz-acl", "x-amz-tagging", "x-amz-meta-a", "x-amz-storage-class",
    "x-amz-object-lock-mode", "x-amz-bypass-governance-retention", "x-amz-security-token",
    "x-amz-website-redirect-location", "x-amz-content-sha256",
]  # fmt: skip


@pytest.mark.parametrize("name", SMUGGLED)
async def test_unsigned_amz_header_is_refused(name):
    message = "There were headers present in the request which were not signed"
    for request in [
        by_header(extra={name: EMPTY}, leave=[name]),
        by_url(headers={name: EMPTY}),
    ]:
        error = await refusal(AccessDenied, request)
        assert error.message == message
        assert error.fields == {"HeadersNotSigned": name}


async def test_host_must_be_signed():
    error = await refusal(AccessDenied, by_header(leave=["host"]))
    assert error.fields == {"HeadersNotSigned": "host"}


async def test_other_headers_need_no_signature():
    extra = {"content-md5": "x", "x-amzn-trace-id": "Root=1", "range": "bytes=0-1"}
    assert (await prove(by_header(unsigned=extra))).mechanism == "v4-header"


async def test_time_is_required():
    request = by_header(leave=["x-amz-date"])
    headers = {n: v for n, v in request.headers.items() if n != "x-amz-date"}
    for date in [{}, {"date": "Sat, 21 Nov 2026 10:00:00 GMT"}, {"x-amz-date": "yesterday"}]:
        await refusal(AccessDenied, HttpRequest("GET", "/bucket/key", "", headers | date))


async def test_signed_date_beyond_the_calendar_is_none():
    request = by_header(leave=["x-amz-date"], extra={"date": "Fri, 31 Dec 9999 23:59:59 -1200"})
    headers = {n: v for n, v in request.headers.items() if n != "x-amz-date"}
    await refusal(AccessDenied, HttpRequest("GET", "/bucket/key", "", headers))


async def test_signed_date_header_will_do():
    request = by_header(leave=["x-amz-date"], extra={"date": "Sat, 21 Nov 2026 10:00:00 GMT"})
    headers = {n: v for n, v in request.headers.items() if n != "x-amz-date"}
    assert (await prove(HttpRequest("GET", "/bucket/key", "", headers))).mechanism == "v4-header"


@pytest.mark.parametrize("seconds", [-900, -899, 0, 899, 900])
async def test_clocks_may_differ_by_a_quarter_of_an_hour(seconds):
    await prove(by_header(at=NOW + timedelta(seconds=seconds)))


@pytest.mark.parametrize("seconds", [-901, 901, -86_400, 86_400 * 365])
async def test_greater_difference_tells_both_times(seconds):
    at = NOW + timedelta(seconds=seconds)
    error = await refusal(RequestTimeTooSkewed, by_header(at=at))
    assert error.fields == {
        "RequestTime": at.strftime("%Y%m%dT%H%M%SZ"),
        "ServerTime": "2026-11-21T10:00:00Z",
        "MaxAllowedSkewMilliseconds": "900000",
    }


async def test_scope_must_be_of_the_same_day():
    error = await refusal(AuthorizationHeaderMalformed, by_header(day="20261120"))
    assert 'Invalid credential date "20261120"' in error.message


async def test_unknown_key_is_told_apart_only_after_the_same_work():
    error = await refusal(InvalidAccessKeyId, by_header(key_id="AKIAUNKNOWN"))
    assert error.fields == {"AWSAccessKeyId": "AKIAUNKNOWN"}


async def test_secret_that_stands_in_for_unknown_keys_opens_nothing():
    await refusal(InvalidAccessKeyId, by_header(key_id="AKIAUNKNOWN", secret="0" * 40))


# --- what errors say ----------------------------------------------------------------------------


async def test_wrong_signature_tells_what_was_signed_and_never_the_right_one():
    error = await refusal(
        SignatureDoesNotMatch, by_header(secret="no"), external_urls=("https://data.site.org/s3",)
    )
    fields = error.fields
    assert fields["AWSAccessKeyId"] == KEY_ID
    assert fields["CanonicalRequest"].startswith("GET\n/bucket/key\n\nhost:s3.site.org\n")
    assert bytes.fromhex(fields["StringToSignBytes"]).decode() == fields["StringToSign"]
    assert bytes.fromhex(fields["CanonicalRequestBytes"]).decode() == fields["CanonicalRequest"]
    assert fields["Hint"] == (
        "Host seen: s3.site.org; configured external URLs: https://data.site.org/s3; "
        "did a proxy rewrite it?"
    )
    right = by_header().headers["authorization"].rpartition("=")[2]
    assert right not in "".join(fields.values())


async def test_wrong_region_tells_the_right_one():
    error = await refusal(AuthorizationHeaderMalformed, by_header(region="eu-west-9"))
    assert error.fields == {"Region": "fr-lyon"}
    assert "the region 'eu-west-9' is wrong; expecting 'fr-lyon'" in error.message
    error = await refusal(AuthorizationQueryParametersError, by_url(region="eu-west-9"))
    assert error.fields == {"Region": "fr-lyon"}


@pytest.mark.parametrize("aliases", [{"us-east-1"}, {"*"}])
async def test_aliases_of_the_region_are_accepted(aliases):
    request = by_header(region="us-east-1")
    await prove(request, region_aliases=frozenset(aliases))
    await refusal(AuthorizationHeaderMalformed, request)


@pytest.mark.parametrize(
    "value",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA256 a,b,c",
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20261121/fr-lyon/s3/aws4_request",
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20261121/fr-lyon/s3{REST}",
        f"AWS4-HMAC-SHA256 Credential=/20261121/fr-lyon/s3/aws4_request{REST}",
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20261121/fr-lyon/s3/aws4_request{REST}".replace(
            "host", ""
        ),
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20261121/fr-lyon/s4/aws4_request{REST}",
    ],
)
async def test_malformed_authorization_header(value):
    headers = by_header().headers | {"authorization": value}
    await refusal(AuthorizationHeaderMalformed, HttpRequest("GET", "/bucket/key", "", headers))


async def test_empty_authorization_header_is_no_way_to_be_nobody():
    await refusal(AccessDenied, HttpRequest("GET", "/bucket/key", "", {"authorization": ""}))


@pytest.mark.parametrize("value", ["Bearer abc", "Basic abc", "aws a:b", "AWS4", "AWSX a:b"])
async def test_unknown_scheme(value):
    error = await refusal(
        InvalidArgument, HttpRequest("GET", "/bucket/key", "", {"authorization": value})
    )
    assert error.message == "Unsupported Authorization Type"


async def test_two_mechanisms_are_one_too_many():
    header, url = by_header(), by_url()
    two = [
        HttpRequest("GET", "/bucket/key", url.query, header.headers),
        HttpRequest("GET", "/bucket/key", f"AWSAccessKeyId={KEY_ID}", header.headers),
        HttpRequest("GET", "/bucket/key", url.query + "&Signature=a", url.headers),
        HttpRequest("GET", "/bucket/key", "x-amz-signature=a", header.headers),
        HttpRequest("GET", "/bucket/key", "X%2DAmz-Signature=a", header.headers),
    ]
    for request in two:
        error = await refusal(InvalidArgument, request)
        assert error.message.startswith("Only one auth mechanism allowed")


async def test_elliptic_curve_signatures_are_not_implemented():
    header = {"authorization": "AWS4-ECDSA-P256-SHA256 Credential=a"}
    await refusal(errors.NotImplemented, HttpRequest("GET", "/bucket/key", "", header))
    query = by_url().query.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")
    await refusal(errors.NotImplemented, HttpRequest("GET", "/bucket/key", query, {"host": "h"}))
    await refusal(
        errors.NotImplemented, by_header(payload="STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")
    )


@pytest.mark.parametrize("payload", ["x", "A" * 64, "g" * 64, EMPTY[:-1], "STREAMING-NONSENSE"])
async def test_unknown_payload_mode(payload):
    error = await refusal(InvalidArgument, by_header(payload=payload))
    assert error.fields["ArgumentName"] == "x-amz-content-sha256"


async def test_payload_mode_is_required_in_headers():
    request = by_header()
    headers = {n: v for n, v in request.headers.items() if n != "x-amz-content-sha256"}
    error = await refusal(InvalidRequest, HttpRequest("GET", "/bucket/key", "", headers))
    assert error.message == "Missing required header for this request: x-amz-content-sha256"


@pytest.mark.parametrize("payload", PAYLOADS[:5])
async def test_payload_mode_is_told_and_signed_chunks_get_a_verifier(payload):
    identity = await prove(by_header(payload=payload))
    assert identity.payload == payload
    assert (identity.chunks is not None) == payload.startswith(CHUNKED)


async def test_anonymous_cannot_sign_chunks():
    for payload in [CHUNKED, CHUNKED + "-TRAILER"]:
        headers = {"host": "h", "x-amz-content-sha256": payload}
        await refusal(AccessDenied, HttpRequest("PUT", "/bucket/key", "", headers))
    headers = {"host": "h", "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    identity = await prove(HttpRequest("PUT", "/bucket/key", "", headers))
    assert identity.payload == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


# --- presigned URLs -------------------------------------------------------------------------------


@pytest.mark.parametrize("expires", ["0", "604801", "-1", "+5", "1e3", "", "x", "9999999", "²"])
async def test_validity_of_a_url_is_a_week_at_most(expires):
    await refusal(AuthorizationQueryParametersError, by_url(expires=expires))


async def test_url_is_valid_to_its_last_second():
    for expires in ["1", "604800"]:
        end = NOW + timedelta(seconds=int(expires))
        await prove(by_url(expires=expires), now=end)
        error = await refusal(AccessDenied, by_url(expires=expires), now=end + timedelta(seconds=1))
        assert error.message == "Request has expired"
        assert error.fields["X-Amz-Expires"] == expires
        assert error.fields["Expires"] == end.strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_url_from_the_future_is_not_valid_yet():
    await prove(by_url(at=NOW + timedelta(seconds=900)))
    await refusal(AccessDenied, by_url(at=NOW + timedelta(seconds=901)))


async def test_parameter_given_twice_is_refused():
    request = by_url()
    for name in ["X-Amz-Date=20261121T100000Z", "x-amz-expires=604800", "X-Amz-Credential=a"]:
        doubled = HttpRequest("GET", "/bucket/key", request.query + "&" + name, request.headers)
        await refusal(AuthorizationQueryParametersError, doubled)


async def test_headers_that_a_url_carries_are_told():
    signed = by_url(more="&X-Amz-Storage-Class=STANDARD&x-amz-acl=private&x-id=PutObject")
    identity = await prove(signed)
    assert hoisted_headers(signed, identity) == {
        "x-amz-storage-class": "STANDARD", "x-amz-acl": "private"
    }  # fmt: skip
    anonymous = HttpRequest("GET", "/bucket/key", "x-amz-acl=private", {"host": "h"})
    assert hoisted_headers(anonymous, await prove(anonymous)) == {}


# --- IAM, STS, SNS --------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["iam", "sts", "sns"])
async def test_forms_are_signed_with_the_hash_of_their_body(service):
    body = hashlib.sha256(b"Action=ListUsers").hexdigest()
    request = by_header(service=service, payload=body, method="POST", path="/")
    assert (await prove(request, SERVICE, body_sha256=body)).payload == body
    await refusal(SignatureDoesNotMatch, request, SERVICE, body_sha256="0" * 64)
    await refusal(AuthorizationHeaderMalformed, request, SERVICE)


async def test_form_signed_for_s3_is_covered_by_its_signature_too():
    body = hashlib.sha256(b"Action=ListUsers").hexdigest()
    for payload in ["UNSIGNED-PAYLOAD", hashlib.sha256(b"Action=CreateUser").hexdigest()]:
        request = by_header(
            payload=payload, method="POST", path="/", extra={"x-amz-content-sha256": payload}
        )
        await refusal(XAmzContentSHA256Mismatch, request, SERVICE, body_sha256=body)


async def test_declared_hash_of_a_form_must_be_its_own():
    body = hashlib.sha256(b"Action=ListUsers").hexdigest()
    for payload in ["UNSIGNED-PAYLOAD", EMPTY]:
        request = by_header(
            service="iam", payload=payload, method="POST", path="/",
            extra={"x-amz-content-sha256": payload},
        )  # fmt: skip
        await refusal(XAmzContentSHA256Mismatch, request, SERVICE, body_sha256=body)


async def test_global_services_are_signed_for_us_east_1_everywhere():
    for service, is_accepted in [("iam", True), ("sts", True), ("sns", False)]:
        request = by_header(service=service, region="us-east-1", method="POST", path="/")
        if is_accepted:
            await prove(request, SERVICE, body_sha256=EMPTY)
        else:
            await refusal(AuthorizationHeaderMalformed, request, SERVICE, body_sha256=EMPTY)


async def test_signature_for_another_service_opens_no_bucket():
    for service in ["iam", "sts", "sns", "ec2"]:
        await refusal(AuthorizationHeaderMalformed, by_header(service=service), body_sha256=EMPTY)


# --- behind a proxy -------------------------------------------------------------------------------


@pytest.mark.parametrize(("signed", "seen"), [
    ("s3.site.org", "s3.site.org:443"), ("s3.site.org:443", "s3.site.org"),
    ("s3.site.org:80", "s3.site.org"), ("[::1]", "[::1]:80"), ("[::1]:443", "[::1]"),
])  # fmt: skip
async def test_default_ports_come_and_go(signed, seen):
    await prove(by_header(host=signed, sent_host=seen))


@pytest.mark.parametrize("seen", ["s3.site.org:9000", "other.site.org", "s3.site.org.", ""])
async def test_other_hosts_are_refused(seen):
    await refusal(SignatureDoesNotMatch, by_header(host="s3.site.org", sent_host=seen or "x"))


async def test_external_urls_are_candidates_with_their_path():
    urls = ("https://data.site.org/s3/", "http://other.site.org:8080")
    outside = by_header(host="data.site.org", sent_host="10.0.0.1:9000", path="/s3/bucket/key")
    await prove(outside, external_urls=urls)
    await refusal(SignatureDoesNotMatch, outside)
    other = by_header(host="other.site.org:8080", sent_host="10.0.0.1:9000")
    await prove(other, external_urls=urls)


async def test_forwarded_host_counts_from_trusted_peers_only():
    forwarded = {"x-forwarded-host": "data.site.org", "x-forwarded-prefix": "/s3"}
    request = by_header(
        host="data.site.org", sent_host="10.0.0.1:9000", path="/s3/bucket/key", unsigned=forwarded
    )
    await prove(request, trusted=True)
    await refusal(SignatureDoesNotMatch, request, trusted=False)


async def test_header_that_a_proxy_answers_itself_may_be_missing():
    request = by_header(extra={"expect": "100-continue"})
    headers = {n: v for n, v in request.headers.items() if n != "expect"}
    await prove(HttpRequest("GET", "/bucket/key", "", headers))


async def test_blanks_in_values_are_signed_as_one_and_bytes_of_utf8_are_none():
    request = by_header(extra={"x-amz-meta-a": "a b c", "x-amz-meta-b": "caf\u00c3\u00a9"})
    await refusal(SignatureDoesNotMatch, request)  # signed as text, not as the bytes received
    request = by_header(extra={"x-amz-meta-a": "a b c"})
    headers = request.headers | {"x-amz-meta-a": "  a  b\t c "}
    await prove(HttpRequest("GET", "/bucket/key", "", headers))
