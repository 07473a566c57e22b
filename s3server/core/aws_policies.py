"""Managed policies that exist in every account, as AWS's own do: they cannot be changed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AwsPolicy:
    """One of them. There is only version v1."""

    name: str
    description: str
    text: str

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::aws:policy/{self.name}"

    @property
    def id(self) -> str:
        """The 64 hexadecimal digits that its unique id follows from."""
        return hashlib.sha256(self.arn.encode()).hexdigest()


def _policy(name: str, description: str, *actions: str) -> AwsPolicy:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return AwsPolicy(name, description, json.dumps(document, indent=4))


AWS_POLICIES = {
    policy.arn: policy
    for policy in (
        _policy("AdministratorAccess", "Everything in the account.", "*"),
        _policy("AmazonS3FullAccess", "Everything in S3.", "s3:*"),
        _policy("AmazonS3ReadOnlyAccess", "Reading in S3.", "s3:Get*", "s3:List*"),
        _policy("AmazonSNSFullAccess", "Everything with topics.", "sns:*"),
        _policy("IAMFullAccess", "Everything with users, groups, roles and policies.", "iam:*"),
        _policy("IAMReadOnlyAccess", "Looking at users, groups, roles and policies.",
                "iam:Get*", "iam:List*", "iam:Simulate*"),
    )
}  # fmt: skip
