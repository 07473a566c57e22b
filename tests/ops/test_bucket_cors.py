"""CORS: the configuration, the preflight, and what browsers are told with other answers."""

from __future__ import annotations

import base64
import hashlib

import pytest

from tests.support.asgi_client import Answer
from tests.support.served import Store

SITE = "https://portal.example"
RULES = f"""<CORSConfiguration>
<CORSRule><ID>portal</ID><AllowedOrigin>{SITE}</AllowedOrigin><AllowedMethod>GET</AllowedMethod>
<AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader>
<AllowedHeader>content-type</AllowedHeader><ExposeHeader>ETag</ExposeHeader>
<ExposeHeader>x-amz-request-id</ExposeHeader><MaxAgeSeconds>600</MaxAgeSeconds></CORSRule>
<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule>
</CORSConfiguration>"""


async def configure(store: Store, text: str = RULES, target: str = "/data?cors") -> Answer:
    body = text.encode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    return await store.alice("PUT", target, body=body, headers={"content-md5": md5})


async def preflight(store: Store, method: str, target: str = "/data/key", **more: str) -> Answer:
    headers = {"origin": SITE, "access-control-request-method": method}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    return await store.nobody("OPTIONS", target, headers=headers)


def told(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers if name.startswith("access-control-")}


async def test_configuration_comes_back_as_it_was_put(data: Store) -> None:
    assert (await configure(data)).status == 200
    got = await data.alice("GET", "/data?cors")
    assert got.status == 200
    assert got.document.tag == "CORSConfiguration"
    assert got.texts("CORSRule/AllowedOrigin") == [SITE, "*"]
    assert got.texts("CORSRule/ExposeHeader") == ["ETag", "x-amz-request-id"]
    assert got.text("CORSRule/MaxAgeSeconds") == "600"


async def test_deleted_configuration_is_gone_and_deleting_again_is_no_error(data: Store) -> None:
    await configure(data)
    for _ in range(2):
        assert (await data.alice("DELETE", "/data?cors")).status == 204
        got = await data.alice("GET", "/data?cors")
        assert got.outcome == (404, "NoSuchCORSConfiguration")
    assert (await preflight(data, "GET")).outcome == (403, "AccessForbidden")


async def test_configuration_goes_with_its_bucket(data: Store) -> None:
    await configure(data)
    await data.alice.made("/data", method="DELETE")
    await data.alice.made("/data")
    assert (await data.alice("GET", "/data?cors")).outcome == (404, "NoSuchCORSConfiguration")


@pytest.mark.parametrize(
    ("rules", "outcome"),
    [
        ("", (400, "MalformedXML")),
        ("<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>", (400, "MalformedXML")),
        (RULES.replace("ExposeHeader", "ExposedHeader"), (400, "MalformedXML")),
        (RULES.replace(">PUT<", ">PATCH<"), (400, "InvalidRequest")),
        (RULES.replace(">ETag<", ">E&#13;&#10;Tag<"), (400, "InvalidRequest")),
        (RULES.replace(SITE, "https://*.*.example"), (400, "InvalidRequest")),
        (RULES.replace("600", "soon"), (400, "MalformedXML")),
    ],
)
async def test_what_browsers_could_not_be_told_is_refused(
    data: Store, rules: str, outcome: tuple[int, str]
) -> None:
    text = rules if "CORSConf" in rules else f"<CORSConfiguration>{rules}</CORSConfiguration>"
    with data.untouched():
        assert (await configure(data, text)).outcome == outcome


async def test_more_than_64_kib_are_refused(data: Store) -> None:
    padded = RULES.replace("portal<", "portal<!--" + "x" * 65_536 + "--><")
    assert (await configure(data, padded)).outcome == (400, "MaxMessageLengthExceeded")


async def test_preflight_tells_all_that_the_rule_allows(data: Store) -> None:
    await configure(data)
    answer = await preflight(data, "PUT", access_control_request_headers="Content-Type, X-Amz-Date")
    assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", "0")
    assert told(answer) == {
        "access-control-allow-origin": SITE,
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "content-type, x-amz-date",
        "access-control-expose-headers": "ETag, x-amz-request-id",
        "access-control-max-age": "600",
    }
    assert "Origin" in (answer.header("vary") or "")
    assert answer.header("x-amz-request-id") is not None


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"access-control-request-method": "DELETE"},
        {"access-control-request-headers": "authorization"},
        {"access-control-request-headers": "no name"},
    ],
)
async def test_preflight_that_no_rule_allows_is_forbidden(
    data: Store, headers: dict[str, str]
) -> None:
    await configure(data)
    base = {"origin": SITE, "access-control-request-method": "PUT"}
    answer = await data.nobody("OPTIONS", "/data/key", headers=base | headers)
    assert answer.outcome == (403, "AccessForbidden")
    assert answer.text("ResourceType") == "OBJECT"
    assert told(answer) == {}


async def test_preflight_needs_an_origin_and_a_method(data: Store) -> None:
    await configure(data)
    method = {"access-control-request-method": "GET"}
    for headers in ({}, {"origin": SITE}, method, {"origin": SITE, **method} | {"origin": ""}):
        assert (await data.nobody("OPTIONS", "/data/key", headers=headers)).outcome == (
            400,
            "BadRequest",
        )


async def test_preflight_does_not_tell_whether_a_bucket_exists(data: Store) -> None:
    without_rules = await preflight(data, "GET", "/data/key")
    missing = await preflight(data, "GET", "/nothing/key")
    invalid = await preflight(data, "GET", "/No%20Bucket/key")
    assert without_rules.outcome == (403, "AccessForbidden")
    for other in (missing, invalid):
        assert other.outcome == without_rules.outcome
        assert other.text("Message") == without_rules.text("Message")


async def test_answers_to_allowed_origins_say_so_errors_too(data: Store) -> None:
    await configure(data)
    await data.alice.made("/data/key", body=b"x")
    origin = {"origin": SITE}
    got = await data.alice("GET", "/data/key", headers=origin)
    denied = await data.nobody("GET", "/data/key", headers=origin)
    missing = await data.alice("GET", "/data/other", headers=origin)
    assert [one.status for one in (got, denied, missing)] == [200, 403, 404]
    for answer in (got, denied, missing):
        assert answer.header("access-control-allow-origin") == SITE
        assert answer.header("access-control-expose-headers") == "ETag, x-amz-request-id"
        assert "Origin" in (answer.header("vary") or "")


async def test_answers_to_other_origins_methods_and_buckets_say_nothing(data: Store) -> None:
    await configure(data)
    await data.alice.made("/data/key", body=b"x")
    await data.alice.made("/plain")
    for method, target, origin in (
        ("GET", "/data/key", "https://evil.example"),
        ("DELETE", "/data/key", SITE),
        ("GET", "/plain", SITE),
        ("GET", "/nothing", SITE),
    ):
        assert told(await data.alice(method, target, headers={"origin": origin})) == {}
    assert told(await data.alice("GET", "/data?list-type=2")) == {}


async def test_star_stays_a_star(data: Store) -> None:
    await configure(data)
    await data.alice.made("/data/key", body=b"x")
    for origin in ("https://anybody.example", "null"):
        answer = await data.alice("HEAD", "/data/key", headers={"origin": origin})
        assert told(answer) == {
            "access-control-allow-origin": "*",
            "access-control-allow-methods": "HEAD",
        }


async def test_stranger_cannot_read_or_change_the_configuration(data: Store) -> None:
    await configure(data)
    for method in ("GET", "DELETE"):
        assert (await data.bob(method, "/data?cors")).outcome == (403, "AccessDenied")
