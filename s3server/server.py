"""The life of a request, on one screen: one raw ASGI callable.

Read, route, authenticate, authorise, parse, handle, render: each happens here and nowhere else,
so that no handler can forget one of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from msgspec.structs import replace

from s3server import errors
from s3server.auth.actions import on_version
from s3server.auth.authenticate import AuthSettings, Lookup, authenticate, hoisted_headers
from s3server.auth.certificates import OPERATIONS, Certificates
from s3server.auth.credentials import Credential
from s3server.auth.oidc_keys import ProviderKeys
from s3server.auth.request_keys import KEYS_IN_BODY, keys_of_body
from s3server.browser.cors import Sharing
from s3server.browser.post import open_post
from s3server.browser.website import Websites
from s3server.core.buckets import check_name
from s3server.core.clock import Clock, Ids
from s3server.core.keys import KeyRingError
from s3server.core.records import BucketRecord
from s3server.core.services import Services
from s3server.data import base as data
from s3server.door import Caller, Door, has_policies
from s3server.errors import AccessDenied, NoSuchBucket, S3Error, SignatureDoesNotMatch
from s3server.exchange import AccessLogs, Exchange, Spool
from s3server.flow import Flow, Receive, Send, send_response
from s3server.identities import Identities
from s3server.limits import Limits
from s3server.meta import base as meta
from s3server.metering import Meter
from s3server.model import ANONYMOUS, HttpRequest, Identity, Target
from s3server.observer import Observer
from s3server.operation import Ctx, Handler
from s3server.sessions import Sessions
from s3server.sts_errors import InvalidIdentityToken
from s3server.subjects import Subject, subject_of
from s3server.wire.body import Body
from s3server.wire.checksums import DEFAULT_ALGORITHM
from s3server.wire.errors import render_error
from s3server.wire.form_file import FormFile
from s3server.wire.parse import Parser, body_limit, compile_parser, has_streaming_body
from s3server.wire.promises import promises_nothing, require_digest
from s3server.wire.proxies import TrustedProxies
from s3server.wire.query_protocol import MAX_FORM_BYTES, is_form, read_form
from s3server.wire.request import bucket_of_host, find_target, parse_query, read_request
from s3server.wire.response import Response
from s3server.wire.routing import Router
from s3server.wire.serialize import Renderer, compile_renderer, id_headers
from s3server.wire.service_model import Operation
from s3server.wire.validate import compile_check

# Their x-amz-checksum-* speak of the whole object, not of the XML that they send.
_CHECKSUM_OF_OBJECT = frozenset({"CompleteMultipartUpload"})

# What else such a request stores with the object needs its permission too.
_CREATING = frozenset({"CopyObject", "CreateMultipartUpload", "PostObject", "PutObject"})


# What whoever guesses keys and secrets is told, or forges tokens and certificates.
_GUESSES = (
    errors.InvalidAccessKeyId, errors.ProofRefused, InvalidIdentityToken, SignatureDoesNotMatch,
)  # fmt: skip
# Unsigned: they bring their proof along, in the body or the connection.
_PROVEN_BY_HANDLER = frozenset({"AssumeRoleWithCertificate", "AssumeRoleWithWebIdentity"})

_BODILESS = frozenset({"GET", "HEAD"})
_CERTIFICATES_ONLY = "Certificates are exchanged for credentials here, and nothing else is done."


@dataclass(frozen=True, slots=True)
class _Binding:
    """An operation with everything that was compiled for it."""

    handler: Handler
    parse: Parser
    check: Callable[[dict[str, Any]], None]  # of what was parsed, by the model
    render: Renderer
    streams: bool
    body_limit: int  # bytes


@dataclass(frozen=True, slots=True)
class Edge:
    """How this server is reached."""

    auth: AuthSettings
    base_domains: tuple[str, ...]
    proxies: TrustedProxies
    host_id: str
    website_domains: tuple[str, ...] = ()


class Server:
    """The S3 endpoint, and on the same one IAM, STS and SNS."""

    def __init__(
        self,
        *,
        edge: Edge,
        router: Router,
        handlers: Mapping[str, Handler],
        services: Services,
        identities: Identities,
        sessions: Sessions,
        providers: ProviderKeys,
        certificates: Certificates,
        meter: Meter,
        limits: Limits,
        clock: Clock,
        ids: Ids,
        spool: Spool,
        observer: Observer,
    ) -> None:
        self._edge, self._router, self._handlers = edge, router, handlers
        self._services, self._lookup = services, sessions.lookup
        self._sessions, self._providers = sessions, providers
        self._certificates = certificates
        self._meter, self._limits = meter, limits
        self._clock, self._ids, self._observer = clock, ids, observer
        self.door = Door(services, identities)
        self._sharing, self._websites = Sharing(services.buckets), Websites(services.buckets)
        self._access_logs = AccessLogs(services.buckets, spool, clock, edge.host_id)
        self._bindings: dict[str, _Binding] = {}
        self._log = structlog.get_logger("server")

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; nothing that it holds can make this raise."""
        flow = Flow(receive, send, self._meter, scope["method"])
        exchange = Exchange(
            self._ids.request_id(), scope["method"], scope["raw_path"].decode("latin-1"), flow
        )
        try:
            response = await self._respond(scope, flow.receive, exchange)
        except S3Error as error:
            response = self._refuse(error, exchange)
        except (meta.FullError, data.FullError):
            response = self._refuse(errors.InsufficientStorage(), exchange)
        except (meta.UnavailableError, data.UnavailableError, TimeoutError, KeyRingError) as error:
            cause = str(error) or type(error).__name__
            response = self._refuse(_unable(error), exchange, cause=cause)
        except Exception as error:
            self._log.exception("internal error", request_id=exchange.request_id)
            response = self._refuse(errors.InternalError(), exchange, cause=repr(error))
        if exchange.sharing:
            response = replace(response, headers=[*response.headers, *exchange.sharing])
        watch, bucket = None, exchange.bucket
        if bucket is None or bucket.logging:
            watch = await self._access_logs.watch(exchange, response)
        flow.answer()
        exchange.answers()
        try:
            await send_response(response if watch is None else watch.response, scope, flow.send)
        except ConnectionResetError:  # the client is gone, and what was read for it ends
            exchange.reason = "the client is gone"
        except Exception as error:
            exchange.reason, exchange.is_fault = f"the answer is cut short: {error!r}", True
            raise
        finally:
            if watch is not None:
                watch.end()
            self._observer.see(exchange.answered(response.status))

    async def _respond(self, scope: Any, receive: Receive, exchange: Exchange) -> Response:
        http, is_trusted = self._edge.proxies.resolve(read_request(scope))
        exchange.http = http
        sites = self._edge.website_domains
        is_open = http.client_chain is None
        if is_open and sites and bucket_of_host(http.headers["host"], sites) is not None:
            return await self._visit(http, exchange)
        target = exchange.target = find_target(http, self._edge.base_domains)
        if target.bucket is None and http.method == "POST" and is_form(http.headers):
            return await self._respond_to_form(http, target, receive, exchange, is_trusted)
        if not is_open:
            raise AccessDenied(_CERTIFICATES_ONLY)
        return await self._respond_to_s3(http, target, receive, exchange, is_trusted)

    async def _respond_to_s3(
        self,
        http: HttpRequest,
        target: Target,
        receive: Receive,
        exchange: Exchange,
        is_trusted: bool,
    ) -> Response:
        if http.method == "OPTIONS":
            exchange.sharing = await self._sharing.preflight(http, target)
            ids = id_headers(exchange.request_id, self._edge.host_id)
            return Response(200, [*ids, (b"content-length", b"0")], b"")
        if (origin := http.headers.get("origin")) is not None:
            exchange.sharing = await self._sharing.headers(http, target, origin)
        query = parse_query(http.query)
        operation = self._router.find(http.method, target.level, query, http.headers)
        exchange.operation = operation
        identity = await self._authenticate(http, target, is_trusted, exchange)
        self._services.iam.last_used.note(identity.principal.access_key_id, "s3")
        content: object = None
        broken: S3Error | None = None
        if operation.name == "PostObject":
            http, target, identity, content = await self._open_post(exchange, identity, receive)
        elif hoisted := hoisted_headers(http, identity):
            # Parameters of a signed URL that stand for headers count like the headers.
            http = replace(http, headers={**hoisted, **http.headers})
            operation = self._router.find(http.method, target.level, query, http.headers)
            exchange.operation = operation
        bucket = exchange.flow.bucket = await self._bucket(operation, target)
        caller = exchange.caller = Caller(identity.principal, identity.mechanism, http, query)
        version = query.get("versionId")
        action = operation.action if version is None else on_version(operation.action)
        if operation.name in KEYS_IN_BODY and has_policies(identity.principal, bucket):
            content, broken = await self._read_keys(operation, caller, target, identity, receive)
        creates, made = operation.name in _CREATING, target.bucket if bucket is None else None
        await self.door.permit(
            caller, action, bucket, target.key, version, creates=creates, made=made
        )
        if broken is not None:
            raise broken
        binding = self._bind(operation)
        if content is None and operation.input is not None and http.method not in _BODILESS:
            content = await self._content(operation, binding, http, identity, receive)
        request = binding.parse(http, target, query, content or b"")
        ctx = self._context(exchange, caller, bucket)
        result = await binding.handler(ctx, request)
        return binding.render(result, request_id=exchange.request_id, host_id=self._edge.host_id)

    async def _visit(self, http: HttpRequest, exchange: Exchange) -> Response:
        """Answer a browser that visits a website: it reads objects as nobody does."""
        target = exchange.target = find_target(http, self._edge.website_domains)
        if (origin := http.headers.get("origin")) is not None:
            exchange.sharing = await self._sharing.headers(http, target, origin)

        async def read(http: HttpRequest, target: Target) -> Response:
            operation = self._router.find(http.method, target.level, {}, http.headers)
            exchange.operation = operation
            bucket = exchange.flow.bucket = await self._bucket(operation, target)
            caller = exchange.caller = Caller(ANONYMOUS, "anonymous", http, {})
            await self.door.permit(caller, operation.action, bucket, target.key)
            binding = self._bind(operation)
            ctx = self._context(exchange, caller, bucket)
            result = await binding.handler(ctx, binding.parse(http, target, {}, b""))
            ids = {"request_id": exchange.request_id, "host_id": self._edge.host_id}
            return binding.render(result, **ids)

        ids = id_headers(exchange.request_id, self._edge.host_id)
        return await self._websites.respond(http, target, ids, read)

    async def _open_post(
        self, exchange: Exchange, identity: Identity, receive: Receive
    ) -> tuple[HttpRequest, Target, Identity, FormFile]:
        """Return the PutObject that a form stands for, once it is proven by its fields."""
        http, target = exchange.request
        if not identity.principal.is_anonymous:
            raise AccessDenied("An upload by a form is signed by the fields of the form alone.")
        with self._guesses(http.client):
            opened = await open_post(
                http,
                target,
                receive,
                payload=identity.payload,
                lookup=self._lookup_for(http.client),
                settings=self._edge.auth,
                now=self._clock.now_ms() / 1000,
            )
        _, exchange.target, proven, _ = opened
        exchange.flow.principal = proven.principal
        return opened

    async def _read_keys(
        self,
        operation: Operation,
        caller: Caller,
        target: Target,
        identity: Identity,
        receive: Receive,
    ) -> tuple[object, S3Error | None]:
        """Give the caller the condition keys of its document, which a policy decides by.

        Returns the document, or what is wrong with it: to be told to who may know.
        """
        try:
            binding = self._bind(operation)
            content = await self._content(operation, binding, caller.http, identity, receive)
            request = binding.parse(caller.http, target, caller.query, content)
        except S3Error as error:
            return None, error
        caller.from_body = keys_of_body(operation.name, request)
        return content, None

    async def _respond_to_form(
        self,
        http: HttpRequest,
        target: Target,
        receive: Receive,
        exchange: Exchange,
        is_trusted: bool,
    ) -> Response:
        """IAM, STS and SNS: the body names the operation, and the signature covers the body."""
        body = await Body(receive, http.headers).read_all(MAX_FORM_BYTES)
        form, sha256 = read_form(body), hashlib.sha256(body).hexdigest()
        operation = self._router.find_query_operation(
            form.get("Action", ""), form.get("Version"), _scope_service(http)
        )
        exchange.operation = operation
        if http.client_chain is not None and operation.name not in OPERATIONS:
            raise AccessDenied(_CERTIFICATES_ONLY)
        identity = await self._authenticate(http, target, is_trusted, exchange, sha256=sha256)
        self._services.iam.last_used.note(identity.principal.access_key_id, operation.service)
        if identity.mechanism.startswith("v2-") and operation.service != "sns":
            # Version 2 does not cover the body, which names the operation. SNS is spoken to in it
            # by clients of Ceph's gateway.
            raise errors.InvalidRequest(
                "The authorization mechanism you have provided is not supported. "
                "Please use AWS4-HMAC-SHA256."
            )
        caller = Caller(identity.principal, identity.mechanism, http, {})
        service, name, subject, request = operation.service, operation.name, Subject(), {}
        if name in self._handlers:
            request = self._bind(operation).parse(http, target, {}, form)
            self._bind(operation).check(request)
            subject = await subject_of(self._services, caller.principal, service, name, request)
        await self.door.permit_service(caller, service, name, operation.action, subject)
        binding = self._bind(operation)
        ctx = self._context(exchange, caller, None)
        if name in _PROVEN_BY_HANDLER:
            self._limits.check_failures(http.client)
        with self._guesses(http.client):
            result = await binding.handler(ctx, request)
        return binding.render(result, request_id=exchange.request_id, host_id=self._edge.host_id)

    def _limit(self, exchange: Exchange, caller: Caller) -> None:
        """Hold a request to the rates of its project. Raises SlowDown."""
        if caller.limited is not None:
            self._limits.admit(caller.limited)
            exchange.flow.pause_s = partial(self._limits.pause_s, caller.limited)

    async def _authenticate(
        self,
        http: HttpRequest,
        target: Target,
        is_trusted: bool,
        exchange: Exchange,
        *,
        sha256: str | None = None,
    ) -> Identity:
        """Find out who sent a request. Raises SlowDown where its address guessed too often."""
        with self._guesses(http.client):
            identity = await self._prove(http, target, is_trusted, sha256)
        exchange.flow.principal = identity.principal
        return identity

    def _lookup_for(self, address: str) -> Lookup:
        """Return what finds credentials for an address, unless it guessed too often: SlowDown.

        All that carries a proof, in whatever spelling, comes past here, and nothing else does.
        """

        async def lookup(access_key_id: str, token: str | None) -> Credential | None:
            self._limits.check_failures(address)
            return await self._lookup(access_key_id, token)

        return lookup

    @contextmanager
    def _guesses(self, address: str) -> Iterator[None]:
        """Count an address's failure to prove who it is."""
        try:
            yield
        except _GUESSES:
            self._limits.fail(address)
            raise

    async def _prove(
        self, http: HttpRequest, target: Target, is_trusted: bool, sha256: str | None
    ) -> Identity:
        try:
            return await authenticate(
                http,
                target,
                lookup=self._lookup_for(http.client),
                settings=self._edge.auth,
                now=self._clock.now_ms() / 1000,
                trusted_peer=is_trusted,
                body_sha256=sha256,
            )
        except SignatureDoesNotMatch:
            if not await self._may_probe(http, target):
                raise
            return await self._prove(replace(http, method="GET"), target, is_trusted, sha256)

    async def _may_probe(self, http: HttpRequest, target: Target) -> bool:
        """Return whether a URL that is signed for GET is good for HEAD too: a lesser right.

        Grid tools ask for the size with the URL that they will read with. A bucket must allow it.
        """
        if http.method != "HEAD" or target.key is None or "authorization" in http.headers:
            return False
        found = await self._services.buckets.find(target.bucket or "")
        return found is not None and found[0].head_on_get_url

    async def _bucket(self, operation: Operation, target: Target) -> BucketRecord | None:
        if target.bucket is None or operation.name == "CreateBucket":
            return None
        found = await self._services.buckets.find(target.bucket)
        if found is None:
            check_name(target.bucket)
            raise NoSuchBucket(BucketName=target.bucket)
        return found[0]

    def _bind(self, operation: Operation) -> _Binding:
        binding = self._bindings.get(operation.name)
        if binding is not None:
            return binding
        handler = self._handlers.get(operation.name)
        if handler is None:
            raise errors.NotImplemented(f"{operation.name} is not implemented.")
        binding = self._bindings[operation.name] = _Binding(
            handler,
            compile_parser(operation),
            compile_check(operation),
            compile_renderer(operation),
            has_streaming_body(operation),
            body_limit(operation),
        )
        return binding

    async def _content(
        self,
        operation: Operation,
        binding: _Binding,
        http: HttpRequest,
        identity: Identity,
        receive: Receive,
    ) -> object:
        """Return the body: a stream where it is an object's bytes, else all of it, verified."""
        if operation.needs_checksum:
            require_digest(http.headers)
        if not binding.streams and promises_nothing(http.headers, payload=identity.payload):
            return b""
        body = Body(
            receive,
            http.headers,
            payload=identity.payload,
            chunks=identity.chunks,
            has_checksum=operation.name not in _CHECKSUM_OF_OBJECT,
            default_algorithm=DEFAULT_ALGORITHM if binding.streams else "",
        )
        return body if binding.streams else await body.read_all(binding.body_limit)

    def _context(self, exchange: Exchange, caller: Caller, bucket: BucketRecord | None) -> Ctx:
        """Return what a handler is given, once its project's rates let it. Raises SlowDown."""
        self._limit(exchange, caller)
        return Ctx(
            request_id=exchange.request_id,
            principal=caller.principal,
            bucket=bucket,
            services=self._services,
            http=caller.http,
            caller=caller,
            door=self.door,
            sessions=self._sessions,
            providers=self._providers,
            certificates=self._certificates,
        )

    def _refuse(self, error: S3Error, exchange: Exchange, cause: str = "") -> Response:
        operation, exchange.error_code = exchange.operation, error.code
        exchange.reason, exchange.is_fault = cause or error.message, bool(cause)
        return render_error(
            error,
            request_id=exchange.request_id,
            host_id=self._edge.host_id,
            resource=exchange.path,
            method=exchange.method,
            protocol="rest-xml" if operation is None else operation.protocol,
        )


def _unable(error: Exception) -> S3Error:
    """Return what is answered where a retry helps, or, without a usable key ring, an operator."""
    if isinstance(error, KeyRingError):
        return errors.ServiceUnavailable()
    return errors.SlowDown(headers={"retry-after": "1"})


def _scope_service(http: HttpRequest) -> str | None:
    """Return the service that a version 4 signature is for, before it is verified."""
    _, found, scope = http.headers.get("authorization", "").partition("Credential=")
    parts = scope.partition(",")[0].split("/")
    return parts[3] if found and len(parts) == 5 else None
