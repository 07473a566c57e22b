"""Which requests a connection sends, and in which order: the same for the same seed.

A plan is an endless iterator that renders and signs each request when it is due.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count, repeat
from random import Random
from typing import Any, Literal

import msgspec

from bench.signing import EMPTY_SHA256, UNSIGNED, Signer, Template

OPS = ("put", "get", "head", "delete", "list", "mixed")
Verify = Literal["sample", "all", "none"]
SMALL = 1 << 16  # bodies up to this size leave in one write, with their head
_OWN = 32  # last bytes of a body that are the key's own; the rest is shared by all
_VERIFY_EVERY = 64
# Of 20 requests, in shares as MinIO's warp mixes them: 45 % GET, 30 % HEAD, 15 % PUT, 10 % DELETE.
# A DELETE takes the key of the PUT before it.
_MIX = "get head get put get head get delete head get get put head get delete get head get put head"


_MOST_WRITTEN = 1_000  # requests of a connection, after which it writes to the same keys again


class Request(msgspec.Struct, frozen=True, gc=False):
    """One request. `head` holds the headers and a small body, `body` the pieces of a large one."""

    kind: str
    head: bytes
    status: int
    size: int = 0  # bytes of object data that it carries or asks for
    body: tuple[memoryview, ...] = ()
    md5: bytes | None = None  # of the body that must come back, where it is to be verified


class Workload(msgspec.Struct, frozen=True):
    """What is done to which buckets: `objects` keys of `size` bytes, shared by `connections`."""

    op: str
    size: int
    objects: int
    connections: int
    buckets: tuple[str, ...] = ("bench-load",)
    prefix: str = "object-"
    sign_payload: bool = True
    verify: Verify = "sample"
    seed: int = 0


class Bodies:
    """Incompressible bodies of one size, the same in every process; each key's end is its own.

    As only the end differs, a body's digest costs no more than its last bytes.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._own = min(_OWN, size)
        self.shared = memoryview(Random(seed).randbytes(size - self._own))
        self._sha256 = hashlib.sha256(self.shared)
        self._md5 = hashlib.md5(self.shared, usedforsecurity=False)

    def end(self, name: bytes) -> bytes:
        """Return the last bytes of this key's body."""
        return hashlib.sha256(name).digest()[: self._own]

    def sha256(self, name: bytes) -> bytes:
        """Return the body's SHA-256 as x-amz-content-sha256 has it."""
        return bytes(self._with_end(self._sha256, name).hexdigest(), "ascii")

    def md5(self, name: bytes) -> bytes:
        """Return the body's MD5."""
        found: bytes = self._with_end(self._md5, name).digest()
        return found

    def _with_end(self, shared: Any, name: bytes) -> Any:
        whole = shared.copy()
        whole.update(self.end(name))
        return whole


class Renderer:
    """Renders the requests of one workload. Bucket n is used by account n modulo their number."""

    def __init__(self, workload: Workload, signers: list[Signer], bodies: Bodies) -> None:
        self.workload = workload
        self._bodies = bodies
        self._prefix = workload.prefix.encode()
        self._buckets = [f"/{name}".encode() for name in workload.buckets]
        self._sha256 = EMPTY_SHA256 if workload.sign_payload else UNSIGNED
        verbs = ("PUT", "GET", "HEAD", "DELETE")
        size = {"PUT": workload.size}
        accounts = [
            {verb: Template(one, verb, size=size.get(verb)) for verb in verbs} for one in signers
        ]
        listings = [Template(one, "GET", "list-type=2&max-keys=1000") for one in signers]
        turns = [at % len(signers) for at in range(len(self._buckets))]
        self._templates = [accounts[turn] for turn in turns]
        self._listings = [listings[turn] for turn in turns]

    def name(self, number: int) -> bytes:
        """Return the key of an object; its bucket is `number` modulo their number."""
        return b"%b%08d" % (self._prefix, number)

    def put(self, number: int, name: bytes = b"") -> Request:
        name = name or self.name(number)
        bodies, workload = self._bodies, self.workload
        sha256 = bodies.sha256(name) if workload.sign_payload else UNSIGNED
        head = self._render("PUT", number, name, sha256)
        end = bodies.end(name)
        if workload.size <= SMALL:
            return Request("put", b"".join((head, bodies.shared, end)), 200, workload.size)
        return Request("put", head, 200, workload.size, (bodies.shared, memoryview(end)))

    def get(self, number: int, *, verify: bool = True) -> Request:
        name = self.name(number)
        head = self._render("GET", number, name, self._sha256)
        md5 = self._bodies.md5(name) if verify else None
        return Request("get", head, 200, self.workload.size, (), md5)

    def head(self, number: int) -> Request:
        return Request("head", self._render("HEAD", number, self.name(number), self._sha256), 200)

    def delete(self, number: int, name: bytes = b"") -> Request:
        name = name or self.name(number)
        return Request("delete", self._render("DELETE", number, name, self._sha256), 204)

    def listing(self, number: int) -> Request:
        at = number % len(self._buckets)
        return Request("list", self._listings[at].render(self._buckets[at]), 200)

    def plan(self, connection: int) -> Iterator[Request]:
        """Return the requests of one connection: endless, but each key is deleted only once."""
        workload = self.workload
        numbers = list(range(connection, workload.objects, workload.connections))
        Random(f"{workload.seed} {connection}").shuffle(numbers)
        rounds: Iterable[list[int]] = [numbers] if workload.op == "delete" else repeat(numbers)
        if workload.op == "mixed":
            return self._mixed(connection, rounds)
        if workload.op == "get":
            return self._gets(chain.from_iterable(rounds))
        make: dict[str, Callable[[int], Request]] = {
            "put": self.put,
            "head": self.head,
            "delete": self.delete,
            "list": self.listing,
        }
        return map(make[workload.op], chain.from_iterable(rounds))

    def fill(self, numbers: range) -> Iterator[Request]:
        """Return the uploads of these objects, each once."""
        return map(self.put, numbers)

    def _gets(self, numbers: Iterator[int]) -> Iterator[Request]:
        for nth, number in enumerate(numbers):
            yield self.get(number, verify=self._is_verified(nth))

    def _mixed(self, connection: int, rounds: Iterable[list[int]]) -> Iterator[Request]:
        written, written_at, gets = b"", 0, count()
        kinds = _MIX.split()
        for position, number in enumerate(chain.from_iterable(rounds)):
            kind = kinds[position % len(kinds)]
            if kind == "put":
                at = position % _MOST_WRITTEN
                written, written_at = b"written-%d-%d" % (connection, at), number
                yield self.put(number, written)
            elif kind == "delete":
                yield self.delete(written_at, written)
            elif kind == "head":
                yield self.head(number)
            else:
                yield self.get(number, verify=self._is_verified(next(gets)))

    def _is_verified(self, nth: int) -> bool:
        """Verify the first GET of a connection and, of small objects, a sample of the others."""
        if self.workload.verify != "sample":
            return self.workload.verify == "all"
        return nth == 0 or (self.workload.size <= SMALL and nth % _VERIFY_EVERY == 0)

    def _render(self, verb: str, number: int, name: bytes, sha256: bytes) -> bytes:
        at = number % len(self._buckets)
        return self._templates[at][verb].render(b"%b/%b" % (self._buckets[at], name), sha256)
