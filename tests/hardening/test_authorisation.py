"""May they? Rows of the hardening reference on authorisation (4.2), over the wire."""

from __future__ import annotations

import pytest

from tests.support.served import Store


@pytest.fixture
async def open_to_all(store: Store) -> Store:
    """A bucket of alice's that everybody may write into, with one object."""
    await store.alice.made("/open", headers={"x-amz-acl": "public-read-write"})
    await store.alice.made("/open/key", body=b"content")
    return store


@pytest.mark.parametrize("who", [None, "bob"])
async def test_naming_a_version_asks_for_another_permission(
    open_to_all: Store, who: str | None
) -> None:
    """Row 20 (RustFS GHSA-3ppv): a version, be it "null", was treated as the current one."""
    with open_to_all.untouched():
        answer = await open_to_all.client(who)("DELETE", "/open/key?versionId=null")
    assert answer.outcome == (403, "AccessDenied")
    assert (await open_to_all.client(who)("DELETE", "/open/key")).status == 204
