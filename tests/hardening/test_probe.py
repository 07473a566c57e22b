"""HEAD with a URL that is signed for GET: where a bucket allows it, and nothing beyond it."""

from __future__ import annotations

import hashlib

import pytest
from msgspec.structs import replace

from tests.support.asgi_client import Answer, How
from tests.support.served import Store
from tests.support.signing import presign, presign_v2, sign

QUERY: tuple[How, ...] = ("query", "v2-query")


@pytest.fixture
async def kept(data: Store) -> Store:
    await data.alice.made("/data/key", body=b"content")
    return data


async def allow(store: Store) -> None:
    buckets = store.asgi._services.buckets  # what the command line does
    bucket = await buckets.get("data")
    await buckets.update(bucket, lambda now: replace(now, head_on_get_url=True))


async def probe(
    store: Store, how: How, *, signed: str = "GET", sent: str = "HEAD", target: str = "/data/key"
) -> Answer:
    client = store.alice
    assert client.key is not None
    url, at, host = f"http://{client.host}{target}", client.now(), {"host": client.host}
    if how == "query":
        made = presign(signed, url, host, key=client.key, at=at)
    else:
        made = presign_v2(signed, url, key=client.key, at=at)
    return await client.send(sent, made.target, {"host": client.host})


@pytest.mark.parametrize("how", QUERY)
async def test_url_for_get_is_no_good_for_head_by_default(kept: Store, how: How) -> None:
    assert (await probe(kept, how)).status == 403


@pytest.mark.parametrize("how", QUERY)
async def test_bucket_may_allow_it(kept: Store, how: How) -> None:
    await allow(kept)
    answer = await probe(kept, how)
    assert (answer.status, answer.header("content-length"), answer.body) == (200, "7", b"")


@pytest.mark.parametrize("how", QUERY)
@pytest.mark.parametrize(
    ("signed", "sent"), [("HEAD", "GET"), ("PUT", "HEAD"), ("GET", "PUT"), ("GET", "DELETE")]
)
async def test_no_other_method_is_exchanged(kept: Store, how: How, signed: str, sent: str) -> None:
    await allow(kept)
    assert (await probe(kept, how, signed=signed, sent=sent)).status == 403
    assert (await kept.alice("GET", "/data/key")).body == b"content"


async def test_url_of_another_key_or_of_the_bucket_does_not_count(kept: Store) -> None:
    await allow(kept)
    client = kept.alice
    assert client.key is not None
    for target in ("/data/other", "/data"):
        url = f"http://{client.host}{target}"
        made = presign(
            "GET", url, {"host": client.host}, key=client.key, at=client.now(), expires_s=60
        )
        query = made.target.partition("?")[2]
        for asked in ("/data/key", "/data"):
            answer = await client.send("HEAD", f"{asked}?{query}", {"host": client.host})
            assert (target, asked, answer.status) == (target, asked, 403)


async def test_signed_headers_are_not_exchanged(kept: Store) -> None:
    """Only a URL stands for a right to read that somebody was given."""
    await allow(kept)
    client = kept.alice
    assert client.key is not None
    host, empty = {"host": client.host}, hashlib.sha256(b"").hexdigest()
    url = f"http://{client.host}/data/key"
    made = sign("GET", url, host, key=client.key, at=client.now(), payload=empty)
    answer = await client.send("HEAD", made.target, {**host, **made.headers})
    assert answer.status == 403
