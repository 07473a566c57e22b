"""The keys of identity providers: fetched from where they say, kept, and asked for again rarely.

Only issuers of the settings are asked; over https, or http where the issuer itself is on this
machine; without following redirects; within limits of time and size. Source: OpenID Connect
Discovery 1.0.
"""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing, suppress
from urllib.parse import urlsplit

import msgspec
import structlog
from joserfc.jwk import KeySet

from s3server.auth.oidc import Claim, Key, Provider, find_key, read_keys
from s3server.sts_errors import IDPCommunicationError, InvalidIdentityToken

FRESH_MS = 3_600_000  # before keys are fetched anew
STALE_MS = 86_400_000  # for which known keys count while the issuer does not answer
RETRY_MS = 30_000  # at least, from one attempt to the next: tokens cannot make us ask more often
SOCKET_S, TOTAL_S = 5.0, 10.0
MAX_BYTES = 256 << 10  # of a document
_PIECE = 16 << 10

Fetch = Callable[[str, str], Awaitable[bytes]]  # URL, CA file
_log = structlog.get_logger("oidc")


class FetchError(Exception):
    """A document cannot be had; the text says why."""


class _Document(msgspec.Struct):
    issuer: str
    jwks_uri: str


class _Known(msgspec.Struct):
    """What is known of an issuer's keys."""

    lock: asyncio.Lock
    keys: KeySet | None = None
    fetched_ms: int = 0
    tried_ms: int = 0
    has_failed: bool = False


class ProviderKeys:
    """The keys of all issuers of the settings."""

    def __init__(
        self,
        providers: Iterable[Provider],
        *,
        now_ms: Callable[[], int],
        fetch: Fetch | None = None,
    ) -> None:
        self._providers = {provider.issuer: provider for provider in providers}
        self._known = {issuer: _Known(asyncio.Lock()) for issuer in self._providers}
        self._now_ms, self._fetch = now_ms, fetch or fetch_document

    @property
    def all(self) -> tuple[Provider, ...]:
        """The issuers of the settings, in their order."""
        return tuple(self._providers.values())

    def provider(self, claim: Claim) -> Provider:
        """Return the issuer of the settings that a token says it is of, or raise."""
        provider = self._providers.get(claim.issuer)
        if provider is None:
            raise InvalidIdentityToken("No issuer of that name is trusted here.")
        return provider

    async def find(self, provider: Provider, claim: Claim) -> Key:
        """Return the key that a token says it is signed with.

        Raises InvalidIdentityToken where the issuer has no such key, IDPCommunicationError where
        the issuer cannot be asked.
        """
        known = self._known[provider.issuer]
        key = self._kept(known, claim, FRESH_MS)
        if key is not None:
            return key
        async with known.lock:
            key = self._kept(known, claim, FRESH_MS)
            if key is None and self._is_past(known.tried_ms, RETRY_MS):
                await self._refresh(provider, known)
        key = self._kept(known, claim, STALE_MS)
        if key is not None:
            return key
        if known.has_failed:
            raise IDPCommunicationError
        raise InvalidIdentityToken("The issuer has no such key.")

    def _kept(self, known: _Known, claim: Claim, longest_ms: int) -> Key | None:
        if known.keys is None or self._is_past(known.fetched_ms, longest_ms):
            return None
        return find_key(known.keys, claim)

    def _is_past(self, since_ms: int, least_ms: int) -> bool:
        return abs(self._now_ms() - since_ms) >= least_ms  # the clock may be set back

    async def _refresh(self, provider: Provider, known: _Known) -> None:
        known.tried_ms = self._now_ms()
        try:
            known.keys = await self._load(provider)
        except FetchError as error:
            known.has_failed = True
            _log.warning("keys cannot be fetched", issuer=provider.issuer, reason=str(error))
            return
        known.fetched_ms, known.has_failed = self._now_ms(), False

    async def _load(self, provider: Provider) -> KeySet:
        url = provider.issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            found = msgspec.json.decode(await self._fetch(url, provider.ca_file), type=_Document)
            if found.issuer != provider.issuer:
                raise FetchError(f"{url} speaks of another issuer")
            if not is_fetchable(found.jwks_uri, may_be_plain=provider.issuer.startswith("http:")):
                raise FetchError(f"{url} names keys that are not on https")
            return read_keys(
                msgspec.json.decode(await self._fetch(found.jwks_uri, provider.ca_file))
            )
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise FetchError(f"{url}: {type(error).__name__}: {error}") from None


def is_fetchable(url: str, *, may_be_plain: bool) -> bool:
    """Return whether a URL is https, or http to this very machine where that may be."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # raises ValueError
    except ValueError:
        return False
    is_sane = bool(host) and parts.username is None and not parts.fragment and url.isascii()
    if not is_sane or any(ord(sign) <= 32 or ord(sign) == 127 for sign in url):
        return False
    return parts.scheme == "https" or (
        parts.scheme == "http" and may_be_plain and _is_loopback(host or "")
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def fetch_document(url: str, ca_file: str) -> bytes:
    """Return what a URL answers. Raises FetchError; takes TOTAL_S at most."""
    request = _Request(url, ca_file)
    try:
        return await asyncio.wait_for(asyncio.to_thread(request.run), TOTAL_S)
    except TimeoutError:
        raise FetchError(f"{url} did not answer within {TOTAL_S:.0f} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(f"{url}: {type(error).__name__}: {error}") from None
    finally:
        request.abort()


class _Request:
    """One GET, in a thread."""

    def __init__(self, url: str, ca_file: str) -> None:
        self._url, self._ca_file = url, ca_file
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> bytes:
        parts = urlsplit(self._url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self._ca_file or None)
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=SOCKET_S, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=SOCKET_S)
        self._connection = connection
        with closing(connection):
            connection.request("GET", path, headers={"accept": "application/json"})
            with connection.getresponse() as response:
                return self._read(response)

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        if response.status != 200:
            raise FetchError(f"{self._url} answered {response.status}")
        content = b""
        while piece := response.read1(_PIECE):
            content += piece
            if len(content) > MAX_BYTES:
                raise FetchError(f"{self._url} answers with more than {MAX_BYTES} bytes")
        return content

    def abort(self) -> None:
        """End the connection, and with it the thread that may still read from it."""
        if self._connection is not None and self._connection.sock is not None:
            with suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)
