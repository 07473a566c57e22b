"""Who may have the server store logs and inventories in which bucket."""

from __future__ import annotations

import pytest

from tests.support.iam import allow, make_user, policy
from tests.support.served import Store

LOGGING = (
    "<BucketLoggingStatus><LoggingEnabled><TargetBucket>TARGET</TargetBucket>"
    "<TargetPrefix>x/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>"
)
INVENTORY = (
    "<InventoryConfiguration><Destination><S3BucketDestination><Bucket>arn:aws:s3:::TARGET</Bucket>"
    "<Format>CSV</Format></S3BucketDestination></Destination><IsEnabled>true</IsEnabled>"
    "<Id>all</Id><IncludedObjectVersions>All</IncludedObjectVersions>"
    "<Schedule><Frequency>Daily</Frequency></Schedule></InventoryConfiguration>"
)


@pytest.mark.parametrize("what", ["logging", "inventory&id=all"])
async def test_server_stores_nothing_where_who_asks_for_it_may_not(store: Store, what: str) -> None:
    """Both buckets are root's, so that the server would store from one in the other."""
    for bucket in ("data", "other"):
        await store.root.made(f"/{bucket}")
    own = ["arn:aws:s3:::data", "arn:aws:s3:::data/*"]
    ann = await make_user(store, "ann", allow("s3:*", resource=own))
    body = {"logging": LOGGING, "inventory&id=all": INVENTORY}[what]
    refused = await ann.configure(f"/data?{what}", body.replace("TARGET", "other").encode())
    assert refused.outcome == (403, "AccessDenied")
    for who, target in ((ann, "data"), (store.root, "other")):
        text = body.replace("TARGET", target).encode()
        assert (await who.configure(f"/data?{what}", text)).status in (200, 204)


async def test_policy_of_the_target_that_lets_the_service_in_is_enough(store: Store) -> None:
    for bucket in ("data", "other"):
        await store.root.made(f"/{bucket}")
    leave = {"Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"},
             "Action": "s3:PutObject", "Resource": "arn:aws:s3:::other/*"}  # fmt: skip
    await store.root.sent("/other?policy", policy(leave).encode())
    ann = await make_user(store, "ann", allow("s3:*", resource="arn:aws:s3:::data"))
    text = LOGGING.replace("TARGET", "other").encode()
    assert (await ann.configure("/data?logging", text)).status == 200
