"""How an event looks on the wire: S3's event message structure 2.2, as Ceph's gateway extends it.

Source: "Event message structure", Amazon S3 User Guide; "Bucket Notifications", Ceph
documentation (metadata, tags, opaqueData). Consumers tell duplicates by `eventId`, and the order of
one key's events by comparing `sequencer` as text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import msgspec

from s3server.core.records import EventRecord, TopicRecord
from s3server.events.base import Message

PROJECT_EVENT = "Project"  # how names of events begin that tell of a project: "Project:notice"
_encode = msgspec.json.Encoder().encode


def make_message(
    event: EventRecord, sequence: bytes, topic: TopicRecord, *, region: str, host_id: str
) -> Message:
    """Return the message of an event; `sequence` is what its row's key ends with."""
    attributes = dict(topic.attributes)
    if event.name.startswith(PROJECT_EVENT):
        body = _of_project(event, sequence, host_id)
    elif event.name == "TestEvent":
        body = _test(event, host_id)
    else:
        body = _records(event, sequence, attributes, region)
    cloud = _cloud_event(event, sequence, region) if attributes.get("cloudevents") == "true" else {}
    key = f"{event.bucket}/{event.key}" if event.bucket else event.key
    return Message(sequence.hex(), topic.name, _encode(body), key, cloud)


def _records(
    event: EventRecord, sequence: bytes, attributes: dict[str, str], region: str
) -> dict[str, Any]:
    stored: dict[str, Any] = {
        "key": quote_plus(event.key, safe="/"),
        "size": event.size,
        "eTag": event.etag,
        "sequencer": sequence.hex().upper(),
        "metadata": [{"key": f"x-amz-meta-{name}", "val": text} for name, text in event.metadata],
        "tags": [{"key": name, "val": text} for name, text in event.tags],
    }
    if event.version_id:
        stored["versionId"] = event.version_id
    record = {
        "eventVersion": "2.2",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": _time(event.at_ms),
        "eventName": event.name,
        "userIdentity": {"principalId": event.principal},
        "requestParameters": {"sourceIPAddress": event.source_ip},
        "responseElements": {"x-amz-request-id": event.request_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": event.rule,
            "bucket": {
                "name": event.bucket,
                "ownerIdentity": {"principalId": event.bucket_owner},
                "arn": f"arn:aws:s3:::{event.bucket}",
            },
            "object": stored,
        },
        "eventId": sequence.hex(),
        "opaqueData": attributes.get("OpaqueData", ""),
    }
    return {"Records": [record]}


def _test(event: EventRecord, host_id: str) -> dict[str, Any]:
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": _time(event.at_ms),
        "Bucket": event.bucket,
        "RequestId": event.request_id,
        "HostId": host_id,
    }


def _of_project(event: EventRecord, sequence: bytes, host_id: str) -> dict[str, Any]:
    """Return what a project has come to; "Ends" and "DaysLeft" are null where it does not end."""
    told = dict(event.metadata)
    end_ms, days = int(told["endMs"]), told["daysLeft"]
    return {
        "Service": "s3server",
        "Event": event.name,
        "EventId": sequence.hex(),
        "Time": _time(event.at_ms),
        "Project": event.key,
        "ProjectId": told["id"],
        "Owner": told["owner"],
        "State": told["state"],
        "Ends": _time(end_ms) if end_ms else None,
        "DaysLeft": int(days) if days else None,
        "HostId": host_id,
    }


def _cloud_event(event: EventRecord, sequence: bytes, region: str) -> dict[str, str]:
    """CloudEvents 1.0 attributes, by its "AWS S3 adapter"."""
    of_project = event.name.startswith(PROJECT_EVENT)
    return {
        "specversion": "1.0",
        "id": sequence.hex(),
        "type": f"s3server.{event.name}" if of_project else f"com.amazonaws.s3.{event.name}",
        "source": f"s3server.{region}" if of_project else f"aws:s3.{region}.{event.bucket}",
        "subject": quote_plus(event.key, safe="/"),
        "time": _time(event.at_ms),
    }


def _time(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
