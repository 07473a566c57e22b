"""What stored records are made of, beside plain fields."""

from __future__ import annotations

import msgspec


class Author(msgspec.Struct, frozen=True, array_like=True):
    """Who configured something, as policies name them: what it does later is done for them."""

    id: str = ""  # canonical user id
    account: str = ""
    arns: tuple[str, ...] = ()
    is_host: bool = False  # needs no leave of what it is about: its owner, or lawful in its account


class NotificationRule(msgspec.Struct, frozen=True, array_like=True):
    """Which events of a bucket go to a topic."""

    id: str
    topic: str  # ARN
    topic_id: bytes  # 8 bytes: a topic of the same name that is made later is another one
    events: tuple[str, ...]  # "ObjectCreated:*"
    prefix: str = ""
    suffix: str = ""
    regex: str = ""
    metadata: tuple[tuple[str, str], ...] = ()  # names in lower case
    tags: tuple[tuple[str, str], ...] = ()
    author: Author = Author()


class Annotation(msgspec.Struct, frozen=True, array_like=True):
    """A named text that belongs to a version, and goes with it."""

    name: str
    size: int  # bytes
    etag: str  # MD5, without quotes
    modified_ms: int
    blob: bytes
    checksums: tuple[tuple[str, str], ...] = ()
    encryption: bytes = b""  # `keys.Envelope` of the ring; empty: plain
