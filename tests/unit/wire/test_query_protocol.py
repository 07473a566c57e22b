"""Forms that are refused; what is read is tests/unit/wire/test_model_oracle.py."""

from __future__ import annotations

import pytest

from s3server.errors import MaxMessageLengthExceeded, ValidationError
from s3server.model import HttpRequest, Target
from s3server.wire.parse import compile_parser
from s3server.wire.query_protocol import MAX_FORM_BYTES, read_form
from s3server.wire.service_model import load_model

SNS = load_model("sns").operations
IAM = load_model("iam").operations
REQUEST = HttpRequest("POST", "/", "", {"host": "h"})


def parse(operation: object, form: bytes) -> dict[str, object]:
    return compile_parser(operation)(REQUEST, Target(None, None), {}, read_form(form))  # type: ignore[arg-type]


def test_topic_of_seed_a_is_read() -> None:
    form = (
        b"Action=CreateTopic&Version=2010-03-31&Name=t&Attributes.entry.1.key=push-endpoint&"
        b"Attributes.entry.1.value=amqp%3A%2F%2Fhost%3A5672&Attributes.entry.2.key=persistent&"
        b"Attributes.entry.2.value=false"
    )
    assert parse(SNS["CreateTopic"], form) == {
        "Name": "t",
        "Attributes": {"push-endpoint": "amqp://host:5672", "persistent": "false"},
    }


def test_items_are_in_the_order_of_their_numbers() -> None:
    form = b"UserName=u&TagKeys.member.10=c&TagKeys.member.2=b&TagKeys.member.1=a"
    assert parse(IAM["UntagUser"], form) == {"UserName": "u", "TagKeys": ["a", "b", "c"]}


@pytest.mark.parametrize(
    "form",
    [
        b"Path=/a/",
        b"UserName.x=u",
        b"UserName=u&Tags.member.1.Key=a",
        b"UserName=u&Tags.member.x.Key=a&Tags.member.x.Value=b",
        b"UserName=u&Tags.member.1=a",
    ],
)
def test_form_that_does_not_fit_is_refused(form: bytes) -> None:
    with pytest.raises(ValidationError):
        parse(IAM["CreateUser"], form)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("ListUsers", b"MaxItems=ten"),
        ("ListUsers", b"MaxItems=" + b"9" * 5_000),
        ("ListUsers", b"MaxItems=%D9%A1"),
        ("UpdateAccountPasswordPolicy", b"RequireSymbols=maybe"),
    ],
)
def test_value_of_another_type_is_refused(name: str, form: bytes) -> None:
    with pytest.raises(ValidationError):
        parse(IAM[name], form)


def test_deeply_nested_name_is_refused() -> None:
    with pytest.raises(ValidationError, match="nested too deeply"):
        parse(IAM["CreateUser"], b"UserName=u&" + b".".join([b"a"] * 13) + b"=1")


@pytest.mark.parametrize(
    "form", [b"a=1&a=2", b"a=%zz", b"a=%ff", "a=é".encode(), b"&".join([b"a=1"] * 2_001)]
)
def test_body_that_is_no_form_is_refused(form: bytes) -> None:
    with pytest.raises(ValidationError):
        read_form(form)


def test_long_form_is_refused() -> None:
    assert read_form(b"a=" + b"b" * (MAX_FORM_BYTES - 2))["a"] == "b" * (MAX_FORM_BYTES - 2)
    with pytest.raises(MaxMessageLengthExceeded):
        read_form(b"a=" + b"b" * (MAX_FORM_BYTES - 1))
