"""Stored records: their fields, their keys in the ordered map, and how they become bytes.

A record is stored as its format version (1 byte), msgpack, and the CRC32C of both (4 bytes).
Fields are positional: new ones are added at the end with a default; anything else raises
`VERSION` of the record and adds a step to `MIGRATIONS`.

Keys begin with a byte that names their table:

    B name                          bucket
    A owner NUL name                buckets of a user, in listing order
    O bucket-id key                 current version of a key, in listing order
    V bucket-id key NUL ~sequence   older versions and all delete markers, newest first
    W bucket-id key                 sequence of the null version, where that lies in V
    U bucket-id key NUL upload-id   multipart upload
    P upload-id number              part of an upload
    D blob-id                       blob: where its bytes lie, and how often it is used
    G sequence                      blobs no longer used, in commit order
    R losses-left blob-id           blobs to be repaired, the most endangered first
    E topic-id sequence             events to publish, per topic in commit order
    T account NUL name              topic
    N bucket-id name                counters of a bucket
    n kind id NUL name              counters of a project (P) or user (U); see project_records
    q counter-prefix                quota of a bucket, project or user
    u kind name NUL day             what was used on a day; see usage_records
    F time bucket-id key            what lifecycle rules have to look at, and when
    C bucket-id name                configuration of a bucket: a document of its own
    I user-id / J account NUL name  user / its name
    K access-key-id / L user-id access-key-id    access key / keys of a user
    r role-id / y account NUL name  role / its name
    h group-id / l account NUL name group / its name
    M account NUL name              managed policy
    m account NUL name NUL number   text of one of its versions
    p identity-id policy-name       text of a policy of a user, role or group
    a account NUL name NUL use identity-id       what a managed policy is attached to
    g group-id user-id              users of a group
    k access-key-id                 when a key was last used
    Q bucket-id digest              policy of a bucket
    X account                       public access block of all buckets of an account
    j id / z name                   project / its id; see project_records
    S name                          what the whole store agrees on (cluster, map, OSDs, leases)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from awscrt.checksums import crc32c

from s3server.core.record_parts import Annotation, NotificationRule
from s3server.meta.base import CorruptRecordError
from s3server.model import FREE, Bindings, DataRef, Pairs, PublicAccessBlock

BUCKET, BUCKET_OF, OBJECT, VERSION = b"B", b"A", b"O", b"V"
UPLOAD, PART, BLOB, GARBAGE, EVENT = b"U", b"P", b"D", b"G", b"E"
REPAIR = b"R"
BUCKET_POLICY, ACCOUNT_BLOCK = b"Q", b"X"
CONFIGURATION = b"C"
COUNTER, USER, USER_NAME, ACCESS_KEY, KEY_OF, STORE = b"N", b"I", b"J", b"K", b"L", b"S"
NULL_VERSION, TOPIC = b"W", b"T"
LIFECYCLE = b"F"

# All that is counted per topic: events that wait, were published, were given up; attempts that
# failed; events that the topic's policy does not permit any more.
TOPIC_COUNTERS = ("backlog", "published", "dropped", "failed", "refused")

# All that is counted of what lies in a bucket, also per project and user: current versions, older
# ones, delete markers, uploads in progress.
BUCKET_COUNTERS = ("objects", "bytes", "old", "old-bytes", "markers", "uploads", "part-bytes")
# Documents that a bucket may have.
CONFIGURATIONS = ("cors", "website", "lifecycle", "logging", "inventory")


# (canonical user id or name of a group, permission): ("AllUsers", "READ")
Grants = tuple[tuple[str, str], ...]


class Record(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What every stored record shares."""

    VERSION: ClassVar[int] = 1


class BucketRecord(Record, frozen=True, array_like=True, kw_only=True):
    """One bucket. `id` is never used again, so a new bucket of an old name is another one."""

    id: bytes  # 8 bytes
    name: str
    owner: str  # canonical user id
    account: str  # id of the project
    created_ms: int
    region: str
    acl: str = "private"  # canned ACL, or "custom" for `grants`
    versioning: str = ""  # "", "Enabled", "Suspended"
    object_lock: bool = False
    pool: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    policy: bytes = b""  # digest of the policy, which has a row of its own; empty: none
    grants: Grants = ()
    ownership: str = ""  # of objects: "BucketOwnerEnforced"...; "" as "ObjectWriter"
    public_access_block: PublicAccessBlock | None = None
    notifications: tuple[NotificationRule, ...] = ()
    lock_mode: str = ""  # default retention of object lock; "" where there is none
    lock_days: int = 0
    lock_years: int = 0
    head_on_get_url: bool = False  # a URL signed for GET is good for HEAD too
    lifecycle: bytes = b""  # digest of its lifecycle configuration; empty: none
    encryption: str = ""  # of new objects that say nothing of it: "AES256"; "": none
    abac: bool = False  # conditions may ask for the bucket's tags
    logging: bool = False  # its requests are logged; the document says where to


class ObjectRecord(Record, frozen=True, array_like=True, kw_only=True):
    """One version of a key."""

    sequence: int  # rises with every version of the key; see Ids.sequence_after()
    size: int  # bytes
    etag: str  # without quotes
    modified_ms: int
    owner: str
    blob: bytes = b""  # empty where size is 0
    version_id: str = ""  # "" is the null version
    is_delete_marker: bool = False
    headers: tuple[tuple[str, str], ...] = ()  # system headers: ("ContentType", "text/csv")
    metadata: tuple[tuple[str, str], ...] = ()  # user metadata, names in lower case
    checksums: tuple[tuple[str, str], ...] = ()  # ("ChecksumCRC32", base64), as the model names it
    checksum_type: str = ""  # "FULL_OBJECT" or "COMPOSITE"
    part_count: int = 0  # 0 where it was not a multipart upload
    acl: str = ""  # canned ACL, or "custom" for `grants`; "" follows the bucket's
    storage_class: str = "STANDARD"
    tags: tuple[tuple[str, str], ...] = ()
    retention_mode: str = ""
    retain_until_ms: int = 0
    legal_hold: str = ""  # "ON", "OFF", "" where it was never set
    encryption: bytes = b""
    grants: Grants = ()
    annotations: tuple[Annotation, ...] = ()  # in the order of their names' bytes
    renamed_from: tuple[str, str] = ("", "")  # the key before, and the client's token

    @property
    def space(self) -> int:
        """Bytes that the version counts for."""
        return self.size + sum(annotation.size for annotation in self.annotations)

    @property
    def blobs(self) -> tuple[bytes, ...]:
        """All blobs that the version refers to; b"" is none."""
        return (self.blob, *(annotation.blob for annotation in self.annotations))


class BlobPart(msgspec.Struct, frozen=True, array_like=True):
    """One piece of a composite blob."""

    blob: bytes
    size: int
    number: int  # S3 part number, from 1
    checksum: str = ""  # base64, by the algorithm of the upload


class BlobRecord(Record, frozen=True, array_like=True, kw_only=True):
    """Bytes that records refer to: placed in a pool, or the concatenation of other blobs.

    `uses` counts the references: objects, parts, composite blobs, and garbage rows not yet
    worked off. The collector frees the bytes when it holds the last one.
    """

    size: int
    uses: int = 1
    ref: DataRef | None = None
    parts: tuple[BlobPart, ...] = ()


class UploadRecord(Record, frozen=True, array_like=True, kw_only=True):
    """A multipart upload in progress: what the object will be, apart from its bytes."""

    id: bytes  # 16 bytes
    key: str
    owner: str
    started_ms: int
    headers: tuple[tuple[str, str], ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    checksum_algorithm: str = ""  # "CRC32"... as the model's enum
    checksum_type: str = ""
    acl: str = ""
    storage_class: str = "STANDARD"
    tags: tuple[tuple[str, str], ...] = ()
    retention_mode: str = ""
    retain_until_ms: int = 0
    legal_hold: str = ""  # "ON", "OFF", "" where it was never set
    encryption: bytes = b""
    grants: Grants = ()


class PartRecord(Record, frozen=True, array_like=True, kw_only=True):
    """One uploaded part."""

    number: int  # from 1
    size: int
    etag: str
    modified_ms: int
    blob: bytes = b""
    checksums: tuple[tuple[str, str], ...] = ()


class GarbageRecord(Record, frozen=True, array_like=True, kw_only=True):
    """References to blobs that were given up in one commit."""

    blobs: tuple[bytes, ...]
    since_ms: int
    project: str = ""  # id of the one where they were
    size: int = 0  # bytes that they stood for, counted as waiting until this row is gone


class RepairRecord(Record, frozen=True, array_like=True, kw_only=True):
    """A blob with shards that are absent, missing or corrupt."""

    blob: bytes
    shards: tuple[int, ...]  # indexes of those that were found so
    reason: str  # "degraded write", "missing", "corrupt"...
    since_ms: int


class EventRecord(Record, frozen=True, array_like=True, kw_only=True):
    """Something that happened to an object, to be published to one topic."""

    topic: str  # ARN
    rule: str  # id of the rule that matched; "" for an event that is made by hand
    bucket: str
    bucket_owner: str
    key: str
    name: str  # "ObjectCreated:Put"; "TestEvent"
    at_ms: int
    principal: str
    size: int = 0
    etag: str = ""
    version_id: str = ""
    request_id: str = ""
    source_ip: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


class TopicRecord(Record, frozen=True, array_like=True, kw_only=True):
    """Where events go. The endpoint may hold a password and is sealed with the master key."""

    id: bytes  # 8 bytes, never used again
    account: str
    name: str
    owner: str  # canonical user id
    created_ms: int
    sealed_endpoint: bytes
    attributes: tuple[tuple[str, str], ...]  # as they may be shown
    sealed_secret: bytes = b""  # that web hooks are signed with
    principals: Pairs = ()  # that its policy names; see PolicyRecord


class IdentityRecord(Record, frozen=True, array_like=True, kw_only=True):
    """What users, roles and groups share."""

    id: str  # canonical id: 64 hexadecimal digits
    name: str
    account: str  # id of the project
    created_ms: int
    path: str = "/"
    bindings: Bindings = FREE


class UserRecord(IdentityRecord, frozen=True, array_like=True, kw_only=True):
    """One user."""

    email: str = ""
    display_name: str = ""
    is_suspended: bool = False
    tags: Pairs = ()
    sessions_valid_from_ms: int = 0  # sessions issued before are void


class AccessKeyRecord(Record, frozen=True, array_like=True, kw_only=True):
    """One access key. The secret is sealed with the store's master key."""

    id: str
    user: str
    sealed_secret: bytes
    created_ms: int
    is_active: bool = True
    description: str = ""
    expires_ms: int = 0  # 0: never
    tags: tuple[tuple[str, str], ...] = ()
    scope: tuple[str, ...] = ()  # policies, all of which must allow what is done with the key


class PolicyRecord(Record, frozen=True, array_like=True, kw_only=True):
    """A policy as it was sent."""

    text: str
    principals: Pairs = ()  # ARNs that it names, and the canonical ids that they stand for


class AccountBlockRecord(Record, frozen=True, array_like=True, kw_only=True):
    """What keeps every bucket of an account from being public."""

    block: PublicAccessBlock


class ConfigurationRecord(Record, frozen=True, array_like=True, kw_only=True):
    """A document that configures a bucket, in boto3's shape."""

    document: dict[str, Any]


R = TypeVar("R", bound=Record)

_MAX_SEQUENCE = (1 << 64) - 1
_REMEMBERED = 4_096  # records of one kind

# (record type, version found) -> what turns its decoded fields into those of the next version
MIGRATIONS: dict[tuple[type[Record], int], Callable[[list[Any]], list[Any]]] = {}

_encode = msgspec.msgpack.Encoder().encode


class _Decoders(dict[type[Record], msgspec.msgpack.Decoder[Any]]):
    def __missing__(self, kind: type[Record]) -> msgspec.msgpack.Decoder[Any]:
        return self.setdefault(kind, msgspec.msgpack.Decoder(kind))


_decoders = _Decoders()


def encode(record: Record) -> bytes:
    """Return the stored form of a record."""
    body = bytes((record.VERSION,)) + _encode(record)
    return body + int(crc32c(body)).to_bytes(4, "big")


def decode(kind: type[R], value: bytes) -> R:
    """Return the record that `value` holds, migrated to today's version.

    Raises CorruptRecordError where the checksum fails or the bytes are no such record.
    """
    body = value[:-4]
    if len(value) < 6 or crc32c(body) != int.from_bytes(value[-4:], "big"):
        raise CorruptRecordError(f"checksum of a stored {kind.__name__} does not match")
    try:
        if body[0] != kind.VERSION:
            return _migrate(kind, body)
        return _decoders[kind].decode(body[1:])  # type: ignore[no-any-return]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptRecordError(f"stored {kind.__name__}: {error}") from error


class Remembering(Generic[R]):
    """Decodes records of one kind, and remembers the last ones by the bytes of their own rows.

    So nothing that is remembered can be stale. For what is read in every request.
    """

    def __init__(self, kind: type[R]) -> None:
        self._kind = kind
        self._known: dict[bytes, R] = {}

    def __call__(self, row: bytes) -> R:
        """Return the record; see decode()."""
        found = self._known.get(row)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[row] = decode(self._kind, row)
        return found


def _migrate(kind: type[R], body: bytes) -> R:
    found, fields = body[0], msgspec.msgpack.decode(body[1:])
    while found != kind.VERSION:
        step = MIGRATIONS.get((kind, found))
        if step is None:
            raise CorruptRecordError(
                f"stored {kind.__name__} has format {found}; this program knows {kind.VERSION}"
            )
        fields, found = step(fields), found + 1
    return msgspec.convert(fields, kind)


def bucket_key(name: str) -> bytes:
    return BUCKET + name.encode()


def bucket_of_key(owner: str, name: str) -> bytes:
    return BUCKET_OF + owner.encode() + b"\0" + name.encode()


def object_key(bucket_id: bytes, key: str) -> bytes:
    return OBJECT + bucket_id + key.encode()


def version_prefix(bucket_id: bytes, key: str) -> bytes:
    return VERSION + bucket_id + key.encode() + b"\0"


def version_key(bucket_id: bytes, key: str, sequence: int) -> bytes:
    return version_prefix(bucket_id, key) + (_MAX_SEQUENCE - sequence).to_bytes(8, "big")


def null_version_key(bucket_id: bytes, key: str) -> bytes:
    return NULL_VERSION + bucket_id + key.encode()


def lifecycle_key(at_ms: int, bucket_id: bytes, key: str) -> bytes:
    return LIFECYCLE + at_ms.to_bytes(8, "big") + bucket_id + key.encode()


def lifecycle_time_ms(row_key: bytes) -> int:
    return int.from_bytes(row_key[1:9], "big")


def parse_lifecycle_key(row_key: bytes) -> tuple[int, bytes, str]:
    """Return time, bucket and key of a row that lifecycle_key() names; CorruptRecordError."""
    try:
        return lifecycle_time_ms(row_key), row_key[9:17], row_key[17:].decode()
    except UnicodeDecodeError as error:
        raise CorruptRecordError(f"key of a lifecycle row: {error}") from error


def upload_key(bucket_id: bytes, key: str, upload_id: bytes) -> bytes:
    return UPLOAD + bucket_id + key.encode() + b"\0" + upload_id


def part_key(upload_id: bytes, number: int) -> bytes:
    return PART + upload_id + number.to_bytes(2, "big")


def blob_key(blob_id: bytes) -> bytes:
    return BLOB + blob_id


def repair_key(losses_left: int, blob_id: bytes) -> bytes:
    """Return the key of a blob's repair row; `losses_left` is how many shards it can still lose.

    A blob may have several rows: one for each count that it was found with.
    """
    return REPAIR + bytes((min(max(losses_left, 0), 255),)) + blob_id


def counter_key(bucket_id: bytes, name: str) -> bytes:
    return COUNTER + bucket_id + name.encode()


def policy_key(bucket_id: bytes, digest: bytes) -> bytes:
    return BUCKET_POLICY + bucket_id + digest


def account_block_key(account: str) -> bytes:
    return ACCOUNT_BLOCK + account.encode()


def configuration_key(bucket_id: bytes, name: str) -> bytes:
    return CONFIGURATION + bucket_id + name.encode()


def topic_key(account: str, name: str) -> bytes:
    return TOPIC + account.encode() + b"\0" + name.encode()


def event_prefix(topic_id: bytes) -> bytes:
    return EVENT + topic_id


def topic_status_key(topic_id: bytes) -> bytes:
    return store_key(f"topic-status/{topic_id.hex()}")


def user_key(user_id: str) -> bytes:
    return USER + user_id.encode()


def user_name_key(account: str, name: str) -> bytes:
    return USER_NAME + in_account(account, name)


def in_account(account: str, name: str) -> bytes:
    """Return how keys end that find by name; names of identities ignore case, as in IAM."""
    return account.encode() + b"\0" + name.lower().encode()


def access_key_key(access_key_id: str) -> bytes:
    return ACCESS_KEY + access_key_id.encode()


def key_of_key(user_id: str, access_key_id: str) -> bytes:
    return KEY_OF + user_id.encode() + access_key_id.encode()


def store_key(name: str) -> bytes:
    return STORE + name.encode()
