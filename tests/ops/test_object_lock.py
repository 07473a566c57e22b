"""Retention and legal hold: how they are set, and that nothing gets around them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from s3server.core import records
from tests.ops.test_bucket_object_lock import default, document, locked
from tests.ops.test_bucket_versioning import listed, put, set_versioning
from tests.ops.test_object_delete import delete
from tests.support.asgi_client import Answer, Client
from tests.support.served import Store

__all__ = ["locked"]

BYPASS = {"x-amz-bypass-governance-retention": "true"}
DAY = timedelta(days=1)


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def retention(mode: str, until: datetime) -> bytes:
    return (
        f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{iso(until)}</RetainUntilDate></Retention>"
    ).encode()


def hold(status: str) -> bytes:
    return f"<LegalHold><Status>{status}</Status></LegalHold>".encode()


def named(version_id: str) -> str:
    return f"/data/key?versionId={version_id}"


async def retain(store: Store, mode: str, days: float, **headers: str) -> Answer:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    body = retention(mode, store.clock.now() + days * DAY)
    return await store.alice.configure("/data/key?retention", body, headers=given)


async def delete_many(client: Client, version_id: str, headers: dict[str, str]) -> Answer:
    body = (
        f"<Delete><Object><Key>key</Key><VersionId>{version_id}</VersionId></Object></Delete>"
    ).encode()
    return await delete(client, body, headers=headers)


@pytest.fixture
async def kept(locked: Store) -> tuple[Store, str]:
    return locked, await put(locked.alice, b"kept")


async def test_retention_and_hold_are_told(kept: tuple[Store, str]) -> None:
    store, version_id = kept
    for what in ("retention", "legal-hold"):
        answer = await store.alice("GET", f"/data/key?{what}")
        assert answer.outcome == (404, "NoSuchObjectLockConfiguration")
    assert (await retain(store, "GOVERNANCE", 1)).status == 200
    answer = await store.alice("GET", f"/data/key?retention&versionId={version_id}")
    until = store.clock.now() + DAY
    assert answer.document.tag == "Retention"
    assert answer.text("Mode") == "GOVERNANCE"
    assert answer.text("RetainUntilDate") == iso(until).replace("Z", ".000Z")
    for status in ("ON", "OFF"):
        assert (await store.alice.configure("/data/key?legal-hold", hold(status))).status == 200
        answer = await store.alice("GET", "/data/key?legal-hold")
        assert (answer.document.tag, answer.text("Status")) == ("LegalHold", status)
        for method in ("GET", "HEAD"):
            head = await store.alice(method, "/data/key")
            assert head.header("x-amz-object-lock-legal-hold") == status
            assert head.header("x-amz-object-lock-mode") == "GOVERNANCE"
            assert (head.header("x-amz-object-lock-retain-until-date") or "")[:19] == iso(until)[
                :19
            ]


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
@pytest.mark.parametrize("many", [False, True])
async def test_retained_version_stays_until_its_time(
    kept: tuple[Store, str], mode: str, many: bool
) -> None:
    store, version_id = kept
    await retain(store, mode, 1)

    async def attempt(**headers: str) -> bool:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if many:
            answer = await delete_many(store.alice, version_id, given)
            assert answer.texts("Error/Code") in ([], ["AccessDenied"])
            return answer.texts("Deleted/Key") == ["key"]
        answer = await store.alice("DELETE", named(version_id), headers=given)
        assert answer.outcome in ((204, ""), (403, "AccessDenied"))
        return answer.status == 204

    assert not await attempt()
    marker = (await store.alice("DELETE", "/data/key")).header("x-amz-version-id")
    await store.alice.made(f"/data/key?versionId={marker}", method="DELETE")
    assert await listed(store.alice) == [("Version", version_id, "true")]
    if mode == "COMPLIANCE":
        assert not await attempt(**{"x-amz-bypass-governance-retention": "true"})
        store.clock.ms += 86_399_000
        assert not await attempt()
        store.clock.ms += 1_000
        assert await attempt()
    else:
        assert not await attempt(**{"x-amz-bypass-governance-retention": "false"})
        assert await attempt(**{"x-amz-bypass-governance-retention": "true"})


@pytest.mark.parametrize("headers", [{}, BYPASS])
@pytest.mark.parametrize("mode", ["", "GOVERNANCE", "COMPLIANCE"])
async def test_nothing_removes_a_version_on_hold(
    kept: tuple[Store, str], headers: dict[str, str], mode: str
) -> None:
    store, version_id = kept
    await store.alice.configure("/data/key?legal-hold", hold("ON"))
    if mode:
        await retain(store, mode, 1)
        store.clock.ms += 2 * 86_400_000
    single = await store.alice("DELETE", named(version_id), headers=headers)
    assert single.outcome == (403, "AccessDenied")
    many = await delete_many(store.alice, version_id, headers)
    assert many.texts("Error/Code") == ["AccessDenied"]
    await store.alice.configure("/data/key?legal-hold", hold("OFF"))
    assert (await store.alice("DELETE", named(version_id))).status == 204


@pytest.mark.parametrize(
    ("held", "wanted", "plain", "bypassing"),
    [
        (("GOVERNANCE", 2), ("GOVERNANCE", 3), 200, 200),
        (("GOVERNANCE", 2), ("GOVERNANCE", 1), 403, 200),
        (("GOVERNANCE", 2), ("COMPLIANCE", 3), 403, 200),
        (("GOVERNANCE", 2), None, 403, 200),
        (("COMPLIANCE", 2), ("COMPLIANCE", 3), 200, 200),
        (("COMPLIANCE", 2), ("COMPLIANCE", 2), 200, 200),
        (("COMPLIANCE", 2), ("COMPLIANCE", 1), 403, 403),
        (("COMPLIANCE", 2), ("GOVERNANCE", 3), 403, 403),
        (("COMPLIANCE", 2), None, 403, 403),
    ],
)
async def test_retention_is_extended_by_all_and_shortened_by_few(
    kept: tuple[Store, str],
    held: tuple[str, int],
    wanted: tuple[str, int] | None,
    plain: int,
    bypassing: int,
) -> None:
    store, _ = kept
    await retain(store, *held)
    body = b"<Retention/>"
    if wanted is not None:
        body = retention(wanted[0], store.clock.now() + wanted[1] * DAY)
    for headers, expected in (({}, plain), (BYPASS, bypassing)):
        answer = await store.alice.configure("/data/key?retention", body, headers=headers)
        assert answer.status == expected
    told = await store.alice("GET", "/data/key?retention")
    mode, days = held if bypassing == 403 else wanted or ("", 0)
    if not mode:
        assert told.outcome == (404, "NoSuchObjectLockConfiguration")
    else:
        assert told.text("Mode") == mode
        assert (told.text("RetainUntilDate") or "")[:19] == iso(store.clock.now() + days * DAY)[:19]


async def test_default_retention_covers_uploads_that_bring_none(locked: Store) -> None:
    body = document(default("GOVERNANCE", 3))
    await locked.alice.configure("/data?object-lock", body)
    await locked.alice.made("/data/key", body=b"x")
    answer = await locked.alice("GET", "/data/key?retention")
    assert answer.text("Mode") == "GOVERNANCE"
    assert (answer.text("RetainUntilDate") or "")[:19] == iso(locked.clock.now() + 3 * DAY)[:19]
    marker = (await locked.alice("DELETE", "/data/key")).header("x-amz-version-id")
    assert (await locked.alice("DELETE", named(marker or ""))).status == 204


@pytest.mark.parametrize(
    ("what", "body", "code"),
    [
        ("retention", b"<Retention><Mode>GOVERNANCE</Mode></Retention>", "MalformedXML"),
        (
            "retention",
            b"<Retention><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>",
            "MalformedXML",
        ),
        (
            "retention",
            (
                b"<Retention><Mode>COMPLIANCE</Mode>"
                b"<RetainUntilDate>2020-01-01T00:00:00Z</RetainUntilDate></Retention>"
            ),
            "InvalidArgument",
        ),
        ("retention", b"<Retention><Mod>COMPLIANCE</Mod></Retention>", "MalformedXML"),
        ("retention", b"", "MissingRequestBodyError"),
        ("legal-hold", hold("on"), "MalformedXML"),
        ("legal-hold", b"<LegalHold/>", "MalformedXML"),
    ],
)
async def test_bad_documents_change_nothing(
    kept: tuple[Store, str], what: str, body: bytes, code: str
) -> None:
    store, _ = kept
    with store.untouched():
        answer = await store.alice.configure(f"/data/key?{what}", body)
    assert answer.outcome == (400, code)


async def test_bucket_without_lock_takes_no_locks(data: Store) -> None:
    await set_versioning(data.alice, "Enabled")
    await put(data.alice, b"x")
    until = data.clock.now() + DAY
    with data.untouched():
        outcomes = [
            (await data.alice.configure("/data/key?retention", retention("GOVERNANCE", until))),
            (await data.alice.configure("/data/key?legal-hold", hold("ON"))),
            (await data.alice("GET", "/data/key?retention")),
            (await data.alice("GET", "/data/key?legal-hold")),
            (await data.alice("PUT", "/data/b", headers={"x-amz-object-lock-legal-hold": "ON"})),
        ]
    assert {answer.outcome for answer in outcomes} == {(400, "InvalidRequest")}


@pytest.mark.parametrize("table", [records.BUCKET, records.OBJECT])
async def test_lock_that_cannot_be_read_holds(kept: tuple[Store, str], table: bytes) -> None:
    """A damaged configuration is never taken for none."""
    store, version_id = kept
    await retain(store, "COMPLIANCE", 1)
    for key, row in await store.rows():
        if key.startswith(table):
            store.meta._values[key] = row[:-1] + bytes([row[-1] ^ 1])
    answers = [
        await store.root("DELETE", named(version_id)),
        await store.root("DELETE", named(version_id), headers=BYPASS),
    ]
    assert {answer.status for answer in answers} == {500}
    assert len([key for key, _ in await store.rows() if key.startswith(records.OBJECT)]) == 1
    many = await delete(store.root, b"<Delete><Object><Key>key</Key></Object></Delete>")
    assert many.status == 500
