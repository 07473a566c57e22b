"""Values to XML text by shape: functions compiled once, strings joined, no tree.

What XML 1.0 cannot hold (control characters, surrogates, U+FFFE, U+FFFF) becomes U+FFFD, so
that one odd key does not make a listing unreadable; clients that need such keys ask for
`encoding-type=url`, as AWS's SDKs do. S3 itself writes `&#x1;`, which parsers reject.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from s3server.wire.service_model import Member, Shape
from s3server.wire.timestamps import http_date

Writer = Callable[[Any], str]  # from a value to its element, or to the text within it
Dates = Callable[[datetime], str]
_Piece = tuple[str, Writer, str]  # of a structure: what stands before a value, it, and behind it

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


@dataclass(frozen=True, slots=True)
class Field:
    """How one member of a structure is written."""

    write: Writer
    is_list: bool


def escape(text: str) -> str:
    """Return text that is safe in an element and in a quoted attribute."""
    if text.isalnum():
        return text
    if "&" in text:
        text = text.replace("&", "&amp;")
    if '"' in text:
        text = text.replace('"', "&quot;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    if ">" in text:
        text = text.replace(">", "&gt;")
    if not text.isprintable():
        text = _ILLEGAL.sub("\ufffd", text).replace("\r", "&#13;")
    return text


def compile_fields(shape: Shape, dates: Dates) -> dict[str, Field]:
    """Return how each body member of a structure is written; `dates` writes its timestamps."""
    return {
        member.name: Field(_member(member, dates), member.shape.type == "list")
        for member in shape.elements.values()
    }


def write_fields(fields: dict[str, Field], values: Iterable[tuple[str, Any]]) -> str:
    """Return the elements, scalars before lists as S3 has them. KeyError: no such member."""
    scalars: list[str] = []
    lists: list[str] = []
    for name, value in values:
        field = fields[name]
        if value is not None:
            (lists if field.is_list else scalars).append(field.write(value))
    return "".join(scalars) + "".join(lists)


def _member(member: Member, dates: Dates) -> Writer:
    if member.shape.type == "list":
        return _list(member, dates)
    if member.shape.type == "map":
        return _map(member, dates)
    if member.shape.type == "structure":
        return _structure(member, dates)
    return _scalar(member, dates)


def _scalar(member: Member, dates: Dates) -> Writer:
    text, opening, closing = _text(member, dates), f"<{member.wire}>", f"</{member.wire}>"
    return lambda value: f"{opening}{text(value)}{closing}"


def _text(member: Member, dates: Dates) -> Writer:
    """Return what writes the text within a scalar's element."""
    kind = member.shape.type
    if kind in {"integer", "long"}:
        return int.__repr__
    if kind == "boolean":
        return lambda value: "true" if value else "false"
    if kind == "timestamp":
        return http_date if member.timestamp_format == "rfc822" else dates
    if kind == "blob":
        return lambda value: base64.b64encode(value).decode("ascii")
    known = _Known({value: escape(value) for value in member.shape.enum})
    return known.__getitem__ if known else escape


class _Known(dict[str, str]):
    """Texts that need no second look; others are escaped when they are asked for."""

    def __missing__(self, text: str) -> str:
        return escape(text)


def _list(member: Member, dates: Dates) -> Writer:
    item = member.shape.item
    assert item is not None
    if member.flattened:
        write = _member(_renamed(item, member.wire), dates)
        return lambda values: "".join(map(write, values))
    write = _member(item, dates)
    opening, closing = f"<{member.wire}>", f"</{member.wire}>"
    return lambda values: opening + "".join(map(write, values)) + closing


def _renamed(item: Member, wire: str) -> Member:
    return Member(
        name=item.name,
        wire=wire,
        location="",
        shape=item.shape,
        timestamp_format=item.timestamp_format,
    )


def _map(member: Member, dates: Dates) -> Writer:
    key, value = member.shape.key, member.shape.value
    assert key is not None
    assert value is not None
    write_key, write_value = _member(key, dates), _member(value, dates)
    name = member.wire if member.flattened else "entry"
    opening, closing = ("", "") if member.flattened else (f"<{member.wire}>", f"</{member.wire}>")

    def write(values: dict[Any, Any]) -> str:
        pairs = (f"<{name}>{write_key(k)}{write_value(v)}</{name}>" for k, v in values.items())
        return opening + "".join(pairs) + closing

    return write


def _structure(member: Member, dates: Dates) -> Writer:
    members = member.shape.elements
    if attributes := [one for one in member.shape.members.values() if one.attribute]:
        writers = {name: _member(one, dates) for name, one in members.items()}
        return _attributed(member.wire, attributes, writers)
    pieces = {one.name: _piece(one, dates) for one in members.values()}
    compiled: dict[tuple[str, ...], Callable[..., str]] = {}  # few: items have the same members

    def write(values: dict[str, Any]) -> str:
        if None in values.values():
            values = {name: value for name, value in values.items() if value is not None}
        names = tuple(values)
        fill = compiled.get(names)
        if fill is None:
            fill = compiled[names] = _compile(member.wire, [pieces[name] for name in names])
        return fill(*values.values())

    return write


def _piece(member: Member, dates: Dates) -> _Piece:
    """Return how a member is written within its structure."""
    if member.shape.type in {"list", "map", "structure"}:
        return "", _member(member, dates), ""
    return f"<{member.wire}>", _text(member, dates), f"</{member.wire}>"


def _compile(wire: str, pieces: list[_Piece]) -> Callable[..., str]:
    """Return a function of these members' values: one f-string, for a listing has a thousand items.

    Its source is made of names in AWS's models and of nothing that anybody sends.
    """
    known = {f"write{number}": write for number, (_, write, _) in enumerate(pieces)}
    text = "".join(
        f"{opening}{{write{number}(value{number})}}{closing}"
        for number, (opening, _, closing) in enumerate(pieces)
    )
    values = ", ".join(f"value{number}" for number in range(len(pieces)))
    compiled: Callable[..., str] = eval(f"lambda {values}: f'<{wire}>{text}</{wire}>'", known)  # noqa: S307
    return compiled


def _attributed(name: str, attributes: list[Member], writers: dict[str, Writer]) -> Writer:
    wires = {member.name: member.wire for member in attributes}

    def write(values: dict[str, Any]) -> str:
        opening, parts = f"<{name} {_XSI}", []
        for key, value in values.items():
            if key in wires:
                opening += f' {wires[key]}="{escape(value)}"'
            elif value is not None:
                parts.append(writers[key](value))
        return f"{opening}>{''.join(parts)}</{name}>"

    return write
