"""Tags that come with an upload: the header x-amz-tagging, and the field "tagging" of a form."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from s3server.errors import InvalidArgument, MalformedXML
from s3server.wire.xmldoc import local_name, read_xml

MAX_DOCUMENT_BYTES = 20 << 10  # a form has no more before its file


def parse_tagging(header: str) -> list[tuple[str, str]]:
    """Return the tags of a header. Raises InvalidArgument where it is no such query string."""
    try:
        tags = parse_qsl(header, keep_blank_values=True, errors="strict")
    except ValueError:
        tags = []
    if len(dict(tags)) != len(tags) or (header and not tags):
        raise InvalidArgument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query "
            "parameters without tag name duplicates.",
            ArgumentName="x-amz-tagging",
            ArgumentValue=header,
        )
    return tags


def header_of_document(document: str) -> str:
    """Return the header that says what a Tagging document says. Raises MalformedXML.

    Source: "POST Object", Amazon S3 API reference, the form field tagging.
    """
    root = read_xml(document.encode(), max_bytes=MAX_DOCUMENT_BYTES)
    sets = list(root)
    if [local_name(element) for element in (root, *sets)] != ["Tagging", "TagSet"]:
        raise MalformedXML
    pairs = []
    for tag in sets[0]:
        texts = {local_name(child): child.text or "" for child in tag}
        if local_name(tag) != "Tag" or len(tag) != 2 or texts.keys() != {"Key", "Value"}:
            raise MalformedXML
        pairs.append((texts["Key"], texts["Value"]))
    return urlencode(pairs)
