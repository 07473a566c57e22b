"""AWS's query protocol, which IAM, STS and SNS speak: a form in, XML in an envelope out.

`Tags.member.1.Key=a` is {"Tags": [{"Key": "a"}]}; `Attributes.entry.1.key=a` with
`Attributes.entry.1.value=b` is {"Attributes": {"a": "b"}}
(Smithy, "AWS query protocol").
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from s3server.errors import MaxMessageLengthExceeded, S3Error, ValidationError
from s3server.model import HttpRequest, Target
from s3server.wire.request import parse_pairs
from s3server.wire.service_model import Member, Operation, Shape
from s3server.wire.timestamps import parse_timestamp

MAX_FORM_BYTES = 256 << 10
MAX_FIELDS = 2_000
_MAX_DEPTH = 12

_Tree = dict[str, Any]  # name -> subtree, or the text of a field under ""


def is_form(headers: Mapping[str, str]) -> bool:
    """Return whether the body is an HTML form, as these services are spoken to."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/x-www-form-urlencoded"


def read_form(body: bytes) -> dict[str, str]:
    """Return the fields of an application/x-www-form-urlencoded body.

    Raises MaxMessageLengthExceeded, and ValidationError for what is not a form or has a field
    twice.
    """
    if len(body) > MAX_FORM_BYTES:
        raise MaxMessageLengthExceeded(MaxMessageLengthBytes=str(MAX_FORM_BYTES))
    try:
        return parse_pairs(body.decode("ascii"), limit=MAX_FIELDS)
    except (UnicodeDecodeError, S3Error):
        raise ValidationError("The body of the request is not a valid form.") from None


def compile_form_parser(
    operation: Operation,
) -> Callable[[HttpRequest, Target, Mapping[str, str], Any], dict[str, Any]]:
    """Return a parser whose body is the form of read_form(); it raises ValidationError."""
    shape = operation.input

    def parse(
        _request: HttpRequest, _target: Target, _query: Mapping[str, str], form: Mapping[str, str]
    ) -> dict[str, Any]:
        return {} if shape is None else _structure(_tree(form), shape)

    return parse


def _tree(form: Mapping[str, str]) -> _Tree:
    root: _Tree = {}
    for name, text in form.items():
        parts = name.split(".")
        if len(parts) > _MAX_DEPTH:
            raise ValidationError(f"The parameter {name[:100]} is nested too deeply.")
        node = root
        for part in parts:
            node = node.setdefault(part, {}) if part else node
        node[""] = text
    return root


def _value(tree: _Tree, member: Member) -> Any:
    shape = member.shape
    if shape.type == "structure":
        return _structure(tree, shape)
    if shape.type == "list":
        assert shape.item is not None
        item = shape.item
        return [
            _value(node, item) for node in _numbered(tree, "" if member.flattened else item.wire)
        ]
    if shape.type == "map":
        return _map(tree, member)
    text = tree.get("")
    if text is None:
        raise ValidationError(f"The parameter {member.name} is not a {shape.type}.")
    return _scalar(text, member)


def _structure(tree: _Tree, shape: Shape) -> dict[str, Any]:
    result = {
        member.name: _value(tree[member.wire], member)
        for member in shape.members.values()
        if member.wire in tree
    }
    missing = [name for name in shape.required if name not in result]
    if missing:
        raise ValidationError(f"The request must contain the parameter {missing[0]}.")
    return result


def _map(tree: _Tree, member: Member) -> dict[Any, Any]:
    key, value = member.shape.key, member.shape.value
    assert key is not None
    assert value is not None
    result = {}
    for node in _numbered(tree, "" if member.flattened else "entry"):
        if key.wire not in node or value.wire not in node:
            raise ValidationError(f"An entry of {member.name} has no key or no value.")
        result[_value(node[key.wire], key)] = _value(node[value.wire], value)
    return result


def _numbered(tree: _Tree, group: str) -> list[_Tree]:
    """Return the items of `1`, `2`, ... in the order of their numbers."""
    items = tree.get(group, {}) if group else tree
    numbers = [name for name in items if name]
    if not all(name.isascii() and name.isdigit() and len(name) < 10 for name in numbers):
        raise ValidationError("The items of a list must be numbered.")
    return [items[name] for name in sorted(numbers, key=int)]


def _scalar(text: str, member: Member) -> Any:
    kind = member.shape.type
    try:
        if kind in {"integer", "long"}:
            return _integer(text)
        if kind == "boolean":
            return {"true": True, "false": False}[text.lower()]
        if kind == "timestamp":
            return parse_timestamp(text)
        if kind == "blob":
            return base64.b64decode(text, validate=True)
    except (KeyError, ValueError, binascii.Error):
        raise ValidationError(f"The parameter {member.name} is not a {kind}.") from None
    return text


def _integer(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 11):
        raise ValueError(text)
    return int(text)
