"""SimulateCustomPolicy and SimulatePrincipalPolicy."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.iam import ACCOUNT, Iam, allow, make_policy, make_user, policy, refusal, trust
from tests.support.served import Store

KEY = "arn:aws:s3:::b/key"


@pytest.fixture
def iam(store: Store) -> Iam:
    return Iam(store.root)


def decisions(answer: dict[str, Any]) -> list[str]:
    return [result["EvalDecision"] for result in answer["EvaluationResults"]]


async def test_decisions_of_policies_that_are_sent(iam: Iam) -> None:
    texts = [allow("s3:*"), allow("s3:Delete*", effect="Deny")]
    answer = await iam(
        "SimulateCustomPolicy", PolicyInputList=texts, ResourceArns=[KEY],
        ActionNames=["s3:GetObject", "s3:DeleteObject", "iam:GetUser"],
    )  # fmt: skip
    assert decisions(answer) == ["allowed", "explicitDeny", "implicitDeny"]
    matched = [
        [one["SourcePolicyId"] for one in result["MatchedStatements"]]
        for result in answer["EvaluationResults"]
    ]
    assert matched == [["PolicyInputList.1"], ["PolicyInputList.2"], []]


async def test_conditions_are_decided_by_what_is_given_and_missing_keys_are_named(iam: Iam) -> None:
    where = {"StringEquals": {"aws:PrincipalTag/team": "x"}}
    asked: dict[str, Any] = {
        "PolicyInputList": [allow("s3:*", Condition=where)],
        "ActionNames": ["s3:GetObject"],
    }
    without = await iam("SimulateCustomPolicy", **asked)
    assert decisions(without) == ["implicitDeny"]
    (result,) = without["EvaluationResults"]
    assert result["MissingContextValues"] == ["aws:principaltag/team"]
    entry = {
        "ContextKeyName": "aws:PrincipalTag/team",
        "ContextKeyType": "string",
        "ContextKeyValues": ["x"],
    }
    assert decisions(await iam("SimulateCustomPolicy", **asked, ContextEntries=[entry])) == [
        "allowed"
    ]


async def test_principal_has_policies_of_user_groups_and_boundary(store: Store, iam: Iam) -> None:
    await make_user(store, "ann", allow("s3:GetObject"), Path="/x/")
    await iam("CreateGroup", GroupName="g")
    await iam("AddUserToGroup", GroupName="g", UserName="ann")
    arn = await make_policy(store, "p", allow("s3:PutObject"))
    await iam("AttachGroupPolicy", GroupName="g", PolicyArn=arn)
    asked = {
        "PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:user/x/ann",
        "ActionNames": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
    }
    assert decisions(await iam("SimulatePrincipalPolicy", **asked)) == [
        "allowed",
        "allowed",
        "implicitDeny",
    ]
    more = await iam("SimulatePrincipalPolicy", **asked, PolicyInputList=[allow("s3:Delete*")])
    assert decisions(more)[2] == "allowed"
    await iam("PutUserPermissionsBoundary", UserName="ann", PermissionsBoundary=arn)
    bounded = await iam("SimulatePrincipalPolicy", **asked)
    assert decisions(bounded) == ["implicitDeny", "allowed", "implicitDeny"]
    detail = [
        one["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"]
        for one in bounded["EvaluationResults"]
    ]
    assert detail == [False, True, False]


async def test_roles_and_groups_are_principals_too(iam: Iam) -> None:
    await iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust())
    await iam("PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=allow("s3:*"))
    await iam("CreateGroup", GroupName="g")
    for noun, expected in (("role/r", "allowed"), ("group/g", "implicitDeny")):
        source = f"arn:aws:iam::{ACCOUNT}:{noun}"
        answer = await iam(
            "SimulatePrincipalPolicy", PolicySourceArn=source, ActionNames=["s3:Get"]
        )
        assert decisions(answer) == [expected]


async def test_results_come_in_pages(iam: Iam) -> None:
    asked = {
        "PolicyInputList": [policy({"Effect": "Allow", "Action": "s3:*", "Resource": KEY})],
        "ActionNames": ["s3:GetObject", "s3:PutObject"],
        "ResourceArns": [KEY, "arn:aws:s3:::other"],
    }
    page = await iam("SimulateCustomPolicy", **asked, MaxItems=3)
    rest = await iam("SimulateCustomPolicy", **asked, Marker=page["Marker"])
    assert decisions(page) + decisions(rest) == ["allowed", "implicitDeny"] * 2


@pytest.mark.parametrize(
    ("operation", "more", "error"),
    [
        ("SimulateCustomPolicy", {"PolicyInputList": ["{}"]}, (400, "InvalidInput")),
        ("SimulateCustomPolicy", {"PolicyInputList": [allow("*")], "ResourceOwner": "a" * 20},
         (501, "NotImplemented")),
        ("SimulatePrincipalPolicy", {"PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:user/no"},
         (404, "NoSuchEntity")),
        ("SimulatePrincipalPolicy", {"PolicySourceArn": "arn:aws:s3:::a-bucket"},
         (400, "InvalidInput")),
    ],
)  # fmt: skip
async def test_what_cannot_be_simulated(
    iam: Iam, operation: str, more: dict[str, Any], error: tuple[int, str]
) -> None:
    assert await refusal(iam(operation, ActionNames=["s3:GetObject"], **more)) == error
