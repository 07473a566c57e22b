"""The only place where XML that a client sent is parsed: no DOCTYPE, no entities, no surprises."""

from __future__ import annotations

from lxml import etree

from s3server.errors import MalformedXML

# An element takes 100 bytes of memory, whatever it takes in the document. 10,000 parts of an
# upload, each with its number, its ETag and eleven checksums, have 280,000 tags.
MAX_TAGS = 300_000


def read_xml(body: bytes, *, max_bytes: int) -> etree._Element:
    """Return the root element of a document in UTF-8, without comments and instructions.

    Raises MalformedXML for everything else: more than `max_bytes` or MAX_TAGS, another encoding
    (whatever the document declares), a DOCTYPE, an entity of its own, or more than 256 levels
    (libxml2's limit without huge_tree). The DOCTYPE is looked for before parsing, because a
    parser that does not resolve entities drops them silently.
    """
    if len(body) > max_bytes or body.count(b"<") > MAX_TAGS:
        raise MalformedXML
    if b"\0" in body or b"<!doctype" in body.lower():
        raise MalformedXML
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        body.decode("utf-8")
        return etree.fromstring(body, parser)
    except (UnicodeDecodeError, etree.XMLSyntaxError):
        raise MalformedXML from None


def local_name(element: etree._Element) -> str:
    """Return an element's name without its namespace: clients send S3's, another or none."""
    return element.tag.rpartition("}")[2]
