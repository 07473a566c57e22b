"""An XML document of a request, read by the shape that the model gives it."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from lxml import etree

from s3server.errors import MalformedXML
from s3server.wire.service_model import Shape
from s3server.wire.timestamps import parse_timestamp
from s3server.wire.xmldoc import local_name

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}").fullmatch
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
# Enumerations that we extend or that a handler refuses with a code of its own.
_OPEN_ENUMS = frozenset({"BucketLocationConstraint", "Event", "FilterRuleName"})


def read_document(root: etree._Element, shape: Shape, name: str, *, is_strict: bool) -> Any:
    """Return the value of a document whose root element is called `name`.

    Namespaces are ignored. A strict reader refuses elements that the model does not know, so that
    a misspelt rule is never stored without its effect. Raises MalformedXML for these, a wrong
    root, a missing required member, a repeated scalar or text that is not of its type.
    """
    if local_name(root) != name:
        raise MalformedXML
    return _structure(root, shape, is_strict)


def _value(element: etree._Element, shape: Shape, is_strict: bool) -> Any:
    if shape.type == "structure":
        return _structure(element, shape, is_strict)
    if shape.type == "list":
        return _list(element, shape, is_strict)
    return _scalar(element, shape)


def _structure(element: etree._Element, shape: Shape, is_strict: bool) -> dict[str, Any]:
    result: dict[str, Any] = {}
    elements = shape.elements
    for child in element:
        member = elements.get(local_name(child))
        if member is None:
            if is_strict:
                raise MalformedXML
        elif member.flattened and member.shape.item is not None:
            item = _value(child, member.shape.item.shape, is_strict)
            result.setdefault(member.name, []).append(item)
        elif member.name in result:
            raise MalformedXML
        else:
            result[member.name] = _value(child, member.shape, is_strict)
    if len(elements) != len(shape.members):
        _attributes(element, shape, result)
    for name in shape.required:
        if name not in result and not shape.members[name].location:
            raise MalformedXML
    return result


def _attributes(element: etree._Element, shape: Shape, result: dict[str, Any]) -> None:
    for member in shape.members.values():
        if member.attribute:
            text = element.get(member.wire.replace("xsi:", _XSI))
            if text is not None:
                result[member.name] = _checked(text, member.shape)


def _list(element: etree._Element, shape: Shape, is_strict: bool) -> list[Any]:
    item = shape.item
    assert item is not None
    result = []
    for child in element:
        if local_name(child) == item.wire:  # "member" where the model gives no name
            result.append(_value(child, item.shape, is_strict))
        elif is_strict:
            raise MalformedXML
    return result


def _scalar(element: etree._Element, shape: Shape) -> Any:
    if len(element):
        raise MalformedXML
    return _checked(element.text or "", shape)


def _checked(text: str, shape: Shape) -> Any:
    kind = shape.type
    if kind == "string":
        if shape.enum and text not in shape.enum and shape.name not in _OPEN_ENUMS:
            raise MalformedXML
        return text
    text = text.strip()
    if kind in {"integer", "long"}:
        if not _INTEGER(text):
            raise MalformedXML
        return int(text)
    if kind == "boolean":
        if text.lower() not in {"true", "false"}:
            raise MalformedXML
        return text.lower() == "true"
    try:
        return parse_timestamp(text) if kind == "timestamp" else base64.b64decode(text)
    except (ValueError, binascii.Error):
        raise MalformedXML from None
