"""Public access blocks of accounts over the wire of S3 Control."""

from __future__ import annotations

import pytest

from tests.ops.test_bucket_public_access import ACCESS_DENIED, FLAGS, configuration
from tests.support.asgi_client import Answer
from tests.support.served import Store

PATH = "/v20180820/configuration/publicAccessBlock"


async def ask(
    store: Store, method: str, *flags: str, who: str | None = "root", account: str = "alice-project"
) -> Answer:
    body = configuration(*flags) if method == "PUT" else b""
    headers = {"x-amz-account-id": account}
    return await store.client(who)(method, PATH, body=body, headers=headers)


@pytest.fixture
async def public(data: Store) -> Store:
    await data.alice.sent("/data?acl", b"", headers={"x-amz-acl": "public-read"})
    return data


async def test_configuration_is_kept_until_it_is_removed(public: Store) -> None:
    missing = (404, "NoSuchPublicAccessBlockConfiguration")
    assert (await ask(public, "GET")).outcome == missing
    assert (await ask(public, "PUT", FLAGS[1])).status == 200
    answer = await ask(public, "GET")
    assert answer.document.tag == "PublicAccessBlockConfiguration"
    assert [answer.text(flag) for flag in FLAGS] == ["false", "true", "false", "false"]
    assert (await ask(public, "DELETE")).status == 204
    assert (await ask(public, "GET")).outcome == missing


async def test_it_holds_for_all_buckets_of_the_account_and_no_other(public: Store) -> None:
    await public.bob.made("/bobs", headers={"x-amz-acl": "public-read"})
    await ask(public, "PUT", "IgnorePublicAcls", "BlockPublicAcls")
    assert (await public.nobody("GET", "/data")).outcome == ACCESS_DENIED
    assert (await public.nobody("GET", "/bobs")).status == 200
    refused = await public.alice("PUT", "/more", headers={"x-amz-acl": "public-read"})
    assert refused.outcome == ACCESS_DENIED
    await ask(public, "DELETE")
    assert (await public.nobody("GET", "/data")).status == 200


@pytest.mark.parametrize("who", ["alice", "bob", None])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_it_belongs_to_root(public: Store, method: str, who: str | None) -> None:
    with public.untouched():
        assert (await ask(public, method, who=who)).outcome == ACCESS_DENIED


@pytest.mark.parametrize("account", ["", "a b", "../x", "a" * 65])
async def test_what_is_no_account_is_refused(public: Store, account: str) -> None:
    with public.untouched():
        answer = await ask(public, "PUT", account=account)
    assert answer.outcome == (400, "InvalidRequest")


async def test_bucket_and_key_of_that_name_are_still_there(store: Store) -> None:
    await store.alice.made("/v20180820")
    await store.alice.made(PATH, body=b"content")
    assert (await store.alice("GET", PATH)).body == b"content"


async def test_other_methods_are_not_allowed(public: Store) -> None:
    assert (await ask(public, "POST")).outcome == (405, "MethodNotAllowed")
