"""Errors of STS: the class name is the code, as in `errors`."""

from __future__ import annotations

from s3server.errors import S3Error


class PackedPolicyTooLarge(S3Error):
    message = "The session policies and session tags together are too large."


class IDPCommunicationError(S3Error):
    message = "The keys of the identity provider cannot be had at present. Try again."


class InvalidIdentityToken(S3Error):
    message = "The web identity token that was passed could not be validated."


class ExpiredTokenException(S3Error):
    message = "The web identity token that was passed is expired."


class IDPRejectedClaim(S3Error):
    status = 403
    message = "The identity provider's claim was rejected."


class InvalidParameterValue(S3Error):
    message = "A parameter has a value that is not valid."
