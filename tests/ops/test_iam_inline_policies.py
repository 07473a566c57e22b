"""Put, Get, List and Delete of the policies of users, groups and roles."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.iam import Iam, allow, document, make_user, refusal, trust
from tests.support.served import Store

NOT_FOUND = (404, "NoSuchEntity")
LIMITS = {"User": 2_048, "Group": 5_120, "Role": 10_240}


@pytest.fixture
def iam(store: Store) -> Iam:
    return Iam(store.root)


@pytest.fixture(params=sorted(LIMITS))
async def noun(request: pytest.FixtureRequest, iam: Iam) -> str:
    """A kind of identity, of which there is one named "x"."""
    more = {"AssumeRolePolicyDocument": trust()} if request.param == "Role" else {}
    await iam(f"Create{request.param}", **{f"{request.param}Name": "x"}, **more)
    return str(request.param)


def of(noun: str, name: str, text: str = "") -> dict[str, Any]:
    given = {"PolicyDocument": text} if text else {}
    return {f"{noun}Name": "x", "PolicyName": name, **given}


async def test_policy_comes_back_as_it_was_sent(iam: Iam, noun: str) -> None:
    text = allow("s3:Get*", resource="arn:aws:s3:::b/ü *")
    await iam(f"Put{noun}Policy", **of(noun, "b", text))
    await iam(f"Put{noun}Policy", **of(noun, "a", allow("s3:*")))
    found = await iam(f"Get{noun}Policy", **of(noun, "b"))
    assert document(found["PolicyDocument"]) == document(text)
    page = await iam(f"List{noun}Policies", **{f"{noun}Name": "x"}, MaxItems=1)
    rest = await iam(f"List{noun}Policies", **{f"{noun}Name": "x"}, Marker=page["Marker"])
    assert page["PolicyNames"] + rest["PolicyNames"] == ["a", "b"]
    await iam(f"Delete{noun}Policy", **of(noun, "b"))
    for operation in ("Get", "Delete"):
        assert await refusal(iam(f"{operation}{noun}Policy", **of(noun, "b"))) == NOT_FOUND


async def test_all_policies_together_have_a_limit_without_their_space(iam: Iam, noun: str) -> None:
    def padded(size: int, more: int = 0) -> str:
        text = allow("s3:*", Sid="")
        return (
            text.replace('"Sid": ""', f'"Sid": "{"x" * (size - len(text.replace(" ", "")))}"')
            + " " * more
        )

    most = LIMITS[noun]
    await iam(f"Put{noun}Policy", **of(noun, "a", padded(most - 1_000, more=500)))
    too_much = iam(f"Put{noun}Policy", **of(noun, "b", padded(1_001)))
    assert await refusal(too_much) == (409, "LimitExceeded")
    await iam(f"Put{noun}Policy", **of(noun, "b", padded(1_000)))
    await iam(f"Put{noun}Policy", **of(noun, "a", padded(most - 1_000)))  # in its own place


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"Version": "2012-10-17"}', allow("s3"), allow("s3:*", Principal="*"),
     allow("s3:*", effect="Maybe"), allow("s3:*", resource="bucket"),
     allow("s3:*", Condition={"Nonsense": {"a": "b"}})],
)  # fmt: skip
async def test_what_is_no_policy_is_refused(iam: Iam, noun: str, text: str) -> None:
    refused = await refusal(iam(f"Put{noun}Policy", **of(noun, "p", text)))
    assert refused == (400, "MalformedPolicyDocument")
    assert (await iam(f"List{noun}Policies", **{f"{noun}Name": "x"}))["PolicyNames"] == []


async def test_who_is_not_there_has_no_policies(iam: Iam, noun: str) -> None:
    nobody = {f"{noun}Name": "nobody"}
    for call in (
        iam(f"Put{noun}Policy", **{**of(noun, "p", allow("s3:*")), **nobody}),
        iam(f"Get{noun}Policy", **{**of(noun, "p"), **nobody}),
        iam(f"Delete{noun}Policy", **{**of(noun, "p"), **nobody}),
        iam(f"List{noun}Policies", **nobody),
    ):
        assert await refusal(call) == NOT_FOUND


async def test_no_change_is_lost_where_many_are_made_at_once(iam: Iam, noun: str) -> None:
    names = [f"p{number}" for number in range(10)]
    await asyncio.gather(
        *(iam(f"Put{noun}Policy", **of(noun, name, allow("s3:*"))) for name in names)
    )
    assert (await iam(f"List{noun}Policies", **{f"{noun}Name": "x"}))["PolicyNames"] == names


async def test_policy_counts_from_the_next_request_on(store: Store, iam: Iam) -> None:
    ann = await make_user(store, "ann")
    policy = {"UserName": "ann", "PolicyName": "p"}
    for effect, expected in (("Allow", 200), ("Deny", 403), ("Allow", 200)):
        text = allow("s3:ListAllMyBuckets", effect=effect)
        await iam("PutUserPolicy", **policy, PolicyDocument=text)
        assert (await ann("GET", "/")).status == expected
    await iam("DeleteUserPolicy", **policy)
    assert (await ann("GET", "/")).status == 403


async def test_user_of_the_operator_is_bound_by_the_first_policy_for_good(
    store: Store, iam: Iam
) -> None:
    users = store.services.users
    await users.create_user("free")
    key, secret = await users.create_key("free")
    client = store.holder(key.id, secret)
    assert (await client("PUT", "/own")).status == 200
    policy = {"UserName": "free", "PolicyName": "p"}
    await iam("PutUserPolicy", **policy, PolicyDocument=allow("s3:ListBucket"))
    assert (await client("GET", "/own")).status == 200
    assert (await client("PUT", "/own/key")).status == 403
    await iam("DeleteUserPolicy", **policy)
    assert (await client("GET", "/own")).status == 403
