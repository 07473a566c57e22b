"""Inventory configurations of a bucket. `jobs.inventory` makes the lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3server import errors
from s3server.auth.service import S3
from s3server.configuration_errors import (
    InvalidS3DestinationBucket,
    NoSuchConfiguration,
    TooManyConfigurations,
)
from s3server.core import inventory as lists
from s3server.core.inventory_files import has_parquet
from s3server.core.records import BucketRecord, encode
from s3server.errors import (
    InvalidArgument,
    MalformedXML,
)
from s3server.meta.base import Delete, Put
from s3server.operation import Ctx, handles
from s3server.ops.deliveries import find_target
from s3server.ops.refusals import check_owner
from s3server.wire.request import MAX_KEY_BYTES

PAGE = 100
_ARN = "arn:aws:s3:::"


@handles("PutBucketInventoryConfiguration")
async def put_bucket_inventory_configuration(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Set one configuration in place of that of its id. The first list is made at midnight."""
    check_owner(ctx, request)
    bucket, identity = ctx.require_bucket(), _id(request)
    configuration = request["InventoryConfiguration"]
    if configuration["Id"] != identity:
        raise InvalidArgument("The id of the document is another one than that of the request.")
    await _check(ctx, bucket, configuration)

    def change(known: dict[str, Any]) -> dict[str, Any]:
        if identity not in known and len(known) >= lists.MAX_CONFIGURATIONS:
            raise TooManyConfigurations
        return {**known, identity: configuration}

    key = lists.state_key(bucket, identity)
    if configuration["IsEnabled"]:
        frequency = configuration["Schedule"]["Frequency"]
        services = ctx.services
        due = lists.next_due(services.lifecycle.calendar, frequency, services.clock.now_ms())
        state = lists.InventoryRecord(bucket=bucket.name, config=identity, next_ms=due)
        await services.buckets.revise(bucket, lists.NAME, change, also=[Put(key, encode(state))])
    else:
        await ctx.services.buckets.revise(bucket, lists.NAME, change, also=[Delete(key)])
    return {}


@handles("GetBucketInventoryConfiguration")
async def get_bucket_inventory_configuration(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return one configuration."""
    check_owner(ctx, request)
    known = await _known(ctx)
    if (identity := _id(request)) not in known:
        raise NoSuchConfiguration
    return {"InventoryConfiguration": known[identity]}


@handles("DeleteBucketInventoryConfiguration")
async def delete_bucket_inventory_configuration(
    ctx: Ctx, request: dict[str, Any]
) -> dict[str, Any]:
    """Remove one configuration; a list in the making ends. Those that are made stay."""
    check_owner(ctx, request)
    bucket, identity = ctx.require_bucket(), _id(request)

    def change(known: dict[str, Any]) -> dict[str, Any]:
        if identity not in known:
            raise NoSuchConfiguration
        return {name: each for name, each in known.items() if name != identity}

    state = Delete(lists.state_key(bucket, identity))
    await ctx.services.buckets.revise(bucket, lists.NAME, change, also=[state])
    return {}


@handles("ListBucketInventoryConfigurations")
async def list_bucket_inventory_configurations(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return the configurations by their ids, at most PAGE at a time."""
    check_owner(ctx, request)
    known, after = await _known(ctx), request.get("ContinuationToken") or ""
    left = sorted(identity for identity in known if identity > after)
    listed, is_truncated = left[:PAGE], len(left) > PAGE
    return {
        "ContinuationToken": after or None,
        "InventoryConfigurationList": [known[identity] for identity in listed],
        "IsTruncated": is_truncated,
        "NextContinuationToken": listed[-1] if is_truncated else None,
    }


def _id(request: Mapping[str, Any]) -> str:
    identity: str = request["Id"]
    if not lists.is_id(identity):
        raise InvalidArgument("The configuration's id is not valid.", ArgumentName="id")
    return identity


async def _known(ctx: Ctx) -> dict[str, Any]:
    return await ctx.services.buckets.configuration(ctx.require_bucket(), lists.NAME) or {}


async def _check(ctx: Ctx, bucket: BucketRecord, configuration: Mapping[str, Any]) -> None:
    """Raise an error for what cannot be done.

    InvalidS3DestinationBucket where the destination is not there, is another account's, or does
    not let S3 write; NotImplemented for ORC, KMS, fields that are not told, and Parquet where
    pyarrow is not installed.
    """
    destination = configuration["Destination"]["S3BucketDestination"]
    form, encryption = destination["Format"], destination.get("Encryption")
    if form == "ORC":
        raise errors.NotImplemented("Inventories in ORC are not implemented.", Header="Format")
    if form == "Parquet" and not has_parquet():
        raise errors.NotImplemented(
            "Inventories in Parquet need the extra: pip install s3server[inventory].",
            Header="Format",
        )
    if encryption is not None and "SSEKMS" in encryption:
        raise errors.NotImplemented("Encryption by KMS is not implemented.", Header="SSE-KMS")
    fields = configuration.get("OptionalFields") or []
    if len(set(fields)) != len(fields) or encryption == {}:
        raise MalformedXML
    for field in fields:
        if field not in lists.OPTIONAL:
            raise errors.NotImplemented(f"The field {field} is not implemented.", Header=field)
    arn, account = destination["Bucket"], destination.get("AccountId")
    key = f"{lists.folder(configuration, bucket.name)}/data/"
    if len(key.encode()) > MAX_KEY_BYTES - lists.LONGEST_NAME:
        raise InvalidArgument("The prefix is too long.", ArgumentName="Prefix")
    target = None
    if arn.startswith(_ARN):
        target = await find_target(ctx, S3, arn.removeprefix(_ARN), key)
    if target is None or account not in (None, target.account):
        raise InvalidS3DestinationBucket(Bucket=arn)
