"""Issuers of the settings are told of as IAM's providers, and not changed."""

from __future__ import annotations

import pytest

from s3server.auth.oidc import Provider
from tests.support.iam import ACCOUNT, Iam, allow, make_user, refusal
from tests.support.served import Store

ARN = f"arn:aws:iam::{ACCOUNT}:oidc-provider/issuer.test/grid"
OTHER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/other.test"


@pytest.fixture
def grid() -> Store:
    issuers = (
        Provider("https://issuer.test/grid/", ("s3", "wlcg")),
        Provider("https://other.test", ("x",)),
    )
    return Store(providers=issuers)


async def test_issuers_are_told_of(grid: Store) -> None:
    iam = Iam(grid.root)
    listed = (await iam("ListOpenIDConnectProviders"))["OpenIDConnectProviderList"]
    assert [{"Arn": ARN}, {"Arn": OTHER}] == listed
    told = await iam("GetOpenIDConnectProvider", OpenIDConnectProviderArn=ARN)
    assert {"Url": "issuer.test/grid", "ClientIDList": ["s3", "wlcg"], "ThumbprintList": []} == told
    missing = iam("GetOpenIDConnectProvider", OpenIDConnectProviderArn=ARN + "x")
    assert (404, "NoSuchEntity") == await refusal(missing)
    made = iam("CreateOpenIDConnectProvider", Url="https://new.test")
    assert (501, "NotImplemented") == await refusal(made)


async def test_there_may_be_none(store: Store) -> None:
    listed = await Iam(store.root)("ListOpenIDConnectProviders")
    assert {"OpenIDConnectProviderList": []} == listed


async def test_policies_say_who_may_ask_of_which(grid: Store) -> None:
    policy = allow("iam:GetOpenIDConnectProvider", resource=ARN)
    bob = Iam(await make_user(grid, "bob", policy))
    assert (
        "issuer.test/grid"
        == (await bob("GetOpenIDConnectProvider", OpenIDConnectProviderArn=ARN))["Url"]
    )
    denied = (403, "AccessDenied")
    other = bob("GetOpenIDConnectProvider", OpenIDConnectProviderArn=OTHER)
    assert denied == await refusal(other)
    assert denied == await refusal(bob("ListOpenIDConnectProviders"))
