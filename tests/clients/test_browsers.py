"""What web portals use: CORS by boto3 and aws cli, forms by boto3's presigned POST."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.server_process import RunningServer

pytestmark = pytest.mark.clients

SITE = "https://portal.example"
RULES = {
    "CORSRules": [
        {
            "AllowedOrigins": [SITE],
            "AllowedMethods": ["GET", "PUT", "POST"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 300,
        }
    ]
}


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
def test_presigned_post_uploads_a_file(connect: Any, bucket: str, signature: str) -> None:
    s3 = connect(config=Config(signature_version=signature))
    form = s3.generate_presigned_post(
        bucket,
        "photos/${filename}",
        Fields={"acl": "public-read", "Content-Type": "image/jpeg"},
        Conditions=[
            {"acl": "public-read"},
            ["starts-with", "$Content-Type", "image/"],
            ["content-length-range", 1, 3_000_000],
        ],
    )
    content = bytes(range(256)) * 10_000
    answer = requests.post(
        form["url"], data=form["fields"], files={"file": ("a.jpg", content)}, timeout=60
    )
    assert (answer.status_code, answer.text) == (204, "")
    got = requests.get(f"{form['url']}/photos/a.jpg", timeout=60)
    assert (got.content, got.headers["content-type"]) == (content, "image/jpeg")

    large = requests.post(
        form["url"], data=form["fields"], files={"file": ("b.jpg", content * 2)}, timeout=60
    )
    assert large.status_code == 400
    assert "<Code>EntityTooLarge</Code>" in large.text


def test_cors_rules_are_kept_and_browsers_are_answered(
    s3: Any, aws: Any, server: RunningServer, bucket: str
) -> None:
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=RULES)
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == RULES["CORSRules"]
    listed = aws("s3api", "get-bucket-cors", "--bucket", bucket)
    assert json.loads(listed)["CORSRules"] == RULES["CORSRules"]

    asked = {"Origin": SITE, "Access-Control-Request-Method": "PUT"}
    url = f"{server.endpoint}/{bucket}/key"
    answer = requests.options(url, headers=asked, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == SITE
    evil = requests.options(url, headers=asked | {"Origin": "https://evil.example"}, timeout=60)
    assert evil.status_code == 403

    aws("s3api", "delete-bucket-cors", "--bucket", bucket)
    with pytest.raises(ClientError, match="NoSuchCORSConfiguration"):
        s3.get_bucket_cors(Bucket=bucket)
