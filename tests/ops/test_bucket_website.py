"""Static websites: the configuration, and what browsers see of a bucket."""

from __future__ import annotations

import base64
import hashlib

import pytest

from tests.support.asgi_client import Answer, Client
from tests.support.served import Store

SITE = """<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument>
<ErrorDocument><Key>error.html</Key></ErrorDocument><RoutingRules>
<RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals></Condition>
<Redirect><ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith></Redirect></RoutingRule>
<RoutingRule><Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals>
<KeyPrefixEquals>app/</KeyPrefixEquals></Condition><Redirect><Protocol>https</Protocol>
<HostName>app.example</HostName><HttpRedirectCode>302</HttpRedirectCode>
<ReplaceKeyWith>start?a b</ReplaceKeyWith></Redirect></RoutingRule>
</RoutingRules></WebsiteConfiguration>"""
ELSEWHERE = """<WebsiteConfiguration><RedirectAllRequestsTo><HostName>www.example:8080</HostName>
</RedirectAllRequestsTo></WebsiteConfiguration>"""


async def configure(client: Client, text: str, target: str = "/data?website") -> Answer:
    body = text.encode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    return await client("PUT", target, body=body, headers={"content-md5": md5})


@pytest.fixture
async def site(store: Store) -> Store:
    """A public bucket "data" with a website."""
    await store.alice.made("/data", headers={"x-amz-acl": "public-read"})
    for key in ("index.html", "docs/index.html", "error.html", "page.html"):
        headers = {"content-type": "text/html"}
        await store.alice.made(f"/data/{key}", body=f"<p>{key}".encode(), headers=headers)
    await configure(store.alice, SITE)
    return store


async def visit(store: Store, path: str, method: str = "GET", **headers: str) -> Answer:
    browser = store.nobody.changed(host="data.web.test")
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await browser(method, path, headers=sent)


async def test_configuration_comes_back_and_goes(data: Store) -> None:
    assert (await configure(data.alice, SITE)).status == 200
    got = await data.alice("GET", "/data?website")
    assert got.document.tag == "WebsiteConfiguration"
    assert got.text("IndexDocument/Suffix") == "index.html"
    assert got.texts("RoutingRules/RoutingRule/Redirect/HttpRedirectCode") == ["302"]
    for _ in range(2):
        assert (await data.alice("DELETE", "/data?website")).status == 204
    missing = await data.alice("GET", "/data?website")
    assert missing.outcome == (404, "NoSuchWebsiteConfiguration")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (SITE.replace("index.html", "a/b"), "InvalidArgument"),
        (SITE.replace("index.html", ""), "InvalidArgument"),
        (SITE.replace(">error.html<", "><"), "InvalidArgument"),
        (ELSEWHERE.replace("</RedirectAll", "</RedirectAll", 1).replace(
            "</WebsiteC", "<IndexDocument><Suffix>a</Suffix></IndexDocument></WebsiteC"),
         "InvalidArgument"),
        (ELSEWHERE.replace("www", "www/"), "InvalidArgument"),
        (SITE.replace("302", "200"), "InvalidRequest"),
        (SITE.replace("302", "300"), "InvalidRequest"),
        (SITE.replace(">404<", ">200<"), "InvalidRequest"),
        (SITE.replace("<ReplaceKeyWith>", "<ReplaceKeyPrefixWith>x</ReplaceKeyPrefixWith>"
                      "<ReplaceKeyWith>"), "InvalidRequest"),
        (SITE.replace("app.example", "app.example&#13;&#10;x: y"), "InvalidArgument"),
        (SITE.replace(">new/<", ">new&#10;/<"), "InvalidRequest"),
        (SITE.replace("Suffix", "Sufix"), "MalformedXML"),
        ("<WebsiteConfiguration/>", "InvalidArgument"),
        (SITE.replace("<RoutingRules>", "<RoutingRules>" + "<RoutingRule><Redirect><HostName>a"
                      "</HostName></Redirect></RoutingRule>" * 50), "InvalidRequest"),
    ],
)  # fmt: skip
async def test_what_could_not_be_followed_is_refused(data: Store, text: str, code: str) -> None:
    with data.untouched():
        assert (await configure(data.alice, text)).outcome == (400, code)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", b"<p>index.html"),
        ("/docs/", b"<p>docs/index.html"),
        ("/page.html", b"<p>page.html"),
        ("/page.html?versionId=x&acl&X-Amz-Signature=1", b"<p>page.html"),
    ],
)
async def test_pages_are_served(site: Store, path: str, body: bytes) -> None:
    got = await visit(site, path)
    assert (got.status, got.body, got.header("content-type")) == (200, body, "text/html")
    head = await visit(site, path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == str(len(body))


async def test_directory_without_its_slash_is_sent_to_its_index(site: Store) -> None:
    got = await visit(site, "/docs")
    assert (got.status, got.header("location")) == (302, "/docs/")


async def test_error_document_comes_with_the_status_of_the_error(site: Store) -> None:
    got = await visit(site, "/missing")
    assert (got.status, got.body) == (404, b"<p>error.html")


async def test_ranges_and_conditions_work(site: Store) -> None:
    assert (await visit(site, "/page.html", range="bytes=0-2")).status == 206
    etag = (await visit(site, "/page.html")).header("etag") or ""
    assert (await visit(site, "/page.html", if_none_match=etag)).status == 304


async def test_rules_redirect(site: Store) -> None:
    old = await visit(site, "/old/a%20b?x")
    assert (old.status, old.header("location")) == (301, "http://data.web.test/new/a%20b")
    app = await visit(site, "/app/nothing")
    assert (app.status, app.header("location")) == (302, "https://app.example/start?a%20b")


@pytest.mark.parametrize(
    ("replacement", "key", "location"),
    [
        ("resize?key=", "a/b+c&amp;d.jpg", "/resize?key=a/b%2Bc%26amp%3Bd.jpg"),
        ("#!/", "a%20b?x", "/#!/a%20b"),
        ("new%", "+=", "/new%25+="),
    ],
)
async def test_question_mark_and_hash_of_a_rule_are_its_own(
    site: Store, replacement: str, key: str, location: str
) -> None:
    await configure(site.alice, SITE.replace(">new/<", f">{replacement}<"))
    assert (await visit(site, f"/old/{key}")).header(
        "location"
    ) == f"http://data.web.test{location}"


async def test_everything_may_be_redirected(site: Store) -> None:
    await configure(site.alice, ELSEWHERE)
    got = await visit(site, "/any/key")
    assert (got.status, got.header("location")) == (301, "http://www.example:8080/any/key")


async def test_object_may_be_a_redirection(site: Store) -> None:
    headers = {"x-amz-website-redirect-location": "/page.html"}
    await site.alice.made("/data/moved", headers=headers)
    got = await visit(site, "/moved")
    assert (got.status, got.header("location")) == (301, "/page.html")
    plain = await site.alice("HEAD", "/data/moved")
    assert plain.header("x-amz-website-redirect-location") == "/page.html"
    await site.alice.made("/data/copy", headers={"x-amz-copy-source": "/data/moved"})
    copy = await site.alice("HEAD", "/data/copy")
    assert copy.header("x-amz-website-redirect-location") is None  # as AWS: each says its own


@pytest.mark.parametrize("location", ["page.html", "javascript:x", "//x y", "ftp://a", "/\u00e9"])
async def test_redirect_location_is_a_path_or_a_url(data: Store, location: str) -> None:
    headers = {"x-amz-website-redirect-location": location}
    answer = await data.alice("PUT", "/data/key", headers=headers)
    assert answer.outcome == (400, "InvalidRedirectLocation")


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
async def test_websites_are_only_read(site: Store, method: str) -> None:
    with site.untouched():
        got = await visit(site, "/page.html", method)
        signed = await site.alice.changed(host="data.web.test")(method, "/page.html")
    for answer in (got, signed):
        assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")


async def test_signatures_count_for_nothing(site: Store) -> None:
    await site.alice.made("/data/secret", body=b"x", headers={"x-amz-acl": "private"})
    await site.alice.made("/data/error.html", method="DELETE")
    for how in ("header", "query", "v2-query"):
        answer = await site.alice.changed(host="data.web.test")("GET", "/secret", how=how)
        assert answer.status == 403
        assert b"AccessDenied" in answer.body


async def test_private_bucket_without_website_and_missing_bucket_show_errors(data: Store) -> None:
    for host, status in (("data.web.test", 404), ("nothing.web.test", 404)):
        answer = await data.nobody.changed(host=host)("GET", "/key")
        assert answer.status == status
        assert answer.header("content-type") == "text/html; charset=utf-8"
    await configure(data.alice, SITE)
    assert (await visit(data, "/key")).status == 403


async def test_errors_are_escaped_and_not_sniffed(site: Store) -> None:
    await site.alice.made("/data/error.html", method="DELETE")
    answer = await visit(site, "/%3Cscript%3Ealert(1)%3C/script%3E")
    assert answer.status == 404
    assert b"<script>" not in answer.body
    assert b"&lt;script&gt;" in answer.body
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("x-amz-request-id")


@pytest.mark.parametrize("key", ["%0D%0Ax:%20y", "%E2%80%A8", "a%0Ab", "%7F"])
async def test_no_key_gets_into_the_headers_of_a_redirection(site: Store, key: str) -> None:
    answer = await visit(site, f"/old/{key}")
    location = answer.header("location") or ""
    assert answer.status == 301
    assert location.isascii()
    assert location.isprintable()
    assert location.endswith(f"/new/{key}".replace(":", ":"))


@pytest.mark.parametrize("slash", ["", "/"])
async def test_index_that_makes_a_key_too_long_is_an_error_of_the_client(
    site: Store, slash: str
) -> None:
    await configure(site.alice, SITE.replace("index.html", "i" * 1_000))
    answer = await visit(site, f"/{'a' * 1_000}{slash}")
    assert (answer.status, answer.body) == (400 if slash else 404, b"<p>error.html")


async def test_website_domain_itself_is_no_website(site: Store) -> None:
    answer = await site.nobody.changed(host="web.test")("GET", "/data/page.html")
    assert (answer.status, answer.body) == (200, b"<p>page.html")  # path style, as elsewhere
