"""Which roles the holders of certificates may become: the rules of the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from s3server.auth.ca_directory import AuthorityDirectory
from s3server.auth.challenges import Challenges
from s3server.auth.proxy_chain import ChainError, Holder, read_chain, verify_chain
from s3server.auth.wildcard import NO_KEYS, Pattern, read_template
from s3server.errors import AccessDenied

# All that is served to whoever shows a certificate in TLS.
OPERATIONS = frozenset({"AssumeRoleWithCertificate", "GetCertificateChallenge"})


class Rule(msgspec.Struct, frozen=True):
    """Whom a role is for; * in a name is a wildcard."""

    dn: str
    role: str  # ARN
    issuer: str = "*"  # of the end entity's certificate


class Certificates:
    """Holds chains against the authorities and rules of the settings."""

    def __init__(
        self,
        directory: AuthorityDirectory | None,
        rules: Sequence[Rule],
        challenges: Challenges,
        external_urls: Sequence[str] = (),
    ) -> None:
        self._directory, self.challenges = directory, challenges
        self.external_urls = tuple(external_urls)
        self._rules = [(_pattern(rule.dn), _pattern(rule.issuer), rule.role) for rule in rules]

    async def holder(self, pem: str, now_ms: int) -> Holder:
        """Return whom a chain in PEM stands for. Raises AccessDenied with the reason."""
        if self._directory is None:
            raise AccessDenied("No certificates are accepted here.")
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        try:
            return await asyncio.to_thread(self._verify, self._directory, pem, now)
        except ChainError as error:
            raise AccessDenied(f"The certificate proves nobody: {error}.") from None
        except OSError:
            raise AccessDenied("The certificate authorities cannot be read.") from None

    def roles(self, holder: Holder) -> list[str]:
        """Return the ARNs of the roles of a holder, in the order of the rules."""
        return [
            role
            for dn, issuer, role in self._rules
            if dn.matches(holder.dn, NO_KEYS) and issuer.matches(holder.issuer, NO_KEYS)
        ]

    def _verify(self, directory: AuthorityDirectory, pem: str, now: datetime) -> Holder:
        return verify_chain(read_chain(pem), directory.trust(), now)


def _pattern(text: str) -> Pattern:
    return Pattern(read_template(text, variables=False))
