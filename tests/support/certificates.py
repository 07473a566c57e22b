"""Answers to the challenges of a server in this process, by holders of certificates."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from s3server.auth.challenges import signed_text
from tests.support.asgi_client import HOST
from tests.support.grid_ca import Holder
from tests.support.served import Store
from tests.support.sts import sts


async def challenge(store: Store) -> str:
    """Return something to sign."""
    answer = await sts(store.nobody, "GetCertificateChallenge")
    assert answer.status == 200, answer.body
    return answer.text(".//Challenge") or ""


async def answered(
    store: Store, holder: Holder, *, host: str = HOST, **fields: str
) -> dict[str, str]:
    """Return the form by which a holder of an elliptic key proves who it is."""
    text = fields.get("Challenge") or await challenge(store)
    signature = holder.key.sign(signed_text(host, text), ec.ECDSA(SHA256()))
    return {
        "Challenge": text, "CertificateChain": holder.chain_pem,
        "Signature": base64.b64encode(signature).decode(), **fields,
    }  # fmt: skip
