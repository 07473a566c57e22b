"""What a principal's own policies let it do: those it has, and those that limit it.

Source: "Policy evaluation logic", AWS IAM user guide. In one point it is stricter here: what a
boundary, a session policy or the scope of an access key does not allow, no policy of a bucket
allows either, so that nobody can reach beyond a limit by granting themselves something.
"""

from __future__ import annotations

import msgspec

from s3server.auth.policy import Question, Verdict
from s3server.auth.policy_index import PolicyIndex


class OwnLaw(msgspec.Struct, frozen=True):
    """The policies that a principal carries along."""

    is_bound: bool  # whether nothing is allowed but by `policies`
    policies: PolicyIndex = PolicyIndex(())  # of the user or role, and of the user's groups
    limits: tuple[PolicyIndex, ...] = ()  # boundary, session policies, scope: each has to allow it

    def verdict(self, question: Question) -> Verdict | None:
        """Return what they say; None where they leave the decision to others.

        DENY outweighs whatever else is said; SILENT is to be made up for by the bucket's policy.
        """
        said = self.policies.verdict(question)
        if said is Verdict.DENY or not self.leaves(question):
            return Verdict.DENY
        return said if self.is_bound else None

    def leaves(self, question: Question) -> bool:
        """Return whether every limit allows it."""
        if not self.limits:
            return True
        return all(limit.verdict(question) is Verdict.ALLOW for limit in self.limits)


NOTHING_ALLOWED = OwnLaw(is_bound=True)
