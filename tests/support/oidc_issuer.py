"""An OpenID Connect issuer on this machine: discovery, keys, and tokens of every kind."""

from __future__ import annotations

import base64
import hmac
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

AUDIENCE = "https://s3.site.org"


def new_key(kid: str, kind: str = "RSA") -> RSAKey | ECKey:
    """Return a key pair."""
    parameters: Any = {"kid": kid, "use": "sig"}
    if kind == "RSA":
        return RSAKey.generate_key(2048, parameters, private=True)
    return ECKey.generate_key("P-256", parameters, private=True)


def encoded(value: Any) -> str:
    """Return a part of a token."""
    return _base64(json.dumps(value).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass(slots=True)
class Issuer:
    """What its web server shows, and what it signs."""

    url: str = "https://idp.site.org/realms/grid"
    keys: list[Any] = field(default_factory=lambda: [new_key("one")])
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)  # instead of its own
    asked: list[str] = field(default_factory=list)

    def document(self, path: str) -> tuple[int, bytes]:
        """Return the status and body of a GET."""
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        if path.endswith("/.well-known/openid-configuration"):
            return 200, json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}).encode()
        if path.endswith("/jwks"):
            return 200, json.dumps(self.key_set()).encode()
        return 404, b""

    def key_set(self) -> dict[str, Any]:
        return {"keys": [key.as_dict(private=False) for key in self.keys]}

    def claims(self, now_s: float, **changed: Any) -> dict[str, Any]:
        """Return the claims of a good token; those that are None are left out."""
        claims = {
            "iss": self.url, "sub": "alice", "aud": AUDIENCE, "iat": int(now_s),
            "nbf": int(now_s), "exp": int(now_s) + 3600, "jti": "1",
            "wlcg.ver": "1.0", "wlcg.groups": ["/cms", "/cms/prod"],
            "scope": "storage.read:/ openid",
        }  # fmt: skip
        return {name: value for name, value in {**claims, **changed}.items() if value is not None}

    def token(
        self,
        now_s: float,
        *,
        header: Mapping[str, Any] | None = None,
        key: Any = None,
        **changed: Any,
    ) -> str:
        """Return a token, signed with the first key unless told otherwise."""
        key = key or self.keys[0]
        algorithm = "RS256" if key.key_type == "RSA" else "ES256"
        head = {"alg": algorithm, "kid": key.kid, "typ": "at+jwt", **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        claims = self.claims(now_s, **changed)
        if head["alg"] == "none":
            return f"{encoded(head)}.{encoded(claims)}."
        return str(jwt.encode(head, claims, key, algorithms=[head["alg"]]))

    def token_with_public_key_as_secret(self, now_s: float) -> str:
        """Return a token whose HS256 secret is the issuer's public key (CVE-2016-10555)."""
        secret = self.keys[0].as_pem(private=False)
        text = f"{encoded({'alg': 'HS256', 'kid': 'one'})}.{encoded(self.claims(now_s))}"
        return f"{text}.{_base64(hmac.digest(secret, text.encode(), 'sha256'))}"

    def token_with_header(self, now_s: float, head: Mapping[str, Any]) -> str:
        """Return a token with a header that no library would make, rightly signed."""
        text = f"{encoded(head)}.{encoded(self.claims(now_s))}"
        signature = self.keys[0].private_key.sign(text.encode(), PKCS1v15(), SHA256())
        return f"{text}.{_base64(signature)}"


@contextmanager
def run_issuer(tls: ssl.SSLContext | None = None) -> Iterator[Issuer]:
    """Serve an issuer on loopback; on https with `tls`."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = issuer.document(self.path)
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("location", body.decode())
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    issuer.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/realms/grid"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
