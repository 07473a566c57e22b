"""The nouns of the server: values that travel between layers, without behaviour of their own.

Those of which every request makes one are msgspec structs: a frozen dataclass takes 1 us to make,
a struct 0.15.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

PrincipalKind = Literal["anonymous", "root", "user", "session"]
Pairs = tuple[tuple[str, str], ...]


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """One request as received: nothing decoded, nothing normalised."""

    method: str
    raw_path: str  # percent-encoded, as sent; ASCII
    query: str  # without the "?", as sent; ASCII
    headers: dict[str, str]  # names in lower case; values decoded as latin-1, repeats joined by ","
    scheme: str = "http"
    client: str = ""  # address of the peer, after trusted proxies were resolved
    tls_version: str = ""  # "1.3", where a trusted proxy says so
    client_chain: str | None = None  # PEM, leaf first: proven by the connection, if it asks for one


class Bindings(msgspec.Struct, frozen=True, array_like=True):
    """The policies of a user, role or group."""

    is_bound: bool = False  # nothing is allowed but by policies; stays, whatever is removed
    inline: tuple[tuple[str, bytes], ...] = ()  # name and digest
    managed: tuple[str, ...] = ()  # ARNs
    groups: tuple[str, ...] = ()  # ids of those that a user is in
    boundary: str = ""  # ARN of the managed policy whose leave everything needs


FREE = Bindings()


class Lineage(msgspec.Struct, frozen=True, array_like=True):
    """What a session began with: it ends when any of this does, and hands it all on."""

    user: str = ""  # canonical id; "" where an identity provider vouched for it
    base_key: str = ""  # access key that the user signed with
    roles: tuple[str, ...] = ()  # ids of the roles that led here, this one last
    tags: Pairs = ()  # transitive session tags
    source_identity: str = ""
    ends_ms: int = 0  # end of what it was given for, a proxy certificate; 0: none


ROOTLESS = Lineage()


class Principal(msgspec.Struct, frozen=True, gc=False):
    """Who sent a request: root, a user, a session of a user or of a role, or nobody known.

    A session acts for its user or role, whose `id`, `name`, `path`, `tags` and `bindings` these
    are; `role` tells the two apart. Who derives a session of any principal hands on
    `session_policies`, and adds to them at most.
    """

    kind: PrincipalKind
    id: str  # canonical id of the user or role, 64 hexadecimal digits; "" for the anonymous
    name: str  # of the user or role
    account: str = ""  # project that the principal belongs to
    access_key_id: str = ""
    path: str = "/"  # of the user or role
    bindings: Bindings = FREE
    tags: Pairs = ()  # of the user or role
    role: str = ""  # id of the role that a session is of
    session_name: str = ""
    session_tags: Pairs = ()  # outweigh `tags`
    session_policies: tuple[str, ...] = ()  # documents: every one must allow what is done
    issued_ms: int = 0  # when the session began; 0: no session
    expires_ms: int = 0
    provider: str = ""  # who vouched for a session: issuer of a token, authority of a certificate
    lineage: Lineage = ROOTLESS

    @property
    def is_root(self) -> bool:
        return self.kind == "root"

    @property
    def is_anonymous(self) -> bool:
        return self.kind == "anonymous"

    @property
    def is_free(self) -> bool:
        """Whether no policies of its own have a say: the case that costs nothing."""
        own = self.bindings
        return not (own.is_bound or own.groups or own.boundary or self.session_policies)


ANONYMOUS = Principal(kind="anonymous", id="", name="anonymous")


ABSENT = -1  # ShardPlace.osd of a shard that was not written, as its OSD failed


class PublicAccessBlock(msgspec.Struct, frozen=True, array_like=True):
    """What keeps a bucket from being public, whatever ACLs and policies say.

    Source: "Blocking public access to your Amazon S3 storage", Amazon S3 user guide.
    """

    block_public_acls: bool = False  # refuse new ones
    ignore_public_acls: bool = False  # as if they granted nothing
    block_public_policy: bool = False  # refuse new ones
    restrict_public_buckets: bool = False  # public policies grant to the owner's account only

    def __or__(self, other: PublicAccessBlock) -> PublicAccessBlock:
        """Return what either of them blocks."""
        return PublicAccessBlock(
            self.block_public_acls or other.block_public_acls,
            self.ignore_public_acls or other.ignore_public_acls,
            self.block_public_policy or other.block_public_policy,
            self.restrict_public_buckets or other.restrict_public_buckets,
        )


NOTHING_BLOCKED = PublicAccessBlock()


class ShardPlace(msgspec.Struct, frozen=True, array_like=True):
    """Where one shard of a blob lies."""

    osd: int  # ABSENT: nowhere
    volume: bytes = b""  # id of the volume file; empty for a shard file of its own
    offset: int = 0  # of the record in the volume, bytes


class DataRef(msgspec.Struct, frozen=True, array_like=True):
    """Where the bytes of one blob lie: reading never needs today's cluster map.

    `shards[i]` is the place of shard i of the codec.
    """

    pool: str
    codec: str  # "replica:3" or "ec:4+2"
    blob: bytes  # 16 bytes, unique for ever
    size: int  # bytes of the blob
    stripe: int  # bytes of the blob that are encoded together; 0 where the blob is one record
    shards: tuple[ShardPlace, ...]
    crc32c: int = 0  # of the whole blob where it is one record

    @property
    def absent(self) -> tuple[int, ...]:
        """Which shards were not written; none of a blob that is whole."""
        return tuple(index for index, place in enumerate(self.shards) if place.osd == ABSENT)


class Source(Protocol):
    """Bytes on their way in, whose length was promised."""

    size: int

    async def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from its start and return the count of bytes.

        Less than the buffer holds only at the end; 0 after the last byte, once everything the
        sender promised of the bytes (length, digests, signatures) has been verified; a promise
        that was not kept raises an S3Error. The caller leaves the buffer as it is until the
        next call has returned: hashing may still be reading it.
        """
        ...


class Upload(Source, Protocol):
    """A source that also computes what S3 stores of the bytes; both are valid after its end."""

    @property
    def etag(self) -> str:
        """MD5 of the bytes in hexadecimal."""
        ...

    @property
    def checksums(self) -> tuple[tuple[str, str], ...]:
        """Checksums as the model names them: (("ChecksumCRC32", base64),)."""
        ...


class OpenUpload(Protocol):
    """An upload whose length shows at its end: the file of a form, which anything may follow.

    `head` is read first, where there is one, then rest(); etag and checksums are valid after it.
    """

    head: Source | None  # what surely belongs to it, if that is much

    async def rest(self) -> bytes:
        """Return what follows the head: little. Raises S3Errors where a promise was not kept."""
        ...

    @property
    def etag(self) -> str: ...

    @property
    def checksums(self) -> tuple[tuple[str, str], ...]: ...


class ChunkVerifier(Protocol):
    """Verifies the chained signatures of an aws-chunked body. Both raise SignatureDoesNotMatch."""

    def verify_chunk(self, signature: str, sha256_hex: str) -> None: ...

    def verify_trailer(self, signature: str, sha256_hex: str) -> None: ...


class Identity(msgspec.Struct, frozen=True, gc=False):
    """What authentication found."""

    principal: Principal
    mechanism: Literal["anonymous", "v4-header", "v4-query", "v2-header", "v2-query", "post"]
    payload: str = "UNSIGNED-PAYLOAD"  # of x-amz-content-sha256: a hash, or how the body is signed
    chunks: ChunkVerifier | None = None  # set where chunks of the body are signed


class Target(msgspec.Struct, frozen=True, gc=False):
    """What a URL points at."""

    bucket: str | None  # None: the service
    key: str | None  # None: the bucket
    account: str | None = None  # set where it is what S3 Control manages for an account

    @property
    def level(self) -> Literal["service", "account", "bucket", "object"]:
        if self.bucket is None:
            return "service" if self.account is None else "account"
        return "bucket" if self.key is None else "object"
