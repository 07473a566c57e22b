"""Everybody who can sign, and every kind of session, against S3, IAM, STS and SNS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from s3server.auth.oidc import Provider
from tests.support.asgi_client import Client
from tests.support.events import sns
from tests.support.oidc_issuer import AUDIENCE, new_key, run_issuer
from tests.support.served import Store
from tests.support.sts import ALICE, FORM, assume, document, make_role, session_of, sts, trust

OWN, OTHERS, PUBLIC = "/data/key", "/theirs/key", "/public/key"
ON_DATA = {"Action": "s3:*", "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/*"]}
CHAINS = {"Action": "sts:AssumeRole", "Resource": "*"}
FIRST = f"arn:aws:iam::{ALICE}:role/first"
KEYS = [new_key("one")]


async def iam(client: Client, action: str) -> int:
    body = f"Action={action}&Version=2010-05-08".encode()
    return (await client("POST", "/", body=body, headers=FORM)).status


def get(target: str) -> Callable[[Client], Awaitable[int]]:
    async def ask(client: Client) -> int:
        return (await client("GET", target)).status

    return ask


def ask_sts(action: str) -> Callable[[Client], Awaitable[int]]:
    async def ask(client: Client) -> int:
        return (await sts(client, action)).status

    return ask


async def list_users(client: Client) -> int:
    return await iam(client, "ListUsers")


async def list_topics(client: Client) -> int:
    return (await sns(client, "ListTopics")).status


ACTIONS = {
    "own": get(OWN), "other's": get(OTHERS), "public": get(PUBLIC), "iam": list_users,
    "whoami": ask_sts("GetCallerIdentity"), "session": ask_sts("GetSessionToken"),
    "sns": list_topics,
}  # fmt: skip
# principal -> what it may; the rest is refused with 403
MAY = {
    "root": {"own", "other's", "public", "iam", "whoami", "sns"},
    "user": {"own", "public", "whoami", "session", "sns"},
    "user's session": {"own", "public", "whoami", "sns"},
    "role": {"own", "whoami"},
    "role of a session": {"own", "whoami"},
    "role of a role": {"own", "whoami"},
    "web identity": {"own", "whoami"},
    "nobody": {"public"},
}


@pytest.fixture
async def people() -> AsyncIterator[dict[str, Client]]:
    with run_issuer() as issuer:
        issuer.keys = KEYS
        store = Store(providers=(Provider(issuer.url, (AUDIENCE,)),))
        await store.enrol("alice", "bob")
        for who, target, headers in (
            (store.alice, OWN, {}), (store.bob, OTHERS, {}),
            (store.bob, PUBLIC, {"x-amz-acl": "public-read"}),
        ):  # fmt: skip
            await who.made(f"/{target.split('/')[1]}")
            assert (await who("PUT", target, body=b"x", headers=headers)).status == 200
        first = await make_role(store, "first", policy=document(ON_DATA, CHAINS))
        second = await make_role(store, "second", trust({"AWS": first}), policy=document(ON_DATA))
        name = issuer.url.partition("://")[2]
        federated = {"Federated": f"arn:aws:iam::{ALICE}:oidc-provider/{name}"}
        web = await make_role(
            store, "web", trust(federated, "sts:AssumeRoleWithWebIdentity"),
            policy=document(ON_DATA),
        )  # fmt: skip
        asked = {
            "RoleArn": web, "RoleSessionName": "job",
            "WebIdentityToken": issuer.token(store.clock.ms / 1000),
        }  # fmt: skip
        session = session_of(store.alice, await sts(store.alice, "GetSessionToken"))
        role = await assume(store.alice, first)
        yield {
            "root": store.root,
            "user": store.alice,
            "user's session": session,
            "role": role,
            "role of a session": await assume(session, first),
            "role of a role": await assume(role, second),
            "web identity": session_of(
                store.nobody, await sts(store.nobody, "AssumeRoleWithWebIdentity", asked)
            ),
            "nobody": store.nobody,
        }


async def test_everybody_may_what_the_table_says_and_nothing_else(
    people: dict[str, Client],
) -> None:
    found = {
        who: {name for name, ask in ACTIONS.items() if await ask(client) == 200}
        for who, client in people.items()
    }
    assert found == MAY
    for client in people.values():
        for ask in ACTIONS.values():
            assert await ask(client) in (200, 403)
