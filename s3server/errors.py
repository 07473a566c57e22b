"""Every error that a client can be sent: the class name is the S3 code.

`raise NoSuchKey(Key=key)`: keywords become elements of the error document; `message=` replaces
the standing text; `headers=` go into the response. Codes, texts and statuses follow AWS's
"Error responses" page for S3.
"""

from __future__ import annotations

from typing import ClassVar

CODES: set[str] = set()  # of all errors that were defined


class S3Error(Exception):
    """An answer other than success, with its code, HTTP status, text and extra elements."""

    code: ClassVar[str] = ""
    status: ClassVar[int] = 400
    message: str = ""

    def __init__(
        self, message: str | None = None, *, headers: dict[str, str] | None = None, **fields: str
    ) -> None:
        self.message = message if message is not None else type(self).message
        self.headers = headers or {}
        self.fields = fields
        super().__init__(self.message)

    def __init_subclass__(cls) -> None:
        if "code" not in cls.__dict__:
            cls.code = cls.__name__
        CODES.add(cls.code)


# --- requests that cannot be understood (400, 405, 411, 501) ---------------------------------


class AccessControlListNotSupported(S3Error):
    message = "The bucket does not allow ACLs"


class AmbiguousGrantByEmailAddress(S3Error):
    message = "The email address you provided is associated with more than one account."


class AuthorizationHeaderMalformed(S3Error):
    message = "The authorization header is malformed."


class AuthorizationQueryParametersError(S3Error):
    message = "The query-string authentication parameters are not valid."


class BadDigest(S3Error):
    message = "The Content-MD5 or checksum you specified did not match what we received."


class BadRequest(S3Error):
    message = "Bad Request"


class EntityTooLarge(S3Error):
    message = "Your proposed upload exceeds the maximum allowed size."


class EntityTooSmall(S3Error):
    message = "Your proposed upload is smaller than the minimum allowed size."


class IllegalLocationConstraintException(S3Error):
    message = "The specified location constraint is not valid for this endpoint."


class IllegalVersioningConfigurationException(S3Error):
    message = "The versioning configuration specified in the request is invalid."


class IncompleteBody(S3Error):
    message = "You did not provide the number of bytes specified by the Content-Length HTTP header."


class IncorrectNumberOfFilesInPostRequest(S3Error):
    message = "POST requires exactly one file upload per request."


class InvalidAction(S3Error):
    message = "The action or operation requested is invalid."


class InvalidArgument(S3Error):
    message = "Invalid Argument"


class InvalidBucketAclWithObjectOwnership(S3Error):
    message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"


class InvalidBucketName(S3Error):
    message = "The specified bucket is not valid."


class InvalidDigest(S3Error):
    message = "The Content-MD5 or checksum value that you specified is not valid."


class InvalidLocationConstraint(S3Error):
    message = "The specified location constraint is not valid."


class InvalidParameter(S3Error):  # of SNS
    message = "Invalid parameter"


class InvalidEncryptionAlgorithmError(S3Error):
    message = "The encryption request you specified is not valid. The valid value is AES256."


class InvalidPart(S3Error):
    message = (
        "One or more of the specified parts could not be found. The part might not have been "
        "uploaded, or the specified entity tag might not have matched the part's entity tag."
    )


class InvalidPartOrder(S3Error):
    message = "The list of parts was not in ascending order. Parts must be ordered by part number."


class InvalidPolicyDocument(S3Error):
    message = "The content of the form does not meet the conditions specified in the policy."


class InvalidRedirectLocation(S3Error):
    message = "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."


class InvalidRequest(S3Error):
    message = "Invalid Request"


class InvalidStorageClass(S3Error):
    message = "The storage class you specified is not valid."


class InvalidTag(S3Error):
    message = "The tag provided was not a valid tag."


class InvalidToken(S3Error):
    message = "The provided token is malformed or otherwise invalid."


class InvalidURI(S3Error):
    message = "Couldn't parse the specified URI."


class KeyTooLongError(S3Error):
    message = "Your key is too long."


class MalformedACLError(S3Error):
    message = (
        "The XML you provided was not well-formed or did not validate against our published schema"
    )


class MalformedPolicy(S3Error):
    message = "This policy contains invalid Json"


class MalformedPOSTRequest(S3Error):
    message = "The body of your POST request is not well-formed multipart/form-data."


class MalformedTrailerError(S3Error):
    message = (
        "The request contained trailing data that was not well-formed "
        "or did not conform to our published schema."
    )


class MalformedXML(S3Error):
    message = (
        "The XML you provided was not well-formed or did not validate against our published schema."
    )


class MaxMessageLengthExceeded(S3Error):
    message = "Your request was too big."


class MaxPostPreDataLengthExceeded(S3Error):
    message = "Your POST request fields preceding the upload file were too large."


class MetadataTooLarge(S3Error):
    message = "Your metadata headers exceed the maximum allowed metadata size."


class MissingRequestBodyError(S3Error):
    message = "Request body is empty."


class MissingSecurityHeader(S3Error):
    message = "Your request was missing a required header."


class RequestHeaderSectionTooLarge(S3Error):
    message = "Your request header section exceeds the maximum allowed size."


class RequestTimeout(S3Error):
    message = (
        "Your socket connection to the server was not read from or written to "
        "within the timeout period."
    )


class UnexpectedContent(S3Error):
    message = "This request does not support content"


class UnresolvableGrantByEmailAddress(S3Error):
    message = "The email address you provided does not match any account on record."


class ValidationError(S3Error):
    message = "The input fails to satisfy the constraints of the service."


class XAmzContentSHA256Mismatch(S3Error):
    message = "The provided 'x-amz-content-sha256' header does not match what was computed."


class MethodNotAllowed(S3Error):
    status = 405
    message = "The specified method is not allowed against this resource."


class MissingContentLength(S3Error):
    status = 411
    message = "You must provide the Content-Length HTTP header."


class NotImplemented(S3Error):  # noqa: A001 (the S3 code has this name)
    code = "NotImplemented"
    status = 501
    message = "A header or operation you provided implies functionality that is not implemented."


# --- who and whether (401-403) ------------------------------------------------------------------


class AccessForbidden(S3Error):
    status = 403
    message = "CORSResponse: CORS is not enabled for this bucket."


class AccessDenied(S3Error):
    status = 403
    message = "Access Denied"


class ProofRefused(AccessDenied):
    """A certificate, or an answer to a challenge, that proves nobody: counted as a guess."""

    code = "AccessDenied"


class ExpiredToken(S3Error):
    message = "The provided token has expired."


class AuthorizationError(S3Error):  # of SNS
    status = 403
    message = "Access Denied"


class InvalidAccessKeyId(S3Error):
    status = 403
    message = "The AWS Access Key Id you provided does not exist in our records."


class InvalidChunkSizeError(S3Error):
    status = 403
    message = "Only the last chunk is allowed to have a size less than 8192 bytes."


class AccountProblem(S3Error):
    status = 403
    message = "There is a problem with the project that prevents the operation."


class QuotaExceeded(S3Error):
    status = 403
    message = "The quota of the project, user or bucket would be exceeded."


class RequestTimeTooSkewed(S3Error):
    status = 403
    message = "The difference between the request time and the current time is too large."


class SignatureDoesNotMatch(S3Error):
    status = 403
    message = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method."
    )


# --- what is not there (404) ------------------------------------------------------------------


class NoSuchBucket(S3Error):
    status = 404
    message = "The specified bucket does not exist."


class NoSuchKey(S3Error):
    status = 404
    message = "The specified key does not exist."


class NoSuchTagSet(S3Error):
    status = 404
    message = "The TagSet does not exist."


class NoSuchUpload(S3Error):
    status = 404
    message = (
        "The specified multipart upload does not exist. The upload ID might not be valid, or the "
        "multipart upload might have been aborted or completed."
    )


class NoSuchVersion(S3Error):
    status = 404
    message = "The specified version does not exist."


class NotFound(S3Error):  # of SNS
    status = 404
    message = "The requested resource does not exist."


class NoSuchEntity(S3Error):
    status = 404
    message = "The entity does not exist."


# --- conflicts and conditions (304, 409, 412, 416) -----------------------------------------------


class NotModified(S3Error):
    status = 304
    message = "Not Modified"


class BucketAlreadyExists(S3Error):
    status = 409
    message = (
        "The requested bucket name is not available. The bucket namespace is shared by all users "
        "of the system. Select a different name and try again."
    )


class BucketAlreadyOwnedByYou(S3Error):
    status = 409
    message = "Your previous request to create the named bucket succeeded and you already own it."


class BucketNotEmpty(S3Error):
    status = 409
    message = "The bucket you tried to delete is not empty."


class EntityAlreadyExists(S3Error):
    status = 409
    message = "The entity exists already."


class InvalidBucketState(S3Error):
    status = 409
    message = "The request is not valid with the current state of the bucket."


class OperationAborted(S3Error):
    status = 409
    message = "A conflicting conditional operation is currently in progress. Try again."


class PreconditionFailed(S3Error):
    status = 412
    message = "At least one of the pre-conditions you specified did not hold."


class InvalidPartNumber(S3Error):
    status = 416
    message = "The requested partnumber is not satisfiable."


class InvalidRange(S3Error):
    status = 416
    message = "The requested range is not satisfiable."


# --- ours (500, 503, 507) -------------------------------------------------------------------------


class InternalError(S3Error):
    status = 500
    message = "We encountered an internal error. Please try again."


class ServiceUnavailable(S3Error):  # what only an operator can mend
    status = 503
    message = "Service is unable to handle request."


class SlowDown(S3Error):
    status = 503
    message = "Please reduce your request rate."


class InsufficientStorage(S3Error):
    status = 507
    message = "There is not enough space to store what you sent. Nothing was changed."
