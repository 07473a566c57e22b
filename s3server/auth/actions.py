"""S3's actions: what permissions are named after.

Source: "Actions, resources, and condition keys for Amazon S3" of AWS's Service Authorization
Reference.
"""

from __future__ import annotations

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
