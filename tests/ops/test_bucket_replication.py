"""GetBucketReplication, DeleteBucketReplication; PutBucketReplication is refused."""

from __future__ import annotations

from tests.support.served import Store


async def test_bucket_has_no_replication(data: Store) -> None:
    missing = (404, "ReplicationConfigurationNotFoundError")
    assert (await data.alice("GET", "/data?replication")).outcome == missing
    with data.untouched():
        assert (await data.alice("DELETE", "/data?replication")).status == 204
        assert (await data.bob("GET", "/data?replication")).outcome == (403, "AccessDenied")
        assert (await data.bob("DELETE", "/data?replication")).outcome == (403, "AccessDenied")
        wanted = b"<ReplicationConfiguration/>"
        refused = await data.alice.configure("/data?replication", wanted)
    assert refused.outcome == (501, "NotImplemented")
