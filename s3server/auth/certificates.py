"""Which roles the holders of certificates may become: the rules of the settings."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec

from s3server.auth.ca_directory import AuthorityDirectory
from s3server.auth.challenges import Challenges
from s3server.auth.proxy_chain import (
    ChainError,
    ChainExpiredError,
    Holder,
    read_chain,
    verify_chain,
)
from s3server.auth.wildcard import NO_KEYS, Pattern, read_template
from s3server.errors import AccessDenied, ProofRefused

# All that is served to whoever shows a certificate in TLS.
OPERATIONS = frozenset({"AssumeRoleWithCertificate", "GetCertificateChallenge"})
_PORT = re.compile(r":[0-9]*$")


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
        names: Sequence[str] = (),
    ) -> None:
        """`external_urls` and `names` (without ports) are what clients know this server by."""
        self._directory, self.challenges = directory, challenges
        urls = [urlsplit(url) for url in external_urls]
        self._hosts = [url.netloc for url in urls]
        self._names = {name.lower() for name in (*names, *(url.hostname or "" for url in urls))}
        self._rules = [(_pattern(rule.dn), _pattern(rule.issuer), rule.role) for rule in rules]

    async def holder(self, pem: str, now_ms: int) -> Holder:
        """Return whom a chain in PEM stands for. Raises AccessDenied with the reason.

        That is ProofRefused unless the chain was good once, or nothing can be told.
        """
        if self._directory is None:
            raise AccessDenied("No certificates are accepted here.")
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        try:
            return await asyncio.to_thread(self._verify, self._directory, pem, now)
        except ChainError as error:
            refusal = AccessDenied if isinstance(error, ChainExpiredError) else ProofRefused
            raise refusal(f"The certificate proves nobody: {error}.") from None
        except OSError:
            raise AccessDenied("The certificate authorities cannot be read.") from None

    def hosts(self, seen: str) -> list[str]:
        """Return the hosts that a client may have signed a challenge for; `seen` is Host's value.

        That counts only where it is a name of ours: whoever passes our challenges on to its own
        clients sends us its own name. Raises AccessDenied where there is none.
        """
        is_ours = _PORT.sub("", seen.lower()).strip("[]") in self._names
        hosts = [seen, *self._hosts] if is_ours else self._hosts
        if not hosts:
            raise AccessDenied("This server does not know its name: server.external_urls tells it.")
        return hosts

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
