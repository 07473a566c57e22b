"""Rules of cross-origin resource sharing: which are legal, which one fits, what the answer says.

Sources: "Using cross-origin resource sharing (CORS)" of the Amazon S3 user guide; Fetch standard,
3.2. Rules are in boto3's shape. We never send Access-Control-Allow-Credentials: S3 knows no
cookies, and a reflected origin with credentials is a hole (CVE-2026-46685).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from s3server.errors import InvalidRequest, MalformedXML
from s3server.wire.response import Headers, header_value, is_token

MAX_RULES = 100
MAX_ID_CHARACTERS = 255
METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")

Rule = Mapping[str, Any]


def check_rules(rules: Sequence[Rule]) -> None:
    """Raise MalformedXML or InvalidRequest unless S3 takes these rules, and can send them."""
    if not 1 <= len(rules) <= MAX_RULES:
        raise MalformedXML
    for rule in rules:
        if len(rule.get("ID", "")) > MAX_ID_CHARACTERS or rule.get("MaxAgeSeconds", 0) < 0:
            raise MalformedXML
        for method in rule["AllowedMethods"]:
            if method not in METHODS:
                raise InvalidRequest(
                    f"Found unsupported HTTP method in CORS config. Unsupported method is {method}"
                )
        _check_patterns("AllowedOrigin", rule["AllowedOrigins"])
        _check_patterns("AllowedHeader", rule.get("AllowedHeaders", ()))
        for name in rule.get("ExposeHeaders", ()):
            if "*" in name:
                raise InvalidRequest(
                    f'ExposeHeader "{name}" contains wildcard. '
                    "We currently do not support wildcard for ExposeHeader."
                )
            if not is_token(name):
                raise InvalidRequest("ExposeHeader is not a name that a header can have.")


def _check_patterns(element: str, patterns: Iterable[str]) -> None:
    for pattern in patterns:
        if not _is_plain(pattern):
            raise InvalidRequest(f"{element} is empty or contains characters that no header has.")
        if pattern.count("*") > 1:
            raise InvalidRequest(f'{element} "{pattern}" can not have more than one wildcard.')


def _is_plain(text: str) -> bool:
    return text != "" and text.isascii() and text.isprintable() and " " not in text


def find_rule(
    rules: Iterable[Rule], origin: str, method: str, headers: Sequence[str] = ()
) -> tuple[Rule, str] | None:
    """Return the first rule that allows all of a request, and the origin that it allows.

    `headers` are the names that a preflight asks for. The origin is "*" where the rule lets
    everybody in, else the one of the request.
    """
    if not _is_plain(origin):
        return None
    for rule in rules:
        allowed = next((one for one in rule["AllowedOrigins"] if _fits(one, origin)), None)
        if allowed is None or method not in rule["AllowedMethods"]:
            continue
        patterns = [one.lower() for one in rule.get("AllowedHeaders", ())]
        if all(any(_fits(one, name) for one in patterns) for name in headers):
            return rule, "*" if allowed == "*" else origin
    return None


def _fits(pattern: str, text: str) -> bool:
    before, star, after = pattern.partition("*")
    if not star:
        return pattern == text
    is_long_enough = len(text) >= len(before) + len(after)
    return is_long_enough and text.startswith(before) and text.endswith(after)


def requested_headers(text: str) -> list[str] | None:
    """Return the names of Access-Control-Request-Headers in lower case; None for what is none."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    return names if all(is_token(name) for name in names) else None


def sharing_headers(rule: Rule, origin: str, headers: Sequence[str] = ()) -> Headers:
    """Return what tells a browser that `origin` may have the answer, and use `headers`."""
    answer = [
        ("access-control-allow-origin", origin),
        ("access-control-allow-methods", ", ".join(rule["AllowedMethods"])),
        ("access-control-allow-headers", ", ".join(headers)),
        ("access-control-expose-headers", ", ".join(rule.get("ExposeHeaders", ()))),
        ("access-control-max-age", str(rule.get("MaxAgeSeconds", ""))),
        ("vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"),
    ]
    return [(name.encode(), header_value(value)) for name, value in answer if value]
