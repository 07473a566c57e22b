"""Policies, ACLs, ownership and public access blocks through boto3 and aws cli."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.server_process import ROOT, RunningServer

NAMES = itertools.count()


def command(server: RunningServer, *arguments: str) -> dict[str, Any]:
    """Run a command on the server's store."""
    line = [sys.executable, "-m", "s3server", *arguments, "--dir", str(server.directory), "--json"]
    done = subprocess.run(line, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture
def carol(server: RunningServer, connect: Any) -> tuple[str, str, Any]:
    """A user: name, canonical id, and boto3 client."""
    name = f"carol{next(NAMES)}"
    user = command(server, "user", "create", name)
    key = command(server, "key", "create", name)
    client = connect(aws_access_key_id=key["access_key"], aws_secret_access_key=key["secret_key"])
    return name, user["id"], client


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def code(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return str(raised.value.response["Error"]["Code"])


def test_policy_through_boto3(
    server: RunningServer, s3: Any, bucket: str, carol: tuple[str, str, Any]
) -> None:
    name, _, client = carol
    s3.put_object(Bucket=bucket, Key="public/a", Body=b"a")
    s3.put_object(Bucket=bucket, Key=f"{name}/b", Body=b"b")
    assert code(s3.get_bucket_policy, Bucket=bucket) == "NoSuchBucketPolicy"
    own = f"arn:aws:s3:::{bucket}/${{aws:username}}/*"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "own", "Effect": "Allow", "Resource": own, "Action": "s3:*Object",
             "Principal": {"AWS": f"arn:aws:iam::000000000000:user/{name}"}},
            {"Sid": "public", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
             "Resource": f"arn:aws:s3:::{bucket}/public/*",
             "Condition": {"IpAddress": {"aws:SourceIp": ["127.0.0.0/8", "::1"]}}},
            {"Sid": "keep", "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject",
             "Resource": f"arn:aws:s3:::{bucket}/*"},
        ],
    }  # fmt: skip
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == policy
    assert not s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]
    assert client.get_object(Bucket=bucket, Key=f"{name}/b")["Body"].read() == b"b"
    client.put_object(Bucket=bucket, Key=f"{name}/c", Body=b"c")
    assert code(client.put_object, Bucket=bucket, Key="public/b") == "AccessDenied"
    assert status(f"{server.endpoint}/{bucket}/public/a") == 200
    assert status(f"{server.endpoint}/{bucket}/{name}/b") == 403
    for one in (client, s3):
        assert code(one.delete_object, Bucket=bucket, Key=f"{name}/b") == "AccessDenied"
    s3.delete_bucket_policy(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key=f"{name}/b")
    broken = {**policy, "Statement": [{**policy["Statement"][0], "Action": "s3:Fly"}]}  # type: ignore[dict-item]
    assert code(s3.put_bucket_policy, Bucket=bucket, Policy=json.dumps(broken)) == "MalformedPolicy"


def test_acls_through_boto3(
    server: RunningServer, s3: Any, bucket: str, carol: tuple[str, str, Any]
) -> None:
    _, user_id, client = carol
    s3.put_object(Bucket=bucket, Key="key", Body=b"content", GrantRead=f'id="{user_id}"')
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"content"
    shown = s3.get_object_acl(Bucket=bucket, Key="key")
    assert shown["Grants"] == [
        {
            "Grantee": {"ID": user_id, "Type": "CanonicalUser", "DisplayName": carol[0]},
            "Permission": "READ",
        }
    ]
    document = {"Owner": shown["Owner"], "Grants": [
        {"Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"},
         "Permission": "READ"},
    ]}  # fmt: skip
    s3.put_object_acl(Bucket=bucket, Key="key", AccessControlPolicy=document)
    assert status(f"{server.endpoint}/{bucket}/key") == 200
    assert status(f"{server.endpoint}/{bucket}") == 403
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert status(f"{server.endpoint}/{bucket}") == 200
    block = {"IgnorePublicAcls": True, "BlockPublicAcls": True}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    assert status(f"{server.endpoint}/{bucket}/key") == 403
    assert code(s3.put_bucket_acl, Bucket=bucket, ACL="public-read") == "AccessDenied"


def test_through_aws_cli(server: RunningServer, aws: Any, bucket: str) -> None:
    aws("s3api", "put-object", "--bucket", bucket, "--key", "key")
    policy = {
        "Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
                      "Resource": f"arn:aws:s3:::{bucket}/*"},
    }  # fmt: skip
    aws("s3api", "put-bucket-policy", "--bucket", bucket, "--policy", json.dumps(policy))
    assert status(f"{server.endpoint}/{bucket}/key") == 200
    shown = json.loads(aws("s3api", "get-bucket-policy-status", "--bucket", bucket))
    assert shown == {"PolicyStatus": {"IsPublic": True}}
    aws(
        "s3api", "put-public-access-block", "--bucket", bucket,
        "--public-access-block-configuration", "RestrictPublicBuckets=true",
    )  # fmt: skip
    assert status(f"{server.endpoint}/{bucket}/key") == 403
    aws("s3api", "delete-public-access-block", "--bucket", bucket)
    aws("s3api", "delete-bucket-policy", "--bucket", bucket)
    rules = "Rules=[{ObjectOwnership=BucketOwnerEnforced}]"
    aws("s3api", "put-bucket-ownership-controls", "--bucket", bucket, "--ownership-controls", rules)
    refused = aws.fails("s3api", "put-bucket-acl", "--bucket", bucket, "--acl", "public-read")
    assert "AccessControlListNotSupported" in refused
    grants = json.loads(aws("s3api", "get-bucket-acl", "--bucket", bucket))["Grants"]
    assert [one["Permission"] for one in grants] == ["FULL_CONTROL"]
