"""Every operation of S3 as the request that reaches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s3server.catalogue import S3_ROWS
from s3server.operation import load_handlers
from s3server.wire.service_model import load_model

BUCKET, KEY = "data", "key"
PATHS = {"service": "/", "bucket": f"/{BUCKET}", "object": f"/{BUCKET}/{KEY}"}
MODEL = load_model("s3").operations


@dataclass(frozen=True, slots=True)
class RowRequest:
    """A request that is routed to one operation."""

    name: str
    method: str
    target: str
    headers: dict[str, str]
    is_handled: bool


def _request(name: str, operation: Any) -> RowRequest:
    row = operation.row
    pairs = [f"{key}=1" if key == "partNumber" else key for key in sorted(operation.query)]
    if row.query_value:
        pairs = [pair for pair in pairs if pair != row.query_value[0]]
        pairs.append("=".join(row.query_value))
    target = PATHS[operation.level] + ("?" + "&".join(pairs) if pairs else "")
    headers = {row.header: f"{BUCKET}/{KEY}"} if row.header else {}
    handled = (row.alias_of or name) in load_handlers()
    return RowRequest(name, operation.method, target, headers, handled)


ROWS = tuple(_request(name, operation) for name, operation in sorted(MODEL.items()))
POST_OBJECT = RowRequest(
    "PostObject",
    "POST",
    PATHS["bucket"],
    {"content-type": "multipart/form-data; boundary=x"},
    is_handled=True,
)
EVERY_ROW = (*ROWS, POST_OBJECT)
assert {row.name for row in EVERY_ROW} == {row.name for row in S3_ROWS}
