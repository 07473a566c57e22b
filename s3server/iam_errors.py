"""Errors of IAM: the class name is the code, as in `errors`.

Source: "Common errors" and the errors of each action, AWS IAM API reference.
"""

from __future__ import annotations

from s3server.errors import S3Error


class InvalidInput(S3Error):
    """What was sent makes no sense together."""

    message = "The input is not valid."


class MalformedPolicyDocument(S3Error):
    """A document that is no policy."""

    message = "The policy document was malformed."


class DeleteConflict(S3Error):
    """Something else still refers to it."""

    status = 409
    message = "Cannot delete entity, must remove referenced objects first."


class LimitExceeded(S3Error):
    """More of something than there may be."""

    status = 409
    message = "A limit of the account is reached."
