"""PutObjectLockConfiguration, GetObjectLockConfiguration, and buckets that are made with it."""

from __future__ import annotations

import pytest

from tests.ops.test_bucket_versioning import configuration, set_versioning
from tests.support.served import Store

LOCK = {"x-amz-bucket-object-lock-enabled": "true"}


def document(default: str = "", enabled: str = "Enabled") -> bytes:
    rule = f"<Rule><DefaultRetention>{default}</DefaultRetention></Rule>" if default else ""
    return (
        f"<ObjectLockConfiguration><ObjectLockEnabled>{enabled}</ObjectLockEnabled>{rule}"
        "</ObjectLockConfiguration>"
    ).encode()


def default(mode: str, days: int | None = None, years: int | None = None) -> str:
    text = f"<Mode>{mode}</Mode>"
    text += "" if days is None else f"<Days>{days}</Days>"
    return text + ("" if years is None else f"<Years>{years}</Years>")


@pytest.fixture
async def locked(store: Store) -> Store:
    await store.alice.made("/data", headers=LOCK)
    return store


async def test_bucket_made_with_lock_has_versioning_for_good(locked: Store) -> None:
    assert (await locked.alice("GET", "/data?versioning")).text("Status") == "Enabled"
    answer = await locked.alice("GET", "/data?object-lock")
    assert answer.document.tag == "ObjectLockConfiguration"
    assert answer.text("ObjectLockEnabled") == "Enabled"
    assert answer.texts("Rule") == []
    suspended = await locked.alice.configure("/data?versioning", configuration("Suspended"))
    assert suspended.outcome == (409, "InvalidBucketState")
    await set_versioning(locked.alice, "Enabled")


async def test_lock_is_turned_on_later_where_versions_are(data: Store) -> None:
    missing = await data.alice("GET", "/data?object-lock")
    assert missing.outcome == (404, "ObjectLockConfigurationNotFoundError")
    for status in ("", "Suspended"):
        if status:
            await set_versioning(data.alice, status)
        answer = await data.alice.configure("/data?object-lock", document())
        assert answer.outcome == (409, "InvalidBucketState")
    await set_versioning(data.alice, "Enabled")
    assert (await data.alice.configure("/data?object-lock", document())).status == 200
    assert (await data.alice("GET", "/data?object-lock")).text("ObjectLockEnabled") == "Enabled"


async def test_default_retention_is_told_and_removed(locked: Store) -> None:
    for days, years in ((3, None), (None, 2), (36_500, None), (None, 100)):
        body = document(default("COMPLIANCE", days, years))
        assert (await locked.alice.configure("/data?object-lock", body)).status == 200
        answer = await locked.alice("GET", "/data?object-lock")
        told = {child.tag: child.text for child in answer.document.find("Rule/DefaultRetention")}
        count = {"Days": str(days)} if days else {"Years": str(years)}
        assert told == {"Mode": "COMPLIANCE", **count}
    assert (await locked.alice.configure("/data?object-lock", document())).status == 200
    assert (await locked.alice("GET", "/data?object-lock")).texts("Rule") == []


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (document(enabled="Disabled"), (400, "MalformedXML")),
        (document().replace(b"ObjectLockEnabled", b"ObjectLockEnable"), (400, "MalformedXML")),
        (b"<ObjectLockConfiguration/>", (400, "MalformedXML")),
        (document(default("GOVERNANCE")), (400, "MalformedXML")),
        (document(default("GOVERNANCE", 1, 1)), (400, "MalformedXML")),
        (document("<Days>1</Days>"), (400, "MalformedXML")),
        (document(default("governance", 1)), (400, "MalformedXML")),
        (document(default("GOVERNANCE", 0)), (400, "InvalidArgument")),
        (document(default("GOVERNANCE", -1)), (400, "InvalidArgument")),
        (document(default("GOVERNANCE", 36_501)), (400, "InvalidArgument")),
        (document(default("GOVERNANCE", None, 101)), (400, "InvalidArgument")),
        (b"", (400, "MissingRequestBodyError")),
    ],
)
async def test_bad_configuration_changes_nothing(
    locked: Store, body: bytes, outcome: tuple[int, str]
) -> None:
    with locked.untouched():
        answer = await locked.alice.configure("/data?object-lock", body)
    assert answer.outcome == outcome


@pytest.mark.parametrize("who", [None, "bob"])
async def test_stranger_neither_sees_nor_sets_the_lock(locked: Store, who: str | None) -> None:
    client = locked.client(who)
    with locked.untouched():
        assert (await client("GET", "/data?object-lock")).outcome == (403, "AccessDenied")
        answer = await client.configure("/data?object-lock", document())
    assert answer.outcome == (403, "AccessDenied")
