"""Website configurations of buckets: which are legal, and where their rules redirect to.

Source: "Configuring a static website" and "Configuring a webpage redirect", Amazon S3 user guide.
Documents are in boto3's shape. What ends up in a Location is checked here when it is stored and
escaped when it is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from s3server.errors import InvalidArgument, InvalidRedirectLocation, InvalidRequest
from s3server.wire.request import MAX_KEY_BYTES

MAX_RULES = 50
MAX_REDIRECT_BYTES = 2_048  # AWS, "Setting an object redirect using the Amazon S3 console"

_HOST = re.compile(r"[0-9A-Za-z._-]{1,253}(:[0-9]{1,5})?").fullmatch
_LOCATION = re.compile(r"(/|https?://)[!-~]*").fullmatch
_SAFE = "/!$&'()*+,;=:@~"  # of a path: RFC 3986, 3.3; no "?" and no "#"

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where a browser is sent."""

    location: str
    status: int = 301


def check_website(document: Document) -> None:
    """Raise InvalidArgument or InvalidRequest unless S3 takes this configuration."""
    everything = document.get("RedirectAllRequestsTo")
    if everything is not None:
        if len(document) > 1:
            raise InvalidArgument(
                "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules."
            )
        _check_host(everything["HostName"])
        return
    suffix = (document.get("IndexDocument") or {}).get("Suffix", "")
    if not _is_key(suffix) or "/" in suffix:
        raise InvalidArgument("The IndexDocument Suffix is not well formed")
    error = document.get("ErrorDocument")
    if error is not None and not _is_key(error["Key"]):
        raise InvalidArgument("The ErrorDocument Key is not well formed")
    rules = document.get("RoutingRules", ())
    if len(rules) > MAX_RULES:
        raise InvalidRequest(f"{len(rules)} routing rules provided, the limit is {MAX_RULES}.")
    for rule in rules:
        _check_condition(rule.get("Condition"))
        _check_redirect(rule["Redirect"])


def _is_key(text: str) -> bool:
    return 0 < len(text.encode()) <= MAX_KEY_BYTES and text.isprintable()


def _check_host(name: str) -> None:
    if not _HOST(name):
        raise InvalidArgument("The HostName of a redirect is not valid.")


def _check_condition(condition: Document | None) -> None:
    if condition is None:
        return
    if not condition:
        raise InvalidRequest("Condition cannot be empty.")
    code = condition.get("HttpErrorCodeReturnedEquals")
    if code is not None and not re.fullmatch("[45][0-9]{2}", code):
        raise InvalidRequest(
            f"The provided HTTP error code ({code}) is not valid. Valid codes are 4XX or 5XX."
        )
    if not condition.get("KeyPrefixEquals", "").isprintable():
        raise InvalidRequest("KeyPrefixEquals contains control characters.")


def _check_redirect(redirect: Document) -> None:
    if not redirect:
        raise InvalidRequest("Redirect cannot be empty.")
    if "ReplaceKeyWith" in redirect and "ReplaceKeyPrefixWith" in redirect:
        raise InvalidRequest("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
    code = redirect.get("HttpRedirectCode")
    if code is not None and not (re.fullmatch("3[0-9]{2}", code) and code not in {"300", "304"}):
        raise InvalidRequest(
            f"The provided HTTP redirect code ({code}) is not valid. "
            "Valid codes are 3XX except 300."
        )
    if "HostName" in redirect:
        _check_host(redirect["HostName"])
    for name in ("ReplaceKeyWith", "ReplaceKeyPrefixWith"):
        if not redirect.get(name, "").isprintable():
            raise InvalidRequest(f"{name} contains control characters.")


def check_redirect_location(location: str) -> str:
    """Return what an object says that its web page is elsewhere. Raises InvalidRedirectLocation."""
    if len(location) > MAX_REDIRECT_BYTES or not _LOCATION(location):
        raise InvalidRedirectLocation
    return location


def redirect_all(document: Document, key: str, scheme: str) -> Redirect | None:
    """Return where every request is sent, where that is so."""
    target = document.get("RedirectAllRequestsTo")
    if target is None:
        return None
    return Redirect(f"{target.get('Protocol') or scheme}://{target['HostName']}{path_of(key)}")


def find_redirect(
    document: Document, key: str, *, scheme: str, host: str, error: int | None = None
) -> Redirect | None:
    """Return where the first rule that applies sends a request for `key`.

    Rules about an error apply where the request ended with that `error`, the others before it.
    """
    for rule in document.get("RoutingRules", ()):
        condition, redirect = rule.get("Condition") or {}, rule["Redirect"]
        prefix = condition.get("KeyPrefixEquals", "")
        code = condition.get("HttpErrorCodeReturnedEquals")
        if not key.startswith(prefix) or code != (None if error is None else str(error)):
            continue
        origin = f"{redirect.get('Protocol') or scheme}://{redirect.get('HostName') or host}"
        path = _redirected_path(redirect, key, prefix)
        return Redirect(origin + path, int(redirect.get("HttpRedirectCode", 301)))
    return None


def _redirected_path(redirect: Document, key: str, prefix: str) -> str:
    """Return the path of a redirection, with the query and the fragment that its rule has.

    What is left of the key stays one value where it lands in a query ("resize?key=").
    """
    if "ReplaceKeyWith" in redirect:
        return "/" + quote(redirect["ReplaceKeyWith"], safe=_SAFE + "?#")
    if "ReplaceKeyPrefixWith" in redirect:
        begin, rest = redirect["ReplaceKeyPrefixWith"], key[len(prefix) :]
        safe = "/" if "?" in begin else _SAFE
        return "/" + quote(begin, safe=_SAFE + "?#") + quote(rest, safe=safe)
    return path_of(key)


def path_of(key: str) -> str:
    """Return a key as the path of a URL, with nothing in it that could end the path."""
    return "/" + quote(key, safe=_SAFE)
