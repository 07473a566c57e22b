"""Server-side encryption, as requests ask for it and answers tell it: SSE-S3 and SSE-C.

Keys of clients are held while their request lasts, and never logged or stored: an object keeps its
own random key, wrapped. SSE-KMS is not done.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from s3server import errors
from s3server.core.keys import (
    Envelope,
    read_envelope,
    unwrap_for_customer,
    wrap_for_customer,
    write_envelope,
)
from s3server.core.objects import Attributes
from s3server.core.sealing import KEY_BYTES, new_data_key
from s3server.errors import InvalidArgument, InvalidEncryptionAlgorithmError, InvalidRequest
from s3server.operation import Ctx

CUSTOMER = ("SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5")
OF_SOURCE = "CopySource"
SENT_KEY = frozenset(CUSTOMER)
_SAID = SENT_KEY | {"ServerSideEncryption"}
_NEEDS_KEY = (
    "The object was stored using a form of Server Side Encryption. The correct parameters must be "
    "provided to retrieve the object."
)


def with_encryption(
    ctx: Ctx, request: Mapping[str, Any], attributes: Attributes, data_key: bytes = b""
) -> Attributes:
    """Return the attributes with the encryption that the request or the bucket wants.

    The data key is a new one where none is given. Raises InvalidArgument, InvalidRequest,
    InvalidEncryptionAlgorithmError, NotImplemented.
    """
    if not ctx.require_bucket().encryption and _SAID.isdisjoint(request):
        return attributes
    customer = customer_key(ctx, request)
    wanted = request.get("ServerSideEncryption") or ""
    if wanted.startswith("aws:"):
        raise errors.NotImplemented(
            "Encryption by keys of a key management service is not implemented.",
            Header="x-amz-server-side-encryption",
        )
    if customer is not None and wanted:
        raise InvalidArgument(
            "Server Side Encryption with Customer provided key is incompatible with the encryption "
            "method specified",
            ArgumentName="x-amz-server-side-encryption",
            ArgumentValue=wanted,
        )
    is_plain = customer is None and not (wanted or ctx.require_bucket().encryption)
    if is_plain:
        return attributes
    data_key = data_key or new_data_key()
    if customer is not None:
        envelope = wrap_for_customer(data_key, customer, _md5(customer))
    else:
        envelope = ctx.services.key_ring.wrap(data_key)
    return replace(attributes, encryption=write_envelope(envelope), data_key=data_key)


def data_key_of(ctx: Ctx, request: Mapping[str, Any], encryption: bytes, prefix: str = "") -> bytes:
    """Return the data key of what is stored; b"" where that is plain.

    Raises InvalidRequest where the client's key is needed and missing, or sent and not needed;
    AccessDenied for another key. `prefix` is OF_SOURCE for the source of a copy.
    """
    customer = customer_key(ctx, request, prefix)
    if not encryption:
        if customer is not None:
            raise InvalidRequest("The encryption parameters are not applicable to this object.")
        return b""
    envelope = read_envelope(encryption)
    if not envelope.is_customers:
        if customer is not None:
            raise InvalidRequest("The encryption parameters are not applicable to this object.")
        return ctx.services.key_ring.unwrap(envelope)
    if customer is None:
        raise InvalidRequest(_NEEDS_KEY)
    return unwrap_for_customer(envelope, customer)


def customer_key(ctx: Ctx, request: Mapping[str, Any], prefix: str = "") -> bytes | None:
    """Return the key that the client sent, checked; None where none was sent."""
    algorithm, text, md5 = (request.get(prefix + name) for name in CUSTOMER)
    if algorithm is None and text is None and md5 is None:
        return None
    if ctx.http.scheme != "https":
        raise InvalidRequest(
            "Requests specifying Server Side Encryption with Customer provided keys must be made "
            "over a secure connection."
        )
    if algorithm is None or text is None or md5 is None:
        raise InvalidArgument(
            "Requests specifying Server Side Encryption with Customer provided keys must provide "
            "the algorithm, the secret key and its MD5."
        )
    if algorithm != "AES256":
        raise InvalidEncryptionAlgorithmError
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidArgument("The secret key was invalid for the specified algorithm.")
    if _md5(key) != md5:
        raise InvalidArgument(
            "The calculated MD5 hash of the key did not match the hash that was provided."
        )
    return key


def _md5(key: bytes) -> str:
    return base64.b64encode(hashlib.md5(key, usedforsecurity=False).digest()).decode()


def told_encryption(encryption: bytes) -> dict[str, str]:
    """Return the members of an answer that tell how an object is encrypted."""
    if not encryption:
        return {}
    envelope: Envelope = read_envelope(encryption)
    if envelope.is_customers:
        return {"SSECustomerAlgorithm": "AES256", "SSECustomerKeyMD5": envelope.key_id}
    return {"ServerSideEncryption": "AES256"}
