"""Hostile and odd documents: each is refused, or read as what it says."""

from __future__ import annotations

import pytest

from s3server.errors import MalformedXML
from s3server.wire.xmldoc import MAX_TAGS, local_name, read_xml

XXE = b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/hostname">]><Delete><Key>&x;</Key></Delete>'
LAUGHS = (
    b'<!DOCTYPE l [<!ENTITY a "ha">'
    + b"".join(
        b'<!ENTITY %c "%s">' % (98 + level, (b"&%c;" % (97 + level)) * 10) for level in range(9)
    )
    + b"]><Delete>&j;</Delete>"
)

HOSTILE = {
    "external entity": XXE,
    "billion laughs": LAUGHS,
    "doctype in lower case": b"<!doctype html><Delete/>",
    "doctype after a comment": b"<!-- x --><!DOCTYPE d SYSTEM 'http://192.0.2.1/d'><Delete/>",
    "doctype in UTF-16": XXE.decode().encode("utf-16"),
    "doctype in UTF-16 without mark": XXE.decode().encode("utf-16-le"),
    "doctype in UTF-32": XXE.decode().encode("utf-32"),
    "UTF-7 declared": b'<?xml version="1.0" encoding="UTF-7"?>+ADw-!DOCTYPE d+AD4-<Delete/>',
    "latin-1 bytes": '<?xml version="1.0" encoding="latin-1"?><Key>é</Key>'.encode("latin-1"),
    "NUL": b"<Key>a\0b</Key>",
    "undefined entity": b"<Key>&x;</Key>",
    "reference to a control character": b"<Key>&#1;</Key>",
    "too deep": b"<a>" * 300 + b"</a>" * 300,
    "much too deep": b"<a>" * 20_000,
    "unclosed": b"<Delete><Object>",
    "two roots": b"<a/><b/>",
    "text after the root": b"<a/>x",
    "not XML": b'{"Delete": 1}',
    "empty": b"",
    "blank": b" \n",
    "repeated attribute": b'<a x="1" x="2"/>',
    "undeclared prefix": b"<s3:Delete/>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_document_is_refused(name: str) -> None:
    with pytest.raises(MalformedXML):
        read_xml(HOSTILE[name], max_bytes=1 << 20)


def test_document_above_the_limit_is_refused() -> None:
    body = b"<a>" + b"x" * 93 + b"</a>"
    assert read_xml(body, max_bytes=100).text == "x" * 93
    with pytest.raises(MalformedXML):
        read_xml(body, max_bytes=99)


def test_document_of_tags_and_nothing_else_is_refused() -> None:
    """Four bytes of it would take a hundred of memory."""
    most = b"<a>" + b"<b/>" * (MAX_TAGS - 2) + b"</a>"
    assert len(read_xml(most, max_bytes=len(most))) == MAX_TAGS - 2
    with pytest.raises(MalformedXML):
        read_xml(most.replace(b"</a>", b"<b/></a>"), max_bytes=8 << 20)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<Key>a</Key>", "a"),
        (b"\xef\xbb\xbf<Key>a</Key>", "a"),
        (b'<?xml version="1.0" encoding="utf-8"?>\n<Key>a</Key>', "a"),
        ('<?xml version="1.0" encoding="latin-1"?><Key>é</Key>'.encode(), "é"),
        (b"<Key>a<!-- b -->c<?d e?>f</Key>", "acf"),
        (b"<Key><![CDATA[<&]]></Key>", "<&"),
        (b"<Key>&lt;!DOCTYPE&gt;&amp;&#13;</Key>", "<!DOCTYPE>&\r"),
        (b"<Key> a </Key>", " a "),
    ],
)
def test_text_is_what_the_document_says(body: bytes, expected: str) -> None:
    assert read_xml(body, max_bytes=1_000).text == expected


def test_namespace_is_no_part_of_a_name() -> None:
    assert local_name(read_xml(b'<Key xmlns="urn:x"/>', max_bytes=100)) == "Key"
    assert local_name(read_xml(b"<Key/>", max_bytes=100)) == "Key"
