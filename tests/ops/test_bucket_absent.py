"""Analyses, metrics and tiering of buckets: there are none, as tools want to hear."""

from __future__ import annotations

import pytest

from tests.support.served import Store

KINDS = {
    "analytics": "ListBucketAnalyticsConfigurationResult",
    "intelligent-tiering": "ListBucketIntelligentTieringConfigurationsOutput",
    "metrics": "ListMetricsConfigurationsResult",
}


@pytest.mark.parametrize("kind", KINDS)
async def test_bucket_has_none(data: Store, kind: str) -> None:
    answer = await data.alice("GET", f"/data?{kind}")
    root = answer.document
    assert (200, KINDS[kind]) == (answer.status, root.tag)
    assert [("IsTruncated", "false")] == [(each.tag, each.text) for each in root]
    again = await data.alice("GET", f"/data?{kind}&continuation-token=next")
    assert "next" == again.text("ContinuationToken")
    one = await data.alice("GET", f"/data?{kind}&id=all")
    assert (404, "NoSuchConfiguration") == one.outcome
    assert (404, "NoSuchBucket") == (await data.root("GET", f"/none?{kind}")).outcome


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_is_told_to_strangers_and_none_can_be_made(data: Store, kind: str) -> None:
    with data.untouched():
        for query in (kind, f"{kind}&id=all"):
            assert (403, "AccessDenied") == (await data.bob("GET", f"/data?{query}")).outcome
        made = await data.alice.configure(f"/data?{kind}&id=all", b"<Configuration/>")
    assert (501, "NotImplemented") == made.outcome
