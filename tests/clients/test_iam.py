"""aws cli and boto3 manage users, groups, policies and roles with only an endpoint set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.clients.conftest import Aws
from tests.support.iam import allow, trust

Connect = Callable[..., Any]
READ_ONLY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"


def test_aws_cli_makes_a_user_who_may_what_policies_allow(
    aws: Aws, connect: Connect, bucket: str, tmp_path: Path
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(allow("s3:PutObject", resource=f"arn:aws:s3:::{bucket}/*"))
    user = json.loads(aws("iam", "create-user", "--user-name", "cli-ann", "--path", "/x/"))["User"]
    assert user["Arn"].endswith(":user/x/cli-ann")
    key = json.loads(aws("iam", "create-access-key", "--user-name", "cli-ann"))["AccessKey"]
    s3 = connect(aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    aws("iam", "put-user-policy", "--user-name", "cli-ann", "--policy-name", "p",
        "--policy-document", f"file://{file}")  # fmt: skip
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    shown = json.loads(
        aws("iam", "get-user-policy", "--user-name", "cli-ann", "--policy-name", "p")
    )
    assert shown["PolicyDocument"] == json.loads(file.read_text())
    aws("iam", "attach-user-policy", "--user-name", "cli-ann", "--policy-arn", READ_ONLY)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    listed = json.loads(aws("iam", "list-attached-user-policies", "--user-name", "cli-ann"))
    assert [each["PolicyArn"] for each in listed["AttachedPolicies"]] == [READ_ONLY]
    assert "DeleteConflict" in aws.fails("iam", "delete-user", "--user-name", "cli-ann")
    assert "NoSuchEntity" in aws.fails("iam", "get-user", "--user-name", "cli-none")


def test_aws_cli_pages_through_users(aws: Aws, connect: Connect) -> None:
    for number in range(5):
        connect("iam").create_user(UserName=f"page-{number}", Path="/page/")
    found = json.loads(
        aws("iam", "list-users", "--path-prefix", "/page/", "--page-size", "2", "--output", "json")
    )
    assert [each["UserName"] for each in found["Users"]] == [f"page-{n}" for n in range(5)]


def test_aws_cli_makes_groups_policies_and_roles(aws: Aws, tmp_path: Path) -> None:
    policy, trusted = tmp_path / "policy.json", tmp_path / "trust.json"
    policy.write_text(allow("s3:*"))
    trusted.write_text(trust())
    made = json.loads(aws("iam", "create-policy", "--policy-name", "cli-p",
                          "--policy-document", f"file://{policy}"))  # fmt: skip
    arn = made["Policy"]["Arn"]
    aws("iam", "create-group", "--group-name", "cli-g")
    aws("iam", "attach-group-policy", "--group-name", "cli-g", "--policy-arn", arn)
    document = f"file://{trusted}"
    made = json.loads(aws("iam", "create-role", "--role-name", "cli-r",
                          "--assume-role-policy-document", document))  # fmt: skip
    role = made["Role"]
    assert role["AssumeRolePolicyDocument"] == json.loads(trust())
    aws("iam", "attach-role-policy", "--role-name", "cli-r", "--policy-arn", arn)
    entities = json.loads(aws("iam", "list-entities-for-policy", "--policy-arn", arn))
    assert entities["PolicyGroups"][0]["GroupName"] == "cli-g"
    assert entities["PolicyRoles"][0]["RoleName"] == "cli-r"
    summary = json.loads(aws("iam", "get-account-summary"))["SummaryMap"]
    assert summary["Roles"] >= 1
    simulated = json.loads(aws("iam", "simulate-principal-policy", "--policy-source-arn",
                               role["Arn"], "--action-names", "s3:GetObject"))  # fmt: skip
    assert simulated["EvaluationResults"][0]["EvalDecision"] == "allowed"
    assert "NotImplemented" in aws.fails("iam", "generate-credential-report")


def test_boto3_pages_through_everything(connect: Connect) -> None:
    iam = connect("iam")
    for number in range(3):
        iam.create_role(RoleName=f"b-{number}", AssumeRolePolicyDocument=trust(), Path="/b/")
    pages = iam.get_paginator("list_roles").paginate(
        PathPrefix="/b/", PaginationConfig={"PageSize": 2}
    )
    assert [role["RoleName"] for page in pages for role in page["Roles"]] == ["b-0", "b-1", "b-2"]
    details = iam.get_paginator("get_account_authorization_details").paginate(
        PaginationConfig={"PageSize": 2}
    )
    roles = [role["RoleName"] for page in details for role in page["RoleDetailList"]]
    assert {"b-0", "b-1", "b-2"} <= set(roles)
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName="b-0", AssumeRolePolicyDocument=trust())
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException):
        iam.create_role(RoleName="b-9", AssumeRolePolicyDocument="{}")


def test_deactivated_key_is_refused_by_every_worker(connect: Connect) -> None:
    iam = connect("iam")
    iam.create_user(UserName="b-key")
    iam.attach_user_policy(UserName="b-key", PolicyArn=READ_ONLY)
    key = iam.create_access_key(UserName="b-key")["AccessKey"]
    pair = {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
    }
    clients = [connect(**pair) for _ in range(8)]  # connections of their own, over both workers
    assert all(client.list_buckets() for client in clients)
    iam.update_access_key(UserName="b-key", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    for client in clients:
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            client.list_buckets()
