"""Nobody raises their own rights through IAM: what no policy can permit.

Policies decide who may change identities; beyond that, a limit that lies upon somebody cannot be
got rid of by them. Without this, whoever may manage users takes the boundary off, or makes a user
without one and goes on as that (compare CVE-2025-62506 and CVE-2024-24747).
"""

from __future__ import annotations

from typing import Protocol

from s3server.model import Principal

_READS = ("Get", "List", "Simulate", "Generate")


class Changed(Protocol):
    """What is changed (subjects.Subject)."""

    @property
    def arn(self) -> str: ...
    @property
    def boundary(self) -> str | None: ...


def escapes_limits(principal: Principal, operation: str, subject: Changed) -> bool:
    """Return whether a principal would change, through this operation of IAM, what limits it.

    - A key with a scope, a session with a policy of its own, and a session of a user change
      nothing: what they would make lasts longer, and reaches further, than they do.
    - Who has a boundary changes neither that policy nor any user or role without this boundary,
      be it by a group or a policy of theirs, and makes none without.
    """
    if operation.startswith(_READS) or principal.is_root:
        return False
    if principal.session_policies or (principal.kind == "session" and not principal.role):
        return True
    boundary = principal.bindings.boundary
    if not boundary:
        return False
    return subject.arn == boundary or subject.boundary not in (None, boundary)
