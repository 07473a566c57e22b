"""What requests for roles may ask for."""

from __future__ import annotations

import pytest

from tests.support.served import Store
from tests.support.sts import make_role, sts

WRONG = {
    "name": ({"RoleSessionName": "a b"}, "ValidationError"),
    "short name": ({"RoleSessionName": "a"}, "ValidationError"),
    "arn": ({"RoleArn": "reader"}, "ValidationError"),
    "arn of a user": ({"RoleArn": "arn:aws:iam::000000000000:user/x"}, "ValidationError"),
    "too long": ({"DurationSeconds": "3601"}, "ValidationError"),
    "too short": ({"DurationSeconds": "899"}, "ValidationError"),
    "no number": ({"DurationSeconds": "x"}, "ValidationError"),
    "policy": ({"Policy": "{"}, "MalformedPolicyDocument"),
    "long policy": ({"Policy": "{" + " " * 2_048}, "PackedPolicyTooLarge"),
    "no such policy": ({"PolicyArns.member.1.arn": "arn:aws:iam::x:policy/y"}, "ValidationError"),
    "mfa": ({"SerialNumber": "arn:aws:iam::x:mfa/y", "TokenCode": "123456"}, "AccessDenied"),
    "tag of AWS's": (
        {"Tags.member.1.Key": "aws:x", "Tags.member.1.Value": "y"}, "InvalidParameterValue",
    ),
    "tag without name": (
        {"Tags.member.1.Key": "", "Tags.member.1.Value": "y"}, "ValidationError",
    ),
    "transitive tag that is none": (
        {"TransitiveTagKeys.member.1": "x"}, "InvalidParameterValue",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
async def test_wrong_request_is_refused(store: Store, case: str) -> None:
    fields, code = WRONG[case]
    asked = {"RoleArn": await make_role(store), "RoleSessionName": "job", **fields}
    assert (await sts(store.alice, "AssumeRole", asked)).text("Error/Code") == code
