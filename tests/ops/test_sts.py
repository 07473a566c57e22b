"""GetCallerIdentity, GetSessionToken, AssumeRole, AssumeRoleWithWebIdentity, GetAccessKeyInfo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from msgspec.structs import replace as with_

from s3server.auth.oidc import Provider
from s3server.core.identity_records import role_key
from s3server.core.records import user_key
from s3server.core.revocation import Revocation
from s3server.meta.base import Delete
from tests.support.asgi_client import Client
from tests.support.forms import encode_form, post, signed_fields
from tests.support.oidc_issuer import AUDIENCE, Issuer, new_key, run_issuer
from tests.support.served import Store, credential
from tests.support.sts import ALICE, assume, document, make_role, session_of, sts, trust, user_arn

KEYS = [new_key("one")]
READ = document({"Action": "s3:GetObject", "Resource": "*"})


@pytest.fixture
async def kept(data: Store) -> Store:
    """Alice's bucket with an object, and users whose rows are there."""
    await data.enrol("alice", "bob")
    await data.alice.made("/data/key", body=b"content")
    return data


async def identity(client: Client) -> list[str | None]:
    answer = await sts(client, "GetCallerIdentity")
    assert answer.status == 200, answer.body
    return [answer.text(f".//{name}") for name in ("UserId", "Account", "Arn")]


async def user_session(client: Client, **fields: str) -> Client:
    return session_of(client, await sts(client, "GetSessionToken", fields))


async def error_of(client: Client, action: str, fields: dict[str, str]) -> tuple[int, str | None]:
    answer = await sts(client, action, fields)
    return answer.status, answer.text("Error/Code")


async def test_everybody_learns_who_they_are(kept: Store) -> None:
    arn = await make_role(kept)
    assert (await identity(kept.alice))[1:] == [ALICE, user_arn("alice")]
    user = await identity(await user_session(kept.alice))
    assert user == await identity(kept.alice)
    role = await identity(await assume(kept.alice, arn))
    assert role[2] == f"arn:aws:sts::{ALICE}:assumed-role/reader/job-1"
    assert (role[0] or "").startswith("AROA")
    assert (role[0] or "").endswith(":job-1")
    assert (await identity(kept.root))[2].endswith(":root")  # type: ignore[union-attr]
    assert (await error_of(kept.nobody, "GetCallerIdentity", {}))[0] == 403


@pytest.mark.parametrize("how", ["header", "query", "v2-header", "v2-query"])
async def test_session_acts_for_its_user_however_it_signs(kept: Store, how: str) -> None:
    session = await user_session(kept.alice)
    assert (await session("GET", "/data/key", how=how)).body == b"content"  # type: ignore[arg-type]
    assert (await session("PUT", "/data/new", body=b"x")).status == 200


@pytest.mark.parametrize("version", [2, 4])
async def test_session_uploads_by_forms(kept: Store, version: int) -> None:
    session = await user_session(kept.alice)
    assert session.key is not None
    token = {"x-amz-security-token": session.key.token}
    rules = [{"bucket": "data"}, ["starts-with", "$key", ""], token]
    signed = signed_fields(session, rules, {"key": "by-form", **token}, version=version)
    assert (await post(session, "/data", encode_form(signed))).status == 204
    assert (await kept.alice("GET", "/data/by-form")).body == b"content"
    for stolen in ({"x-amz-security-token": "AAAA"}, {}):
        fields = {name: value for name, value in signed.items() if name not in token} | stolen
        with kept.untouched():
            refused = await post(session, "/data", encode_form(fields))
        assert refused.status in (400, 403)
    await Revocation(kept.meta, kept.clock).of_user(ALICE, "alice")
    with kept.untouched():
        ended = await post(session, "/data", encode_form(signed))
    assert ended.outcome == (400, "InvalidToken")


@pytest.mark.parametrize("of_role", [False, True])
async def test_sessions_end_with_their_project(kept: Store, of_role: bool) -> None:
    projects = kept.services.projects
    arn = await make_role(kept)
    session = await (assume(kept.alice, arn) if of_role else user_session(kept.alice))
    assert (await session("GET", "/data/key")).status == 200
    (name,) = (one.name for one in await projects.list_projects() if one.id == ALICE)
    await projects.update(name, lambda now: with_(now, is_disabled=True))
    assert (await session("GET", "/data/key")).outcome == (403, "AccountProblem")
    assert (await error_of(session, "GetCallerIdentity", {}))[0] == 403
    await projects.update(name, lambda now: with_(now, is_disabled=False))
    assert (await session("GET", "/data/key")).status == 200
    await projects.update(name, lambda now: with_(now, is_disabled=True))
    await projects.begin_delete(name)
    assert (await session("GET", "/data/key")).outcome == (403, "AccountProblem")


async def test_token_must_be_signed_and_go_with_its_key(kept: Store) -> None:
    session, other = await user_session(kept.alice), await user_session(kept.alice)
    assert session.key is not None
    assert other.key is not None
    without = session.changed(key=replace(session.key, token=""))
    assert (await without("GET", "/data/key")).outcome == (403, "InvalidAccessKeyId")
    unsigned = {"x-amz-security-token": session.key.token}
    assert (await without("GET", "/data/key", unsigned=unsigned)).code == "AccessDenied"
    assert kept.alice.key is not None
    long_term = kept.alice.changed(key=replace(kept.alice.key, token=session.key.token))
    assert (await long_term("GET", "/data/key")).outcome == (400, "InvalidToken")
    swapped = session.changed(key=replace(session.key, token=other.key.token))
    assert (await swapped("GET", "/data/key")).outcome == (400, "InvalidToken")
    wrong = session.changed(key=replace(session.key, secret="x" * 40))
    for how in ("header", "query", "v2-header"):
        answer = await wrong("GET", "/data/key", how=how)  # type: ignore[arg-type]
        assert answer.outcome == (403, "SignatureDoesNotMatch")
        assert session.key.token.rstrip("=") not in answer.body.decode()


async def test_session_expires_exactly(kept: Store) -> None:
    session = await user_session(kept.alice, DurationSeconds="900")
    kept.clock.ms += 900_000 - 1
    assert (await session("GET", "/data/key")).status == 200
    kept.clock.ms += 1
    assert (await session("GET", "/data/key")).outcome == (400, "ExpiredToken")


async def test_revocation_of_a_user_ends_sessions_and_what_came_of_them(kept: Store) -> None:
    arn = await make_role(kept)
    sessions = [await user_session(kept.alice), await assume(kept.alice, arn)]
    sessions.append(await assume(sessions[0], arn))
    await Revocation(kept.meta, kept.clock).of_user(ALICE, "alice")
    for session in sessions:
        assert (await session("GET", "/data/key")).outcome == (400, "InvalidToken")
    kept.clock.ms += 1
    assert (await (await user_session(kept.alice))("GET", "/data/key")).status == 200


async def test_revocation_or_removal_of_a_role_ends_sessions_through_it(kept: Store) -> None:
    first = await make_role(
        kept, "first", policy=document({"Action": ["s3:*", "sts:*"], "Resource": "*"})
    )
    second = await make_role(kept, "second", trust({"AWS": first}))
    chained = await assume(await assume(kept.alice, first), second)
    assert (await chained("GET", "/data/key")).status == 200
    await Revocation(kept.meta, kept.clock).of_role(ALICE, "first")
    assert (await chained("GET", "/data/key")).outcome == (400, "InvalidToken")
    kept.clock.ms += 1
    again = await assume(await assume(kept.alice, first), second)
    role = await kept.services.iam.roles.find_role(ALICE, "first")
    assert role is not None
    await kept.meta.commit([Delete(role_key(role.id))])
    assert (await again("GET", "/data/key")).outcome == (400, "InvalidToken")


async def test_sessions_end_with_their_user(kept: Store) -> None:
    session = await user_session(kept.alice)
    await kept.meta.commit([Delete(user_key(credential("alice").principal.id))])
    assert (await session("GET", "/data/key")).outcome == (400, "InvalidToken")


async def test_role_is_for_whom_its_trust_policy_names(kept: Store) -> None:
    arn = await make_role(kept)
    asked = {"RoleArn": arn, "RoleSessionName": "job"}
    for who in (kept.bob, kept.root, kept.nobody):
        assert await error_of(who, "AssumeRole", asked) == (403, "AccessDenied")
    missing = {**asked, "RoleArn": arn + "x"}
    assert await error_of(kept.alice, "AssumeRole", missing) == (403, "AccessDenied")


async def test_trust_in_an_account_leaves_it_to_policies_of_the_caller(kept: Store) -> None:
    arn = await make_role(kept, "own", trust({"AWS": f"arn:aws:iam::{ALICE}:root"}))
    asked = {"RoleArn": arn, "RoleSessionName": "job"}
    assert (await error_of(kept.alice, "AssumeRole", asked))[0] == 403
    leave = document({"Action": "sts:AssumeRole", "Resource": arn})
    first = await make_role(kept, "first", policy=leave)
    assert (await sts(await assume(kept.alice, first), "AssumeRole", asked)).status == 200


async def test_other_account_needs_leave_on_both_sides(kept: Store) -> None:
    arn = await make_role(kept, "cross", trust({"AWS": user_arn("bob")}))
    asked = {"RoleArn": arn, "RoleSessionName": "job"}
    assert (await error_of(kept.bob, "AssumeRole", asked))[0] == 403


async def test_sessions_in_another_project_end_with_those_that_led_there(kept: Store) -> None:
    chain = document({"Action": "sts:AssumeRole", "Resource": "*"})
    first = await make_role(
        kept, "first", trust({"AWS": user_arn("bob")}), policy=chain, account="bob-project"
    )
    arn = await make_role(kept, "second", trust({"AWS": first}))
    bob = await assume(kept.bob, first)
    session = await assume(bob, arn)
    assert (await session("GET", "/data/key")).status == 200
    now = kept.clock.ms
    for changes in ({"is_disabled": True}, {"end_ms": now - 1}, {"start_ms": now + 1}):
        await kept.services.projects.update("bob-project", lambda old, to=changes: with_(old, **to))
        assert (await session("GET", "/data/key")).outcome == (400, "InvalidToken")
        assert (await error_of(bob, "AssumeRole", {"RoleArn": arn, "RoleSessionName": "job"}))[
            0
        ] == 403
        back = {"is_disabled": False, "end_ms": 0, "start_ms": 0}
        await kept.services.projects.update("bob-project", lambda old, to=back: with_(old, **to))
    assert (await session("GET", "/data/key")).status == 200


async def test_external_id_is_a_condition(kept: Store) -> None:
    condition = {"StringEquals": {"sts:ExternalId": "42"}}
    arn = await make_role(kept, "partner", trust({"AWS": user_arn("alice")}, Condition=condition))
    asked = {"RoleArn": arn, "RoleSessionName": "job"}
    for fields, status in (({}, 403), ({"ExternalId": "43"}, 403), ({"ExternalId": "42"}, 200)):
        assert (await sts(kept.alice, "AssumeRole", {**asked, **fields})).status == status


async def test_session_policies_narrow_and_never_widen(kept: Store) -> None:
    arn = await make_role(kept)
    session = await assume(kept.alice, arn, Policy=READ)
    assert (await session("GET", "/data/key")).status == 200
    assert (await session("PUT", "/data/key", body=b"x")).outcome == (403, "AccessDenied")
    small = await make_role(kept, "small", policy=READ)
    wide = document({"Action": "*", "Resource": "*"})
    session = await assume(kept.alice, small, Policy=wide)
    assert (await session("PUT", "/data/key", body=b"x")).outcome == (403, "AccessDenied")
    managed = {"PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}
    session = await assume(kept.alice, arn, **managed)
    assert (await session("GET", "/data/key")).status == 200
    assert (await session("PUT", "/data/key", body=b"x")).outcome == (403, "AccessDenied")


async def test_session_of_a_session_keeps_its_limits(kept: Store) -> None:
    leave = {"Action": "sts:AssumeRole", "Resource": "*"}
    everything = document({"Action": ["s3:*", "sts:*"], "Resource": "*"})
    first = await make_role(kept, "first", policy=everything)
    second = await make_role(kept, "second", trust({"AWS": first}))
    reads = document({"Action": "s3:GetObject", "Resource": "*"}, leave)
    session = await assume(await assume(kept.alice, first, Policy=reads), second)
    assert (await session("GET", "/data/key")).status == 200
    assert (await session("PUT", "/data/key", body=b"x")).outcome == (403, "AccessDenied")


async def test_role_of_a_role_lasts_an_hour_at_most(kept: Store) -> None:
    everything = document({"Action": "sts:*", "Resource": "*"})
    first = await make_role(kept, "first", policy=everything)
    second = await make_role(kept, "second", trust({"AWS": first}), max_session_s=43_200)
    session = await assume(kept.alice, first)
    asked = {"RoleArn": second, "RoleSessionName": "job", "DurationSeconds": "3601"}
    assert await error_of(session, "AssumeRole", asked) == (400, "ValidationError")
    assert (await sts(session, "AssumeRole", {**asked, "DurationSeconds": "3600"})).status == 200


async def test_sessions_do_not_make_sessions_of_users(kept: Store) -> None:
    arn = await make_role(kept)
    for session in (await user_session(kept.alice), await assume(kept.alice, arn)):
        assert (await error_of(session, "GetSessionToken", {}))[0] == 403
    assert (await error_of(kept.root, "GetSessionToken", {}))[0] == 403


async def test_transitive_tags_go_on_and_others_do_not(kept: Store) -> None:
    everything = document({"Action": ["s3:*", "sts:*"], "Resource": "*"})
    tagging = ["sts:AssumeRole", "sts:TagSession"]
    first = await make_role(
        kept, "first", trust({"AWS": user_arn("alice")}, tagging), policy=everything
    )
    by_tag = document(
        {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/${aws:PrincipalTag/project}"},
        {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/${aws:PrincipalTag/other}"},
    )
    second = await make_role(kept, "second", trust({"AWS": first}), policy=by_tag)
    await kept.alice.made("/data/gone", body=b"x")
    tags = {
        "Tags.member.1.Key": "project", "Tags.member.1.Value": "key",
        "Tags.member.2.Key": "other", "Tags.member.2.Value": "gone",
        "TransitiveTagKeys.member.1": "project",
    }  # fmt: skip
    parent = await assume(kept.alice, first, **tags)
    session = await assume(parent, second)
    assert (await session("GET", "/data/key")).status == 200
    assert (await session("GET", "/data/gone")).status == 403
    asked = {"RoleArn": second, "RoleSessionName": "job", **tags}
    assert await error_of(parent, "AssumeRole", asked) == (400, "InvalidParameterValue")
    untagged = await make_role(kept, "untagged")
    asked = {"RoleArn": untagged, "RoleSessionName": "job", **tags}
    assert await error_of(kept.alice, "AssumeRole", asked) == (403, "AccessDenied")


async def test_what_is_not_there_is_said_not_to_be(kept: Store) -> None:
    fields = {"EncodedMessage": "x"}
    answer = await error_of(kept.root, "DecodeAuthorizationMessage", fields)
    assert answer == (501, "NotImplemented")


async def test_account_of_a_key_is_told_to_root(kept: Store) -> None:
    key, _ = await kept.services.users.create_key("alice", account=ALICE)
    answer = await sts(kept.root, "GetAccessKeyInfo", {"AccessKeyId": key.id})
    assert answer.text(".//Account") == ALICE
    assert (await error_of(kept.bob, "GetAccessKeyInfo", {"AccessKeyId": key.id}))[0] == 403


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with run_issuer() as running:
        running.keys = KEYS
        yield running


@pytest.fixture
async def grid(issuer: Issuer) -> Store:
    store = Store(providers=(Provider(issuer.url, (AUDIENCE,)),))
    await store.alice.made("/data")
    await store.alice.made("/data/key", body=b"content")
    return store


async def web_identity(store: Store, arn: str, token: str, **fields: str) -> tuple[int, object]:
    asked = {"RoleArn": arn, "RoleSessionName": "job", "WebIdentityToken": token, **fields}
    answer = await sts(store.nobody, "AssumeRoleWithWebIdentity", asked)
    assert token.encode() not in answer.body
    if answer.status != 200:
        return answer.status, answer.text("Error/Code")
    return 200, session_of(store.nobody, answer)


def issuer_trust(issuer: Issuer, **condition: object) -> str:
    name = issuer.url.partition("://")[2]
    conditions = {
        operator: {f"{name}:{key}": value for key, value in keys.items()}  # type: ignore[attr-defined]
        for operator, keys in condition.items()
    }
    federated = {"Federated": f"arn:aws:iam::{ALICE}:oidc-provider/{name}"}
    return trust(federated, "sts:AssumeRoleWithWebIdentity", Condition=conditions)


async def test_token_of_an_issuer_becomes_a_role(grid: Store, issuer: Issuer) -> None:
    arn = await make_role(grid, "wlcg", issuer_trust(issuer, StringEquals={"sub": "alice"}))
    now_s = grid.clock.ms / 1000
    status, session = await web_identity(grid, arn, issuer.token(now_s))
    assert status == 200
    assert (await session("GET", "/data/key")).body == b"content"  # type: ignore[operator]
    assert (await web_identity(grid, arn, issuer.token(now_s, sub="bob")))[0] == 403


async def test_issuer_speaks_for_its_roles_only(issuer: Issuer) -> None:
    patterns = (f"arn:aws:iam::{ALICE}:role/grid-*",)
    store = Store(providers=(Provider(issuer.url, (AUDIENCE,), roles=patterns),))
    token = issuer.token(store.clock.ms / 1000)
    for name, expected in (("grid-reader", 200), ("other", 403)):
        arn = await make_role(store, name, issuer_trust(issuer))
        assert (await web_identity(store, arn, token))[0] == expected


async def test_groups_and_scopes_of_a_token_are_conditions(grid: Store, issuer: Issuer) -> None:
    condition = {
        "ForAnyValue:StringEquals": {"groups": "/cms/prod"},
        "ForAnyValue:StringLike": {"scope": "storage.read:*"},
    }
    arn = await make_role(grid, "cms", issuer_trust(issuer, **condition))
    now_s = grid.clock.ms / 1000
    assert (await web_identity(grid, arn, issuer.token(now_s)))[0] == 200
    for other in ({"wlcg.groups": ["/atlas"]}, {"scope": "openid"}, {"wlcg.groups": None}):
        assert (await web_identity(grid, arn, issuer.token(now_s, **other)))[0] == 403


async def test_broken_token_becomes_nothing(grid: Store, issuer: Issuer) -> None:
    arn = await make_role(grid, "wlcg", issuer_trust(issuer))
    now_s = grid.clock.ms / 1000
    for token, expected in (
        (issuer.token(now_s, exp=int(now_s)), (400, "ExpiredTokenException")),
        (issuer.token(now_s, aud="x"), (403, "IDPRejectedClaim")),
        (issuer.token_with_public_key_as_secret(now_s), (400, "InvalidIdentityToken")),
        (issuer.token(now_s, key=new_key("two")), (400, "InvalidIdentityToken")),
        ("not-a-token", (400, "InvalidIdentityToken")),
    ):
        assert await web_identity(grid, arn, token) == expected


async def test_role_that_trusts_users_trusts_no_issuer(grid: Store, issuer: Issuer) -> None:
    arn = await make_role(grid, "users", trust({"AWS": "*"}, "sts:*"))
    token = issuer.token(grid.clock.ms / 1000)
    status, _ = await web_identity(grid, arn, token)
    assert status == 200  # everybody is everybody
    named = await make_role(grid, "named", trust({"AWS": user_arn("alice")}, "sts:*"))
    assert (await web_identity(grid, named, token))[0] == 403
