"""Attributes of a topic: those of Ceph's gateway, each checked before it is stored.

Source: "Bucket Notifications", Ceph documentation. `push-endpoint` and `http-signature-secret`
hold secrets: they are stored apart, sealed, and shown without them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from s3server.errors import InvalidParameter
from s3server.events.endpoints import AllowList, Endpoint, parse_endpoint

ENDPOINT, SECRET = "push-endpoint", "http-signature-secret"
MAX_VALUE_BYTES = 4_096
_POLICY_BYTES = 20 << 10


def _one_of(*known: str) -> Callable[[str], bool]:
    return lambda text: text in known


def _is_count(text: str) -> bool:
    return text == "None" or (text.isascii() and text.isdigit() and len(text) < 10)


def _is_http_level(text: str) -> bool:
    codes = text.isascii() and text.isdigit() and 100 <= int(text) <= 599
    return text in ("any", "non-error") or codes


_is_flag = _one_of("true", "false")
_CHECKS: dict[str, Callable[[str], bool]] = {
    "amqp-exchange": lambda text: 0 < len(text.encode()) <= 255,
    "amqp-ack-level": _one_of("none", "broker", "routable"),
    "http-ack-level": _is_http_level,
    "kafka-ack-level": _one_of("none", "broker"),
    "mechanism": _one_of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    "use-ssl": _is_flag,
    "verify-ssl": _is_flag,
    "persistent": _is_flag,
    "cloudevents": _is_flag,
    "time_to_live": _is_count,  # seconds
    "max_retries": _is_count,
    "retry_sleep_duration": _is_count,  # seconds
    "OpaqueData": lambda _: True,
    "Policy": lambda _: True,  # read as one by whoever may evaluate it
    SECRET: lambda text: len(text) >= 16,
    ENDPOINT: lambda _: True,
    "ca-location": lambda _: True,
}


def check_attributes(
    attributes: Mapping[str, str], allowed: AllowList, ca_directory: str
) -> Endpoint:
    """Return the endpoint of a whole set of attributes. Raises InvalidParameter.

    `use-ssl` makes the endpoint a secure one, as on Ceph's gateway.
    """
    for name, value in attributes.items():
        check = _CHECKS.get(name)
        if check is None:
            raise InvalidParameter(f"Invalid parameter: AttributeName: {name} is not known")
        limit = _POLICY_BYTES if name == "Policy" else MAX_VALUE_BYTES
        if not value.isprintable() and name not in ("Policy", "OpaqueData"):
            raise InvalidParameter(f"Invalid parameter: {name}: control characters")
        if len(value.encode()) > limit or not check(value):
            raise InvalidParameter(f"Invalid parameter: {name}: {value[:100]!r} is not valid")
    endpoint = _endpoint(attributes, allowed)
    if endpoint.is_amqp and "amqp-exchange" not in attributes:
        raise InvalidParameter("Invalid parameter: an AMQP endpoint needs amqp-exchange")
    ca_file = attributes.get("ca-location", "")
    if ca_file and (not ca_file.startswith(ca_directory.rstrip("/") + "/") or "/.." in ca_file):
        raise InvalidParameter(f"Invalid parameter: ca-location is not in {ca_directory}")
    return endpoint


def _endpoint(attributes: Mapping[str, str], allowed: AllowList) -> Endpoint:
    url = attributes.get(ENDPOINT, "")
    if not url:
        raise InvalidParameter(f"Invalid parameter: {ENDPOINT} is missing")
    if attributes.get("use-ssl") == "true":
        for plain in ("amqp://", "http://"):
            if url.startswith(plain):
                url = url.replace("://", "s://", 1)
    try:
        endpoint = parse_endpoint(url)
    except ValueError as error:
        raise InvalidParameter(f"Invalid parameter: {ENDPOINT}: {error}") from None
    if not allowed.allows(endpoint):
        raise InvalidParameter(
            f"Invalid parameter: {ENDPOINT}: the operator of this store has not allowed "
            f"{endpoint.host}:{endpoint.port} (setting events.endpoints)"
        )
    return endpoint
