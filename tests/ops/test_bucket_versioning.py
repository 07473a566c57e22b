"""PutBucketVersioning, GetBucketVersioning, and what versions change about objects."""

from __future__ import annotations

import pytest

from tests.ops.test_object_delete import delete
from tests.support.asgi_client import Client
from tests.support.served import Store, credential

XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"
ABSENT = "0" * 16


def configuration(status: str | None, extra: str = "") -> bytes:
    inner = "" if status is None else f"<Status>{status}</Status>"
    return (
        f'<VersioningConfiguration xmlns="{XMLNS}">{inner}{extra}</VersioningConfiguration>'
    ).encode()


async def set_versioning(client: Client, status: str, bucket: str = "data") -> None:
    assert (await client.configure(f"/{bucket}?versioning", configuration(status))).status == 200


async def put(client: Client, body: bytes, target: str = "/data/key") -> str:
    """Put an object; return its version id."""
    version_id = (await client.made(target, body=body)).header("x-amz-version-id")
    assert version_id is not None
    return version_id


async def listed(client: Client, bucket: str = "data") -> list[tuple[str, str, str]]:
    """Return all versions: what they are, their id, whether they are the latest."""
    answer = await client("GET", f"/{bucket}?versions")
    assert answer.status == 200
    return [
        (entry.tag, entry.findtext("VersionId") or "", entry.findtext("IsLatest") or "")
        for entry in answer.document
        if entry.tag in ("Version", "DeleteMarker")
    ]


@pytest.fixture
async def versioned(data: Store) -> Store:
    await set_versioning(data.alice, "Enabled")
    return data


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
async def test_status_is_told_as_it_was_set(data: Store, status: str) -> None:
    before = await data.alice("GET", "/data?versioning")
    assert (before.document.tag, before.texts("Status")) == ("VersioningConfiguration", [])
    await set_versioning(data.alice, status)
    assert (await data.alice("GET", "/data?versioning")).texts("Status") == [status]


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (configuration(None), (400, "IllegalVersioningConfigurationException")),
        (configuration("enabled"), (400, "MalformedXML")),
        (configuration("Enabled", "<Stauts>Enabled</Stauts>"), (400, "MalformedXML")),
        (configuration("Enabled", "<MfaDelete>Enabled</MfaDelete>"), (501, "NotImplemented")),
        (b"", (400, "MissingRequestBodyError")),
    ],
)
async def test_bad_configuration_changes_nothing(
    data: Store, body: bytes, outcome: tuple[int, str]
) -> None:
    with data.untouched():
        answer = await data.alice.configure("/data?versioning", body)
    assert answer.outcome == outcome
    assert (await data.alice("GET", "/data?versioning")).texts("Status") == []


async def test_mfa_delete_may_be_said_to_be_off(data: Store) -> None:
    body = configuration("Enabled", "<MfaDelete>Disabled</MfaDelete>")
    assert (await data.alice.configure("/data?versioning", body)).status == 200


async def test_authentication_device_is_refused(versioned: Store) -> None:
    version_id = await put(versioned.alice, b"1")
    mfa = {"x-amz-mfa": "serial 123456"}
    with versioned.untouched():
        target = f"/data/key?versionId={version_id}"
        deleted = await versioned.alice("DELETE", target, headers=mfa)
        put_again = await versioned.alice.configure(
            "/data?versioning", configuration("Suspended"), headers=mfa
        )
    assert (deleted.outcome, put_again.outcome) == ((501, "NotImplemented"),) * 2


@pytest.mark.parametrize("who", [None, "bob"])
async def test_stranger_neither_sees_nor_sets_versioning(data: Store, who: str | None) -> None:
    client = data.client(who)
    with data.untouched():
        found = await client("GET", "/data?versioning")
        changed = await client.configure("/data?versioning", configuration("Enabled"))
    assert (found.outcome, changed.outcome) == ((403, "AccessDenied"),) * 2


async def test_bucket_without_versioning_tells_no_version_ids(data: Store) -> None:
    for method in ("PUT", "GET", "HEAD", "DELETE"):
        answer = await data.alice(method, "/data/key")
        assert answer.status < 300
        assert answer.header("x-amz-version-id") is None


async def test_every_put_keeps_what_was_there(versioned: Store) -> None:
    ids = [await put(versioned.alice, body) for body in (b"1", b"22", b"333")]
    assert len(set(ids)) == 3
    for version_id, body in zip(ids, (b"1", b"22", b"333"), strict=True):
        for method in ("GET", "HEAD"):
            answer = await versioned.alice(method, f"/data/key?versionId={version_id}")
            assert answer.header("x-amz-version-id") == version_id
            assert answer.header("content-length") == str(len(body))
        assert (await versioned.alice("GET", f"/data/key?versionId={version_id}")).body == body
    current = await versioned.alice("GET", "/data/key")
    assert (current.body, current.header("x-amz-version-id")) == (b"333", ids[2])
    assert await listed(versioned.alice) == [
        ("Version", ids[2], "true"),
        ("Version", ids[1], "false"),
        ("Version", ids[0], "false"),
    ]


async def test_order_is_that_of_the_writes_whatever_the_clock_does(versioned: Store) -> None:
    ids = []
    for step in (0, -86_400_000, 1_000, -5_000):
        versioned.clock.ms += step
        ids.append(await put(versioned.alice, b"x"))
    assert [version_id for _, version_id, _ in await listed(versioned.alice)] == ids[::-1]
    times = (await versioned.alice("GET", "/data?versions")).texts("Version/LastModified")
    assert times == sorted(times, reverse=True)


async def test_deleted_key_gets_a_marker_and_keeps_its_versions(versioned: Store) -> None:
    version_id = await put(versioned.alice, b"1")
    deleted = await versioned.alice("DELETE", "/data/key")
    marker = deleted.header("x-amz-version-id")
    assert (deleted.status, deleted.header("x-amz-delete-marker")) == (204, "true")
    for method in ("GET", "HEAD"):
        missing = await versioned.alice(method, "/data/key")
        assert missing.status == 404
        assert missing.header("x-amz-delete-marker") == "true"
        assert missing.header("x-amz-version-id") == marker
        by_id = await versioned.alice(method, f"/data/key?versionId={marker}")
        assert by_id.status == 405
        assert by_id.header("x-amz-delete-marker") == "true"
        assert by_id.header("last-modified") is not None
    assert (await versioned.alice("GET", "/data/key")).code == "NoSuchKey"
    assert (await versioned.alice("GET", f"/data/key?versionId={marker}")).code == (
        "MethodNotAllowed"
    )
    assert (await versioned.alice("GET", "/data?list-type=2")).texts("Contents/Key") == []
    assert (await versioned.alice("GET", f"/data/key?versionId={version_id}")).body == b"1"
    kinds = [(kind, latest) for kind, _, latest in await listed(versioned.alice)]
    assert sorted(kinds) == [("DeleteMarker", "true"), ("Version", "false")]


async def test_removing_the_marker_brings_the_key_back(versioned: Store) -> None:
    version_id = await put(versioned.alice, b"1")
    markers = [
        (await versioned.alice("DELETE", "/data/key")).header("x-amz-version-id") for _ in "ab"
    ]
    for marker in reversed(markers):
        assert (await versioned.alice("GET", "/data/key")).status == 404
        answer = await versioned.alice("DELETE", f"/data/key?versionId={marker}")
        assert answer.status == 204
        assert answer.header("x-amz-delete-marker") == "true"
        assert answer.header("x-amz-version-id") == marker
    assert (await versioned.alice("GET", "/data/key")).header("x-amz-version-id") == version_id
    assert await listed(versioned.alice) == [("Version", version_id, "true")]


async def test_removing_the_current_version_uncovers_the_one_below(versioned: Store) -> None:
    first, second = await put(versioned.alice, b"1"), await put(versioned.alice, b"2")
    answer = await versioned.alice("DELETE", f"/data/key?versionId={second}")
    assert answer.header("x-amz-version-id") == second
    assert answer.header("x-amz-delete-marker") is None
    assert (await versioned.alice("GET", "/data/key")).body == b"1"
    assert await listed(versioned.alice) == [("Version", first, "true")]
    await versioned.alice.made(f"/data/key?versionId={first}", method="DELETE")
    assert (await versioned.alice("GET", "/data/key")).header("x-amz-delete-marker") is None
    assert await listed(versioned.alice) == []


async def test_version_that_is_gone_is_not_found_and_its_deletion_no_error(
    versioned: Store,
) -> None:
    version_id = await put(versioned.alice, b"1")
    await versioned.alice.made(f"/data/key?versionId={version_id}", method="DELETE")
    again = await put(versioned.alice, b"2")
    assert again != version_id
    for absent in (version_id, ABSENT):
        answer = await versioned.alice("GET", f"/data/key?versionId={absent}")
        assert answer.outcome == (404, "NoSuchVersion")
        assert (await versioned.alice("HEAD", f"/data/key?versionId={absent}")).status == 404
        with versioned.untouched():
            deleted = await versioned.alice("DELETE", f"/data/key?versionId={absent}")
        assert deleted.status == 204
    other = await versioned.alice("GET", f"/data/another?versionId={again}")
    assert other.outcome == (404, "NoSuchVersion")


@pytest.mark.parametrize("wrong", ["", "x", "NULL", "0" * 15, "0" * 17, "A" * 16, "%C3%A9", "0x1"])
async def test_what_is_no_version_id_is_an_invalid_argument(versioned: Store, wrong: str) -> None:
    await put(versioned.alice, b"1")
    with versioned.untouched():
        for method in ("GET", "DELETE"):
            answer = await versioned.alice(method, f"/data/key?versionId={wrong}")
            assert answer.outcome == (400, "InvalidArgument")
        copied = await versioned.alice(
            "PUT", "/data/b", headers={"x-amz-copy-source": f"data/key?versionId={wrong}"}
        )
    assert copied.outcome == (400, "InvalidArgument")


async def test_object_from_before_is_the_null_version(data: Store) -> None:
    await data.alice.made("/data/key", body=b"before")
    await set_versioning(data.alice, "Enabled")
    current = await data.alice("GET", "/data/key")
    assert (current.body, current.header("x-amz-version-id")) == (b"before", "null")
    newer = await put(data.alice, b"after")
    assert (await data.alice("GET", "/data/key?versionId=null")).body == b"before"
    assert await listed(data.alice) == [("Version", newer, "true"), ("Version", "null", "false")]
    await data.alice.made("/data/key?versionId=null", method="DELETE")
    answer = await data.alice("GET", "/data/key?versionId=null")
    assert answer.outcome == (404, "NoSuchVersion")


async def test_suspended_bucket_replaces_the_null_version_only(versioned: Store) -> None:
    named = await put(versioned.alice, b"named")
    await set_versioning(versioned.alice, "Suspended")
    assert await put(versioned.alice, b"null 1") == "null"
    assert await put(versioned.alice, b"null 2") == "null"
    assert await listed(versioned.alice) == [
        ("Version", "null", "true"),
        ("Version", named, "false"),
    ]
    deleted = await versioned.alice("DELETE", "/data/key")
    assert deleted.header("x-amz-version-id") == "null"
    assert deleted.header("x-amz-delete-marker") == "true"
    assert sorted(await listed(versioned.alice)) == [
        ("DeleteMarker", "null", "true"),
        ("Version", named, "false"),
    ]
    await set_versioning(versioned.alice, "Enabled")
    newer = await put(versioned.alice, b"newer")
    await set_versioning(versioned.alice, "Suspended")
    assert await put(versioned.alice, b"null 3") == "null"
    assert await listed(versioned.alice) == [
        ("Version", "null", "true"),
        ("Version", newer, "false"),
        ("Version", named, "false"),
    ]


async def test_bucket_with_versions_or_markers_is_not_empty(versioned: Store) -> None:
    version_id = await put(versioned.alice, b"1")
    marker = (await versioned.alice("DELETE", "/data/key")).header("x-amz-version-id")
    for left in (version_id, marker):
        assert (await versioned.alice("DELETE", "/data")).outcome == (409, "BucketNotEmpty")
        await versioned.alice.made(f"/data/key?versionId={left}", method="DELETE")
    assert (await versioned.alice("DELETE", "/data")).status == 204


async def test_many_deletes_tell_markers_and_versions(versioned: Store) -> None:
    first = await put(versioned.alice, b"1", "/data/a")
    await put(versioned.alice, b"2", "/data/b")
    marker = (await versioned.alice("DELETE", "/data/b")).header("x-amz-version-id")
    body = (
        f"<Delete><Object><Key>a</Key><VersionId>{first}</VersionId></Object>"
        f"<Object><Key>b</Key><VersionId>{marker}</VersionId></Object>"
        "<Object><Key>c</Key></Object>"
        "<Object><Key>d</Key><VersionId>wrong</VersionId></Object></Delete>"
    )
    answer = await delete(versioned.alice, body.encode())
    told = [{child.tag: child.text for child in one} for one in answer.document]
    made = told[3].pop("DeleteMarkerVersionId")
    wrong = told[0] if told[0].get("Key") == "d" else told[-1]
    assert wrong["Code"] == "InvalidArgument"
    told.remove(wrong)
    assert {"Key": "a", "VersionId": first} in told
    assert {
        "Key": "b",
        "VersionId": marker,
        "DeleteMarker": "true",
        "DeleteMarkerVersionId": marker,
    } in told
    assert {"Key": "c", "DeleteMarker": "true"} in told
    assert ("DeleteMarker", made, "true") in await listed(versioned.alice)
    assert (await versioned.alice("GET", "/data/b")).body == b"2"


async def test_old_version_is_copied_by_its_id(versioned: Store) -> None:
    first = await put(versioned.alice, b"1")
    await put(versioned.alice, b"2")
    source = {"x-amz-copy-source": f"data/key?versionId={first}"}
    answer = await versioned.alice("PUT", "/data/key", headers=source)
    assert answer.header("x-amz-copy-source-version-id") == first
    restored = answer.header("x-amz-version-id")
    assert restored not in (None, first)
    current = await versioned.alice("GET", "/data/key")
    assert (current.body, current.header("x-amz-version-id")) == (b"1", restored)
    assert versioned.pool.blob_count == 2


async def test_old_version_is_copied_into_a_part(versioned: Store) -> None:
    first = await put(versioned.alice, b"first")
    await put(versioned.alice, b"2")
    upload = (await versioned.alice("POST", "/data/new?uploads")).text("UploadId")
    answer = await versioned.alice(
        "PUT",
        f"/data/new?partNumber=1&uploadId={upload}",
        headers={"x-amz-copy-source": f"data/key?versionId={first}"},
    )
    assert answer.header("x-amz-copy-source-version-id") == first
    etag = answer.text("ETag")
    body = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    done = await versioned.alice(
        "POST",
        f"/data/new?uploadId={upload}",
        body=f"{body}</CompleteMultipartUpload>".encode(),
    )
    version_id = done.header("x-amz-version-id")
    assert (await versioned.alice("GET", f"/data/new?versionId={version_id}")).body == b"first"


async def test_delete_marker_cannot_be_copied(versioned: Store) -> None:
    await put(versioned.alice, b"1")
    marker = (await versioned.alice("DELETE", "/data/key")).header("x-amz-version-id")
    for source, outcome in (
        ("data/key", (404, "NoSuchKey")),
        (f"data/key?versionId={marker}", (400, "InvalidRequest")),
    ):
        answer = await versioned.alice("PUT", "/data/b", headers={"x-amz-copy-source": source})
        assert answer.outcome == outcome


@pytest.mark.parametrize("who", [None, "bob"])
async def test_private_old_version_is_no_strangers(store: Store, who: str | None) -> None:
    """The ACL of the version counts that is asked for, not that of the current one."""
    await store.alice.made("/data")
    await set_versioning(store.alice, "Enabled")
    answer = await store.alice.made("/data/key", body=b"secret")
    secret = answer.header("x-amz-version-id")
    public = {"x-amz-acl": "public-read"}
    answer = await store.alice.made("/data/key", body=b"told", headers=public)
    told, stranger = answer.header("x-amz-version-id"), store.client(who)
    assert (await stranger("GET", f"/data/key?versionId={told}")).body == b"told"
    for method in ("GET", "DELETE"):
        answer = await stranger(method, f"/data/key?versionId={secret}")
        assert answer.outcome == (403, "AccessDenied")
    assert (await stranger("GET", "/data?versions")).outcome == (403, "AccessDenied")
    await store.alice.made("/data/key", body=b"closed again")
    assert (await stranger("GET", f"/data/key?versionId={told}")).body == b"told"
    await store.bob.made("/other")
    source = {"x-amz-copy-source": f"data/key?versionId={secret}"}
    assert (await store.bob("PUT", "/other/key", headers=source)).outcome == (403, "AccessDenied")


async def test_marker_is_of_who_deleted(store: Store) -> None:
    await store.alice.made("/open", headers={"x-amz-acl": "public-read-write"})
    await set_versioning(store.alice, "Enabled", "open")
    await store.bob.made("/open/key", body=b"x")
    await store.bob.made("/open/key", method="DELETE")
    answer = await store.alice("GET", "/open?versions")
    assert answer.texts("DeleteMarker/Owner/ID") == [credential("bob").principal.id]
