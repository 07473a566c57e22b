"""Four clients that set up the same features, each in its own way: boto3, aws cli, minio-py, and
the AWS SDK for JavaScript."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from minio import Minio
from minio.commonconfig import ENABLED, GOVERNANCE, Filter, Tags
from minio.datatypes import PostPolicy
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule
from minio.retention import Retention
from minio.versioningconfig import VersioningConfig

from tests.support.client_tools import NODE_MODULES, node, program, run
from tests.support.server_process import ROOT

Form = tuple[str, dict[str, str]]  # URL and fields
SCRIPT = ROOT / "tests" / "support" / "feature_client.cjs"


def lifecycle(days: int) -> dict[str, Any]:
    """Return the rules that `Client.expire` sets."""
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "logs/"}}
    return {"Rules": [{**rule, "Expiration": {"Days": days}}]}


class Boto3:
    """boto3; the base of those that have the same calls under other names."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._s3 = boto3.client("s3", config=Config(signature_version="s3v4"))

    def close(self) -> None:
        self._s3.close()

    def call(self, operation: str, **arguments: Any) -> Any:
        """Call an operation of S3's model by its name in boto3; return the answer."""
        answer = getattr(self._s3, operation)(**arguments)
        answer.pop("ResponseMetadata")
        return answer

    def keep_versions(self, bucket: str) -> None:
        self.call("put_bucket_versioning", Bucket=bucket,
                  VersioningConfiguration={"Status": "Enabled"})  # fmt: skip

    def versions(self, bucket: str) -> list[str]:
        """Return the version ids of the only key, newest first."""
        listed = self.call("list_object_versions", Bucket=bucket)["Versions"]
        return [version["VersionId"] for version in listed]

    def expire(self, bucket: str, days: int) -> None:
        self.call("put_bucket_lifecycle_configuration", Bucket=bucket,
                  LifecycleConfiguration=lifecycle(days))  # fmt: skip

    def expires(self, bucket: str) -> int:
        found = self.call("get_bucket_lifecycle_configuration", Bucket=bucket)
        return int(found["Rules"][0]["Expiration"]["Days"])

    def tag(self, bucket: str, key: str, tags: dict[str, str]) -> None:
        listed = [{"Key": name, "Value": value} for name, value in tags.items()]
        self.call("put_object_tagging", Bucket=bucket, Key=key, Tagging={"TagSet": listed})

    def tags(self, bucket: str, key: str) -> dict[str, str]:
        found = self.call("get_object_tagging", Bucket=bucket, Key=key)["TagSet"]
        return {tag["Key"]: tag["Value"] for tag in found}

    def make_locked(self, bucket: str) -> None:
        self.call("create_bucket", Bucket=bucket, ObjectLockEnabledForBucket=True)

    def retain(self, bucket: str, key: str, until: datetime) -> None:
        retention = {"Mode": "GOVERNANCE", "RetainUntilDate": until.isoformat()}
        self.call("put_object_retention", Bucket=bucket, Key=key, Retention=retention)

    def hold(self, bucket: str, key: str) -> None:
        self.call("put_object_legal_hold", Bucket=bucket, Key=key, LegalHold={"Status": "ON"})

    def set_policy(self, bucket: str, policy: str) -> None:
        self.call("put_bucket_policy", Bucket=bucket, Policy=policy)

    def policy(self, bucket: str) -> str:
        return str(self.call("get_bucket_policy", Bucket=bucket)["Policy"])

    def allow_origin(self, bucket: str, origin: str) -> None:
        rule = {"AllowedOrigins": [origin], "AllowedMethods": ["GET"]}
        self.call("put_bucket_cors", Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})

    def origins(self, bucket: str) -> list[str]:
        found = self.call("get_bucket_cors", Bucket=bucket)["CORSRules"]
        return [origin for rule in found for origin in rule["AllowedOrigins"]]

    def make_website(self, bucket: str) -> None:
        configuration = {"IndexDocument": {"Suffix": "index.html"}}
        self.call("put_bucket_website", Bucket=bucket, WebsiteConfiguration=configuration)

    def form(self, bucket: str, key: str) -> Form:
        made = self._s3.generate_presigned_post(bucket, key)
        return made["url"], made["fields"]

    def put_url(self, bucket: str, key: str) -> str:
        return str(self._s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": key}))


class AwsCli(Boto3):
    """aws cli, `aws s3api`. It signs neither forms nor URLs for PUT."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._aws, self._environment = program("aws"), environment

    def close(self) -> None:
        """Nothing is open between calls."""

    def call(self, operation: str, **arguments: Any) -> Any:
        """Run the command of an operation with its arguments as JSON."""
        command = [self._aws, "s3api", operation.replace("_", "-"), "--output", "json"]
        given = [*command, "--cli-input-json", json.dumps(arguments)]
        printed = run(given, self._environment)
        return json.loads(printed) if printed.strip() else {}


class JavaScript(Boto3):
    """The AWS SDK for JavaScript: a Node.js program that is told each call as JSON."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._node = node()
        self._environment = environment | {"NODE_PATH": str(NODE_MODULES)}

    def close(self) -> None:
        """Nothing is open between calls."""

    def call(self, operation: str, **arguments: Any) -> Any:
        """Send the command of an operation, or make a form or URL."""
        name = "".join(word.capitalize() for word in operation.split("_"))
        command = [self._node, str(SCRIPT), name, json.dumps(arguments)]
        return json.loads(run(command, self._environment))

    def form(self, bucket: str, key: str) -> Form:
        made = self.call("presigned_post", Bucket=bucket, Key=key)
        return made["url"], made["fields"]

    def put_url(self, bucket: str, key: str) -> str:
        return str(self.call("presigned_put", Bucket=bucket, Key=key)["url"])


class MinioPy:
    """minio-py. It knows neither CORS nor websites."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._minio = Minio(
            environment["AWS_S3_ENDPOINT"],
            access_key=environment["AWS_ACCESS_KEY_ID"],
            secret_key=environment["AWS_SECRET_ACCESS_KEY"],
            region=environment["AWS_REGION"],
            secure=False,
        )
        self._endpoint = environment["AWS_ENDPOINT_URL"]

    def close(self) -> None:
        """Connections end with the client."""

    def keep_versions(self, bucket: str) -> None:
        self._minio.set_bucket_versioning(bucket, VersioningConfig(ENABLED))

    def versions(self, bucket: str) -> list[str]:
        listed = self._minio.list_objects(bucket, include_version=True)
        return [str(version.version_id) for version in listed]

    def expire(self, bucket: str, days: int) -> None:
        rule = Rule(ENABLED, rule_filter=Filter(prefix="logs/"), rule_id="r",
                    expiration=Expiration(days=days))  # fmt: skip
        self._minio.set_bucket_lifecycle(bucket, LifecycleConfig([rule]))

    def expires(self, bucket: str) -> int:
        found = self._minio.get_bucket_lifecycle(bucket)
        assert found is not None
        expiration = found.rules[0].expiration
        assert expiration is not None
        return int(expiration.days or 0)

    def tag(self, bucket: str, key: str, tags: dict[str, str]) -> None:
        made = Tags.new_object_tags()
        made.update(tags)
        self._minio.set_object_tags(bucket, key, made)

    def tags(self, bucket: str, key: str) -> dict[str, str]:
        return dict(self._minio.get_object_tags(bucket, key) or {})

    def make_locked(self, bucket: str) -> None:
        self._minio.make_bucket(bucket, object_lock=True)

    def retain(self, bucket: str, key: str, until: datetime) -> None:
        self._minio.set_object_retention(bucket, key, Retention(GOVERNANCE, until))

    def hold(self, bucket: str, key: str) -> None:
        self._minio.enable_object_legal_hold(bucket, key)

    def set_policy(self, bucket: str, policy: str) -> None:
        self._minio.set_bucket_policy(bucket, policy)

    def policy(self, bucket: str) -> str:
        return self._minio.get_bucket_policy(bucket)

    def form(self, bucket: str, key: str) -> Form:
        policy = PostPolicy(bucket, datetime.now().astimezone() + timedelta(hours=1))
        policy.add_equals_condition("key", key)
        return f"{self._endpoint}/{bucket}", self._minio.presigned_post_policy(policy) | {
            "key": key
        }

    def put_url(self, bucket: str, key: str) -> str:
        return self._minio.presigned_put_object(bucket, key)
