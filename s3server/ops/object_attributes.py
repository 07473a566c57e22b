"""GetObjectAttributes: what is known of an object, its checksums and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3server.core.records import ObjectRecord
from s3server.core.versions import shown_version_id
from s3server.errors import InvalidArgument
from s3server.operation import Ctx, handles
from s3server.ops.attributes import at, checksums_of, part_checksum
from s3server.ops.bucket_list import page_size
from s3server.ops.encryption import data_key_of
from s3server.ops.refusals import check_owner

ATTRIBUTES = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})
MAX_PARTS_LISTED = 1_000


@handles("GetObjectAttributes")
async def get_object_attributes(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return those attributes of a version that are asked for, and that it has."""
    check_owner(ctx, request)
    wanted = set(request["ObjectAttributes"])
    if not wanted <= ATTRIBUTES:
        raise InvalidArgument(
            "Invalid attribute name specified.",
            ArgumentName="x-amz-object-attributes",
            ArgumentValue=",".join(sorted(wanted - ATTRIBUTES)),
        )
    bucket, version_id = ctx.require_bucket(), request.get("VersionId")
    record = await ctx.services.objects.get(bucket, request["Key"], version_id)
    ctx.confirm_read(bucket, request["Key"], record, version_id)
    data_key_of(ctx, request, record.encryption)  # who lacks it is not told
    attributes: dict[str, Any] = {
        "ETag": record.etag,
        "Checksum": checksums_of(record) or None,
        "StorageClass": record.storage_class,
        "ObjectSize": record.size,
    }
    result = {name: value for name, value in attributes.items() if name in wanted}
    if "ObjectParts" in wanted and record.part_count:
        result["ObjectParts"] = await _parts(ctx, request, record)
    result["LastModified"] = at(record.modified_ms)
    result["VersionId"] = shown_version_id(bucket, record)
    return result


async def _parts(ctx: Ctx, request: Mapping[str, Any], record: ObjectRecord) -> dict[str, Any]:
    """Return a page of the object's parts, each with its checksum where the object has one."""
    limit = page_size(request.get("MaxParts"), MAX_PARTS_LISTED, "x-amz-max-parts")
    marker = request.get("PartNumberMarker") or 0
    parts = (await ctx.services.objects.blob_of(record)).parts
    after = [part for part in parts if part.number > marker]
    shown = after[:limit]
    entries = [
        {
            "PartNumber": part.number,
            "Size": part.size,
            **part_checksum(record, part),
        }
        for part in shown
    ]
    return {
        "TotalPartsCount": record.part_count,
        "PartNumberMarker": marker,
        "NextPartNumberMarker": shown[-1].number if shown else 0,
        "MaxParts": limit,
        "IsTruncated": len(after) > len(shown),
        "Parts": entries,
    }
