"""The catalogue against the installed models, and every row against the router."""

from __future__ import annotations

import itertools

import pytest

from s3server.catalogue import S3_ROWS
from s3server.errors import S3Error
from s3server.wire.routing import Router
from s3server.wire.service_model import VERSIONS, Operation, load_model

MODELS = [load_model(service) for service in VERSIONS]
S3 = MODELS[0].operations
ROUTER = Router(MODELS)
ALL_KEYS = sorted({key for operation in S3.values() for key in operation.query})


def own_query(operation: Operation) -> dict[str, str]:
    query = dict.fromkeys(operation.query, "")
    if operation.row.query_value:
        query[operation.row.query_value[0]] = operation.row.query_value[1]
    return query


def own_headers(operation: Operation) -> dict[str, str]:
    return {operation.row.header: "x"} if operation.row.header else {}


def answer(method: str, level: str, query: dict[str, str], headers: dict[str, str]) -> str:
    try:
        return ROUTER.find(method, level, query, headers).name  # type: ignore[arg-type]
    except S3Error as error:
        return error.code


def test_every_operation_of_the_model_has_a_row() -> None:
    rows = {row.name for row in S3_ROWS}
    assert sorted(S3.keys() - rows) == []
    assert sorted(rows - S3.keys()) == ["PostObject"]


def test_no_operation_has_two_rows() -> None:
    assert len(S3_ROWS) == len({row.name for row in S3_ROWS})


def test_actions_belong_to_a_service() -> None:
    services = {row.action.partition(":")[0] for row in S3_ROWS}
    assert services == {"s3", "s3express", "s3-object-lambda"}


def test_aliases_are_other_operations_that_are_routed() -> None:
    routed = {row.name for row in S3_ROWS if row.alias_of is None}
    assert {row.alias_of for row in S3_ROWS if row.alias_of} <= routed


def test_query_values_are_those_of_the_model() -> None:
    values = {row.name: row.query_value for row in S3_ROWS if row.query_value}
    assert values == {
        "ListObjectsV2": ("list-type", "2"),
        "SelectObjectContent": ("select-type", "2"),
    }


@pytest.mark.parametrize("name", sorted(S3))
def test_operation_finds_itself(name: str) -> None:
    operation = S3[name]
    found = ROUTER.find(
        operation.method, operation.level, own_query(operation), own_headers(operation)
    )
    assert found.name == (operation.row.alias_of or name)
    assert found.action == operation.action or operation.row.alias_of == "ListBuckets"


def test_no_two_routed_operations_look_alike() -> None:
    looks = [
        (one.method, one.level, one.query, one.row.header, one.row.query_value)
        for one in S3.values()
        if one.row.alias_of is None
    ]
    assert len(looks) == len(set(looks))


PLAIN = {
    (one.method, one.level): one.name
    for one in S3.values()
    if not one.query and not one.row.header and not one.row.alias_of
}


@pytest.mark.parametrize(("place", "key"), list(itertools.product(sorted(PLAIN), ALL_KEYS)))
def test_sub_resource_never_reaches_the_plain_operation(place: tuple[str, str], key: str) -> None:
    """`DELETE bucket?x` is not DeleteBucket, `PUT key?x` is not PutObject: for every x there is."""
    plain = PLAIN[place]
    reached = answer(*place, {key: ""}, {})
    if key in S3[plain].known_query:
        assert reached == plain
    else:
        assert reached != plain


@pytest.mark.parametrize("service", ["iam", "sts", "sns"])
def test_operations_of_other_services_have_derived_actions(service: str) -> None:
    operations = next(model for model in MODELS if model.service == service).operations
    assert {one.action for one in operations.values()} == {f"{service}:{n}" for n in operations}


def test_model_without_rows_is_still_routed() -> None:
    newer = load_model("s3", rows=())
    assert newer.operations["PutBucketCors"].action == "s3:PutBucketCors"
