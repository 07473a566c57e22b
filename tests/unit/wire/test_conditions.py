"""Conditional reads: every combination of the four headers, and entity tags of all shapes."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from s3server.errors import NotModified, PreconditionFailed
from s3server.wire.conditions import (
    check_copy_source_conditions,
    check_read_conditions,
    has_etag,
)

ETAG = '"0123456789abcdef"'
MODIFIED = datetime(2026, 11, 21, 10, 0, 0, 500_000, tzinfo=UTC)
TOLD = MODIFIED.replace(microsecond=0)  # what Last-Modified said
BEFORE, AFTER = TOLD - timedelta(seconds=1), TOLD + timedelta(seconds=1)
OTHER = '"ffff"'


def outcome(check, request):
    try:
        check(request, etag=ETAG, modified=MODIFIED)
    except (NotModified, PreconditionFailed) as error:
        return error.status
    return 200


def expected(match, none_match, modified_since, unmodified_since, *, unchanged):
    """RFC 9110, section 13.2.2, said once more."""
    if match is not None and match != ETAG:
        return 412
    if match is None and unmodified_since is not None and unmodified_since < TOLD:
        return 412
    if none_match is not None:
        return unchanged if none_match == ETAG else 200
    if modified_since is not None and modified_since >= TOLD:
        return unchanged
    return 200


TAGS = [None, ETAG, OTHER]
TIMES = [None, BEFORE, TOLD, AFTER]
COMBINATIONS = list(itertools.product(TAGS, TAGS, TIMES, TIMES))
MEMBERS = ["Match", "NoneMatch", "ModifiedSince", "UnmodifiedSince"]


def test_reads_under_all_combinations():
    for values in COMBINATIONS:
        request = {"If" + m: v for m, v in zip(MEMBERS, values, strict=True) if v is not None}
        assert outcome(check_read_conditions, request) == expected(*values, unchanged=304)


def test_copy_sources_under_all_combinations():
    for values in COMBINATIONS:
        request = {
            "CopySourceIf" + m: v for m, v in zip(MEMBERS, values, strict=True) if v is not None
        }
        assert outcome(check_copy_source_conditions, request) == expected(*values, unchanged=412)


def test_conditions_of_reads_and_copies_do_not_mix():
    assert outcome(check_read_conditions, {"CopySourceIfMatch": OTHER}) == 200
    assert outcome(check_copy_source_conditions, {"IfMatch": OTHER}) == 200


def test_not_modified_tells_the_tag_and_the_time():
    with pytest.raises(NotModified) as error:
        check_read_conditions({"IfNoneMatch": ETAG}, etag=ETAG, modified=MODIFIED)
    assert error.value.headers == {
        "ETag": ETAG, "Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"
    }  # fmt: skip


def test_failed_precondition_names_its_header():
    for request, name in [
        ({"IfMatch": OTHER}, "If-Match"),
        ({"IfUnmodifiedSince": BEFORE}, "If-Unmodified-Since"),
    ]:
        with pytest.raises(PreconditionFailed) as error:
            check_read_conditions(request, etag=ETAG, modified=MODIFIED)
        assert error.value.fields == {"Condition": name}
    with pytest.raises(PreconditionFailed) as error:
        check_copy_source_conditions({"CopySourceIfNoneMatch": ETAG}, etag=ETAG, modified=MODIFIED)
    assert error.value.fields == {"Condition": "x-amz-copy-source-If-None-Match"}


@pytest.mark.parametrize(
    ("listed", "is_in"),
    [
        (ETAG, True), ("*", True), ("W/" + ETAG, True), (ETAG.strip('"'), True),
        (f"{OTHER}, {ETAG}", True), (f"{OTHER},W/{ETAG}\t", True), (OTHER, False), ("", False),
        (",,", False), (ETAG[:-2] + '"', False), ("W/", False), ('""', False), ("**", False),
        (f"{OTHER} {ETAG}", False),
    ],
)  # fmt: skip
def test_lists_of_entity_tags(listed, is_in):
    assert has_etag(listed, ETAG) is is_in
