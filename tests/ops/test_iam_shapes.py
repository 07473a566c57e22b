"""What answers of IAM have in common."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest

from s3server.ops.iam_shapes import page_of, shown_document, version_number


def test_document_is_percent_encoded_as_rfc_3986_has_it() -> None:
    text = json.dumps({"a b": "ü+/~*'"}, ensure_ascii=False)
    shown = shown_document(text)
    assert unquote(shown) == text
    assert not set(shown) & set(" \"{}+/*'")


@pytest.mark.parametrize(
    ("text", "number"), [("v1", 1), ("v12", 12), ("v3.a-b", 3), ("v" + "9" * 5_000, 0)]
)
def test_version_ids(text: str, number: int) -> None:
    assert version_number(text) == number


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_pages_are_together_the_whole_list(size: int) -> None:
    items = [f"n{number}" for number in range(7)]
    found, request = [], {"MaxItems": size}
    while True:
        page = page_of(request, "Names", items, str, str)
        found += page["Names"]
        if not page["IsTruncated"]:
            break
        request = {"MaxItems": size, "Marker": page["Marker"]}
    assert found == items
