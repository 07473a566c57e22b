"""Policies of buckets over the wire: how they are kept, and what they do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.asgi_client import Answer, Client
from tests.support.served import Store, credential

BOB = "arn:aws:iam::bob-project:user/bob"


def allow(*actions: str, who: Any = "*", on: str = "/*", **more: Any) -> dict[str, Any]:
    """Return a statement about the bucket "data"."""
    return {
        "Effect": "Allow",
        "Principal": who if who == "*" else {"AWS": who},
        "Action": list(actions),
        "Resource": f"arn:aws:s3:::data{on}",
        **more,
    }


def deny(*actions: str, **how: Any) -> dict[str, Any]:
    return {**allow(*actions, **how), "Effect": "Deny"}


def document(*statements: dict[str, Any]) -> bytes:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}).encode()


async def put(client: Client, *statements: dict[str, Any]) -> Answer:
    return await client.sent("/data?policy", document(*statements))


async def obey(store: Store, *statements: dict[str, Any]) -> None:
    """Give alice's bucket a policy."""
    answer = await put(store.alice, *statements)
    assert (answer.status, answer.body) == (204, b"")


@pytest.fixture
async def kept(data: Store) -> Store:
    for key in ("key", "bob/key"):
        await data.alice.made(f"/data/{key}", body=b"content")
    return data


async def test_policy_is_returned_as_it_was_sent(data: Store) -> None:
    text = b' {"Statement":  ' + json.dumps(allow("s3:GetObject")).encode() + b"}\n"
    assert (await data.alice.sent("/data?policy", text)).status == 204
    answer = await data.alice("GET", "/data?policy")
    assert (answer.status, answer.body) == (200, text)
    assert answer.header("content-type") == "application/json"


async def test_without_policy_there_is_none(data: Store) -> None:
    for target in ("/data?policy", "/data?policyStatus"):
        answer = await data.alice("GET", target)
        assert answer.outcome == (404, "NoSuchBucketPolicy")
        assert answer.text("BucketName") == "data"
    with data.untouched():
        assert (await data.alice("DELETE", "/data?policy")).status == 204


async def test_policy_is_gone_when_it_is_deleted(kept: Store) -> None:
    await obey(kept, allow("s3:GetObject"))
    assert (await kept.nobody("GET", "/data/key")).status == 200
    assert (await kept.alice("DELETE", "/data?policy")).status == 204
    assert (await kept.nobody("GET", "/data/key")).outcome == (403, "AccessDenied")
    assert (await kept.alice("GET", "/data?policy")).outcome == (404, "NoSuchBucketPolicy")


async def test_bucket_takes_its_policy_along(store: Store) -> None:
    await store.alice.made("/data")
    before = await store.rows()
    await obey(store, allow("s3:GetObject"))
    await obey(store, allow("s3:ListBucket", on=""))
    await store.alice.made("/data", method="DELETE")
    await store.alice.made("/data")
    assert (await store.alice("GET", "/data?policy")).status == 404
    assert [key for key, _ in await store.rows()] == [key for key, _ in before]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Policies must be valid JSON and the first byte must be '{'"),
        (b"[" * 5_000, "Policies must be valid JSON and the first byte must be '{'"),
        (b'{"Statement": [], "Statement": []}', "A field is given twice"),
        (document(allow("s3:Fly")), "Policy has invalid action"),
        (document(allow("iam:*")), "Policy has invalid action"),
        (document(allow("s3:GetObject", on="-other/*")), "Policy has invalid resource"),
        (document(allow("s3:GetObject", who=["nobody:here"])), "Invalid principal in policy"),
        (document(allow("s3:GetObject", on="")),
         "Action does not apply to any resource(s) in statement"),
        (document(allow("s3:ListBucket")), "Action does not apply to any resource(s) in statement"),
        (document(allow("s3:GetObject", Condition={"StringIs": {"aws:a": "b"}})),
         "Invalid Condition type : StringIs"),
    ],
)  # fmt: skip
async def test_what_is_no_policy_changes_nothing(data: Store, body: bytes, message: str) -> None:
    with data.untouched():
        answer = await data.alice.sent("/data?policy", body)
    assert answer.outcome == (400, "MalformedPolicy")
    assert answer.text("Message") == message


async def test_policy_may_have_20_kilobytes(data: Store) -> None:
    for size, status in ((20_480, 204), (20_481, 400)):
        text = document(allow("s3:GetObject")).ljust(size)
        assert (await data.alice.sent("/data?policy", text)).status == status


@pytest.mark.parametrize("who", [None, "bob"])
async def test_stranger_neither_sees_nor_sets_it(kept: Store, who: str | None) -> None:
    await obey(kept, allow("s3:GetObject", "s3:PutObject"))
    client = kept.client(who)
    for method, body in (("GET", b""), ("PUT", document(allow("s3:*"))), ("DELETE", b"")):
        with kept.untouched():
            answer = await client.sent("/data?policy", body, method=method)
        assert answer.outcome == (403, "AccessDenied")


async def test_deny_locks_out_even_owner_and_root_who_can_remove_it(kept: Store) -> None:
    await obey(kept, deny("s3:*"), {**deny("s3:*"), "Resource": "arn:aws:s3:::data"})
    for who in ("alice", "root"):
        client = kept.client(who)
        with kept.untouched():
            for method, target in (
                ("GET", "/data/key"), ("PUT", "/data/key"), ("GET", "/data"), ("GET", "/data?acl"),
                ("DELETE", "/data"),
            ):  # fmt: skip
                assert (await client(method, target)).outcome == (403, "AccessDenied")
        assert (await client("GET", "/data?policy")).status == 200
        assert (await client("GET", "/data?policyStatus")).status == 200
    assert (await kept.alice("DELETE", "/data?policy")).status == 204
    assert (await kept.alice("GET", "/data/key")).body == b"content"


async def test_own_lock_out_needs_no_confirmation_and_takes_none(data: Store) -> None:
    answer = await data.alice.sent(
        "/data?policy", document(deny("s3:*")),
        headers={"x-amz-confirm-remove-self-bucket-access": "true"},
    )  # fmt: skip
    assert answer.outcome == (501, "NotImplemented")


async def test_policy_lets_in_whom_it_names(kept: Store) -> None:
    await obey(kept, allow("s3:GetObject", who=BOB), allow("s3:ListBucket", who=BOB, on=""))
    assert (await kept.bob("GET", "/data/key")).body == b"content"
    assert (await kept.bob("GET", "/data")).texts("Contents/Key") == ["bob/key", "key"]
    assert (await kept.bob("PUT", "/data/key")).outcome == (403, "AccessDenied")
    assert (await kept.nobody("GET", "/data/key")).outcome == (403, "AccessDenied")


async def test_canonical_id_names_a_user_too(kept: Store) -> None:
    principal = {"CanonicalUser": credential("bob").principal.id}
    await obey(kept, {**allow("s3:GetObject"), "Principal": principal})
    assert (await kept.bob("GET", "/data/key")).status == 200
    assert (await kept.nobody("GET", "/data/key")).status == 403


async def test_explicit_deny_wins_over_allow_and_acl(kept: Store) -> None:
    await kept.alice.made("/data/public", headers={"x-amz-acl": "public-read"})
    await obey(kept, deny("s3:GetObject", on="/pub*"), allow("s3:*"))
    assert (await kept.nobody("GET", "/data/public")).outcome == (403, "AccessDenied")
    assert (await kept.nobody("GET", "/data/key")).status == 200


async def test_variable_gives_each_user_a_prefix(kept: Store) -> None:
    await obey(kept, allow("s3:GetObject", "s3:PutObject", on="/${aws:username}/*"))
    assert (await kept.bob("GET", "/data/bob/key")).status == 200
    assert (await kept.bob("PUT", "/data/bob/new")).status == 200
    assert (await kept.bob("GET", "/data/key")).outcome == (403, "AccessDenied")
    assert (await kept.nobody("GET", "/data/bob/key")).outcome == (403, "AccessDenied")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_who_may_not_list_is_not_told_what_is_missing(kept: Store, method: str) -> None:
    await obey(kept, allow("s3:GetObject", who=BOB))
    assert (await kept.bob(method, "/data/missing")).status == 403
    await obey(kept, allow("s3:GetObject", who=BOB), allow("s3:ListBucket", who=BOB, on=""))
    assert (await kept.bob(method, "/data/missing")).status == 404


async def test_deletes_of_many_keys_are_decided_for_each(kept: Store) -> None:
    await obey(kept, allow("s3:DeleteObject", who=BOB, on="/bob/*"))
    body = b"<Delete><Object><Key>key</Key></Object><Object><Key>bob/key</Key></Object></Delete>"
    answer = await kept.bob.sent("/data?delete", body, method="POST")
    assert answer.status == 200
    assert answer.texts("Deleted/Key") == ["bob/key"]
    assert answer.texts("Error/Key") == ["key"]
    assert answer.texts("Error/Code") == ["AccessDenied"]
    assert (await kept.alice("GET", "/data")).texts("Contents/Key") == ["key"]


async def test_acl_of_a_new_object_needs_its_own_permission(kept: Store) -> None:
    await obey(kept, allow("s3:PutObject", who=BOB))
    headers = {"x-amz-acl": "public-read"}
    for method, target in (("PUT", "/data/new"), ("POST", "/data/new?uploads")):
        with kept.untouched():
            answer = await kept.bob(method, target, headers=headers)
        assert answer.outcome == (403, "AccessDenied")
    await obey(kept, allow("s3:PutObject", "s3:PutObjectAcl", who=BOB))
    assert (await kept.bob("PUT", "/data/new", headers=headers)).status == 200


@pytest.mark.parametrize(
    ("statement", "public"),
    [
        (allow("s3:GetObject"), True),
        (allow("s3:GetObject", who=BOB), False),
        (allow("s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}), False),
        (allow("s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}), True),
        (allow("s3:GetObject", Condition={"NotIpAddress": {"aws:SourceIp": "192.0.2.7"}}), True),
        (allow("s3:GetObject", Condition={"StringLike": {"aws:PrincipalArn": "*"}}), True),
        (allow("s3:GetObject", Condition={"StringEquals": {"aws:PrincipalAccount": "a"}}), False),
        (allow("s3:GetObject", Condition={"StringEquals": {"aws:UserAgent": "curl"}}), True),
        (deny("s3:GetObject"), False),
    ],
)
async def test_status_tells_whether_it_is_public(
    data: Store, statement: dict[str, Any], public: bool
) -> None:
    await obey(data, statement)
    answer = await data.alice("GET", "/data?policyStatus")
    assert answer.document.tag == "PolicyStatus"
    assert answer.text("IsPublic") == str(public).lower()


async def test_owner_that_another_one_expects_is_not_served(data: Store) -> None:
    await obey(data, allow("s3:GetObject"))
    headers = {"x-amz-expected-bucket-owner": "bob-project"}
    for method, target in (("PUT", "/data?policy"), ("GET", "/data?policy"),
                           ("GET", "/data?policyStatus"), ("DELETE", "/data?policy")):  # fmt: skip
        body = document(allow("s3:GetObject")) if method == "PUT" else b""
        answer = await data.alice.sent(target, body, headers=headers, method=method)
        assert answer.outcome == (403, "AccessDenied")


async def test_policy_that_was_replaced_meanwhile_is_the_new_one(kept: Store) -> None:
    """Other workers change it: what was remembered of the old one must not decide."""
    for _ in range(2):
        await obey(kept, allow("s3:GetObject"))
        assert (await kept.nobody("GET", "/data/key")).status == 200
        await obey(kept, deny("s3:GetObject"))
        assert (await kept.nobody("GET", "/data/key")).status == 403
