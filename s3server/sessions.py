"""Sessions: temporary credentials, given out and taken back.

A token carries everything but what may have changed since: the user and the access key it began
with, and all roles that led to it, are read in every request. It ends with any of them, and with
the project of any of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from s3server.auth.credentials import Credential
from s3server.auth.session_tokens import Session, TokenBox, new_session_keys
from s3server.core.identity_records import RoleRecord
from s3server.core.services import Services
from s3server.errors import AccessDenied, ExpiredToken, InvalidToken
from s3server.model import Lineage, Pairs, Principal

LookupKey = Callable[[str], Awaitable[Credential | None]]  # of a long-term access key
MAX_ROLES = 10  # that may lead from one to the next
_OVER = ("pending", "disabled", "deleting")


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a new session is to be good for."""

    lineage: Lineage
    duration_s: int
    name: str = ""
    policies: tuple[str, ...] = ()
    tags: Pairs = ()
    provider: str = ""
    subject: str = ""


class Sessions:
    """The sessions of one store."""

    def __init__(self, tokens: TokenBox, lookup_key: LookupKey, services: Services) -> None:
        self._tokens, self._lookup_key = tokens, lookup_key
        self._users, self._roles = services.users, services.iam.roles
        self._projects, self._clock = services.projects, services.clock

    async def lookup(self, access_key_id: str, token: str | None) -> Credential | None:
        """Return what proves the owner of an access key, or of a session's; None: nothing.

        Raises InvalidToken for a token that is none, of another key, or whose session was ended;
        ExpiredToken once its time is over.
        """
        if token is None:
            return await self._lookup_key(access_key_id)
        session = self._tokens.open(token, access_key_id)
        if session.expires_ms <= self._clock.now_ms():
            raise ExpiredToken
        return Credential(access_key_id, session.secret, await self._principal(session))

    async def issue(self, account: str, grant: Grant) -> tuple[Session, str]:
        """Return a new session for a project's user or role, and its token.

        It ends after what was asked for, or with what it was given for or the project, where that
        is sooner. Raises AccessDenied where one of them, or another project that leads to it, has
        ended; PackedPolicyTooLarge.
        """
        now = self._clock.now_ms()
        ends = [now + grant.duration_s * 1000, await self._end_of_project(account)]
        if grant.lineage.ends_ms:
            ends.append(grant.lineage.ends_ms)
        if min(ends) <= now:
            raise AccessDenied("What the session would be given for has ended.")
        key_id, secret = new_session_keys()
        session = Session(
            access_key_id=key_id,
            secret=secret,
            issued_ms=now,
            expires_ms=min(ends),
            lineage=grant.lineage,
            name=grant.name,
            policies=grant.policies,
            tags=grant.tags,
            provider=grant.provider,
            subject=grant.subject,
        )
        try:
            await self._principal(session)
        except InvalidToken:
            raise AccessDenied("What the session would be given for has ended.") from None
        return session, self._tokens.seal(session)

    async def _end_of_project(self, account: str) -> int:
        project = await self._projects.find(account)
        if project is None or self._projects.state(project) in _OVER:
            raise AccessDenied("The project is not active.")
        if not project.end_ms:
            return 1 << 62
        is_over = project.end_ms <= self._clock.now_ms()
        return project.end_ms + (project.grace_ms if is_over else 0)

    async def _principal(self, session: Session) -> Principal:
        lineage = session.lineage
        user = await self._origin(session) if lineage.user else None
        roles = await self._roles_of(session)
        scope = () if user is None else user.session_policies
        begun = {
            "kind": "session",
            "access_key_id": session.access_key_id,
            "session_policies": (*scope, *session.policies),
            "issued_ms": session.issued_ms,
            "expires_ms": session.expires_ms,
            "lineage": lineage,
        }
        if not roles:
            if user is None:
                raise InvalidToken
            return msgspec.structs.replace(user, **begun)
        accounts = {role.account for role in roles}
        if user is not None:
            accounts.add(user.account)
        await self._check_others(accounts - {roles[-1].account})
        return msgspec.structs.replace(
            _of_role(roles[-1]),
            session_name=session.name,
            session_tags=session.tags,
            provider=session.provider,
            **begun,
        )

    async def _origin(self, session: Session) -> Principal:
        """Return the user that a session began with, if that and the access key still count."""
        credential = await self._lookup_key(session.lineage.base_key)
        user = await self._users.find_by_id(session.lineage.user)
        if credential is None or credential.principal.id != session.lineage.user:
            raise InvalidToken
        if user is None or session.issued_ms < user.sessions_valid_from_ms:
            raise InvalidToken
        return credential.principal

    async def _roles_of(self, session: Session) -> list[RoleRecord]:
        """Return the roles that led to a session, its own last: all of them must still be."""
        roles = []
        for role_id in session.lineage.roles:
            role = await self._roles.find_role_by_id(role_id)
            if role is None or session.issued_ms < role.sessions_valid_from_ms:
                raise InvalidToken
            roles.append(role)
        return roles

    async def _check_others(self, accounts: set[str]) -> None:
        """Raise InvalidToken unless the projects that led to another's role are active.

        That of the role itself is looked at with what is asked for, as for everybody.
        """
        for account in accounts:
            project = await self._projects.find(account)
            if project is None or self._projects.state(project) not in ("active", "notice"):
                raise InvalidToken


def _of_role(role: RoleRecord) -> Principal:
    return Principal(
        "session", role.id, role.name, role.account,
        path=role.path, bindings=role.bindings, tags=role.tags, role=role.id,
    )  # fmt: skip
