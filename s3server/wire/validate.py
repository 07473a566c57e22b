"""Requests of IAM and STS held against what AWS's models say of their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from s3server.errors import ValidationError
from s3server.wire.constraints import compile_constraint
from s3server.wire.service_model import Operation, Shape

_Check = Callable[[Any, str], None]
_CHECKED = frozenset({"iam", "sts"})  # SNS has errors of its own for what it does not take


def compile_check(operation: Operation) -> Callable[[dict[str, Any]], None]:
    """Return what raises ValidationError where a request is not as the model wants it."""
    check = _checker(operation.input) if operation.service in _CHECKED else _no_check
    return lambda request: check(request, "")


def _no_check(value: Any, path: str) -> None:
    return


def _checker(shape: Shape | None) -> _Check:
    """Return what raises ValidationError where a value is not as the model wants it."""
    if shape is None:
        return _no_check
    own = compile_constraint(shape.constraint, shape.type)
    members = {name: _checker(member.shape) for name, member in shape.members.items()}
    item = _checker(shape.item.shape) if shape.item else _no_check

    def check(value: Any, path: str) -> None:
        why = own(value)
        if why:
            raise ValidationError(
                f"1 validation error detected: Value at '{path}' failed to satisfy "
                f"constraint: {why}"
            )
        if shape.type == "structure":
            for name, each in value.items():
                inner = name[0].lower() + name[1:]
                members[name](each, f"{path}.{inner}" if path else inner)
        elif shape.type == "list":
            for number, each in enumerate(value, 1):
                item(each, f"{path}.{number}.member")

    return check
