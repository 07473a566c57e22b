"""botocore's own serialisers and parsers as the oracle, for every operation of every service."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.serialize
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3server.errors import MalformedXML, MissingRequestBodyError
from s3server.model import HttpRequest
from s3server.wire.parse import compile_parser, has_streaming_body
from s3server.wire.query_protocol import read_form
from s3server.wire.request import find_target, parse_query
from s3server.wire.routing import Router
from s3server.wire.serialize import compile_renderer
from s3server.wire.service_model import VERSIONS, load_model

MOMENT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
LOADER = botocore.loaders.Loader(include_default_search_paths=True)
ORACLES: dict[str, Any] = {
    service: botocore.model.ServiceModel(LOADER.load_service_model(service, "service-2"), service)
    for service in VERSIONS
}
MODELS = {service: load_model(service) for service in VERSIONS}
ROUTER = Router(list(MODELS.values()))
EVERY = [
    (service, name)
    for service, model in MODELS.items()
    for name in model.operations
    if name in ORACLES[service].operation_names  # some of STS are our own
]
ROUTED = [one for one in EVERY if MODELS[one[0]].operations[one[1]].row.alias_of is None]


# The model calls these bodies optional; S3 does not.
NEEDED = {"CompleteMultipartUpload", "PutBucketLifecycleConfiguration", "PutObjectLegalHold"}
NEEDED |= {"PutObjectLockConfiguration", "PutObjectRetention"}


def sample(shape: Any, *, label: str = "v", full: bool = True) -> Any:
    """Return a value of a botocore shape: every member of it, or only the required ones."""
    kind = shape.type_name
    if kind == "structure":
        names = list(shape.members) if full else shape.required_members
        if not names and label != "v":  # an empty structure leaves no trace in a form
            names = list(shape.members)[:1]
        return {name: sample(shape.members[name], label=name, full=full) for name in names}
    if kind == "list":
        return [sample(shape.member, label=label + end, full=full) for end in ("1", "2")]
    if kind == "map":
        value = sample(shape.value, label="value", full=full)
        if getattr(shape.key, "enum", None):
            return {shape.key.enum[0]: value}
        return {"key-one": value, "key.two": value}
    simple: dict[str, Any] = {
        "integer": 7,
        "long": 2**40,
        "boolean": True,
        "timestamp": MOMENT,
        "blob": b"bytes",
    }
    if kind in simple:
        return simple[kind]
    if shape.enum:
        return str(shape.enum[0])
    # What goes into a header or a host name is plain; the rest needs escaping everywhere.
    in_header = shape.serialization.get("location") in {"header", "headers"}
    return label if in_header or label == "value" else f"{label} <&\"'> é"


def inputs(service: str, name: str, *, full: bool) -> dict[str, Any]:
    shape = ORACLES[service].operation_model(name).input_shape
    values: dict[str, Any] = {} if shape is None else sample(shape, full=full)
    values.pop("Expires", None)  # a date in boto3 only; the wire has text
    return values


def round_trip(service: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Serialise with botocore, then route and parse with ours."""
    oracle = ORACLES[service].operation_model(name)
    serializer = botocore.serialize.create_serializer(
        oracle.metadata["protocol"], include_validation=False
    )
    sent = serializer.serialize_to_request(values, oracle)
    if service != "s3":
        form = read_form(urlencode(sent["body"]).encode())
        operation = ROUTER.find_query_operation(form["Action"], form["Version"], None)
        assert operation.name == name
        return compile_parser(operation)(None, None, {}, form)  # type: ignore[arg-type]
    path, _, own_query = sent["url_path"].partition("?")
    pairs = [f"{quote(k)}={quote(str(v), safe='')}" for k, v in sent["query_string"].items()]
    request = HttpRequest(
        method=sent["method"],
        raw_path=path,
        query="&".join([*own_query.split("&"), *pairs]),
        headers={"host": "localhost"}
        | {key.lower(): value for key, value in sent.get("headers", {}).items()},
    )
    target, query = find_target(request, ()), parse_query(request.query)
    operation = ROUTER.find(request.method, target.level, query, request.headers)
    assert operation.name == name
    return compile_parser(operation)(request, target, query, sent["body"])


@pytest.mark.parametrize(("service", "name"), ROUTED)
def test_full_request_is_read_as_botocore_wrote_it(service: str, name: str) -> None:
    values = inputs(service, name, full=True)
    assert round_trip(service, name, values) == values


@pytest.mark.parametrize(("service", "name"), ROUTED)
def test_minimal_request_is_read_as_botocore_wrote_it(service: str, name: str) -> None:
    values = inputs(service, name, full=False)
    expected = dict(values)
    operation = MODELS[service].operations[name]
    if has_streaming_body(operation) and operation.input is not None:
        expected.setdefault(str(operation.input.payload), b"")
    if name in NEEDED:
        with pytest.raises((MalformedXML, MissingRequestBodyError)):
            round_trip(service, name, values)
        return
    assert round_trip(service, name, values) == expected


def rendered(service: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Render with ours, then parse with botocore."""
    operation = MODELS[service].operations[name]
    answer = compile_renderer(operation)(values, request_id="RID", host_id="HID")
    oracle = ORACLES[service].operation_model(name)
    parser = botocore.parsers.create_parser(oracle.metadata["protocol"])
    headers = _Folded((key.decode(), value.decode()) for key, value in answer.headers)
    response = {"headers": headers, "status_code": answer.status, "body": answer.body}
    parsed: dict[str, Any] = parser.parse(response, oracle.output_shape)
    parsed.pop("ResponseMetadata")
    return parsed


class _Folded(dict[str, str]):
    """Headers whose names are looked up in any case."""

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.lower(), default)

    def __getitem__(self, key: str) -> str:
        return super().__getitem__(key.lower())

    def __contains__(self, key: object) -> bool:
        return super().__contains__(str(key).lower())


def has_blob_payload(service: str, name: str) -> bool:
    output = MODELS[service].operations[name].output
    return bool(output and output.payload and output.members[output.payload].shape.type == "blob")


def outputs(service: str, name: str) -> dict[str, Any]:
    shape = ORACLES[service].operation_model(name).output_shape
    values: dict[str, Any] = {} if shape is None else sample(shape)
    if name in {"GetObject", "HeadObject"}:
        values["Expires"] = "Tue, 03 Feb 2026 04:05:06 GMT"
    return values


# Not an event stream, nor what botocore reads by a rule of its own.
READABLE = [one for one in ROUTED if one[1] not in {"SelectObjectContent", "GetBucketLocation"}]


@pytest.mark.parametrize(("service", "name"), READABLE)
def test_full_result_is_understood_by_botocore(service: str, name: str) -> None:
    values = outputs(service, name)
    expected = dict(values)
    if has_blob_payload(service, name):  # botocore decodes what does not come as a stream
        payload = ORACLES[service].operation_model(name).output_shape.serialization["payload"]
        expected[payload] = expected[payload].decode()
    if "Expires" in expected:
        expected["Expires"] = MOMENT
    assert rendered(service, name, values) == expected


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=60, deadline=None)
@given(keys=st.lists(TEXT.filter(lambda key: key.isprintable()), max_size=5), flag=st.booleans())
def test_any_keys_survive_a_delete_document(keys: list[str], flag: bool) -> None:
    delete = {"Objects": [{"Key": key} for key in keys or ["a"]], "Quiet": flag}
    values = {"Bucket": "b", "Delete": delete}
    assert round_trip("s3", "DeleteObjects", values) == values


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(TEXT, TEXT, min_size=1, max_size=4))
def test_any_tags_survive_a_form(tags: dict[str, str]) -> None:
    listed = [{"Key": k, "Value": v} for k, v in tags.items() if "\0" not in k + v]
    values = {"UserName": "u", "Tags": listed}
    assert round_trip("iam", "TagUser", values) == values


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT.filter(lambda key: key.isprintable()), min_size=1, max_size=5))
def test_any_keys_survive_a_listing(keys: list[str]) -> None:
    values = {"Name": "b", "Contents": [{"Key": key, "Size": len(key)} for key in keys]}
    assert rendered("s3", "ListObjectsV2", values) == values
