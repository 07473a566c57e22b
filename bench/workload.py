"""Which requests a connection sends: rendered and signed as bytes before anything is timed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from random import Random

from bench.signing import EMPTY_SHA256, UNSIGNED, Signer

OPS = ("put", "get", "head", "delete", "list", "mixed")
_UNIQUE = 32  # leading bytes of a body that are the key's own; the rest is shared by all
# Of 20 requests, in shares as MinIO's warp mixes them: 45 % GET, 30 % HEAD, 15 % PUT, 10 % DELETE.
# A DELETE takes the key of the PUT before it.
_MIX = "get head get put get head get delete head get get put head get delete get head get put head"


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `head` holds the headers and the first bytes of the body, `body` the rest."""

    kind: str
    head: bytes
    body: memoryview | None
    status: int
    size: int  # bytes of object data that it carries or asks for
    md5: bytes | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """What is done to which bucket: `objects` keys of `size` bytes, shared by `connections`."""

    op: str
    bucket: str
    size: int
    objects: int
    connections: int
    sign_payload: bool


def shared_body(size: int) -> memoryview:
    """Return incompressible bytes, the same in every process."""
    return memoryview(Random(20260101).randbytes(size))


class Renderer:
    """Renders the requests of one workload with one signer."""

    def __init__(self, workload: Workload, signer: Signer, body: memoryview) -> None:
        self._workload = workload
        self._signer = signer
        self._body = body

    def put(self, name: str) -> Request:
        unique = self._unique(name)
        sha256 = UNSIGNED
        if self._workload.sign_payload:
            sha256 = self._digest("sha256", unique).hex()
        size = self._workload.size
        head = self._signer.render("PUT", self._path(name), sha256=sha256, size=size)
        return Request("put", head + unique, self._body[len(unique) :], 200, size)

    def get(self, name: str) -> Request:
        md5 = self._digest("md5", self._unique(name))
        return self._plain("get", "GET", name, 200, size=self._workload.size, md5=md5)

    def head(self, name: str) -> Request:
        return self._plain("head", "HEAD", name, 200)

    def delete(self, name: str) -> Request:
        return self._plain("delete", "DELETE", name, 204)

    def listing(self) -> Request:
        query = "list-type=2&max-keys=1000"
        head = self._signer.render("GET", f"/{self._workload.bucket}", query)
        return Request("list", head, None, 200, 0)

    def plan(self, connection: int) -> list[Request]:
        """Return the requests of one connection, to be repeated except for op "delete"."""
        names = stored_names(self._workload)[connection :: self._workload.connections]
        if self._workload.op == "list":
            return [self.listing()]
        if self._workload.op == "mixed":
            return self._mixed(connection, names)
        return [getattr(self, self._workload.op)(name) for name in names]

    def _mixed(self, connection: int, names: list[str]) -> list[Request]:
        requests = []
        written = ""
        for position, name in enumerate(names):
            kind = _MIX.split()[position % 20]
            if kind == "put":
                written = f"written-{connection}-{position}"
            target = written if kind in {"put", "delete"} else name
            requests.append(getattr(self, kind)(target))
        return requests

    def _plain(
        self,
        kind: str,
        method: str,
        name: str,
        status: int,
        *,
        size: int = 0,
        md5: bytes | None = None,
    ) -> Request:
        sha256 = EMPTY_SHA256 if self._workload.sign_payload else UNSIGNED
        head = self._signer.render(method, self._path(name), sha256=sha256)
        return Request(kind, head, None, status, size, md5)

    def _path(self, name: str) -> str:
        return f"/{self._workload.bucket}/{name}"

    def _unique(self, name: str) -> bytes:
        return hashlib.sha256(name.encode()).digest()[: min(_UNIQUE, self._workload.size)]

    def _digest(self, algorithm: str, unique: bytes) -> bytes:
        digest = hashlib.new(algorithm, unique)
        digest.update(self._body[len(unique) :])
        return digest.digest()


def stored_names(workload: Workload) -> list[str]:
    """Return the keys that put writes, and that the other operations expect to be there."""
    return [f"object-{number:08d}" for number in range(workload.objects)]


def extra_names(workload: Workload) -> list[str]:
    """Return the other keys that the run may leave behind."""
    if workload.op != "mixed":
        return []
    kinds = _MIX.split()
    return [
        f"written-{connection}-{position}"
        for connection in range(workload.connections)
        for position in range(len(range(connection, workload.objects, workload.connections)))
        if kinds[position % 20] == "put"
    ]
