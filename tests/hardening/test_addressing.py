"""Regions, hosts and proxies: what a signature is held against."""

from __future__ import annotations

import pytest

from tests.support.asgi_client import HOST
from tests.support.served import Store, credential
from tests.support.signing import Key, presign, sign
from tests.support.uploads import begin, complete, send_part

REGION = "fr-clermont-mesocentre"


def key(region: str) -> Key:
    known = credential("alice")
    return Key(known.access_key_id, known.secret, region)


async def test_wrong_region_is_told_the_right_one() -> None:
    store = Store(region=REGION)
    client = store.alice.changed(key=key("us-east-1"))
    answer = await client("GET", "/")
    assert answer.outcome == (400, "AuthorizationHeaderMalformed")
    assert answer.text("Region") == REGION
    assert REGION in (answer.text("Message") or "")


async def test_wrong_region_of_a_link_is_told_the_right_one() -> None:
    store = Store(region=REGION)
    client = store.alice.changed(key=key("us-east-1"))
    answer = await client("GET", "/", how="query")
    assert answer.outcome == (400, "AuthorizationQueryParametersError")
    assert answer.text("Region") == REGION


@pytest.mark.parametrize(
    ("aliases", "region", "status"),
    [
        ((), REGION, 200),
        ((), "us-east-1", 400),
        (("us-east-1",), "us-east-1", 200),
        (("us-east-1",), "eu-west-1", 400),
        (("*",), "anything", 200),
    ],
)
async def test_aliases_of_the_region(aliases: tuple[str, ...], region: str, status: int) -> None:
    store = Store(region=REGION, region_aliases=aliases)
    client = store.alice.changed(key=key(region))
    for how in ("header", "query"):
        assert (await client("GET", "/", how=how)).status == status  # type: ignore[arg-type]


@pytest.fixture
async def virtual(data: Store) -> Store:
    await data.alice.made("/data/key", body=b"content")
    return data


@pytest.mark.parametrize("how", ["header", "query"])
async def test_bucket_in_the_host_is_the_bucket_in_the_path(virtual: Store, how: str) -> None:
    client = virtual.alice.changed(host=f"data.{HOST}")
    assert (await client("GET", "/key", how=how)).body == b"content"  # type: ignore[arg-type]
    listed = await client("GET", "/?list-type=2", how=how)  # type: ignore[arg-type]
    assert listed.texts("Contents/Key") == ["key"]
    assert (await client("GET", "/data/key", how=how)).code == "NoSuchKey"  # type: ignore[arg-type]


async def test_bucket_in_the_host_with_port_and_capitals(virtual: Store) -> None:
    client = virtual.alice.changed(host="Data.S3.test:9000")
    assert (await client("GET", "/key")).body == b"content"


async def test_bucket_with_dots_in_the_host(store: Store) -> None:
    await store.alice.made("/a.b.c")
    client = store.alice.changed(host=f"a.b.c.{HOST}")
    await client.made("/key", body=b"1")
    assert (await store.alice("GET", "/a.b.c/key")).body == b"1"


async def test_bucket_is_made_and_deleted_by_its_host(store: Store) -> None:
    client = store.alice.changed(host=f"data.{HOST}")
    assert (await client("PUT", "/")).status == 200
    assert (await client("HEAD", "/")).status == 200
    assert (await client("DELETE", "/")).status == 204
    assert (await store.alice("GET", "/")).texts("Buckets/Bucket/Name") == []


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1:9000", "[::1]:9000", "s3.test.evil"])
async def test_other_host_is_path_style(virtual: Store, host: str) -> None:
    client = virtual.alice.changed(host=host)
    assert (await client("GET", "/data/key")).body == b"content"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a/?x=",
        "evil@s3.test",
        "s3.test, s3.test",
        "s3.test:x",
        "a b",
        "s3.test\t",
        "é.test",
        "s3.test:9000:9000",
        "[::1",
        "%73%33.test",
        "s3.test/",
        "\x00",
    ],
)
async def test_host_that_is_none_is_refused(virtual: Store, host: str) -> None:
    """CVE-2026-48710: a Host that changes how the URL is read."""
    with virtual.untouched():
        answer = await virtual.nobody.send("GET", "/data/key", {"host": host})
    assert answer.outcome == (400, "InvalidRequest")


async def test_request_without_host_is_refused(virtual: Store) -> None:
    answer = await virtual.nobody.send("GET", "/data/key", {})
    assert answer.outcome == (400, "InvalidRequest")


async def test_absolute_target_names_the_same_host(virtual: Store) -> None:
    good = await virtual.nobody.send("GET", "http://s3.test/data/key", {"host": "s3.test"})
    evil = await virtual.nobody.send("GET", "http://evil/data/key", {"host": "s3.test"})
    assert good.outcome == (403, "AccessDenied")
    assert evil.outcome == (400, "InvalidRequest")


PROXY = "10.1.0.5"


async def test_host_before_the_proxy_is_what_was_signed() -> None:
    store = Store(proxies=("10.1.0.0/16",))
    client = store.alice.changed(peer=PROXY, host="s3.public.example")
    answer = await client(
        "GET",
        "/",
        unsigned={"host": "backend:9000", "x-forwarded-host": "s3.public.example"},
    )
    assert answer.status == 200


@pytest.mark.parametrize("host", ["s3.public.example", "s3.public.example:443"])
async def test_default_port_may_be_missing(host: str) -> None:
    store = Store(proxies=(PROXY,))
    client = store.alice.changed(peer=PROXY, host=host)
    forwarded = {"host": "backend:9000", "x-forwarded-host": "s3.public.example"}
    assert (await client("GET", "/", unsigned=forwarded)).status == 200


async def test_stranger_cannot_forward_a_host() -> None:
    store = Store(proxies=("10.1.0.0/16",))
    client = store.alice.changed(host="s3.public.example")
    forwarded = {"host": "backend:9000", "x-forwarded-host": "s3.public.example"}
    answer = await client("GET", "/", unsigned=forwarded)
    assert answer.outcome == (403, "SignatureDoesNotMatch")
    assert "backend:9000" in (answer.text("Hint") or "")


async def test_external_url_is_what_was_signed() -> None:
    store = Store(external_urls=("https://s3.public.example",))
    client = store.alice.changed(host="s3.public.example")
    assert (await client("GET", "/", unsigned={"host": "backend:9000"})).status == 200


async def test_external_url_may_have_a_path() -> None:
    store = Store(external_urls=("https://public.example/s3",))
    await store.alice.made("/data")
    request = sign(
        "GET",
        "http://public.example/s3/data",
        {},
        key=key("us-east-1"),
        at=store.clock.now(),
        payload="UNSIGNED-PAYLOAD",
    )
    headers = {**request.headers, "host": "backend:9000"}
    assert (await store.nobody.send("GET", "/data", headers)).status == 200


@pytest.fixture
async def two_buckets() -> Store:
    """A key that reads the same in path style and, in another bucket, in a host name."""
    store = Store(external_urls=("https://s3.test",), proxies=(PROXY,))
    await store.alice.made("/data")
    await store.alice.made("/vault")
    await store.alice.made("/data/key", body=b"shared")
    await store.alice.made("/vault/data/key", body=b"secret")
    return store


@pytest.mark.parametrize("forwarded", [{}, {"x-forwarded-host": "s3.test"}])
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_link_in_path_style_never_reaches_the_bucket_of_another_host(
    two_buckets: Store, method: str, forwarded: dict[str, str]
) -> None:
    link = presign(
        method,
        "http://s3.test/data/key",
        {"host": "s3.test"},
        key=key("us-east-1"),
        at=two_buckets.clock.now(),
    )
    sender = two_buckets.nobody.changed(peer=PROXY)
    headers = {"host": "vault.s3.test", "content-length": "0", **forwarded}
    answer = await sender.send(method, link.target, headers)
    assert answer.outcome == (403, "SignatureDoesNotMatch")
    assert (await two_buckets.alice("GET", "/vault/data/key")).body == b"secret"


async def test_link_to_the_bucket_of_a_host_never_reaches_another_in_path_style(
    two_buckets: Store,
) -> None:
    link = presign(
        "GET",
        "http://vault.s3.test/data/key",
        {"host": "vault.s3.test"},
        key=key("us-east-1"),
        at=two_buckets.clock.now(),
    )
    sender = two_buckets.nobody.changed(peer=PROXY)
    headers = {"host": "backend:9000", "x-forwarded-host": "vault.s3.test"}
    answer = await sender.send("GET", link.target, headers)
    assert answer.outcome == (403, "SignatureDoesNotMatch")


async def test_location_tells_the_scheme_before_the_proxy() -> None:
    store = Store(proxies=(PROXY,))
    await store.alice.made("/data")
    upload = await begin(store.alice, "/data/key")
    part = await send_part(store.alice, "/data/key", upload, 1, b"x")
    client = store.alice.changed(peer=PROXY)
    answer = await complete(
        client, "/data/key", upload, [part], {"x-forwarded-proto": "https", "host": "s3.test"}
    )
    assert answer.text("Location") == "https://s3.test/data/key"
