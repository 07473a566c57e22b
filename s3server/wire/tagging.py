"""The header x-amz-tagging: tags as a query string."""

from __future__ import annotations

from urllib.parse import parse_qsl

from s3server.errors import InvalidArgument


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
