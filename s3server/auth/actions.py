"""S3's actions: what permissions are named after.

Source: "Actions, resources, and condition keys for Amazon S3" of AWS's Service Authorization
Reference.
"""

from __future__ import annotations

from collections.abc import Mapping

# What an action on the current version is called where the request names a version. Those that
# are not here have one name for both.
_ON_VERSIONS = {
    f"s3:{verb}Object{what}": f"s3:{verb}ObjectVersion{what}"
    for verb, what in (
        ("Get", ""),
        ("Delete", ""),
        ("Get", "Acl"),
        ("Put", "Acl"),
        ("Get", "Tagging"),
        ("Put", "Tagging"),
        ("Delete", "Tagging"),
        ("Get", "Attributes"),
        ("Get", "Torrent"),
    )
}


def on_version(action: str) -> str:
    """Return what an action is called in a request that names a version, be it "null"."""
    return _ON_VERSIONS.get(action, action)


_ON_OBJECTS = """
AbortMultipartUpload BypassGovernanceRetention DeleteObject DeleteObjectAnnotation
DeleteObjectTagging DeleteObjectVersion DeleteObjectVersionTagging GetObject GetObjectAcl
GetObjectAnnotation GetObjectAttributes GetObjectLegalHold GetObjectRetention GetObjectTagging
GetObjectTorrent GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes
GetObjectVersionForReplication GetObjectVersionTagging GetObjectVersionTorrent InitiateReplication
ListMultipartUploadParts ListObjectAnnotations ObjectOwnerOverrideToBucketOwner PutObject
PutObjectAcl PutObjectAnnotation PutObjectLegalHold PutObjectRetention PutObjectTagging
PutObjectVersionAcl PutObjectVersionTagging RenameObject ReplicateDelete ReplicateObject
ReplicateTags RestoreObject UpdateObjectEncryption
"""
_ON_BUCKETS = """
CreateBucket CreateBucketMetadataTableConfiguration DeleteBucket
DeleteBucketMetadataTableConfiguration DeleteBucketPolicy DeleteBucketWebsite
GetAccelerateConfiguration GetAnalyticsConfiguration GetBucketAbac GetBucketAcl GetBucketCORS
GetBucketLocation GetBucketLogging GetBucketMetadataTableConfiguration GetBucketNotification
GetBucketObjectLockConfiguration GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus
GetBucketPublicAccessBlock GetBucketRequestPayment GetBucketTagging GetBucketVersioning
GetBucketWebsite GetEncryptionConfiguration GetIntelligentTieringConfiguration
GetInventoryConfiguration GetLifecycleConfiguration GetMetricsConfiguration
GetReplicationConfiguration ListBucket ListBucketMultipartUploads ListBucketVersions
PutAccelerateConfiguration PutAnalyticsConfiguration PutBucketAbac PutBucketAcl PutBucketCORS
PutBucketLogging PutBucketNotification PutBucketObjectLockConfiguration PutBucketOwnershipControls
PutBucketPolicy PutBucketPublicAccessBlock PutBucketRequestPayment PutBucketTagging
PutBucketVersioning PutBucketWebsite PutEncryptionConfiguration
PutIntelligentTieringConfiguration PutInventoryConfiguration PutLifecycleConfiguration
PutMetricsConfiguration PutReplicationConfiguration
UpdateBucketMetadataAnnotationTableConfiguration UpdateBucketMetadataInventoryTableConfiguration
UpdateBucketMetadataJournalTableConfiguration
"""
OBJECT_ACTIONS = frozenset(f"s3:{name}" for name in _ON_OBJECTS.split())
BUCKET_ACTIONS = frozenset(f"s3:{name}" for name in _ON_BUCKETS.split())

# What a stored object gets with its bytes, and which permission that takes beside s3:PutObject.
_WITH_NEW_OBJECTS = {
    "x-amz-tagging": "s3:PutObjectTagging",
    "x-amz-acl": "s3:PutObjectAcl",
    "x-amz-grant-full-control": "s3:PutObjectAcl",
    "x-amz-grant-read": "s3:PutObjectAcl",
    "x-amz-grant-read-acp": "s3:PutObjectAcl",
    "x-amz-grant-write": "s3:PutObjectAcl",
    "x-amz-grant-write-acp": "s3:PutObjectAcl",
    "x-amz-object-lock-mode": "s3:PutObjectRetention",
    "x-amz-object-lock-retain-until-date": "s3:PutObjectRetention",
    "x-amz-object-lock-legal-hold": "s3:PutObjectLegalHold",
}


# The same of a bucket that is being made, beside s3:CreateBucket: "CreateBucket", S3 API reference.
_WITH_NEW_BUCKETS = {
    **{
        name: ("s3:PutBucketAcl",)
        for name, action in _WITH_NEW_OBJECTS.items()
        if action == "s3:PutObjectAcl"
    },
    "x-amz-bucket-object-lock-enabled": (
        "s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning",
    ),
    "x-amz-object-ownership": ("s3:PutBucketOwnershipControls",),
}  # fmt: skip


def also_needed(headers: Mapping[str, str]) -> set[str]:
    """Return the further actions of a request that makes an object, by its headers."""
    return {action for name, action in _WITH_NEW_OBJECTS.items() if name in headers}


def also_needed_of_bucket(headers: Mapping[str, str]) -> set[str]:
    """Return the further actions of a request that makes a bucket, by its headers."""
    needed = [actions for name, actions in _WITH_NEW_BUCKETS.items() if name in headers]
    return {action for actions in needed for action in actions}
