"""Topics: made, listed, changed and deleted by their owners."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec.structs import replace

from s3server.core import records
from s3server.core.clock import Clock, Ids
from s3server.core.commit import Commits, Plan
from s3server.core.damaged import Damaged
from s3server.core.projects import check_project
from s3server.core.records import TopicRecord, decode, encode
from s3server.core.topic_attributes import ENDPOINT, SECRET, check_attributes
from s3server.errors import InvalidParameter, NotFound
from s3server.events.endpoints import AllowList, Endpoint
from s3server.meta.base import Delete, MetadataStore, Put, Unchanged, after_prefix
from s3server.model import Pairs, Principal

_is_name = re.compile(r"[A-Za-z0-9_-]{1,256}").fullmatch
PAGE = 100  # topics of one answer, as AWS


class Sealer(Protocol):
    """Seals secrets, bound to a name; what auth.secrets.SecretBox does."""

    def seal(self, secret: str, name: str, /) -> bytes: ...

    def open(self, sealed: bytes, name: str, /) -> str: ...


class Topics:
    """Topics of one store."""

    def __init__(
        self,
        meta: MetadataStore,
        *,
        clock: Clock,
        ids: Ids,
        sealer: Sealer,
        region: str,
        allowed: AllowList,
        ca_directory: str,
    ) -> None:
        self._meta, self._clock, self._ids, self._sealer = meta, clock, ids, sealer
        self._region, self._allowed, self._ca_directory = region, allowed, ca_directory
        self._commit = Commits(meta)
        self._damaged = Damaged("events")

    def arn(self, topic: TopicRecord) -> str:
        """Return a topic's ARN, as Ceph's gateway forms it: the account is the tenant."""
        return f"arn:aws:sns:{self._region}:{topic.account}:{topic.name}"

    async def create(
        self,
        owner: Principal,
        name: str,
        attributes: Mapping[str, str],
        may_change: Callable[[TopicRecord], None],
        principals: Pairs = (),
    ) -> TopicRecord:
        """Create a topic, or give the owner's topic of that name these attributes.

        `principals` are those that its policy names.
        `may_change` raises where that is not to be. Raises InvalidParameter; NoSuchEntity where
        the owner's project is gone, or ends for good.
        """
        if not _is_name(name):
            raise InvalidParameter("Invalid parameter: Topic Name")
        key = records.topic_key(owner.account, name)

        async def plan() -> Plan[TopicRecord]:
            row = await self._meta.get(key)
            if row is None:
                topic = TopicRecord(
                    id=self._ids.bucket_id(),
                    account=owner.account,
                    name=name,
                    owner=owner.id,
                    created_ms=self._clock.now_ms(),
                    sealed_endpoint=b"",
                    attributes=(),
                )
            else:
                topic = decode(TopicRecord, row)
                if topic.owner != owner.id and not owner.is_root:
                    raise InvalidParameter("Invalid parameter: another user's topic has this name")
                if self.secrets(topic) == dict(attributes) and topic.principals == principals:
                    return Plan(topic)
                may_change(topic)
            changed = self._with_attributes(replace(topic, principals=principals), attributes)
            return Plan(
                changed,
                [Put(key, encode(changed))],
                [Unchanged(key, row), await check_project(self._meta, owner.account)],
            )

        return await self._commit(plan)

    async def set_attribute(
        self, topic: TopicRecord, name: str, value: str, principals: Pairs | None = None
    ) -> TopicRecord:
        """Change one attribute, a policy with whom it names. Raises InvalidParameter, NotFound."""
        key = records.topic_key(topic.account, topic.name)

        async def plan() -> Plan[TopicRecord]:
            row = await self._meta.get(key)
            if row is None or (now := decode(TopicRecord, row)).id != topic.id:
                raise NotFound("Topic does not exist")
            named = now.principals if principals is None else principals
            attributes = {**self.secrets(now), name: value}
            changed = self._with_attributes(replace(now, principals=named), attributes)
            return Plan(changed, [Put(key, encode(changed))], [Unchanged(key, row)])

        return await self._commit(plan)

    async def delete(self, topic: TopicRecord) -> None:
        """Delete a topic; events that wait for it are given up. Idempotent."""
        key = records.topic_key(topic.account, topic.name)

        async def plan() -> Plan[None]:
            row = await self._meta.get(key)
            if row is None or decode(TopicRecord, row).id != topic.id:
                return Plan(None)
            standing = [Delete(each) for each in standing_keys(topic.id)]
            return Plan(None, [Delete(key), *standing], [Unchanged(key, row)])

        await self._commit(plan)

    async def get(self, arn: str) -> TopicRecord:
        """Return the topic with an ARN. Raises NotFound, InvalidParameter."""
        account, name = self._parse(arn)
        row = await self._meta.get(records.topic_key(account, name))
        if row is None:
            raise NotFound("Topic does not exist")
        return decode(TopicRecord, row)

    async def list_all(self, account: str | None, after: str = "") -> list[TopicRecord]:
        """Return a page of topics and one more, in the order of names; None: of all accounts.

        `after` is the ARN that the page before ended with. Those that cannot be read are left out.
        """
        table = records.TOPIC if account is None else records.topic_key(account, "")
        start = table
        if after:
            start = records.topic_key(*self._parse(after)) + b"\0"
        start, stop, found = max(start, table), after_prefix(table), list[TopicRecord]()
        while len(found) <= PAGE and (rows := await self._meta.scan(start, stop, limit=PAGE + 1)):
            found += self._damaged.readable(TopicRecord, rows)
            start = rows[-1][0] + b"\0"
        return found[: PAGE + 1]

    def destination(self, topic: TopicRecord) -> tuple[Endpoint, dict[str, str]]:
        """Return where a topic publishes, and its attributes with secrets.

        Raises InvalidParameter where the operator no longer allows the endpoint.
        """
        attributes = self.secrets(topic)
        return check_attributes(attributes, self._allowed, self._ca_directory), attributes

    def secrets(self, topic: TopicRecord) -> dict[str, str]:
        """Return all attributes as they were given, secrets in the clear: never for an answer."""
        found = dict(topic.attributes)
        found[ENDPOINT] = self._sealer.open(topic.sealed_endpoint, f"endpoint {topic.id.hex()}")
        if topic.sealed_secret:
            found[SECRET] = self._sealer.open(topic.sealed_secret, f"secret {topic.id.hex()}")
        return found

    def _with_attributes(self, topic: TopicRecord, attributes: Mapping[str, str]) -> TopicRecord:
        endpoint = check_attributes(attributes, self._allowed, self._ca_directory)
        shown = {**attributes, ENDPOINT: endpoint.shown}
        secret = shown.pop(SECRET, "")
        return replace(
            topic,
            sealed_endpoint=self._sealer.seal(attributes[ENDPOINT], f"endpoint {topic.id.hex()}"),
            sealed_secret=self._sealer.seal(secret, f"secret {topic.id.hex()}") if secret else b"",
            attributes=tuple(sorted(shown.items())),
        )

    def _parse(self, arn: str) -> tuple[str, str]:
        parts = arn.split(":")
        if len(parts) != 6 or parts[:3] != ["arn", "aws", "sns"] or not _is_name(parts[5]):
            raise InvalidParameter("Invalid parameter: TopicArn")
        return parts[4][:64], parts[5]


def standing_keys(topic_id: bytes) -> list[bytes]:
    """Return the keys of what is counted and told of a topic: they go with it."""
    counters = [records.counter_key(topic_id, name) for name in records.TOPIC_COUNTERS]
    return [*counters, records.topic_status_key(topic_id)]


async def all_topics(topics: Topics) -> list[TopicRecord]:
    """Return the topics of all accounts."""
    found: list[TopicRecord] = []
    while True:
        page = await topics.list_all(None, topics.arn(found[-1]) if found else "")
        found += page[:PAGE]
        if len(page) <= PAGE:
            return found
