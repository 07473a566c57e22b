"""Which operation a request is: method, level, query keys and one header decide.

The operation whose required query keys are all there wins; of several the one with most keys,
then the one whose header is there. A query key that names another operation is never ignored, so
`DELETE /bucket?cors` cannot become DeleteBucket, nor `PUT /bucket/key?new-thing` PutObject.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from s3server import errors
from s3server.catalogue import ACCOUNT_ROWS, S3_ROWS
from s3server.wire.forms import MEDIA_TYPE, media_type
from s3server.wire.service_model import S3_CONTROL_NAMESPACE, Level, Operation, ServiceModel

# What any request may carry: it signs, names or shapes the request and selects nothing.
_ANYWHERE = frozenset(
    {"x-id", "versionId", "AWSAccessKeyId", "Signature", "Expires"}
    | {f"X-Amz-{name}" for name in ("Algorithm", "Credential", "Date", "Expires")}
    | {f"X-Amz-{name}" for name in ("Signature", "SignedHeaders", "Security-Token")}
)
_ANYWHERE_PREFIXES = ("x-amz-", "response-")  # compared in lower case


@dataclass(frozen=True, slots=True)
class _Candidate:
    operation: Operation
    keys: frozenset[str]
    known: frozenset[str]
    header: str | None
    value: tuple[str, str] | None

    def fits(self, query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        if self.header is not None and self.header not in headers:
            return False
        return self.value is None or query[self.value[0]] == self.value[1]


@dataclass(frozen=True, slots=True)
class _Table:
    """The operations of one method and level."""

    plain: tuple[_Candidate, ...]  # need no query key
    selected: tuple[_Candidate, ...]  # most keys first, then with header
    selectors: frozenset[str]  # keys that some of `selected` need

    def choose(self, query: Mapping[str, str], headers: Mapping[str, str]) -> _Candidate | None:
        if query and not self.selectors.isdisjoint(query):
            keys = query.keys()
            for candidate in self.selected:
                if candidate.keys <= keys and candidate.fits(query, headers):
                    return candidate
        for candidate in self.plain:
            if candidate.header is None or candidate.header in headers:
                return candidate
        return None


class Router:
    """Finds the operation of every request; built once from the models."""

    def __init__(self, models: Sequence[ServiceModel]) -> None:
        self._query_models = [model for model in models if model.service != "s3"]
        s3 = next(model for model in models if model.service == "s3")
        groups: dict[tuple[str, Level], list[_Candidate]] = {}
        for operation in s3.operations.values():
            if operation.row.alias_of is None:
                groups.setdefault((operation.method, operation.level), []).append(
                    _candidate(operation)
                )
        for operation in _account_operations(s3):
            groups[operation.method, "account"] = [_candidate(operation)]
        self._tables = {place: _table(candidates) for place, candidates in groups.items()}
        self._sub_resources = frozenset(
            key for table in self._tables.values() for key in table.selectors
        )
        self._form_upload = _form_upload(s3.operations["PutObject"])

    def find(
        self, method: str, level: Level, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> Operation:
        """Return the operation; `query` as parse_query() gives it, header names in lower case.

        Raises MethodNotAllowed where nothing answers to the method and level, NotImplemented
        where a write names a sub-resource that nobody knows, and InvalidArgument where the
        query names two operations at once.
        """
        table = self._tables.get((method, level))
        if table is None:
            raise self._not_allowed(method, level)
        found = table.choose(query, headers)
        known: Set[str] = _ANYWHERE if found is None else found.known
        if query and not query.keys() <= known:
            self._check_strays(method, level, query, known)
        if found is not None:
            return found.operation
        if (method, level) == ("POST", "bucket") and _is_form_upload(headers):
            return self._form_upload
        raise self._not_allowed(method, level)

    def _check_strays(
        self, method: str, level: Level, query: Mapping[str, str], known: Set[str]
    ) -> None:
        """Refuse query keys that the operation does not know and that may mean another one."""
        selectors = self._tables[method, level].selectors
        for key, value in query.items():
            if key in known or key.lower().startswith(_ANYWHERE_PREFIXES):
                continue
            if key in selectors:
                raise errors.InvalidArgument(
                    "The query string parameters of the request conflict or are incomplete.",
                    ArgumentName=key,
                    ArgumentValue=value,
                )
            if key in self._sub_resources:
                raise self._not_allowed(method, level, key)
            if not value and method not in {"GET", "HEAD"}:
                raise errors.NotImplemented(
                    f"No operation is named by the query parameter {key!r}."
                )

    def _not_allowed(
        self, method: str, level: Level, resource: str = ""
    ) -> errors.MethodNotAllowed:
        """RFC 9110, 15.5.6: a 405 says which methods are allowed."""
        allowed = ", ".join(sorted(one for one, other in self._tables if other == level))
        return errors.MethodNotAllowed(
            headers={"allow": allowed}, Method=method, ResourceType=resource or level.upper()
        )

    def find_query_operation(
        self, action: str, version: str | None, scope_service: str | None
    ) -> Operation:
        """Return the operation of IAM, STS or SNS that a form body names.

        `scope_service` is the service of the signature's credential scope, where there is one; it
        decides, then the version, then the action alone. Raises InvalidAction.
        """
        models = self._query_models
        if any(model.service == scope_service for model in models):
            models = [model for model in models if model.service == scope_service]
        if version:
            models = [model for model in models if model.version == version]
        found = [model.operations[action] for model in models if action in model.operations]
        if len(found) != 1:
            version = version or "NO_VERSION_SPECIFIED"
            raise errors.InvalidAction(f"Could not find operation {action} for version {version}.")
        return found[0]


def _candidate(operation: Operation) -> _Candidate:
    return _Candidate(
        operation,
        operation.query,
        operation.known_query | _ANYWHERE,
        operation.row.header,
        operation.row.query_value,
    )


def _table(candidates: list[_Candidate]) -> _Table:
    ordered = sorted(candidates, key=lambda one: (-len(one.keys), one.header is None))
    selected = tuple(one for one in ordered if one.keys)
    return _Table(
        plain=tuple(one for one in ordered if not one.keys),
        selected=selected,
        selectors=frozenset(key for one in selected for key in one.keys),
    )


def _is_form_upload(headers: Mapping[str, str]) -> bool:
    return media_type(headers.get("content-type", "")) == MEDIA_TYPE


def _form_upload(put_object: Operation) -> Operation:
    """Return PostObject, which no model describes: a PutObject whose request is a form."""
    row = next(row for row in S3_ROWS if row.name == "PostObject")
    return replace(put_object, row=row, method="POST", status=204)


def _account_operations(s3: ServiceModel) -> list[Operation]:
    """Return what S3 Control does for an account as S3 does it for a bucket."""
    return [
        replace(
            s3.operations[row.name.replace("Account", "")],
            row=row,
            level="account",
            query=frozenset(),
            known_query=frozenset(),
            namespace=S3_CONTROL_NAMESPACE,
            needs_checksum=False,
        )
        for row in ACCOUNT_ROWS
    ]
