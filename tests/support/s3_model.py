"""A plain model of S3: dictionaries, sorted keys, no cleverness."""

from __future__ import annotations

from dataclasses import dataclass, field

BUCKETS = ("first", "second")
MIN_PART_BYTES = 100  # instead of 5 MiB


@dataclass
class ModelUpload:
    bucket: str
    key: str
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class ModelVersion:
    id: str  # "" is the null version
    body: bytes | None  # None: a delete marker


@dataclass
class Model:
    """What S3 holds, as plainly as can be: the versions of every key, newest first."""

    versions: dict[str, dict[str, list[ModelVersion]]] = field(
        default_factory=lambda: {b: {} for b in BUCKETS}
    )
    status: dict[str, str] = field(default_factory=lambda: dict.fromkeys(BUCKETS, ""))
    uploads: dict[str, ModelUpload] = field(default_factory=dict)

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Return what the keys hold now."""
        tops = {key: versions[0].body for key, versions in self.versions[bucket].items()}
        return {key: body for key, body in tops.items() if body is not None}

    def listing(self, bucket: str, prefix: str, delimiter: str) -> list[str]:
        found = set()
        for key in self.objects(bucket):
            if key.startswith(prefix):
                end = key.find(delimiter, len(prefix)) if delimiter else -1
                found.add(key if end < 0 else key[: end + len(delimiter)])
        return sorted(found, key=str.encode)

    def version_listing(self, bucket: str, prefix: str, delimiter: str) -> list[tuple[str, ...]]:
        """Return common prefixes, and keys with version id and what they are."""
        found: list[tuple[str, ...]] = []
        for key in sorted(self.versions[bucket], key=str.encode):
            if key.startswith(prefix):
                end = key.find(delimiter, len(prefix)) if delimiter else -1
                if end >= 0:
                    common = (key[: end + len(delimiter)],)
                    found += [] if common in found else [common]
                    continue
                for at, each in enumerate(self.versions[bucket][key]):
                    kind = "marker" if each.body is None else "object"
                    found.append((key, each.id, kind, "latest" if at == 0 else ""))
        return found

    def push(self, bucket: str, key: str, version_id: str, body: bytes | None) -> None:
        versions = self.versions[bucket].setdefault(key, [])
        if self.status[bucket] == "Enabled":
            assert version_id not in {"", *(each.id for each in versions)}
        else:
            assert version_id == ""
            versions[:] = [each for each in versions if each.id]
        versions.insert(0, ModelVersion(version_id, body))

    def put(self, bucket: str, key: str, body: bytes, *, if_absent: bool) -> str:
        """Return the error that a put meets."""
        return "PreconditionFailed" if if_absent and key in self.objects(bucket) else ""

    def remove(self, bucket: str, key: str, version_id: str) -> ModelVersion | None:
        versions = self.versions[bucket].get(key, [])
        for version in versions:
            if version.id == version_id:
                versions.remove(version)
                if not versions:
                    del self.versions[bucket][key]
                return version
        return None

    def complete(self, upload: str, chosen: list[int]) -> str:
        found = self.uploads[upload]
        if [number for number in chosen if number not in found.parts]:
            return "InvalidPart"
        if [number for number in chosen[:-1] if len(found.parts[number]) < MIN_PART_BYTES]:
            return "EntityTooSmall"
        return ""
