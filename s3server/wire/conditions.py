"""Conditional reads: If-Match and its kin, for objects and for the sources of copies. Pure.

Precedence is that of RFC 9110, section 13.2.2, and of S3's GetObject page: an entity tag that
was asked for decides, and the time beside it does not count. Authorise before asking here, or
answers would tell strangers what exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from s3server.errors import NotModified, PreconditionFailed
from s3server.wire.timestamps import parse_timestamp


def check_read_conditions(request: Mapping[str, Any], *, etag: str, modified: datetime) -> None:
    """Hold the members If* of a GetObject or HeadObject request against the object.

    `etag` has its quotes. Raises PreconditionFailed, or NotModified with the object's ETag and
    Last-Modified as headers.
    """
    _check_wanted(request, "If", etag, modified)
    is_unchanged = _is_unchanged(request, "If", etag, modified)
    if is_unchanged:
        raise NotModified(
            headers={"ETag": etag, "Last-Modified": format_datetime(_whole(modified), usegmt=True)}
        )


def check_copy_source_conditions(
    request: Mapping[str, Any], *, etag: str, modified: datetime
) -> None:
    """Hold the members CopySourceIf* against the source. Raises PreconditionFailed."""
    _check_wanted(request, "CopySourceIf", etag, modified)
    failed = _is_unchanged(request, "CopySourceIf", etag, modified)
    if failed:
        raise PreconditionFailed(Condition=f"x-amz-copy-source-{_spelt(failed)}")


def is_range_current(if_range: str | None, *, etag: str, modified: datetime) -> bool:
    """Return whether If-Range lets a Range count: what the client has a part of is what is there.

    RFC 9110, 13.1.5: the same strong tag, or the very date that was told as Last-Modified.
    """
    if if_range is None or if_range.strip('"') == etag.strip('"'):
        return True
    try:
        return parse_timestamp(if_range) == _whole(modified)
    except ValueError:
        return False


def has_etag(listed: str, etag: str) -> bool:
    """Return whether a list of entity tags names `etag`: weak ones, and without quotes, too.

    S3 hands out strong tags only, so that a weak one can only be a strong one that a proxy
    has marked; and old clients send tags without their quotes.
    """
    wanted = _opaque(etag)
    return any(tag == "*" or _opaque(tag) == wanted for tag in _split(listed))


def _check_wanted(request: Mapping[str, Any], prefix: str, etag: str, modified: datetime) -> None:
    match = request.get(prefix + "Match")
    since = request.get(prefix + "UnmodifiedSince")
    if match is not None:
        if not has_etag(match, etag):
            raise PreconditionFailed(Condition="If-Match")
    elif since is not None and _whole(modified) > since:
        raise PreconditionFailed(Condition="If-Unmodified-Since")


def _is_unchanged(
    request: Mapping[str, Any], prefix: str, etag: str, modified: datetime
) -> str | None:
    """Return the member that says "only if it changed", where it did not."""
    none_match = request.get(prefix + "NoneMatch")
    since = request.get(prefix + "ModifiedSince")
    if none_match is not None:
        return "NoneMatch" if has_etag(none_match, etag) else None
    if since is not None and _whole(modified) <= since:
        return "ModifiedSince"
    return None


def _spelt(member: str) -> str:
    return {"NoneMatch": "If-None-Match", "ModifiedSince": "If-Modified-Since"}[member]


def _whole(moment: datetime) -> datetime:
    """Headers carry whole seconds: compare as the client was told."""
    return moment.replace(microsecond=0)


def _opaque(tag: str) -> str:
    return tag.removeprefix("W/").removeprefix('"').removesuffix('"')


def _split(listed: str) -> list[str]:
    return [tag for part in listed.split(",") if (tag := part.strip(" \t"))]
