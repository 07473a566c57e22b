"""What handlers work with: the S3 semantics of one store."""

from __future__ import annotations

from dataclasses import dataclass

from s3server.core.access import Access
from s3server.core.annotations import Annotations
from s3server.core.attachments import Attachments
from s3server.core.buckets import Buckets
from s3server.core.clock import Clock, Ids
from s3server.core.copying import Copying
from s3server.core.directory import Directory
from s3server.core.groups import Groups
from s3server.core.keys import KeyRing
from s3server.core.last_used import LastUsed
from s3server.core.lifecycle import Lifecycle
from s3server.core.listing import Listing
from s3server.core.managed_policies import ManagedPolicies
from s3server.core.multipart import Multipart
from s3server.core.notifications import Notifications
from s3server.core.objects import Objects
from s3server.core.open_uploads import OpenUploads
from s3server.core.projects import Projects
from s3server.core.renaming import Renaming
from s3server.core.roles import Roles
from s3server.core.topics import Topics
from s3server.core.users import Users
from s3server.meta.base import MetadataStore


@dataclass(frozen=True, slots=True)
class Regions:
    """The region of this store, and the names under which clients may ask for it."""

    name: str
    aliases: tuple[str, ...] = ()  # "*" stands for any name

    def accepts(self, name: str) -> bool:
        """Tell whether a client may use this name of the region."""
        return name == self.name or "*" in self.aliases or name in self.aliases


@dataclass(frozen=True, slots=True)
class Iam:
    """Roles, groups and policies; users and keys are `Services.users`."""

    directory: Directory
    roles: Roles
    groups: Groups
    policies: ManagedPolicies
    attachments: Attachments
    last_used: LastUsed


def make_iam(meta: MetadataStore, clock: Clock, ids: Ids) -> Iam:
    """Put the services of one store's identities together."""
    directory = Directory(meta)
    policies = ManagedPolicies(directory, clock=clock, ids=ids)
    return Iam(
        directory,
        Roles(directory, policies, clock=clock, ids=ids),
        Groups(directory, clock=clock, ids=ids),
        policies,
        Attachments(directory, policies),
        LastUsed(meta, clock),
    )


@dataclass(frozen=True, slots=True)
class Services:
    """One value that carries every service; made by the composition root."""

    buckets: Buckets
    access: Access
    objects: Objects
    copying: Copying
    multipart: Multipart
    open_uploads: OpenUploads
    annotations: Annotations
    renaming: Renaming
    listing: Listing
    lifecycle: Lifecycle
    projects: Projects
    users: Users
    iam: Iam
    key_ring: KeyRing
    topics: Topics
    notifications: Notifications
    regions: Regions
    clock: Clock
