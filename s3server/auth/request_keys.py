"""The condition keys of a request to S3.

Source: "AWS global condition context keys" (IAM user guide) and "Actions, resources, and condition
keys for Amazon S3" (Service Authorization Reference). What the server knows and what the client
sent are kept apart, and the former wins: no header can stand in for who sent it.

Nothing is computed before a condition asks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from s3server.arns import arns_of, user_id_of
from s3server.auth.policy import Requester
from s3server.model import HttpRequest, Principal

Pairs = Iterable[tuple[str, str]]
Found = dict[str, tuple[str, ...]]

_AUTH_TYPES = {"header": "REST-HEADER", "query": "REST-QUERY-STRING", "post": "POST"}
_SIGNATURE_VERSIONS = {"v4": "AWS4-HMAC-SHA256", "v2": "AWS", "post": "AWS4-HMAC-SHA256"}
_FROM_QUERY = ("prefix", "delimiter", "max-keys")
_FROM_HEADERS = {
    "user-agent": "aws:useragent",
    "referer": "aws:referer",
    "if-match": "s3:if-match",
    "if-none-match": "s3:if-none-match",
    "x-amz-object-lock-mode": "s3:object-lock-mode",
    "x-amz-object-lock-legal-hold": "s3:object-lock-legal-hold",
    "x-amz-object-lock-retain-until-date": "s3:object-lock-retain-until-date",
    **{
        f"x-amz-{name}": f"s3:x-amz-{name}"
        for name in (
            "acl", "content-sha256", "copy-source", "grant-full-control", "grant-read",
            "grant-read-acp", "grant-write", "grant-write-acp", "metadata-directive",
            "object-ownership", "server-side-encryption", "server-side-encryption-aws-kms-key-id",
            "server-side-encryption-customer-algorithm", "storage-class",
            "website-redirect-location",
        )
    },
}  # fmt: skip
_SENT = frozenset({
    *_FROM_HEADERS.values(), *(f"s3:{name}" for name in _FROM_QUERY),
    "s3:object-lock-remaining-retention-days", "s3:requestobjecttagkeys",
    "s3:objectcreationoperation",
})  # fmt: skip
# What a PUT or POST to an object names where it does not make one.
_NO_CREATION = frozenset({
    "acl", "annotation", "legal-hold", "partNumber", "renameObject", "retention", "tagging",
    "uploads",
})  # fmt: skip
_DAY_MS = 86_400_000
# Keys that a request can have, with those that none has here: there are no private networks of
# AWS's, organisations or services that call us, and nobody has a second factor. An absent key is
# something else than one that is not in this list, from which nothing follows.
_KNOWN = frozenset({
    "aws:currenttime", "aws:epochtime", "aws:multifactorauthage", "aws:multifactorauthpresent",
    "aws:principalaccount", "aws:principalarn", "aws:principalisawsservice", "aws:principalorgid",
    "aws:principaltype", "aws:resourceaccount", "aws:securetransport", "aws:sourceaccount",
    "aws:sourcearn", "aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:userid",
    "aws:username", "aws:viaawsservice", "aws:vpcsourceip",
    "aws:federatedprovider", "aws:sourceidentity", "aws:tokenissuetime",
    "s3:authtype", "s3:resourceaccount", "s3:signatureage", "s3:signatureversion", "s3:versionid",
    *_SENT,
})  # fmt: skip
_EXISTING_TAG, _REQUEST_TAG = "s3:existingobjecttag/", "s3:requestobjecttag/"
_PRINCIPAL_TAG = "aws:principaltag/"
_OF_SERVICES = (
    "aws:requesttag/", "aws:resourcetag/", "aws:tagkeys", "iam:permissionsboundary",
    "iam:policyarn", "iam:resourcetag/",
)  # fmt: skip
_BUCKET_TAGS = ("s3:buckettag/", "aws:resourcetag/")


class Seen(msgspec.Struct, frozen=True):
    """What a decision is made from, as far as conditions can ask about it."""

    principal: Principal
    mechanism: str  # "v4-header", "v2-query", "post", "anonymous"...
    http: HttpRequest
    query: Mapping[str, str]
    now_ms: int
    account: str = ""  # of the bucket
    version: str | None = None  # version id that is asked for
    stored_tags: Pairs = ()  # of the object that is there
    bucket_tags: Pairs | None = None  # None where conditions are not to ask for them
    from_body: Mapping[str, tuple[str, ...]] | None = None  # keys that a document holds
    of_service: Mapping[str, tuple[str, ...]] | None = None  # keys of IAM, STS and SNS; None for S3


def requester_of(principal: Principal) -> Requester:
    """Return a principal as policies name it."""
    account = "" if principal.is_anonymous else principal.account
    return Requester(arns_of(principal), account, principal.id)


# Keys that most conditions ask for, told without computing the others: they follow from client and
# scheme of the connection.
_OF_CONNECTION: dict[str, Callable[[HttpRequest], tuple[str, ...]]] = {
    "aws:securetransport": lambda http: ("true" if http.scheme == "https" else "false",),
    "aws:sourceip": lambda http: (http.client,) if http.client else (),
}


class ConnectionKeys:
    """The keys that follow from client and scheme of a connection; implements `wildcard.Keys`."""

    __slots__ = ("_http",)

    def __init__(self, http: HttpRequest) -> None:
        self._http = http

    def find(self, key: str) -> tuple[str, ...] | None:
        """Return the values of a key; None, not known here, of all others."""
        of_connection = _OF_CONNECTION.get(key)
        return None if of_connection is None else of_connection(self._http)


class RequestKeys:
    """Implements `wildcard.Keys`."""

    __slots__ = ("_seen", "_sent", "_server")

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._server: Found | None = None
        self._sent: Found | None = None

    def find(self, key: str) -> tuple[str, ...] | None:
        """Return the values of a key; see `wildcard.Keys`."""
        of_connection = _OF_CONNECTION.get(key)
        if of_connection is not None:
            return of_connection(self._seen.http)
        if self._server is None:
            self._server = _server_keys(self._seen)
        found = self._server.get(key)
        if found is None and (key in _SENT or key.startswith(_REQUEST_TAG)):
            if self._sent is None:
                self._sent = _sent_keys(self._seen)
            found = self._sent.get(key)
        is_tag = key.startswith((_EXISTING_TAG, _REQUEST_TAG, _PRINCIPAL_TAG))
        if is_tag or (self._seen.bucket_tags is not None and key.startswith(_BUCKET_TAGS)):
            # Names of keys ignore case, those of tags do not: of two that look alike none is it.
            return None if found is not None and len(found) > 1 else found or ()
        if found is None and (key in _KNOWN or self._is_of_service(key)):
            return ()
        return found

    def _is_of_service(self, key: str) -> bool:
        return self._seen.of_service is not None and key.startswith(_OF_SERVICES)


def _server_keys(seen: Seen) -> Found:
    principal, now = seen.principal, datetime.fromtimestamp(seen.now_ms / 1000, UTC)
    is_secure = seen.http.scheme == "https"
    found: Found = {
        "aws:currenttime": (now.strftime("%Y-%m-%dT%H:%M:%SZ"),),
        "aws:epochtime": (str(seen.now_ms // 1000),),
        "aws:principalisawsservice": ("false",),
        "aws:viaawsservice": ("false",),
        "aws:principaltype": (_principal_type(principal),),
        "aws:userid": (user_id_of(principal),),
        "aws:resourceaccount": (seen.account,),
        "s3:resourceaccount": (seen.account,),
    }
    if seen.http.tls_version:
        found["s3:tlsversion"] = (seen.http.tls_version,)
    elif not is_secure:
        found["s3:tlsversion"] = ()
    if not principal.is_anonymous:
        found["aws:principalarn"] = arns_of(principal)[-1:]
        found["aws:principalaccount"] = (principal.account,)
        tags = {name.lower(): (name, value) for name, value in principal.tags}
        tags |= {name.lower(): (name, value) for name, value in principal.session_tags}
        found.update(_tags(_PRINCIPAL_TAG, tags.values()))
    if not (principal.is_root or principal.is_anonymous or principal.role):
        found["aws:username"] = (principal.name,)
    if principal.kind == "session":
        found.update(_session_keys(principal))
    if seen.version is not None:
        found["s3:versionid"] = (seen.version,)
    found.update(seen.of_service or {})
    found.update(_signature_keys(seen))
    found.update(_tags(_EXISTING_TAG, seen.stored_tags))
    for prefix in _BUCKET_TAGS:
        found.update(_tags(prefix, seen.bucket_tags or ()))
    return found


def _session_keys(principal: Principal) -> Found:
    issued = datetime.fromtimestamp(principal.issued_ms / 1000, UTC)
    found: Found = {"aws:tokenissuetime": (issued.isoformat(timespec="milliseconds"),)}
    if principal.provider:
        found["aws:federatedprovider"] = (principal.provider,)
    if principal.lineage.source_identity:
        found["aws:sourceidentity"] = (principal.lineage.source_identity,)
    return found


def _principal_type(principal: Principal) -> str:
    if principal.role:
        return "AssumedRole"
    return {"anonymous": "Anonymous", "root": "Account"}.get(principal.kind, "User")


def _signature_keys(seen: Seen) -> Found:
    version, _, where = seen.mechanism.partition("-")
    found: Found = {}
    if version in _SIGNATURE_VERSIONS:
        found["s3:signatureversion"] = (_SIGNATURE_VERSIONS[version],)
        found["s3:authtype"] = (_AUTH_TYPES[where or version],)
    if seen.mechanism == "v4-query":
        names = {name.lower(): value for name, value in seen.query.items()}
        try:
            signed = datetime.strptime(names["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except (KeyError, ValueError):
            return found
        age = timedelta(milliseconds=seen.now_ms) - (signed - datetime.fromtimestamp(0, UTC))
        found["s3:signatureage"] = (str(max(0, age // timedelta(milliseconds=1))),)
    return found


def _tags(prefix: str, tags: Pairs) -> Found:
    found: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for name, value in tags:
        found[prefix + name.lower()] += (value,)
    return found


def _sent_keys(seen: Seen) -> Found:
    headers = seen.http.headers
    found: Found = {key: (headers[name],) for name, key in _FROM_HEADERS.items() if name in headers}
    for name in _FROM_QUERY:
        if name in seen.query:
            found[f"s3:{name}"] = (seen.query[name],)
    # "Enforce conditional writes", S3 user guide: an upload in parts has its condition at its end.
    creates = seen.http.method in {"PUT", "POST"} and _NO_CREATION.isdisjoint(seen.query)
    found["s3:objectcreationoperation"] = ("true" if creates else "false",)
    if "x-amz-tagging" in headers:
        tags = parse_qsl(headers["x-amz-tagging"], keep_blank_values=True)
        found.update(request_tags(tags))
    found.update(seen.from_body or {})
    until = found.get("s3:object-lock-retain-until-date")
    if until is not None:
        found["s3:object-lock-remaining-retention-days"] = _days_until(until[0], seen.now_ms)
    return found


def request_tags(tags: Pairs) -> Found:
    """Return the keys of tags that a request gives to an object."""
    pairs = list(tags)
    names = tuple(dict.fromkeys(name for name, _ in pairs))
    return {**_tags(_REQUEST_TAG, pairs), "s3:requestobjecttagkeys": names}


# Operations whose documents hold condition keys: read before the decision where a policy decides.
KEYS_IN_BODY = frozenset({
    "PutBucketOwnershipControls", "PutObjectLegalHold", "PutObjectRetention", "PutObjectTagging",
})  # fmt: skip


def keys_of_body(operation: str, request: Mapping[str, Any]) -> Found:
    """Return the condition keys that the document of a request holds.

    `request` is in boto3's shape; what it lacks, its handler will refuse.
    """
    found: Found = {}
    if operation == "PutObjectTagging":
        tags = request["Tagging"]["TagSet"]
        return request_tags((tag["Key"], tag["Value"]) for tag in tags)
    if operation == "PutObjectRetention":
        retention = request["Retention"]
        if "Mode" in retention:
            found["s3:object-lock-mode"] = (retention["Mode"],)
        if "RetainUntilDate" in retention:
            date = retention["RetainUntilDate"].isoformat()
            found["s3:object-lock-retain-until-date"] = (date,)
    elif operation == "PutObjectLegalHold":
        if "Status" in request["LegalHold"]:
            found["s3:object-lock-legal-hold"] = (request["LegalHold"]["Status"],)
    else:
        rules = request["OwnershipControls"]["Rules"]
        found["s3:x-amz-object-ownership"] = tuple(rule["ObjectOwnership"] for rule in rules)
    return found


def _days_until(date: str, now_ms: int) -> tuple[str, ...]:
    try:
        until = datetime.fromisoformat(date)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        left_ms = round(until.timestamp() * 1000) - now_ms
    except (ValueError, OverflowError):
        return ("",)  # no number: what compares it decides nothing
    return (str(-(-left_ms // _DAY_MS)),)
