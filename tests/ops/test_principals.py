"""Whoever is not there cannot be named by a policy."""

from __future__ import annotations

import pytest

from tests.support.events import make_topic, sns
from tests.support.iam import ACCOUNT, Iam, policy, refusal, trust
from tests.support.served import Store
from tests.support.signing import REGION

USER = f"arn:aws:iam::{ACCOUNT}:user/ann"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:topic"
ABSENT = [
    f"{USER}2",
    f"arn:aws:iam::{ACCOUNT}:user/path/ann",
    f"arn:aws:iam::{ACCOUNT}:user/ANN",
    "arn:aws:iam::123456789012:user/ann",
    f"arn:aws:iam::{ACCOUNT}:role/ann",
    f"arn:aws:iam::{ACCOUNT}:user/{'n' * 500}",
    f"arn:aws:iam::{ACCOUNT}:user/\0",
    f"arn:aws:sts::{ACCOUNT}:assumed-role/none/x",
    f"arn:aws:sts::{ACCOUNT}:assumed-role/job",
    f"arn:aws:sts::{ACCOUNT}:federated-user/ann",
    "AIDAIOSFODNN7EXAMPLEQ",
]
absent = pytest.mark.parametrize("arn", ABSENT, ids=[arn[-30:] for arn in ABSENT])


@pytest.fixture
async def site(store: Store) -> Store:
    await Iam(store.root)("CreateUser", UserName="ann")
    await Iam(store.root)("CreateRole", RoleName="job", AssumeRolePolicyDocument=trust())
    return store


def denial(arn: str, action: str, resource: str) -> str:
    principal = {"AWS": [USER, arn]}
    return policy(
        {"Effect": "Deny", "Principal": principal, "Action": action, "Resource": resource}
    )


@absent
async def test_policy_of_a_bucket_names_who_is_there(site: Store, arn: str) -> None:
    await site.root.made("/data")
    text = denial(arn, "s3:GetObject", "arn:aws:s3:::data/*")
    answer = await site.root.sent("/data?policy", text.encode())
    assert (answer.status, answer.code) == (400, "MalformedPolicy")
    assert answer.text("Message") == "Invalid principal in policy"


@absent
async def test_policy_of_a_topic_names_who_is_there(site: Store, arn: str) -> None:
    await make_topic(site.root, "topic")
    text = denial(arn, "sns:Publish", TOPIC)
    asked = {"TopicArn": TOPIC, "AttributeName": "Policy", "AttributeValue": text}
    answer = await sns(site.root, "SetTopicAttributes", asked)
    assert (answer.status, answer.text("Error/Code")) == (400, "InvalidParameter")


@absent
async def test_role_trusts_who_is_there(site: Store, arn: str) -> None:
    for call in (
        Iam(site.root)("CreateRole", RoleName="r", AssumeRolePolicyDocument=trust({"AWS": arn})),
        Iam(site.root)(
            "UpdateAssumeRolePolicy", RoleName="job", PolicyDocument=trust({"AWS": arn})
        ),
    ):
        assert await refusal(call) == (400, "MalformedPolicyDocument")
