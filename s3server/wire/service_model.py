"""AWS's service models, read from botocore's data files into slim immutable values.

Only the data files are read; none of botocore's code runs. The format is described in botocore's
`model.py`: shapes refer to each other by name, and what a member says of itself (its place, its
name on the wire, its format) overrides what its shape says.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Literal

import msgspec

from s3server.catalogue import S3_ROWS, Row, derived_row
from s3server.wire.constraints import UNCONSTRAINED, Constraint

Service = Literal["s3", "iam", "sts", "sns"]
Protocol = Literal["rest-xml", "query"]
Level = Literal["service", "account", "bucket", "object"]

VERSIONS: dict[Service, str] = {
    "s3": "2006-03-01",
    "iam": "2010-05-08",
    "sts": "2011-06-15",
    "sns": "2010-03-31",
}
S3_CONTROL_NAMESPACE = "http://awss3control.amazonaws.com/doc/2018-08-20/"
S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The type of a value. Structures have `members`, lists an `item`, maps a `key` and `value`."""

    name: str
    type: str
    required: tuple[str, ...]
    enum: frozenset[str]
    payload: str | None  # member that is the whole body
    members: dict[str, Member] = field(repr=False)
    elements: dict[str, Member] = field(repr=False)  # members of the body by their name in XML
    item: Member | None = None
    key: Member | None = None
    value: Member | None = None
    constraint: Constraint = UNCONSTRAINED


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A value's place within another one."""

    name: str  # of the parameter, as boto3 has it
    wire: str  # name of the header, prefix of headers, query key, element or attribute
    location: str  # "uri", "querystring", "header", "headers"; "" for the body
    shape: Shape
    flattened: bool = False
    attribute: bool = False
    timestamp_format: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation of a service, with its row of the catalogue."""

    row: Row
    protocol: Protocol
    method: str
    level: Level
    query: frozenset[str]  # keys that a request must have to be this operation
    known_query: frozenset[str]  # keys that it understands
    input: Shape | None
    output: Shape | None
    input_root: str  # element that wraps an input without payload member
    result_wrapper: str  # element that wraps the output of the query protocol
    status: int
    namespace: str
    needs_checksum: bool  # the body must come with Content-MD5 or an x-amz-checksum-*

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def service(self) -> str:
        return self.row.service

    @property
    def action(self) -> str:
        return self.row.action


@dataclass(frozen=True, slots=True, eq=False)
class ServiceModel:
    """All operations of one service by their name."""

    service: Service
    version: str
    operations: dict[str, Operation]


class _RawReference(msgspec.Struct, rename="camel"):
    shape: str
    location: str = ""
    location_name: str = ""
    flattened: bool = False
    xml_attribute: bool = False
    timestamp_format: str = ""
    result_wrapper: str = ""


class _RawShape(msgspec.Struct, rename="camel"):
    type: str
    members: dict[str, _RawReference] = {}
    required: list[str] = []
    enum: list[str] = []
    payload: str | None = None
    member: _RawReference | None = None
    key: _RawReference | None = None
    value: _RawReference | None = None
    location_name: str = ""
    flattened: bool = False
    timestamp_format: str = ""
    min: float | None = None
    max: float | None = None
    pattern: str = ""


class _RawHttp(msgspec.Struct, rename="camel"):
    method: str
    request_uri: str
    response_code: int = 200


class _RawChecksum(msgspec.Struct, rename="camel"):
    request_checksum_required: bool = False


class _RawOperation(msgspec.Struct, rename="camel"):
    http: _RawHttp
    input: _RawReference | None = None
    output: _RawReference | None = None
    http_checksum: _RawChecksum | None = None


class _RawMetadata(msgspec.Struct, rename="camel"):
    protocol: Protocol
    xml_namespace: str = S3_NAMESPACE


class _RawModel(msgspec.Struct):
    metadata: _RawMetadata
    operations: dict[str, _RawOperation]
    shapes: dict[str, _RawShape]


# Members that clients of Ceph's gateway know and AWS's model lacks: its filters of events.
_EXTENSIONS = {
    "NotificationConfigurationFilter": {
        "Metadata": _RawReference("S3KeyFilter", location_name="S3Metadata"),
        "Tags": _RawReference("S3KeyFilter", location_name="S3Tags"),
    },
}


_TEXT, _NUMBER = _RawReference("tokenType"), _RawReference("roleDurationSecondsType")
# MinIO's operation, and what can take the place of its TLS. Shapes that are not here are AWS's.
_STS_SHAPES = {
    "AssumeRoleWithCertificateRequest": _RawShape(
        "structure",
        members={
            "Challenge": _TEXT, "CertificateChain": _TEXT, "Signature": _TEXT,
            "RoleArn": _TEXT, "DurationSeconds": _NUMBER,
        },
    ),
    "AssumeRoleWithCertificateResponse": _RawShape(
        "structure",
        members={
            "Credentials": _RawReference("Credentials"),
            "AssumedRoleUser": _RawReference("AssumedRoleUser"),
        },
    ),
    "GetCertificateChallengeRequest": _RawShape("structure"),
    "GetCertificateChallengeResponse": _RawShape(
        "structure", members={"Challenge": _TEXT, "Expiration": _RawReference("dateType")}
    ),
}  # fmt: skip
_STS_OPERATIONS = {
    name: _RawOperation(
        _RawHttp("POST", "/"),
        _RawReference(f"{name}Request"),
        _RawReference(f"{name}Response", result_wrapper=f"{name}Result"),
    )
    for name in ("AssumeRoleWithCertificate", "GetCertificateChallenge")
}


def load_model(service: Service, rows: Iterable[Row] = S3_ROWS) -> ServiceModel:
    """Read the model of a service (about 30 ms for S3) and join it with the rows.

    An operation without row gets a derived one, so that a newer model opens no hole.
    Raises FileNotFoundError or msgspec.ValidationError where botocore's data is not as expected.
    """
    version = VERSIONS[service]
    path = files("botocore") / "data" / service / version / "service-2.json.gz"
    raw = msgspec.json.decode(gzip.decompress(path.read_bytes()), type=_RawModel)
    for name, members in _EXTENSIONS.items() if service == "s3" else ():
        raw.shapes[name].members.update(members)
    linker = _Linker(raw.shapes)
    if service == "sts":
        raw.operations.update(_STS_OPERATIONS)
        raw.shapes.update(_STS_SHAPES)
    own_rows = {row.name: row for row in rows if row.service == service}
    operations = {
        name: _operation(
            operation, own_rows.get(name) or derived_row(service, name), raw.metadata, linker
        )
        for name, operation in raw.operations.items()
    }
    return ServiceModel(service, version, operations)


class _Linker:
    """Replaces the names of shapes by the shapes themselves, each built once."""

    def __init__(self, raw: dict[str, _RawShape]) -> None:
        self._raw = raw
        self._shapes: dict[str, Shape] = {}

    def shape(self, name: str) -> Shape:
        known = self._shapes.get(name)
        if known is not None:
            return known
        raw = self._raw[name]
        shape = Shape(
            name=name,
            type=raw.type,
            required=tuple(raw.required),
            enum=frozenset(raw.enum),
            payload=raw.payload,
            members={},
            elements={},
            item=self.member("member", raw.member) if raw.member else None,
            key=self.member("key", raw.key) if raw.key else None,
            value=self.member("value", raw.value) if raw.value else None,
            constraint=Constraint(
                None if raw.min is None else int(raw.min),
                None if raw.max is None else int(raw.max),
                raw.pattern,
                tuple(raw.enum),
            ),
        )
        self._shapes[name] = shape  # before its members: a structure may contain itself
        for member_name, reference in raw.members.items():
            member = self.member(member_name, reference)
            shape.members[member_name] = member
            if not member.location and not member.attribute:
                shape.elements[member.wire] = member
        return shape

    def member(self, name: str, reference: _RawReference) -> Member:
        shape = self.shape(reference.shape)
        raw = self._raw[reference.shape]
        flattened = reference.flattened or raw.flattened
        wire = reference.location_name or raw.location_name
        if flattened and not wire and raw.member is not None:
            wire = raw.member.location_name
        return Member(
            name=name,
            wire=wire or name,
            location=reference.location,
            shape=shape,
            flattened=flattened,
            attribute=reference.xml_attribute,
            timestamp_format=reference.timestamp_format or raw.timestamp_format,
        )


# The model says that these need one; S3 takes them without, and s3cmd sends none.
_CHECKSUM_OPTIONAL = frozenset({"PutBucketAcl", "PutObjectAcl"})


def _operation(raw: _RawOperation, row: Row, metadata: _RawMetadata, linker: _Linker) -> Operation:
    path, _, query = raw.http.request_uri.partition("?")
    required = {pair.partition("=")[0] for pair in query.split("&") if pair}
    known = set(required)
    shape = linker.shape(raw.input.shape) if raw.input else None
    for member in shape.members.values() if shape else ():
        if member.location == "querystring":
            known.add(member.wire)
            if shape is not None and member.name in shape.required:
                required.add(member.wire)
    return Operation(
        row=row,
        protocol=metadata.protocol,
        method=raw.http.method,
        level=_level(path),
        query=frozenset(required),
        known_query=frozenset(known),
        input=shape,
        output=linker.shape(raw.output.shape) if raw.output else None,
        input_root=raw.input.location_name if raw.input else "",
        result_wrapper=raw.output.result_wrapper if raw.output else "",
        status=raw.http.response_code,
        namespace=metadata.xml_namespace,
        needs_checksum=raw.http_checksum is not None
        and raw.http_checksum.request_checksum_required
        and row.name not in _CHECKSUM_OPTIONAL,
    )


def _level(path: str) -> Level:
    if "{Key+}" in path:
        return "object"
    return "service" if path == "/" else "bucket"
