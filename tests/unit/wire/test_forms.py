"""The push parser of form uploads: any cut, strict framing, limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3server.errors import (
    IncorrectNumberOfFilesInPostRequest,
    InvalidArgument,
    MalformedPOSTRequest,
    MaxPostPreDataLengthExceeded,
    S3Error,
)
from s3server.wire.forms import MAX_AFTER_BYTES, MAX_BEFORE_BYTES, FormParser, read_boundary
from tests.support.forms import BOUNDARY, encode_form

FIELDS = {"key": "user/${filename}", "acl": "private", "empty": "", "Content-Type": "image/jpeg"}
# Looks like a delimiter over and over, and is none.
CONTENT = b"\r\n--\r\n--" + BOUNDARY.encode()[:-1] + b"\r\n\r\n-" + b"\r" * 70 + b"\n--end\r\n"


def parse(body: bytes, *cuts: int) -> tuple[FormParser, bytes]:
    parser, content = FormParser(BOUNDARY.encode()), b""
    for start, stop in zip((0, *cuts), (*cuts, len(body)), strict=True):
        content += parser.feed(body[start:stop])
    parser.close()
    return parser, content


def test_form_is_read_whole() -> None:
    body = encode_form(FIELDS, CONTENT, file_name="a b.jpg", after={"submit": "Upload"})
    parser, content = parse(body)
    assert content == CONTENT
    assert parser.fields == {name.lower(): value for name, value in FIELDS.items()}
    assert parser.file_name == "a b.jpg"
    assert body[parser.file_start :].startswith(CONTENT)


def test_cut_at_every_offset_gives_the_same() -> None:
    body = encode_form(FIELDS, CONTENT, after={"submit": "Upload"})
    for cut in range(len(body) + 1):
        parser, content = parse(body, cut)
        assert (content, len(parser.fields)) == (CONTENT, 4), cut


def test_byte_by_byte_gives_the_same() -> None:
    body = encode_form(FIELDS, CONTENT)
    assert parse(body, *range(1, len(body)))[1] == CONTENT


def test_end_at_every_offset_is_noticed() -> None:
    body = encode_form(FIELDS, CONTENT)
    for end in range(len(body) - 2):  # the last line end may be missing
        with pytest.raises(S3Error):
            parse(body[:end])
    assert parse(body[:-2])[1] == CONTENT


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=6))
def test_any_content_comes_through_any_cuts(content: bytes, cuts: list[int]) -> None:
    body = encode_form(FIELDS, content)
    places = sorted(min(cut, len(body)) for cut in cuts)
    assert parse(body, *places)[1] == content


@given(st.binary(max_size=400))
def test_anything_is_read_or_refused(body: bytes) -> None:
    try:
        parse(body)
    except S3Error:
        return
    pytest.fail("random bytes are no form")


@given(st.integers(0, 600), st.integers(0, 255))
def test_changed_byte_is_read_or_refused(at: int, value: int) -> None:
    body = bytearray(encode_form(FIELDS, CONTENT))
    body[at % len(body)] = value
    try:
        parse(bytes(body))
    except S3Error as error:
        refused = error.status
    else:
        refused = 400
    assert refused == 400


def head(disposition: str, *more: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in (disposition, *more))
    return f"--{BOUNDARY}\r\n{lines}\r\nvalue\r\n--{BOUNDARY}--".encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"preamble\r\n" + encode_form(FIELDS),
        b"\r\n" + encode_form(FIELDS),
        encode_form(FIELDS).replace(b"\r\n", b"\n"),
        encode_form(FIELDS).replace(BOUNDARY.encode() + b"\r\n", BOUNDARY.encode() + b" \r\n"),
        encode_form({"key": "\udcff"}.fromkeys(["k"], "v")).replace(b"\r\nv\r\n", b"\r\n\xff\r\n"),
        head("Content-Type: text/plain"),
        head("Content-Disposition: form-data"),
        head("Content-Disposition: attachment; name=a"),
        head('Content-Disposition: form-data; name="a"; name="b"'),
        head('Content-Disposition: form-data; name="a'),
        head("Content-Disposition: form-data; name=a", "Content-Disposition: form-data; name=b"),
        head("Content-Disposition: form-data; name=a", "no colon"),
        head("Content-Disposition: form-data; name=a", " folded: x"),
        head("", "Content-Disposition: form-data; name=a"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedPOSTRequest):
        parse(body)


def test_form_has_exactly_one_file() -> None:
    with pytest.raises(InvalidArgument):
        parse(encode_form(FIELDS, None))
    body = encode_form(FIELDS, b"one", after=[("FILE", "two")])
    with pytest.raises(IncorrectNumberOfFilesInPostRequest):
        parse(body)


def test_repeated_field_is_refused_whatever_its_case() -> None:
    with pytest.raises(InvalidArgument):
        parse(encode_form([("key", "a"), ("Key", "b")]))


def test_fields_after_the_file_mean_nothing() -> None:
    parser, _ = parse(encode_form({"key": "a"}, after={"key": "b", "acl": "public-read"}))
    assert parser.fields == {"key": "a"}


@pytest.mark.parametrize("step", [1_000, 1_000_000])
def test_20_kib_may_come_before_the_file(step: int) -> None:
    spare = MAX_BEFORE_BYTES - len(encode_form({"key": ""}, b"")) + len(f"--{BOUNDARY}--\r\n\r\n")
    largest = encode_form({"key": "x" * (spare - 2)}, b"f" * 100_000)
    assert parse(largest, *range(step, len(largest), step))[1] == b"f" * 100_000
    larger = encode_form({"key": "x" * (spare + 8)}, b"f" * 100_000)
    with pytest.raises(MaxPostPreDataLengthExceeded):
        parse(larger, *range(step, len(larger), step))


@pytest.mark.parametrize("start", [b"", b"--" + BOUNDARY.encode() + b"\r\n"])
def test_bytes_that_never_become_a_file_are_not_kept(start: bytes) -> None:
    body = start + b"x" * (MAX_BEFORE_BYTES + 2_000)
    with pytest.raises((MaxPostPreDataLengthExceeded, MalformedPOSTRequest)):
        parse(body, *range(1_000, len(body), 1_000))


def test_20_kib_may_come_after_the_file() -> None:
    parse(encode_form(FIELDS, after={"x": "x" * (MAX_AFTER_BYTES - 200)}))
    with pytest.raises(MalformedPOSTRequest):
        parse(encode_form(FIELDS, after={"x": "x" * MAX_AFTER_BYTES}))
    with pytest.raises(MalformedPOSTRequest):
        parse(encode_form(FIELDS) + b"x" * MAX_AFTER_BYTES)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=" + "a" * 71,
        'multipart/form-data; boundary="a\tb"',
        "multipart/mixed; boundary=a",
        "text/plain; multipart/form-data; boundary=a",
    ],
)
def test_boundary_must_be_there_once(content_type: str) -> None:
    with pytest.raises(MalformedPOSTRequest):
        read_boundary(content_type)


@pytest.mark.parametrize(
    "content_type",
    ['Multipart/Form-Data; charset=utf-8; BOUNDARY="a b"', "multipart/form-data;boundary=a"],
)
def test_boundary_is_found(content_type: str) -> None:
    assert read_boundary(content_type) in {b"a b", b"a"}
