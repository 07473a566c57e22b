"""Form uploads. Hardening reference, rows 22 (CVE-2023-43040), 23 (CVE-2026-27607,
CVE-2021-21362), 24 (CVE-2023-28434), 58 and 59 (limits of the form)."""

from __future__ import annotations

import pytest

from tests.support.forms import BOUNDARY, encode_form, encode_policy, post, signed_fields
from tests.support.served import Store

KEY = {"key": "photos/1"}
RULES = [{"bucket": "data"}, ["starts-with", "$key", "photos/"], ["starts-with", "$bucket", ""]]


@pytest.mark.parametrize(
    "fields", [{"bucket": "other"}, {"Bucket": "other"}, {"bucket": "DATA"}, {"bucket": ""}]
)
async def test_form_cannot_name_another_bucket(data: Store, fields: dict[str, str]) -> None:
    await data.alice.made("/other")
    signed = signed_fields(data.alice, RULES, {**KEY, **fields})
    with data.untouched():
        answer = await post(data.nobody, "/data", encode_form(signed))
    assert answer.outcome == (403, "AccessDenied")


async def test_bucket_cannot_be_named_twice(data: Store) -> None:
    pairs = [("bucket", "data"), *signed_fields(data.alice, RULES, KEY).items(), ("Bucket", "x")]
    with data.untouched():
        answer = await post(data.nobody, "/data", encode_form(pairs))
    assert answer.outcome == (400, "InvalidArgument")


async def test_policy_of_one_bucket_is_no_good_for_another(data: Store) -> None:
    await data.alice.made("/other")
    signed = signed_fields(data.alice, RULES, {**KEY, "bucket": "data"})
    with data.untouched():
        answer = await post(data.nobody, "/other", encode_form(signed))
    assert answer.outcome == (403, "AccessDenied")


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "elsewhere"},
        {"acl": "public-read"},
        {"x-amz-meta-a": "b"},
        {"x-amz-copy-source": "/data/secret"},
        {"success_action_redirect": "https://evil.example"},
        {"Content-Type": "text/html"},
        {"tagging": "x"},
        {"anything": "else"},
    ],
)
async def test_what_the_policy_does_not_allow_is_denied(
    data: Store, changed: dict[str, str]
) -> None:
    signed = signed_fields(data.alice, RULES, KEY) | changed
    with data.untouched():
        answer = await post(data.nobody, "/data", encode_form(signed))
    assert answer.outcome == (403, "AccessDenied")


async def test_policy_cannot_be_exchanged(data: Store) -> None:
    signed = signed_fields(data.alice, RULES, KEY)
    signed["policy"] = encode_policy([["starts-with", "$key", ""]], data.clock.now())
    with data.untouched():
        answer = await post(data.nobody, "/data", encode_form(signed))
    assert answer.outcome == (403, "SignatureDoesNotMatch")


async def test_fields_that_no_form_has_do_not_become_headers(data: Store) -> None:
    await data.alice.made("/data/secret", body=b"secret")
    more = {"x-amz-copy-source": "/data/secret", "x-amz-decoded-content-length": "3",
            "x-amz-bypass-governance-retention": "true", "if-none-match": "*",
            "host": "evil.example"}  # fmt: skip
    rules = [*RULES, *(["starts-with", f"${name}", ""] for name in more)]
    signed = signed_fields(data.alice, rules, {**KEY, **more})
    answer = await post(data.nobody, "/data", encode_form(signed, b"mine"))
    assert answer.status == 204
    assert answer.header("location") == "http://s3.test/data/photos/1"
    assert (await data.alice("GET", "/data/photos/1")).body == b"mine"


@pytest.mark.parametrize(
    "content_type",
    [
        f"x; multipart/form-data; boundary={BOUNDARY}",
        f"text/plain; a=multipart/form-data; boundary={BOUNDARY}",
        f"multipart/form-data-x; boundary={BOUNDARY}",
        f"multipart/related; boundary={BOUNDARY}",
        "application/x-www-form-urlencoded",
        "",
    ],
)
async def test_what_is_no_form_is_not_taken_for_one(data: Store, content_type: str) -> None:
    body = encode_form(signed_fields(data.alice, RULES, KEY))
    with data.untouched():
        answer = await post(data.nobody, "/data", body, content_type=content_type)
    assert answer.outcome == (405, "MethodNotAllowed")


async def test_media_type_is_told_apart_from_its_parameters(data: Store) -> None:
    body = encode_form(signed_fields(data.alice, RULES, KEY))
    kind = f"MULTIPART/form-data; charset=utf-8; boundary={BOUNDARY}"
    assert (await post(data.nobody, "/data", body, content_type=kind)).status == 204


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"", (400, "MalformedPOSTRequest")),
        (b"x" * 30_000, (400, "MalformedPOSTRequest")),
        (encode_form({**KEY, "x": "x" * 20_480}), (400, "MaxPostPreDataLengthExceeded")),
        (encode_form(KEY, None), (400, "InvalidArgument")),
        (encode_form(KEY, b"f" * 3_000_000)[:-60], (400, "MalformedPOSTRequest")),
        (encode_form(KEY, b"f", after={"file": "g"}),
         (400, "IncorrectNumberOfFilesInPostRequest")),
        (encode_form(KEY, b"f" * 1_500_000, after={"a": "b" * 30_000}),
         (400, "MalformedPOSTRequest")),
        (encode_form(KEY, b"f" * 1_500_000, after={"a": "b" * 800_000}),
         (400, "MalformedPOSTRequest")),
    ],
)  # fmt: skip
async def test_malformed_forms_are_refused(
    data: Store, body: bytes, outcome: tuple[int, str]
) -> None:
    await data.alice.made("/open", headers={"x-amz-acl": "public-read-write"})
    before = await data.rows()
    answer = await post(data.nobody, "/open", body)
    assert answer.outcome == outcome
    assert await data.rows() == before
    assert data.pool.blob_count == 0


async def test_form_cut_at_any_offset_stores_nothing(data: Store) -> None:
    await data.alice.made("/open", headers={"x-amz-acl": "public-read-write"})
    body = encode_form(KEY, b"content\r\n--", after={"submit": "x"})
    before = await data.rows()
    headers = {"host": "s3.test", "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    headers["content-length"] = str(len(body))
    for cut in range(0, len(body), 3):
        answer = await data.nobody.send("POST", "/open", headers, pieces=[body[:cut]], cut=True)
        assert answer.status == 400, cut
    assert await data.rows() == before


async def test_form_needs_a_length(data: Store) -> None:
    headers = {"host": "s3.test", "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    headers["transfer-encoding"] = "chunked"
    answer = await data.nobody.send("POST", "/data", headers, encode_form(KEY))
    assert answer.outcome == (411, "MissingContentLength")
