"""What Terraform's AWS provider sends for users, roles and buckets: it reads back all there is.

The sequences are those of the provider's `aws_iam_user` (with `force_destroy`), `aws_iam_role`,
`aws_iam_policy`, `aws_iam_access_key`, `aws_iam_group` and `aws_s3_bucket`, sent by boto3. An error
that the provider does not know for "there is none" fails an apply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.iam import allow, trust

pytestmark = pytest.mark.clients

Connect = Callable[..., Any]
# Readers of aws_s3_bucket, and what the provider takes for "not set" (service/s3/bucket.go).
READERS = {
    "get_bucket_policy": "NoSuchBucketPolicy",
    "get_bucket_acl": "",
    "get_bucket_cors": "NoSuchCORSConfiguration",
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_bucket_versioning": "",
    "get_bucket_accelerate_configuration": "",
    "get_bucket_request_payment": "",
    "get_bucket_logging": "",
    "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_bucket_encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
    "get_bucket_tagging": "NoSuchTagSet",
    "get_bucket_location": "",
    "get_bucket_notification_configuration": "",
    "get_bucket_ownership_controls": "OwnershipControlsNotFoundError",
    "get_public_access_block": "NoSuchPublicAccessBlockConfiguration",
}


def code_of(call: Callable[..., Any], **parameters: Any) -> str:
    try:
        call(**parameters)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_bucket_is_read_back_whole(connect: Connect) -> None:
    s3, name = connect("s3"), "of-terraform"
    s3.create_bucket(Bucket=name)
    s3.head_bucket(Bucket=name)
    for reader, unset in READERS.items():
        assert code_of(getattr(s3, reader), Bucket=name) in ("", unset), reader
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == [{"Key": "a", "Value": "b"}]
    s3.put_object(Bucket=name, Key="left", Body=b"x")
    for kind in ("Versions", "DeleteMarkers"):  # force_destroy
        for each in s3.list_object_versions(Bucket=name).get(kind, []):
            s3.delete_object(Bucket=name, Key=each["Key"], VersionId=each["VersionId"])
    s3.delete_bucket(Bucket=name)
    assert code_of(s3.head_bucket, Bucket=name) == "404"


def test_user_is_made_changed_and_destroyed(connect: Connect) -> None:
    iam, name = connect("iam"), "tf-user"
    tags = [{"Key": "team", "Value": "x"}]
    iam.create_user(UserName=name, Path="/", Tags=tags)
    assert iam.get_user(UserName=name)["User"]["Tags"] == tags
    assert iam.list_user_tags(UserName=name)["Tags"] == tags
    key = iam.create_access_key(UserName=name)["AccessKey"]
    listed = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
    assert [each["AccessKeyId"] for each in listed] == [key["AccessKeyId"]]
    assert "AccessKeyLastUsed" in iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    iam.create_group(GroupName="tf-group")
    iam.add_user_to_group(GroupName="tf-group", UserName=name)
    assert [each["GroupName"] for each in iam.list_groups_for_user(UserName=name)["Groups"]] == [
        "tf-group"
    ]
    assert [each["UserName"] for each in iam.get_group(GroupName="tf-group")["Users"]] == [name]
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=allow("s3:*"))
    iam.update_user(UserName=name, NewUserName="tf-renamed", NewPath="/x/")
    name = "tf-renamed"
    # force_destroy
    for group in iam.list_groups_for_user(UserName=name)["Groups"]:
        iam.remove_user_from_group(GroupName=group["GroupName"], UserName=name)
    for each in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=each["AccessKeyId"])
    assert iam.list_ssh_public_keys(UserName=name)["SSHPublicKeys"] == []
    assert iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"] == []
    assert iam.list_mfa_devices(UserName=name)["MFADevices"] == []
    assert code_of(iam.delete_login_profile, UserName=name) == "NoSuchEntity"
    assert iam.list_signing_certificates(UserName=name)["Certificates"] == []
    credentials = iam.list_service_specific_credentials(UserName=name)
    assert credentials["ServiceSpecificCredentials"] == []
    for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
        iam.delete_user_policy(UserName=name, PolicyName=policy)
    assert iam.list_attached_user_policies(UserName=name)["AttachedPolicies"] == []
    iam.delete_user(UserName=name)
    iam.delete_group(GroupName="tf-group")
    assert code_of(iam.get_user, UserName=name) == "NoSuchEntity"


def test_role_and_policy_are_made_changed_and_destroyed(connect: Connect) -> None:
    iam, name = connect("iam"), "tf-role"
    made = iam.create_policy(PolicyName="tf-policy", PolicyDocument=allow("s3:Get*"))["Policy"]
    arn = made["Arn"]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v1"
    version = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert version["Document"]["Statement"]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(), MaxSessionDuration=3600)
    assert iam.get_role(RoleName=name)["Role"]["MaxSessionDuration"] == 3600
    iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert [each["PolicyArn"] for each in attached] == [arn]
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == []
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust())
    iam.update_role(RoleName=name, MaxSessionDuration=7200)
    iam.update_role_description(RoleName=name, Description="of terraform")
    iam.tag_role(RoleName=name, Tags=[{"Key": "a", "Value": "b"}])
    assert iam.list_role_tags(RoleName=name)["Tags"] == [{"Key": "a", "Value": "b"}]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow("s3:Put*"), SetAsDefault=True)
    # destroyed: profiles, then policies, then what they are of
    assert iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"] == []
    iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    iam.delete_role(RoleName=name)
    for each in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not each["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=each["VersionId"])
    iam.delete_policy(PolicyArn=arn)
    assert code_of(iam.get_role, RoleName=name) == "NoSuchEntity"
    assert code_of(iam.get_policy, PolicyArn=arn) == "NoSuchEntity"


def test_provider_finds_out_who_it_is(connect: Connect) -> None:
    identity = connect("sts").get_caller_identity()
    assert identity["Arn"] == f"arn:aws:iam::{identity['Account']}:root"
    iam = connect("iam")
    assert iam.get_user()["User"]["Arn"] == identity["Arn"]
    assert iam.list_account_aliases()["AccountAliases"] == []
    assert isinstance(iam.list_roles()["Roles"], list)
