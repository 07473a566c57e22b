"""Values are held against what AWS's models say of them."""

from __future__ import annotations

import pytest

from s3server.errors import ValidationError
from s3server.wire.constraints import Constraint, compile_constraint
from s3server.wire.service_model import load_model
from s3server.wire.validate import compile_check

IAM = load_model("iam").operations


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[\w+=,.@-]+", ["a", "A_b+=,.@-9"], ["", "ü", "a b", "a\n"]),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+", ["ü é", "a-b@c"], ["", "<", "a\n", "a\\"]),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", [""], ["*"]),
        (r"((/[A-Za-z0-9\.,\+@=_-]+)*)/", ["/", "/a/b/"], ["/a", "//", "a/"]),
    ],
)
def test_patterns_are_those_of_java(pattern: str, good: list[str], bad: list[str]) -> None:
    check = compile_constraint(Constraint(pattern=pattern), "string")
    assert [text for text in good if check(text)] == []
    assert [text for text in bad if not check(text)] == []


@pytest.mark.parametrize(
    ("operation", "request_", "path"),
    [
        ("ListUsers", {"MaxItems": 0}, "maxItems"),
        ("ListUsers", {"MaxItems": 1_001}, "maxItems"),
        ("UpdateAccessKey", {"AccessKeyId": "A" * 16, "Status": "Off"}, "status"),
        ("TagUser", {"Tags": [{"Key": "a", "Value": "b"}, {"Key": "*", "Value": ""}]},
         "tags.2.member.key"),
        ("TagUser", {"Tags": [{"Key": "a", "Value": ""}] * 51}, "tags"),
    ],
)  # fmt: skip
def test_error_names_what_is_wrong(operation: str, request_: dict[str, object], path: str) -> None:
    with pytest.raises(ValidationError, match=f"Value at '{path}' failed to satisfy"):
        compile_check(IAM[operation])(request_)


@pytest.mark.parametrize("service", ["iam", "sts", "sns"])
def test_every_operation_can_be_checked(service: str) -> None:
    for operation in load_model(service).operations.values():  # type: ignore[arg-type]
        assert compile_check(operation)({}) is None  # type: ignore[func-returns-value]
