"""Roles, and sessions as them, in a server of this process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from s3server.auth.policy_parse import parse_policy
from s3server.core.identity_records import (
    RoleRecord,
    digest_of,
    inline_policy_key,
    role_key,
    role_name_key,
)
from s3server.core.named_principals import bind_names
from s3server.core.records import PolicyRecord, encode
from s3server.meta.base import Put
from s3server.model import Bindings
from tests.support.asgi_client import Answer, Client
from tests.support.served import Store, credential
from tests.support.signing import Key

FORM = {"content-type": "application/x-www-form-urlencoded"}
ALICE = "alice-project"


def document(*statements: Mapping[str, Any]) -> str:
    """Return a policy that allows, unless a statement says otherwise."""
    full = [{"Effect": "Allow", **one} for one in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": full})


def trust(principal: Any, action: Any = "sts:AssumeRole", **more: Any) -> str:
    return document({"Principal": principal, "Action": action, **more})


def user_arn(name: str) -> str:
    return f"arn:aws:iam::{credential(name).principal.account}:user/{name}"


ALL_OF_DATA = document({"Action": "s3:*", "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/*"]})


async def make_role(
    store: Store,
    name: str = "reader",
    trust_policy: str = "",
    *,
    policy: str = ALL_OF_DATA,
    account: str = ALICE,
    **fields: Any,
) -> str:
    """Put a role into the store, with one inline policy; return its ARN."""
    role_id = hashlib.sha256(f"role {name}".encode()).hexdigest()
    bindings = Bindings(is_bound=True, inline=(("inline", digest_of(policy)),))
    trust_policy = trust_policy or trust({"AWS": user_arn("alice")})
    parsed = parse_policy(trust_policy, has_principals=True, has_resources=False)
    role = RoleRecord(
        id=role_id, name=name, account=account, created_ms=store.clock.ms, bindings=bindings,
        trust_policy=trust_policy,
        trusted=await bind_names(store.services.iam.directory, parsed.named), **fields,
    )  # fmt: skip
    await store.meta.commit(
        [
            Put(role_key(role_id), encode(role)),
            Put(role_name_key(account, name), role_id.encode()),
            Put(inline_policy_key(role_id, "inline"), encode(PolicyRecord(text=policy))),
        ]
    )
    return f"arn:aws:iam::{account}:role/{name}"


async def sts(client: Client, action: str, fields: Mapping[str, str] | None = None) -> Answer:
    """Send a request of STS's."""
    form = {"Action": action, "Version": "2011-06-15", **(fields or {})}
    return await client("POST", "/", body=urlencode(form).encode(), headers=FORM)


def session_of(client: Client, answer: Answer) -> Client:
    """Return a client who signs with the credentials of an answer."""
    assert answer.status == 200, answer.body
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    key_id, secret, token = (answer.text(f".//Credentials/{name}") or "" for name in names)
    return client.changed(key=Key(key_id, secret, token=token))


async def assume(client: Client, arn: str, **fields: str) -> Client:
    """Return a client who has become a role."""
    asked = {"RoleArn": arn, "RoleSessionName": "job-1", **fields}
    return session_of(client, await sts(client, "AssumeRole", asked))
