"""Every S3 operation as one row: what AWS's service models lack.

The models give method, URI and shapes; a row adds the IAM action, the header or query value that
tells two operations of one URL apart, and deprecated twins. Actions follow "Actions, resources,
and condition keys for Amazon S3" of AWS's Service Authorization Reference. Operations of IAM, STS
and SNS need no row of their own: their action is `<service>:<Operation>`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One operation. `action` has no default on purpose."""

    service: str
    name: str
    action: str
    header: str | None = None  # request header whose presence selects it
    query_value: tuple[str, str] | None = None  # query key that must have this value
    alias_of: str | None = None  # deprecated twin of this operation: never routed


def derived_row(service: str, name: str) -> Row:
    """Return the row of an operation that has none written out."""
    return Row(service, name, f"{service}:{name}")


# What S3 Control sets for a whole account: its own model shares the shapes of S3's operations.
ACCOUNT_ROWS: tuple[Row, ...] = (
    Row("s3", "DeleteAccountPublicAccessBlock", "s3:PutAccountPublicAccessBlock"),
    Row("s3", "GetAccountPublicAccessBlock", "s3:GetAccountPublicAccessBlock"),
    Row("s3", "PutAccountPublicAccessBlock", "s3:PutAccountPublicAccessBlock"),
)

# PostObject, the upload by a browser form, is the only row that the model does not know.
S3_ROWS: tuple[Row, ...] = (
    Row("s3", "AbortMultipartUpload", "s3:AbortMultipartUpload"),
    Row("s3", "CompleteMultipartUpload", "s3:PutObject"),
    Row("s3", "CopyObject", "s3:PutObject", header="x-amz-copy-source"),
    Row("s3", "CreateBucket", "s3:CreateBucket"),
    Row("s3", "CreateBucketMetadataConfiguration", "s3:CreateBucketMetadataTableConfiguration"),
    Row(
        "s3", "CreateBucketMetadataTableConfiguration", "s3:CreateBucketMetadataTableConfiguration"
    ),
    Row("s3", "CreateMultipartUpload", "s3:PutObject"),
    Row("s3", "CreateSession", "s3express:CreateSession"),
    Row("s3", "DeleteBucket", "s3:DeleteBucket"),
    Row("s3", "DeleteBucketAnalyticsConfiguration", "s3:PutAnalyticsConfiguration"),
    Row("s3", "DeleteBucketCors", "s3:PutBucketCORS"),
    Row("s3", "DeleteBucketEncryption", "s3:PutEncryptionConfiguration"),
    Row(
        "s3", "DeleteBucketIntelligentTieringConfiguration", "s3:PutIntelligentTieringConfiguration"
    ),
    Row("s3", "DeleteBucketInventoryConfiguration", "s3:PutInventoryConfiguration"),
    Row("s3", "DeleteBucketLifecycle", "s3:PutLifecycleConfiguration"),
    Row("s3", "DeleteBucketMetadataConfiguration", "s3:DeleteBucketMetadataTableConfiguration"),
    Row(
        "s3", "DeleteBucketMetadataTableConfiguration", "s3:DeleteBucketMetadataTableConfiguration"
    ),
    Row("s3", "DeleteBucketMetricsConfiguration", "s3:PutMetricsConfiguration"),
    Row("s3", "DeleteBucketOwnershipControls", "s3:PutBucketOwnershipControls"),
    Row("s3", "DeleteBucketPolicy", "s3:DeleteBucketPolicy"),
    Row("s3", "DeleteBucketReplication", "s3:PutReplicationConfiguration"),
    Row("s3", "DeleteBucketTagging", "s3:PutBucketTagging"),
    Row("s3", "DeleteBucketWebsite", "s3:DeleteBucketWebsite"),
    Row("s3", "DeleteObject", "s3:DeleteObject"),
    Row("s3", "DeleteObjectAnnotation", "s3:DeleteObjectAnnotation"),
    Row("s3", "DeleteObjectTagging", "s3:DeleteObjectTagging"),
    Row("s3", "DeleteObjects", "s3:DeleteObject"),
    Row("s3", "DeletePublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
    Row("s3", "GetBucketAbac", "s3:GetBucketAbac"),
    Row("s3", "GetBucketAccelerateConfiguration", "s3:GetAccelerateConfiguration"),
    Row("s3", "GetBucketAcl", "s3:GetBucketAcl"),
    Row("s3", "GetBucketAnalyticsConfiguration", "s3:GetAnalyticsConfiguration"),
    Row("s3", "GetBucketCors", "s3:GetBucketCORS"),
    Row("s3", "GetBucketEncryption", "s3:GetEncryptionConfiguration"),
    Row("s3", "GetBucketIntelligentTieringConfiguration", "s3:GetIntelligentTieringConfiguration"),
    Row("s3", "GetBucketInventoryConfiguration", "s3:GetInventoryConfiguration"),
    Row(
        "s3",
        "GetBucketLifecycle",
        "s3:GetLifecycleConfiguration",
        alias_of="GetBucketLifecycleConfiguration",
    ),
    Row("s3", "GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration"),
    Row("s3", "GetBucketLocation", "s3:GetBucketLocation"),
    Row("s3", "GetBucketLogging", "s3:GetBucketLogging"),
    Row("s3", "GetBucketMetadataConfiguration", "s3:GetBucketMetadataTableConfiguration"),
    Row("s3", "GetBucketMetadataTableConfiguration", "s3:GetBucketMetadataTableConfiguration"),
    Row("s3", "GetBucketMetricsConfiguration", "s3:GetMetricsConfiguration"),
    Row(
        "s3",
        "GetBucketNotification",
        "s3:GetBucketNotification",
        alias_of="GetBucketNotificationConfiguration",
    ),
    Row("s3", "GetBucketNotificationConfiguration", "s3:GetBucketNotification"),
    Row("s3", "GetBucketOwnershipControls", "s3:GetBucketOwnershipControls"),
    Row("s3", "GetBucketPolicy", "s3:GetBucketPolicy"),
    Row("s3", "GetBucketPolicyStatus", "s3:GetBucketPolicyStatus"),
    Row("s3", "GetBucketReplication", "s3:GetReplicationConfiguration"),
    Row("s3", "GetBucketRequestPayment", "s3:GetBucketRequestPayment"),
    Row("s3", "GetBucketTagging", "s3:GetBucketTagging"),
    Row("s3", "GetBucketVersioning", "s3:GetBucketVersioning"),
    Row("s3", "GetBucketWebsite", "s3:GetBucketWebsite"),
    Row("s3", "GetObject", "s3:GetObject"),
    Row("s3", "GetObjectAcl", "s3:GetObjectAcl"),
    Row("s3", "GetObjectAnnotation", "s3:GetObjectAnnotation"),
    Row("s3", "GetObjectAttributes", "s3:GetObjectAttributes"),
    Row("s3", "GetObjectLegalHold", "s3:GetObjectLegalHold"),
    Row("s3", "GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration"),
    Row("s3", "GetObjectRetention", "s3:GetObjectRetention"),
    Row("s3", "GetObjectTagging", "s3:GetObjectTagging"),
    Row("s3", "GetObjectTorrent", "s3:GetObjectTorrent"),
    Row("s3", "GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock"),
    Row("s3", "HeadBucket", "s3:ListBucket"),
    Row("s3", "HeadObject", "s3:GetObject"),
    Row("s3", "ListBucketAnalyticsConfigurations", "s3:GetAnalyticsConfiguration"),
    Row(
        "s3", "ListBucketIntelligentTieringConfigurations", "s3:GetIntelligentTieringConfiguration"
    ),
    Row("s3", "ListBucketInventoryConfigurations", "s3:GetInventoryConfiguration"),
    Row("s3", "ListBucketMetricsConfigurations", "s3:GetMetricsConfiguration"),
    Row("s3", "ListBuckets", "s3:ListAllMyBuckets"),
    Row(
        "s3", "ListDirectoryBuckets", "s3express:ListAllMyDirectoryBuckets", alias_of="ListBuckets"
    ),
    Row("s3", "ListMultipartUploads", "s3:ListBucketMultipartUploads"),
    Row("s3", "ListObjectAnnotations", "s3:ListObjectAnnotations"),
    Row("s3", "ListObjectVersions", "s3:ListBucketVersions"),
    Row("s3", "ListObjects", "s3:ListBucket"),
    Row("s3", "ListObjectsV2", "s3:ListBucket", query_value=("list-type", "2")),
    Row("s3", "ListParts", "s3:ListMultipartUploadParts"),
    Row("s3", "PostObject", "s3:PutObject"),
    Row("s3", "PutBucketAbac", "s3:PutBucketAbac"),
    Row("s3", "PutBucketAccelerateConfiguration", "s3:PutAccelerateConfiguration"),
    Row("s3", "PutBucketAcl", "s3:PutBucketAcl"),
    Row("s3", "PutBucketAnalyticsConfiguration", "s3:PutAnalyticsConfiguration"),
    Row("s3", "PutBucketCors", "s3:PutBucketCORS"),
    Row("s3", "PutBucketEncryption", "s3:PutEncryptionConfiguration"),
    Row("s3", "PutBucketIntelligentTieringConfiguration", "s3:PutIntelligentTieringConfiguration"),
    Row("s3", "PutBucketInventoryConfiguration", "s3:PutInventoryConfiguration"),
    Row(
        "s3",
        "PutBucketLifecycle",
        "s3:PutLifecycleConfiguration",
        alias_of="PutBucketLifecycleConfiguration",
    ),
    Row("s3", "PutBucketLifecycleConfiguration", "s3:PutLifecycleConfiguration"),
    Row("s3", "PutBucketLogging", "s3:PutBucketLogging"),
    Row("s3", "PutBucketMetricsConfiguration", "s3:PutMetricsConfiguration"),
    Row(
        "s3",
        "PutBucketNotification",
        "s3:PutBucketNotification",
        alias_of="PutBucketNotificationConfiguration",
    ),
    Row("s3", "PutBucketNotificationConfiguration", "s3:PutBucketNotification"),
    Row("s3", "PutBucketOwnershipControls", "s3:PutBucketOwnershipControls"),
    Row("s3", "PutBucketPolicy", "s3:PutBucketPolicy"),
    Row("s3", "PutBucketReplication", "s3:PutReplicationConfiguration"),
    Row("s3", "PutBucketRequestPayment", "s3:PutBucketRequestPayment"),
    Row("s3", "PutBucketTagging", "s3:PutBucketTagging"),
    Row("s3", "PutBucketVersioning", "s3:PutBucketVersioning"),
    Row("s3", "PutBucketWebsite", "s3:PutBucketWebsite"),
    Row("s3", "PutObject", "s3:PutObject"),
    Row("s3", "PutObjectAcl", "s3:PutObjectAcl"),
    Row("s3", "PutObjectAnnotation", "s3:PutObjectAnnotation"),
    Row("s3", "PutObjectLegalHold", "s3:PutObjectLegalHold"),
    Row("s3", "PutObjectLockConfiguration", "s3:PutBucketObjectLockConfiguration"),
    Row("s3", "PutObjectRetention", "s3:PutObjectRetention"),
    Row("s3", "PutObjectTagging", "s3:PutObjectTagging"),
    Row("s3", "PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
    Row("s3", "RenameObject", "s3:RenameObject"),
    Row("s3", "RestoreObject", "s3:RestoreObject"),
    Row("s3", "SelectObjectContent", "s3:GetObject", query_value=("select-type", "2")),
    Row(
        "s3",
        "UpdateBucketMetadataAnnotationTableConfiguration",
        "s3:UpdateBucketMetadataAnnotationTableConfiguration",
    ),
    Row(
        "s3",
        "UpdateBucketMetadataInventoryTableConfiguration",
        "s3:UpdateBucketMetadataInventoryTableConfiguration",
    ),
    Row(
        "s3",
        "UpdateBucketMetadataJournalTableConfiguration",
        "s3:UpdateBucketMetadataJournalTableConfiguration",
    ),
    Row("s3", "UpdateObjectEncryption", "s3:UpdateObjectEncryption"),
    Row("s3", "UploadPart", "s3:PutObject"),
    Row("s3", "UploadPartCopy", "s3:PutObject", header="x-amz-copy-source"),
    Row(
        "s3",
        "WriteGetObjectResponse",
        "s3-object-lambda:WriteGetObjectResponse",
        header="x-amz-request-route",
    ),
)
