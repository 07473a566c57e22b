"""Names of permissions."""

from __future__ import annotations

import pytest

from s3server.auth.actions import on_version


@pytest.mark.parametrize(
    ("action", "on_a_version"),
    [
        ("s3:GetObject", "s3:GetObjectVersion"),
        ("s3:DeleteObject", "s3:DeleteObjectVersion"),
        ("s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
        ("s3:PutObjectAcl", "s3:PutObjectVersionAcl"),
        ("s3:GetObjectRetention", "s3:GetObjectRetention"),
        ("s3:ListBucket", "s3:ListBucket"),
    ],
)
def test_a_version_has_actions_of_its_own(action: str, on_a_version: str) -> None:
    assert on_version(action) == on_a_version
