"""Deprecated operations that boto3 still has: those that replaced them answer for them.

Those on notifications are in tests/events, where a broker runs.
"""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.clients


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_lifecycle(s3: Any, bucket: str) -> None:
    rule = {
        "ID": "old", "Prefix": "tmp/", "Status": "Enabled", "Expiration": {"Days": 3},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
    }  # fmt: skip
    s3.put_bucket_lifecycle(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    assert s3.get_bucket_lifecycle(Bucket=bucket)["Rules"] == [rule]
    put = s3.put_object(Bucket=bucket, Key="tmp/a", Body=b"x")
    assert 'rule-id="old"' in put["Expiration"]  # it acts
