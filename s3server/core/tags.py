"""Tags of objects and buckets: what S3 allows.

Source: "Categorizing your storage using tags", Amazon S3 User Guide. Lengths are in UTF-16 code
units, as there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from s3server.errors import BadRequest, InvalidTag

Tags = tuple[tuple[str, str], ...]

MAX_OBJECT_TAGS, MAX_BUCKET_TAGS = 10, 50
MAX_KEY_UNITS, MAX_VALUE_UNITS = 128, 256
_PUNCTUATION = frozenset("+-=._:/@")


def check_tags(tags: Sequence[tuple[str, str]], *, most: int) -> Tags:
    """Return the tags, once they are such as S3 allows. Raises BadRequest, InvalidTag."""
    if len(tags) > most:
        what = "Object tags" if most == MAX_OBJECT_TAGS else "Bucket tag count"
        raise BadRequest(f"{what} cannot be greater than {most}")
    seen: set[str] = set()
    for key, value in tags:
        if key in seen:
            raise InvalidTag("Cannot provide multiple Tags with the same key", TagKey=key)
        seen.add(key)
        if key.lower().startswith("aws:"):
            raise InvalidTag("System tags cannot be added/updated by requester", TagKey=key)
        if not key or not _is_allowed(key, MAX_KEY_UNITS):
            raise InvalidTag("The TagKey you have provided is invalid", TagKey=key)
        if not _is_allowed(value, MAX_VALUE_UNITS):
            raise InvalidTag(
                "The TagValue you have provided is invalid", TagKey=key, TagValue=value
            )
    return tuple(tags)


def _is_allowed(text: str, units: int) -> bool:
    """Return whether a text has letters, numbers, spaces and "+-=._:/@" only, and not too many."""
    return len(text.encode("utf-16-le", "surrogatepass")) <= 2 * units and all(
        letter in _PUNCTUATION or unicodedata.category(letter)[0] in "LNZM" for letter in text
    )
