"""The access control lists of objects over the wire."""

from __future__ import annotations

import pytest

from tests.ops.test_bucket_acl import (
    ALICE,
    BOB,
    GROUPS,
    document,
    grants_of,
    to_group,
    to_user,
)
from tests.support.served import Store


@pytest.fixture
async def shared(data: Store) -> Store:
    """A bucket of alice's with an object, in a store that knows its users."""
    await data.enrol("alice", "bob")
    await data.alice.made("/data/key", body=b"content")
    return data


async def test_object_without_acl_shows_what_its_buckets_grants(shared: Store) -> None:
    own = [(ALICE, "FULL_CONTROL")]
    assert grants_of(await shared.alice("GET", "/data/key?acl")) == own
    await shared.alice.sent("/data?acl", b"", headers={"x-amz-acl": "public-read-write"})
    everyone = [*own, (f"{GROUPS}AllUsers", "READ")]
    assert grants_of(await shared.alice("GET", "/data/key?acl")) == everyone
    await shared.alice.sent("/data/key?acl", b"", headers={"x-amz-acl": "private"})
    assert grants_of(await shared.alice("GET", "/data/key?acl")) == own


@pytest.mark.parametrize(
    ("grant", "reads", "nobody_reads", "sees_acl"),
    [
        (to_user(BOB, "READ"), True, False, False),
        (to_user(BOB, "READ_ACP"), False, False, True),
        (to_user(BOB, "FULL_CONTROL"), True, False, True),
        (to_group("AllUsers", "READ"), True, True, False),
        (to_group("AuthenticatedUsers", "READ"), True, False, False),
        (to_user(BOB, "WRITE"), False, False, False),
    ],
)
async def test_grant_on_an_object(
    shared: Store, grant: str, reads: bool, nobody_reads: bool, sees_acl: bool
) -> None:
    assert (await shared.alice.sent("/data/key?acl", document(grant))).status == 200
    for client, allowed in ((shared.bob, reads), (shared.nobody, nobody_reads)):
        for method in ("GET", "HEAD"):
            assert (await client(method, "/data/key")).status == (200 if allowed else 403)
    assert (await shared.bob("GET", "/data/key?acl")).status == (200 if sees_acl else 403)
    for method in ("PUT", "DELETE"):
        assert (await shared.bob(method, "/data/key")).outcome == (403, "AccessDenied")


async def test_write_acp_lets_in_whom_it_wants(shared: Store) -> None:
    await shared.alice.sent("/data/key?acl", document(to_user(BOB, "WRITE_ACP")))
    assert (await shared.bob("GET", "/data/key")).status == 403
    answer = await shared.bob.sent("/data/key?acl", document(to_user(BOB, "READ")))
    assert answer.status == 200
    assert (await shared.bob("GET", "/data/key")).status == 200


HEADERS = {"x-amz-grant-read": f'id="{BOB}"', "x-amz-grant-full-control": f'id="{ALICE}"'}


async def test_new_object_gets_the_grants_of_its_headers(shared: Store) -> None:
    await shared.alice.made("/data/put", body=b"content", headers=HEADERS)
    copied = {**HEADERS, "x-amz-copy-source": "data/key"}
    await shared.alice.made("/data/copy", headers=copied)
    started = await shared.alice("POST", "/data/parts?uploads", headers=HEADERS)
    upload = started.text("UploadId")
    part = await shared.alice("PUT", f"/data/parts?partNumber=1&uploadId={upload}", body=b"content")
    body = (
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
        f"<ETag>{part.header('etag')}</ETag></Part></CompleteMultipartUpload>"
    ).encode()
    await shared.alice.made(f"/data/parts?uploadId={upload}", method="POST", body=body)
    for key in ("put", "copy", "parts"):
        assert (await shared.bob("GET", f"/data/{key}")).body == b"content"
        assert (await shared.nobody("GET", f"/data/{key}")).status == 403
        assert sorted(grants_of(await shared.alice("GET", f"/data/{key}?acl"))) == sorted(
            [(ALICE, "FULL_CONTROL"), (BOB, "READ")]
        )


async def test_copy_does_not_take_the_acl_along(shared: Store) -> None:
    await shared.alice.sent("/data/key?acl", b"", headers={"x-amz-acl": "public-read"})
    await shared.alice.made("/data/copy", headers={"x-amz-copy-source": "data/key"})
    assert (await shared.nobody("GET", "/data/copy")).status == 403


@pytest.fixture
async def uploaded(shared: Store) -> Store:
    """An object that bob stored in alice's bucket, by her leave."""
    await shared.alice.sent("/data?acl", document(to_user(BOB, "WRITE")))
    await shared.bob.made("/data/bobs", body=b"of bob")
    return shared


async def test_who_stored_an_object_manages_its_acl(uploaded: Store) -> None:
    shown = await uploaded.bob("GET", "/data/bobs?acl")
    assert shown.text("Owner/ID") == BOB
    assert grants_of(shown)[0] == (BOB, "FULL_CONTROL")
    given = await uploaded.bob.sent("/data/bobs?acl", b"", headers={"x-amz-acl": "public-read"})
    assert given.status == 200
    assert (await uploaded.nobody("GET", "/data/bobs")).body == b"of bob"
    assert (await uploaded.bob("GET", "/data/key?acl")).outcome == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("acl", "permission"),
    [("bucket-owner-read", "READ"), ("bucket-owner-full-control", "FULL_CONTROL")],
)
async def test_acl_for_the_buckets_owner_is_shown(
    uploaded: Store, acl: str, permission: str
) -> None:
    await uploaded.bob.made("/data/bobs", headers={"x-amz-acl": acl})
    shown = await uploaded.bob("GET", "/data/bobs?acl")
    assert grants_of(shown) == [(BOB, "FULL_CONTROL"), (ALICE, permission)]
    assert (await uploaded.alice("GET", "/data/bobs")).status == 200


async def test_each_version_has_its_acl(shared: Store) -> None:
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    await shared.alice.sent("/data?versioning", body)
    first = (await shared.alice.made("/data/v", body=b"1")).header("x-amz-version-id")
    await shared.alice.made("/data/v", body=b"2")
    answer = await shared.alice.sent(
        f"/data/v?acl&versionId={first}", b"", headers={"x-amz-acl": "public-read"}
    )
    assert answer.status == 200
    assert (await shared.nobody("GET", f"/data/v?versionId={first}")).body == b"1"
    assert (await shared.nobody("GET", "/data/v")).status == 403
    assert len(grants_of(await shared.alice("GET", f"/data/v?acl&versionId={first}"))) == 2
    assert len(grants_of(await shared.alice("GET", "/data/v?acl"))) == 1


async def test_what_is_not_there_has_no_acl(shared: Store) -> None:
    for method in ("GET", "PUT"):
        headers = {"x-amz-acl": "private"} if method == "PUT" else {}
        answer = await shared.alice.sent("/data/no?acl", b"", headers=headers, method=method)
        assert answer.outcome == (404, "NoSuchKey")
        assert (await shared.bob(method, "/data/no?acl")).outcome == (403, "AccessDenied")


@pytest.mark.parametrize("acl", ["aws-exec-read", "log-delivery-write", "custom", ""])
async def test_acl_that_objects_do_not_have_is_refused(shared: Store, acl: str) -> None:
    for target in ("/data/key?acl", "/data/new"):
        with shared.untouched():
            answer = await shared.alice.sent(target, b"", headers={"x-amz-acl": acl})
        assert answer.outcome == (400, "InvalidArgument")
