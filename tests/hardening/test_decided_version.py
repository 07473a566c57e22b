"""What was decided of one version is not done to another that took its place meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3server.door import Caller, Door
from tests.support.asgi_client import Answer
from tests.support.served import Store

BOB = "arn:aws:iam::bob-project:user/bob"
RETENTION = b"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2027-01-01T00:00:00Z</RetainUntilDate></Retention>"  # fmt: skip # noqa: E501
TAGS = b"<Tagging><TagSet><Tag><Key>level</Key><Value>open</Value></Tag></TagSet></Tagging>"
HELD = b"<LegalHold><Status>ON</Status></LegalHold>"
REQUESTS = [
    ("GET", "tagging", b""), ("PUT", "tagging", TAGS), ("DELETE", "tagging", b""),
    ("PUT", "retention", RETENTION), ("GET", "retention", b""), ("PUT", "legal-hold", HELD),
    ("GET", "legal-hold", b""), ("GET", "annotation", b""),
    ("GET", "annotation&annotationName=note", b""),
    ("PUT", "annotation&annotationName=note", b"text"),
    ("DELETE", "annotation&annotationName=note", b""),
]  # fmt: skip


@pytest.fixture
async def open_to_bob(store: Store) -> Store:
    """A locked bucket in which bob may do everything to objects that are tagged as open."""
    await store.alice.made("/data", headers={"x-amz-bucket-object-lock-enabled": "true"})
    statement = {
        "Effect": "Allow", "Principal": {"AWS": BOB}, "Action": "s3:*",
        "Resource": "arn:aws:s3:::data/*",
        "Condition": {"StringEquals": {"s3:ExistingObjectTag/level": "open"}},
    }  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    assert (await store.alice.sent("/data?policy", document.encode())).status == 204
    return store


async def fill(store: Store, level: str, query: str) -> None:
    """Store the object with all that can be asked of it."""
    locked = {} if "annotation" in query else {
        "x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-legal-hold": "OFF",
        "x-amz-object-lock-retain-until-date": "2026-12-01T00:00:00Z",
    }  # fmt: skip
    await store.alice.made(
        "/data/key", body=b"x", headers={"x-amz-tagging": f"level={level}", **locked}
    )
    annotation = "/data/key?annotation&annotationName=note"
    assert (await store.alice("PUT", annotation, body=b"note")).status == 200


async def ask(store: Store, method: str, query: str, body: bytes) -> Answer:
    """Have bob send a request."""
    target = f"/data/key?{query}"
    if method == "PUT" and "annotation" not in query:
        return await store.bob.sent(target, body)
    return await store.bob(method, target, body=body)


@pytest.mark.parametrize(("method", "query", "body"), REQUESTS)
async def test_version_that_replaces_the_decided_one_is_left_alone(
    open_to_bob: Store, monkeypatch: pytest.MonkeyPatch, method: str, query: str, body: bytes
) -> None:
    store, real = open_to_bob, Door.permit
    before = list[Any]()

    async def permit(self: Door, caller: Caller, *rest: Any, **more: Any) -> None:
        await real(self, caller, *rest, **more)
        if caller.principal.name == "bob":
            monkeypatch.setattr(Door, "permit", real)
            await fill(store, "secret", query)
            before.extend(await store.rows())

    await fill(store, "open", query)
    monkeypatch.setattr(Door, "permit", permit)
    assert (await ask(store, method, query, body)).status == 403
    assert before == await store.rows()


@pytest.mark.parametrize(("method", "query", "body"), REQUESTS)
async def test_decided_version_is_not_refused(
    open_to_bob: Store, method: str, query: str, body: bytes
) -> None:
    await fill(open_to_bob, "open", query)
    answer = await ask(open_to_bob, method, query, body)
    assert answer.status in (200, 204), answer.body
