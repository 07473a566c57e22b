"""Secrets that show what they are, for tests of what is done with them."""

from __future__ import annotations


class PlainSecrets:
    """Secrets that count, sealed by their key's name in front. Implements core's `Secrets`."""

    def __init__(self) -> None:
        self._count = 0

    def new_access_key_id(self) -> str:
        self._count += 1
        return f"AK{self._count:018}"

    def new_secret(self) -> str:
        return "s" * 40

    def seal(self, access_key_id: str, secret: str) -> bytes:
        return f"{access_key_id}:{secret}".encode()
