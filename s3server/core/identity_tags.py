"""Tags of users, roles and policies: what IAM allows.

Source: "Tags for AWS Identity and Access Management resources", AWS IAM user guide. What a tag may
consist of, AWS's model says, and the parser holds it against that.
"""

from __future__ import annotations

from collections.abc import Iterable

from s3server.iam_errors import InvalidInput, LimitExceeded
from s3server.model import Pairs

MAX_TAGS = 50


def merge_tags(tags: Pairs, new: Pairs) -> Pairs:
    """Return tags with others added or in their place. Keys ignore case; the new one is kept.

    Raises InvalidInput, LimitExceeded.
    """
    if len({key.lower() for key, _ in new}) != len(new):
        raise InvalidInput(
            "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        )
    if any(key.lower().startswith("aws:") for key, _ in new):
        raise InvalidInput("Tag keys must not begin with aws:, which is reserved.")
    merged = {key.lower(): (key, value) for key, value in (*tags, *new)}
    if len(merged) > MAX_TAGS:
        raise LimitExceeded(f"The number of tags has reached the maximum limit of {MAX_TAGS}.")
    return tuple(sorted(merged.values()))


def without_tags(tags: Pairs, names: Iterable[str]) -> Pairs:
    """Return tags without those of these keys."""
    removed = {name.lower() for name in names}
    return tuple(pair for pair in tags if pair[0].lower() not in removed)
