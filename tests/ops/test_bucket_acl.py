"""The access control lists of buckets over the wire."""

from __future__ import annotations

from xml.sax.saxutils import escape

import pytest

from tests.support.asgi_client import Answer
from tests.support.served import Store, credential

ALICE, BOB = credential("alice").principal.id, credential("bob").principal.id
GROUPS = "http://acs.amazonaws.com/groups/global/"
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def grant(kind: str, member: str, value: str, permission: str) -> str:
    return (
        f'<Grant><Grantee {XSI} xsi:type="{kind}"><{member}>{escape(value)}</{member}></Grantee>'
        f"<Permission>{permission}</Permission></Grant>"
    )


def to_user(user: str, permission: str) -> str:
    return grant("CanonicalUser", "ID", user, permission)


def to_group(name: str, permission: str) -> str:
    return grant("Group", "URI", GROUPS + name, permission)


def document(*grants: str, owner: str = ALICE) -> bytes:
    return (
        '<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Owner><ID>{owner}</ID></Owner>"
        f"<AccessControlList>{''.join(grants)}</AccessControlList></AccessControlPolicy>"
    ).encode()


def grants_of(answer: Answer) -> list[tuple[str, str]]:
    """Return grantees and permissions as an answer shows them."""
    assert answer.status == 200, answer.body
    assert answer.document.tag == "AccessControlPolicy"
    shown = []
    for one in answer.document.findall("AccessControlList/Grant"):
        grantee = one.findtext("Grantee/ID") or one.findtext("Grantee/URI") or ""
        shown.append((grantee, one.findtext("Permission") or ""))
    return shown


@pytest.fixture
async def shared(data: Store) -> Store:
    """A bucket of alice's, in a store that knows its users."""
    await data.enrol("alice", "bob")
    return data


CANNED = {
    "private": [],
    "public-read": [(f"{GROUPS}AllUsers", "READ")],
    "public-read-write": [(f"{GROUPS}AllUsers", "READ"), (f"{GROUPS}AllUsers", "WRITE")],
    "authenticated-read": [(f"{GROUPS}AuthenticatedUsers", "READ")],
    "log-delivery-write": [
        ("http://acs.amazonaws.com/groups/s3/LogDelivery", "WRITE"),
        ("http://acs.amazonaws.com/groups/s3/LogDelivery", "READ_ACP"),
    ],
}


@pytest.mark.parametrize("acl", sorted(CANNED))
async def test_canned_acl_is_shown_as_its_grants(shared: Store, acl: str) -> None:
    await shared.alice.sent("/data?acl", b"", headers={"x-amz-acl": acl})
    answer = await shared.alice("GET", "/data?acl")
    assert grants_of(answer) == [(ALICE, "FULL_CONTROL"), *CANNED[acl]]
    assert answer.text("Owner/ID") == ALICE
    assert answer.text("Owner/DisplayName") == "alice"


async def test_grantees_say_their_type(shared: Store) -> None:
    await shared.alice.sent("/data?acl", b"", headers={"x-amz-acl": "public-read"})
    body = (await shared.alice("GET", "/data?acl")).body.decode()
    assert body.count('xsi:type="CanonicalUser"') == 1
    assert body.count('xsi:type="Group"') == 1


async def test_granted_user_lists_and_nobody_else(shared: Store) -> None:
    answer = await shared.alice.sent("/data?acl", document(to_user(BOB, "READ")))
    assert answer.status == 200
    assert (await shared.bob("GET", "/data")).status == 200
    assert (await shared.bob("PUT", "/data/key")).outcome == (403, "AccessDenied")
    assert (await shared.nobody("GET", "/data")).outcome == (403, "AccessDenied")
    assert grants_of(await shared.alice("GET", "/data?acl")) == [(BOB, "READ")]


async def test_plain_upload_into_it_is_read_by_who_may_list(shared: Store) -> None:
    await shared.alice.sent("/data?acl", document(to_user(BOB, "READ")))
    await shared.alice.made("/data/key", body=b"content")
    assert (await shared.bob("GET", "/data/key")).body == b"content"
    assert (await shared.nobody("GET", "/data/key")).status == 403


async def test_writer_writes_and_acp_grants_manage_the_acl(shared: Store) -> None:
    await shared.alice.sent("/data?acl", document(to_user(BOB, "WRITE")))
    assert (await shared.bob("PUT", "/data/key")).status == 200
    assert (await shared.bob("GET", "/data?acl")).outcome == (403, "AccessDenied")
    await shared.alice.sent("/data?acl", document(to_user(BOB, "READ_ACP")))
    assert (await shared.bob("GET", "/data?acl")).status == 200
    mine = document(to_user(BOB, "FULL_CONTROL"))
    assert (await shared.bob.sent("/data?acl", mine)).outcome == (403, "AccessDenied")
    await shared.alice.sent("/data?acl", document(to_user(BOB, "WRITE_ACP")))
    assert (await shared.bob.sent("/data?acl", mine)).status == 200
    assert (await shared.bob("GET", "/data?acl")).status == 200


async def test_headers_grant_what_documents_do(shared: Store) -> None:
    headers = {
        "x-amz-grant-read": f'id="{BOB}", uri="{GROUPS}AuthenticatedUsers"',
        "x-amz-grant-full-control": f"id={ALICE}",
        "x-amz-grant-write": 'emailAddress="bob@site.org"',
    }
    assert (await shared.alice.sent("/data?acl", b"", headers=headers)).status == 200
    assert sorted(grants_of(await shared.alice("GET", "/data?acl"))) == sorted([
        (ALICE, "FULL_CONTROL"), (BOB, "READ"), (BOB, "WRITE"),
        (f"{GROUPS}AuthenticatedUsers", "READ"),
    ])  # fmt: skip
    created = await shared.alice("PUT", "/other", headers=headers)
    assert created.status == 200
    assert (await shared.bob("PUT", "/other/key")).status == 200


async def test_owner_without_grants_still_owns(shared: Store) -> None:
    await shared.alice.sent("/data?acl", document())
    assert grants_of(await shared.alice("GET", "/data?acl")) == []
    assert (await shared.alice("GET", "/data")).status == 200
    assert (await shared.bob("GET", "/data")).status == 403


@pytest.mark.parametrize(
    ("body", "headers", "outcome"),
    [
        (b"", {}, (400, "MissingSecurityHeader")),
        (b"", {"x-amz-acl": "aws-exec-read"}, (400, "InvalidArgument")),
        (b"", {"x-amz-acl": "bucket-owner-read"}, (400, "InvalidArgument")),
        (b"", {"x-amz-acl": "private", "x-amz-grant-read": f'id="{ALICE}"'},
         (400, "InvalidRequest")),
        (document(), {"x-amz-acl": "private"}, (400, "UnexpectedContent")),
        (document(owner=BOB), {}, (403, "AccessDenied")),
        (document().replace(b"<Owner>", b"<Nobody>").replace(b"</Owner>", b"</Nobody>"), {},
         (400, "MalformedACLError")),
        (document(to_user("0" * 64, "READ")), {}, (400, "InvalidArgument")),
        (document(to_user("", "READ")), {}, (400, "InvalidArgument")),
        (document(to_user("AllUsers", "READ")), {}, (400, "InvalidArgument")),
        (document(to_group("Everybody", "READ")), {}, (400, "InvalidArgument")),
        (document(to_user(BOB, "EVERYTHING")), {}, (400, "MalformedACLError")),
        (b"<AccessControlPolicy", {}, (400, "MalformedACLError")),
        (document(grant("CanonicalUser", "URI", BOB, "READ")), {}, (400, "MalformedACLError")),
        (document("<Grant><Permission>READ</Permission></Grant>"), {}, (400, "MalformedACLError")),
        (document(*[f"<Grant><Grantee {XSI} xsi:type='Robot'/></Grant>"]), {},
         (400, "MalformedACLError")),
        (document(grant("AmazonCustomerByEmail", "EmailAddress", "eve@site.org", "READ")), {},
         (400, "UnresolvableGrantByEmailAddress")),
        (b"", {"x-amz-grant-read": "bob"}, (400, "InvalidArgument")),
        (b"", {"x-amz-grant-read": f'id="{ALICE}" id="{BOB}"'}, (400, "InvalidArgument")),
        (b"", {"x-amz-grant-read": f'id="{ALICE}",'}, (400, "InvalidArgument")),
        (b"", {"x-amz-grant-read": ""}, (400, "InvalidArgument")),
    ],
)  # fmt: skip
async def test_what_is_no_acl_changes_nothing(
    shared: Store, body: bytes, headers: dict[str, str], outcome: tuple[int, str]
) -> None:
    with shared.untouched():
        answer = await shared.alice.sent("/data?acl", body, headers=headers)
    assert answer.outcome == outcome


async def test_acl_has_a_hundred_grants_at_most(shared: Store) -> None:
    names = [f"user{number}" for number in range(101)]
    await shared.enrol(*names)
    grants = [to_user(credential(name).principal.id, "READ") for name in names]
    assert (await shared.alice.sent("/data?acl", document(*grants[:100]))).status == 200
    with shared.untouched():
        answer = await shared.alice.sent("/data?acl", document(*grants))
    assert answer.outcome == (400, "MalformedACLError")


async def test_two_users_of_one_address_are_told_apart_by_nobody(shared: Store) -> None:
    await shared.services.users.create_user("carol", email="bob@site.org")
    one = grant("AmazonCustomerByEmail", "EmailAddress", "bob@site.org", "READ")
    answer = await shared.alice.sent("/data?acl", document(one))
    assert answer.outcome == (400, "AmbiguousGrantByEmailAddress")


@pytest.mark.parametrize("who", [None, "bob"])
async def test_stranger_neither_sees_nor_sets_it(shared: Store, who: str | None) -> None:
    await shared.alice.sent("/data?acl", b"", headers={"x-amz-acl": "public-read-write"})
    client = shared.client(who)
    with shared.untouched():
        assert (await client("GET", "/data?acl")).outcome == (403, "AccessDenied")
        answer = await client.sent("/data?acl", b"", headers={"x-amz-acl": "public-read"})
    assert answer.outcome == (403, "AccessDenied")
