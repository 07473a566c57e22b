"""An S3 endpoint and who talks to it; and single requests to it, outside any measurement."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from lxml import etree

from bench.errors import BenchError
from bench.response import explained
from bench.signing import EMPTY_SHA256, Account, Signer

_DEFAULT_PORTS = {"http": 80, "https": 443}
_TIMEOUT_S = 120

Body = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is. `ca_file` is trusted beside nothing else; "" means the system's."""

    scheme: str
    host: str
    port: int
    region: str = "us-east-1"
    ca_file: str = ""

    @property
    def name(self) -> str:
        """Return what the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.name}"

    def tls(self) -> ssl.SSLContext | None:
        """Return the context for its connections; None for plain HTTP."""
        if self.scheme == "http":
            return None
        return ssl.create_default_context(cafile=self.ca_file or None)

    def connection(self) -> http.client.HTTPConnection:
        """Return a connection for one request after the other."""
        tls = self.tls()
        if tls is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=_TIMEOUT_S)
        return http.client.HTTPSConnection(self.host, self.port, timeout=_TIMEOUT_S, context=tls)

    def socket(self) -> socket.socket:
        """Return a connection for who speaks HTTP by himself."""
        made = socket.create_connection((self.host, self.port), _TIMEOUT_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = self.tls()
        return made if tls is None else tls.wrap_socket(made, server_hostname=self.host)

    def signer(self, account: Account) -> Signer:
        return Signer(self.name, account, self.region)


def parse_endpoint(url: str, region: str = "us-east-1", ca_file: str = "") -> Endpoint:
    """Return the endpoint of a URL. Raises ValueError for anything but http(s)://host[:port]."""
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"an endpoint is http(s)://host:port, not {url!r}")
    if parts.username is not None or parts.path.strip("/") or parts.query:
        raise ValueError("an endpoint has no user, path or query")
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return Endpoint(parts.scheme, parts.hostname, port, region, ca_file)


class Api:
    """Requests one after the other on one connection."""

    def __init__(self, endpoint: Endpoint, account: Account) -> None:
        self._url, self._signer = endpoint.url, endpoint.signer(account)
        self._connection = endpoint.connection()

    def close(self) -> None:
        self._connection.close()

    def call(self, method: str, path: str, query: str = "", body: Body = b"") -> tuple[int, bytes]:
        """Return status and body of the answer. Raises OSError."""
        sha256 = hashlib.sha256(body).hexdigest().encode() if body else EMPTY_SHA256
        md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        head = self._signer.render(
            method,
            path,
            query,
            sha256=sha256,
            size=len(body) if method in {"PUT", "POST"} else None,
            headers={"content-md5": md5} if body else None,
        )
        lines = head.decode().split("\r\n")[1:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        target = f"{path}?{query}" if query else path
        try:
            self._connection.request(method, target, body=body or None, headers=headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        except OSError as error:
            raise ConnectionError(f"{self._url}: {error.strerror or error}") from error

    def request(self, method: str, path: str, query: str = "", body: Body = b"") -> bytes:
        """Return the body of a good answer; BenchError for any other."""
        status, content = self.call(method, path, query, body)
        if status >= 300:
            raise BenchError(f"{method} {path} answered {status}: {explained(content)}")
        return content

    def buckets(self, prefix: str) -> list[str]:
        """Return the names of the account's buckets that begin so."""
        answer = etree.fromstring(self.request("GET", "/"))
        names = [name.text or "" for name in answer.iterfind("{*}Buckets/{*}Bucket/{*}Name")]
        return [name for name in names if name.startswith(prefix)]

    def keys(self, bucket: str, prefix: str = "") -> Iterator[list[str]]:
        """Yield the keys of a bucket, page by page; a page may be deleted before the next one."""
        after = ""
        while True:
            query = f"list-type=2&max-keys=1000&prefix={quote(prefix, safe='')}"
            if after:
                query += f"&start-after={quote(after, safe='')}"
            page = etree.fromstring(self.request("GET", f"/{bucket}", query))
            found = [key.text or "" for key in page.iterfind("{*}Contents/{*}Key")]
            if not found:
                return
            yield found
            after = found[-1]

    def empty(self, bucket: str, prefix: str = "") -> None:
        """Delete a bucket's objects, of a prefix or all. Raises BenchError where one stays."""
        for keys in self.keys(bucket, prefix):
            root = etree.Element("Delete")
            etree.SubElement(root, "Quiet").text = "true"
            for key in keys:
                etree.SubElement(etree.SubElement(root, "Object"), "Key").text = key
            answer = self.request("POST", f"/{bucket}", "delete=", etree.tostring(root))
            if b"<Error>" in answer:
                raise BenchError(f"objects of {bucket} cannot be deleted: {explained(answer)}")


@contextmanager
def talking(endpoint: Endpoint, account: Account) -> Iterator[Api]:
    """An Api whose connection is closed at the end."""
    api = Api(endpoint, account)
    try:
        yield api
    finally:
        api.close()
