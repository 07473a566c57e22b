"""May they? Rows of the hardening reference on authorisation (4.2), over the wire.

Each check is made twice: as the server is, and with the weakness planted that the row is about,
where it must fail. Forms (rows 22 to 24) and browsers (33) have files of their own.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace as changed

from s3server import server as server_module
from s3server.arns import USER_ID, unique_id
from s3server.auth import acl, authorise
from s3server.auth.conditions import Condition, all_of, any_of
from s3server.auth.policy import Principals, Statement
from s3server.auth.request_keys import RequestKeys
from s3server.core.access import Access
from s3server.core.records import BUCKET_POLICY
from s3server.door import Asked, Caller, Door
from s3server.laws import LAWLESS, Laws
from s3server.meta.base import Delete
from s3server.wire.proxies import TrustedProxies
from tests.support.served import Store, credential
from tests.support.uploads import begin

DENIED = (403, "AccessDenied")
ALICE = credential("alice").principal.id
BOB = "arn:aws:iam::bob-project:user/bob"
Check = Callable[[Store], Awaitable[None]]
Plant = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture
async def kept(data: Store) -> Store:
    """Alice's private bucket with an object, and one of bob's."""
    await data.alice.made("/data/key", body=b"content")
    await data.bob.made("/bobs")
    return data


async def obey(store: Store, *statements: dict[str, Any]) -> None:
    """Give alice's bucket a policy; Allow, everybody and all keys are what is not said."""
    common = {"Effect": "Allow", "Principal": "*", "Resource": "arn:aws:s3:::data/*"}
    document = {"Version": "2012-10-17", "Statement": [{**common, **one} for one in statements]}
    answer = await store.alice.sent("/data?policy", json.dumps(document).encode())
    assert answer.status == 204


# --- row 19 (RustFS CVE-2026-39360): copies whose source nobody asked for -----------------------


async def copy_needs_its_source(store: Store) -> None:
    upload = await begin(store.bob, "/bobs/parts")
    part = f"/bobs/parts?partNumber=1&uploadId={upload}"
    for target, more in (
        ("/bobs/copy", {}), (part, {}), (part, {"x-amz-copy-source-range": "bytes=0-3"}),
    ):  # fmt: skip
        for source in ("data/key", "/data/key", "data/key?versionId=null", "data/%6bey"):
            with store.untouched():
                headers = {"x-amz-copy-source": source, **more}
                assert (await store.bob("PUT", target, headers=headers)).outcome == DENIED


async def copy_asks_its_own_condition(store: Store) -> None:
    """A policy that permits uploads from one place does not permit copies from elsewhere."""
    here = {"StringLike": {"s3:x-amz-copy-source": "data/public/*"}}
    await obey(
        store,
        {"Action": "s3:GetObject", "Principal": {"AWS": BOB}},
        {"Action": "s3:PutObject", "Principal": {"AWS": BOB}, "Condition": here},
    )
    with store.untouched():
        headers = {"x-amz-copy-source": "data/key"}
        assert (await store.bob("PUT", "/data/new", headers=headers)).outcome == DENIED


def sources_are_not_asked_for(patch: pytest.MonkeyPatch) -> None:
    async def permit(self: Door, caller: Caller, action: str, name: str, *rest: object) -> object:
        return await self._buckets.get(name)

    patch.setattr(Door, "permit_by_name", permit)
    patch.setattr(Door, "confirm", nothing_is_confirmed(Door.confirm, "s3:GetObject"))


def nothing_is_confirmed(real: Any, *actions: str) -> Any:
    """Return a Door.confirm that lets some actions through."""

    def confirm(self: Door, caller: Caller, asked: Asked, *rest: Any, **more: Any) -> None:
        if not asked.action.startswith(actions):
            real(self, caller, asked, *rest, **more)

    return confirm


def copy_source_is_no_key(patch: pytest.MonkeyPatch) -> None:
    real = RequestKeys.find

    def find(self: RequestKeys, key: str) -> tuple[str, ...] | None:
        return ("data/public/x",) if key == "s3:x-amz-copy-source" else real(self, key)

    patch.setattr(RequestKeys, "find", find)


# --- row 20 (RustFS GHSA-3ppv): a version treated as the current one ----------------------------

ON_CURRENT = ["s3:GetObject", "s3:DeleteObject", "s3:PutObject", "s3:GetObjectAcl",
              "s3:PutObjectAcl", "s3:GetObjectTagging", "s3:PutObjectTagging",
              "s3:DeleteObjectTagging", "s3:GetObjectAttributes"]  # fmt: skip


async def version_needs_its_own_permission(store: Store) -> None:
    await obey(store, {"Action": ON_CURRENT, "Principal": {"AWS": BOB}})
    for method, target in (
        ("GET", "/data/key?"), ("HEAD", "/data/key?"), ("DELETE", "/data/key?"),
        ("GET", "/data/key?acl&"), ("PUT", "/data/key?acl&"), ("GET", "/data/key?tagging&"),
        ("PUT", "/data/key?tagging&"), ("DELETE", "/data/key?tagging&"),
    ):  # fmt: skip
        with store.untouched():
            answer = await store.bob(method, f"{target}versionId=null")
        assert answer.status == 403, (method, target)
    part = f"/bobs/part?partNumber=1&uploadId={await begin(store.bob, '/bobs/part')}"
    for target in ("/bobs/copy", part):
        with store.untouched():
            headers = {"x-amz-copy-source": "data/key?versionId=null"}
            assert (await store.bob("PUT", target, headers=headers)).outcome == DENIED


def versions_are_current(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(server_module, "on_version", lambda action: action)


# --- row 21 (RustFS GHSA-x298), 25 (Ceph CVE-2016-7031): what an ACL does not grant -------------


async def reader_lists_no_versions(store: Store) -> None:
    await store.alice.sent("/data?acl", b"", headers={"x-amz-acl": "public-read"})
    for client in (store.nobody, store.bob):
        assert (await client("GET", "/data")).status == 200
        for target in ("/data?versions", "/data?uploads"):
            with store.untouched():
                assert (await client("GET", target)).outcome == DENIED


def readers_list_versions(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(acl._ON_BUCKET, "s3:ListBucketVersions", "READ")


async def authenticated_read_is_not_for_nobody(store: Store) -> None:
    for target in ("/data?acl", "/data/key?acl"):
        await store.alice.sent(target, b"", headers={"x-amz-acl": "authenticated-read"})
    for target in ("/data", "/data?list-type=2", "/data/key"):
        assert (await store.bob("GET", target)).status == 200
        with store.untouched():
            assert (await store.nobody("GET", target)).outcome == DENIED


def the_anonymous_are_authenticated(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(acl, "_includes", lambda grantee, *rest, **more: grantee in acl.PUBLIC_GROUPS)


async def full_control_of_others_is_not_everybodys(store: Store) -> None:
    await store.enrol("alice")
    headers = {"x-amz-grant-full-control": f'id="{ALICE}"'}
    await store.alice.sent("/data?acl", b"", headers=headers)
    for client in (store.nobody, store.bob):
        for method in ("GET", "PUT", "DELETE"):
            with store.untouched():
                assert (await client(method, "/data/key")).outcome == DENIED


def grants_are_everybodys(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(acl, "_includes", lambda *given, **more: True)


# --- row 26 (MinIO CVE-2023-25812), issue 4: explicit deny --------------------------------------


async def deny_wins(store: Store) -> None:
    await store.alice.sent("/data/key?acl", b"", headers={"x-amz-acl": "public-read"})
    await obey(store, {"Action": "s3:*"}, {"Action": "s3:Get*", "Effect": "Deny"}, {"Action": "*"})
    for who in ("root", "alice", "bob", None):
        with store.untouched():
            assert (await store.client(who)("GET", "/data/key")).outcome == DENIED
            headers = {"x-amz-copy-source": "data/key"}
            if who is not None:
                copied = await store.client(who)("PUT", "/bobs/copy", headers=headers)
                assert copied.outcome == DENIED


def deny_is_a_default(patch: pytest.MonkeyPatch) -> None:
    real = Statement.applies_to_resource
    patch.setattr(Statement, "applies_to_resource", _without_denies(real))


def _without_denies(real: Any) -> Any:
    return lambda self, question: self.allows and real(self, question)


# --- row 27 (RustFS GHSA-j548): what cannot be read is not "none" -------------------------------


async def unreadable_policy_is_not_none(store: Store) -> None:
    await store.alice.sent("/data?acl", b"", headers={"x-amz-acl": "public-read-write"})
    await obey(store, {"Action": "s3:*", "Effect": "Deny"})
    rows = await store.meta.scan(BUCKET_POLICY, BUCKET_POLICY + b"\xff", limit=9)
    await store.meta.commit([Delete(rows[0][0])])
    fresh = Store(meta=store.meta, clock=store.clock)
    for who in ("alice", "bob", None):
        for method in ("GET", "PUT", "DELETE"):
            with store.untouched():
                assert (await fresh.client(who)(method, "/data/key")).status in (403, 500)


def missing_policy_is_none(patch: pytest.MonkeyPatch) -> None:
    async def policy(self: Access, bucket: object) -> None:
        return None

    patch.setattr(Access, "policy", policy)


# --- row 28 (RustFS CVE-2026-21862): the address of the sender ----------------------------------

SPOOFS = [
    {"x-forwarded-for": "10.0.0.1"}, {"x-real-ip": "10.0.0.1"}, {"forwarded": "for=10.0.0.1"},
    {"x-forwarded-for": "10.0.0.1, 192.0.2.7"}, {"true-client-ip": "10.0.0.1"},
    {"x-client-ip": "10.0.0.1"}, {"cf-connecting-ip": "10.0.0.1"}, {"sourceip": "10.0.0.1"},
]  # fmt: skip


async def address_is_that_of_the_socket(store: Store) -> None:
    where = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    await obey(store, {"Action": "s3:GetObject", "Condition": where})
    for headers in SPOOFS:
        with store.untouched():
            answer = await store.nobody("GET", "/data/key", headers=headers)
        assert answer.outcome == DENIED
    inside = store.nobody.changed(peer="10.1.2.3")
    assert (await inside("GET", "/data/key")).status == 200


def forwarded_addresses_are_believed(patch: pytest.MonkeyPatch) -> None:
    def resolve(self: TrustedProxies, request: Any) -> Any:
        sender = request.headers.get("x-forwarded-for", request.client).partition(",")[0]
        return changed(request, client=sender), False

    patch.setattr(TrustedProxies, "resolve", resolve)


# --- row 29 (RustFS GHSA-6r96): headers that are called like keys of the server -----------------


async def headers_are_no_server_keys(store: Store) -> None:
    for key, value in (
        ("aws:username", "alice"), ("aws:userid", unique_id(USER_ID, ALICE)),
        ("aws:SecureTransport", "true"),
        ("aws:PrincipalArn", "arn:aws:iam::alice-project:user/alice"),
        ("s3:ExistingObjectTag/public", "yes"), ("aws:PrincipalAccount", "alice-project"),
        ("s3:authType", "REST-HEADER"),
    ):  # fmt: skip
        await obey(store, {"Action": "s3:GetObject", "Condition": {"StringEquals": {key: value}}})
        bare = key.partition(":")[2].lower()
        for name in (key.lower().replace("/", "-"), bare.replace("/", "-"), f"x-amz-{bare[:12]}"):
            header = name.replace(":", "-")
            for target in ("/data/key", f"/data/key?{bare.replace('/', '-')}={value}"):
                with store.untouched():
                    answer = await store.nobody("GET", target, headers={header: value})
                assert answer.outcome == DENIED, (key, header)


def headers_are_keys(patch: pytest.MonkeyPatch) -> None:
    real = RequestKeys.find

    def find(self: RequestKeys, key: str) -> tuple[str, ...] | None:
        sent = self._seen.http.headers.get(key.partition(":")[2])
        return real(self, key) if sent is None else (sent,)

    patch.setattr(RequestKeys, "find", find)


# --- row 30 (RustFS GHSA-v9cp): negation of each value ------------------------------------------


async def negation_is_of_each_value(store: Store) -> None:
    names = {"ForAllValues:StringNotEquals": {"s3:RequestObjectTagKeys": ["secret"]}}
    await obey(
        store,
        {"Action": ["s3:PutObject", "s3:PutObjectTagging"], "Principal": {"AWS": BOB},
         "Condition": names},
    )  # fmt: skip
    with store.untouched():
        headers = {"x-amz-tagging": "a=1&secret=2"}
        assert (await store.bob("PUT", "/data/new", headers=headers)).outcome == DENIED


def negation_is_of_the_whole(patch: pytest.MonkeyPatch) -> None:
    def holds(self: Condition, keys: Any) -> bool | None:
        found = [self.matches(value, keys) for value in keys.find(self.key) or ()]
        result = all_of(found) if self.quantifier == "ForAllValues" else any_of(found)
        return None if result is None else result != self.is_negated

    patch.setattr(Condition, "holds", holds)


# --- row 31 (MinIO CVE-2024-36107): conditions that tell what is there --------------------------

CONDITIONAL = [
    {"if-modified-since": "Mon, 21 Sep 2020 14:13:20 GMT"}, {"if-none-match": "*"},
    {"if-unmodified-since": "Mon, 21 Sep 2020 14:13:20 GMT"}, {"if-match": '"x"'},
    {"range": "bytes=900-"}, {"x-amz-checksum-mode": "ENABLED"},
]  # fmt: skip


async def conditions_tell_strangers_nothing(store: Store) -> None:
    for client in (store.nobody, store.bob):
        for headers in CONDITIONAL:
            for method in ("GET", "HEAD"):
                with store.untouched():
                    there = await client(method, "/data/key", headers=headers)
                    missing = await client(method, "/data/missing", headers=headers)
                assert (there.status, missing.status) == (403, 403)
                assert there.body.count(b"<") == missing.body.count(b"<")


def conditions_come_first(patch: pytest.MonkeyPatch) -> None:
    real = Door.permit

    async def permit(self: Door, caller: Caller, *rest: Any, **more: Any) -> None:
        if "if-modified-since" not in caller.http.headers:
            await real(self, caller, *rest, **more)

    patch.setattr(Door, "permit", permit)
    patch.setattr(Door, "confirm", nothing_is_confirmed(Door.confirm, "s3:GetObject"))


async def missing_key_is_told_to_who_may_list(store: Store) -> None:
    await obey(store, {"Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAcl"]})
    for target in ("/data/no", "/data/no?versionId=null", "/data/no?acl"):
        with store.untouched():
            assert (await store.bob("GET", target)).outcome == DENIED


def all_are_told_what_is_missing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Door, "confirm", nothing_is_confirmed(Door.confirm, "s3:ListBucket"))


# --- beyond the table: this project's own promises ----------------------------------------------


async def unknown_key_permits_nothing(store: Store) -> None:
    for condition in (
        {"StringNotEquals": {"aws:SourceCountry": "XX"}}, {"Null": {"aws:SourceCountry": "true"}},
        {"StringEqualsIfExists": {"aws:SourceCountry": "XX"}},
        {"ForAllValues:StringEquals": {"aws:SourceCountry": "XX"}},
    ):  # fmt: skip
        await obey(store, {"Action": "s3:GetObject", "Condition": condition})
        with store.untouched():
            assert (await store.nobody("GET", "/data/key")).outcome == DENIED


def unknown_keys_are_absent(patch: pytest.MonkeyPatch) -> None:
    real = RequestKeys.find
    patch.setattr(RequestKeys, "find", lambda self, key: real(self, key) or ())


async def policy_names_whom_it_names(store: Store) -> None:
    await obey(store, {"Action": "s3:GetObject", "Principal": {"AWS": "alice-project"}})
    for client in (store.bob, store.nobody):
        with store.untouched():
            assert (await client("GET", "/data/key")).outcome == DENIED


def policies_name_everybody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Principals, "include", lambda self, who: True)


async def acl_of_a_new_object_is_asked_for(store: Store) -> None:
    await obey(store, {"Action": "s3:PutObject", "Principal": {"AWS": BOB}})
    everybody = 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'
    for headers in (
        {"x-amz-acl": "public-read"}, {"x-amz-grant-read": everybody}, {"x-amz-tagging": "a=1"},
        {"x-amz-object-lock-legal-hold": "ON"}, {"x-amz-object-lock-mode": "COMPLIANCE"},
    ):  # fmt: skip
        for method, target in (("PUT", "/data/new"), ("POST", "/data/new?uploads")):
            with store.untouched():
                assert (await store.bob(method, target, headers=headers)).outcome == DENIED


def only_the_upload_is_asked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(server_module, "_CREATING", frozenset())


async def keys_of_many_deletes_are_asked_for(store: Store) -> None:
    await obey(store, {"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::data"})
    body = b"<Delete><Object><Key>key</Key></Object></Delete>"
    with store.untouched():
        answer = await store.bob.sent("/data?delete", body, method="POST")
    assert answer.texts("Error/Code") == ["AccessDenied"]


def many_deletes_are_asked_for_once(patch: pytest.MonkeyPatch) -> None:
    async def permit(self: Door, caller: Caller, action: str, name: str, *rest: object) -> object:
        return await self._buckets.get(name)

    patch.setattr(Door, "permit_by_name", permit)


async def public_access_is_blocked(store: Store) -> None:
    await obey(store, {"Action": "s3:GetObject"})
    await store.alice.sent("/data?acl", b"", headers={"x-amz-acl": "public-read"})
    flags = "<IgnorePublicAcls>true</IgnorePublicAcls>"
    flags += "<RestrictPublicBuckets>true</RestrictPublicBuckets>"
    document = f"<PublicAccessBlockConfiguration>{flags}</PublicAccessBlockConfiguration>"
    await store.alice.sent("/data?publicAccessBlock", document.encode())
    for client in (store.bob, store.nobody):
        for target in ("/data", "/data/key"):
            with store.untouched():
                assert (await client("GET", target)).outcome == DENIED


def blocks_are_only_kept(patch: pytest.MonkeyPatch) -> None:
    async def law(self: Laws, bucket: Any, *_: Any) -> Any:
        return await self.read_policy(bucket) if bucket.policy else LAWLESS

    patch.setattr(Laws, "law", law)


async def enforced_owner_ends_acls(store: Store) -> None:
    await store.alice.sent("/data/key?acl", b"", headers={"x-amz-acl": "public-read"})
    rule = "<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>"
    document = f"<OwnershipControls>{rule}</OwnershipControls>".encode()
    assert (await store.alice.sent("/data?ownershipControls", document)).status == 200
    with store.untouched():
        assert (await store.nobody("GET", "/data/key")).outcome == DENIED


def ownership_is_only_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(authorise, "OWNER_ENFORCED", "")


ROWS: list[tuple[Check, Plant]] = [
    (copy_needs_its_source, sources_are_not_asked_for),
    (copy_asks_its_own_condition, copy_source_is_no_key),
    (version_needs_its_own_permission, versions_are_current),
    (reader_lists_no_versions, readers_list_versions),
    (authenticated_read_is_not_for_nobody, the_anonymous_are_authenticated),
    (full_control_of_others_is_not_everybodys, grants_are_everybodys),
    (deny_wins, deny_is_a_default),
    (unreadable_policy_is_not_none, missing_policy_is_none),
    (address_is_that_of_the_socket, forwarded_addresses_are_believed),
    (headers_are_no_server_keys, headers_are_keys),
    (negation_is_of_each_value, negation_is_of_the_whole),
    (conditions_tell_strangers_nothing, conditions_come_first),
    (missing_key_is_told_to_who_may_list, all_are_told_what_is_missing),
    (unknown_key_permits_nothing, unknown_keys_are_absent),
    (policy_names_whom_it_names, policies_name_everybody),
    (acl_of_a_new_object_is_asked_for, only_the_upload_is_asked_for),
    (keys_of_many_deletes_are_asked_for, many_deletes_are_asked_for_once),
    (public_access_is_blocked, blocks_are_only_kept),
    (enforced_owner_ends_acls, ownership_is_only_kept),
]


@pytest.mark.parametrize("check", [row[0] for row in ROWS], ids=lambda check: check.__name__)
async def test_server(kept: Store, check: Check) -> None:
    await check(kept)


@pytest.mark.parametrize(("check", "plant"), ROWS, ids=[plant.__name__ for _, plant in ROWS])
async def test_planted_weakness_is_noticed(
    kept: Store, monkeypatch: pytest.MonkeyPatch, check: Check, plant: Plant
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        await check(kept)
