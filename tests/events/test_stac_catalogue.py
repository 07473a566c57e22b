"""The tutorial's program, end to end: uploads are in the catalogue, deletions are gone from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.transform import from_bounds

from tests.support.rabbitmq import Broker
from tests.support.server_process import ROOT, RunningServer

PROGRAM = ROOT / "examples" / "stac_catalogue" / "catalogue.py"
EXCHANGE, WAIT_S = "scenes-events", 60
BOUNDS = (3.0, 45.0, 3.5, 45.5)


def scene(path: Path) -> bytes:
    with rasterio.open(
        path, "w", driver="GTiff", height=16, width=32, count=1, dtype="uint8", crs="EPSG:4326",
        transform=from_bounds(*BOUNDS, 32, 16),
    ) as image:  # fmt: skip
        image.write(np.zeros((1, 16, 32), "uint8"))
    return path.read_bytes()


class Catalogue:
    """What a reader sees of it."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def _load(self, key: str) -> dict[str, Any]:
        return json.load(self._s3.get_object(Bucket="scenes-stac", Key=key)["Body"])

    def items(self) -> dict[str, pystac.Item]:
        root = self._load("catalog.json")
        assert pystac.Catalog.from_dict(root).id == "bucket"
        links = [link for link in root["links"] if link["rel"] == "item"]
        return {
            link["title"]: pystac.Item.from_dict(self._load(link["href"].removeprefix("./")))
            for link in links
        }

    def wait_for(self, titles: set[str]) -> dict[str, pystac.Item]:
        deadline = time.monotonic() + WAIT_S
        while (found := self._items_now()).keys() != titles:
            assert time.monotonic() < deadline, found.keys()
            time.sleep(0.1)
        return found

    def _items_now(self) -> dict[str, pystac.Item]:
        """Return the items; none while the catalogue is not there, or changes as it is read."""
        try:
            return self.items()
        except self._s3.exceptions.NoSuchKey:
            return {}


@pytest.fixture
def listener(broker: Broker, server: RunningServer, tmp_path: Path):
    """Start the program; stop it at the end."""
    environment = os.environ | {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_REGION": server.region,
        "AWS_DEFAULT_REGION": server.region,
    }
    command = [sys.executable, str(PROGRAM), "--amqp", broker.url, "--exchange", EXCHANGE]
    started = []

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*command, "--catalogue", "scenes-stac"], env=environment, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert b"waiting" in process.stdout.readline()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # rasterio, of itself
def test_catalogue_follows_the_bucket(
    broker: Broker,
    client: Callable[..., Any],
    listener: Callable[[], subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    s3, sns = client("s3"), client("sns")
    first = listener()
    topic = sns.create_topic(
        Name="scenes",
        Attributes={
            "push-endpoint": broker.url,
            "amqp-exchange": EXCHANGE,
            "amqp-ack-level": "broker",
            "persistent": "true",
        },
    )
    for bucket in ("scenes", "scenes-stac"):
        s3.create_bucket(Bucket=bucket)
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"]
    rule = {"TopicArn": topic["TopicArn"], "Events": events}
    s3.put_bucket_notification_configuration(
        Bucket="scenes", NotificationConfiguration={"TopicConfigurations": [rule]}
    )
    body = scene(tmp_path / "scene.tif")
    s3.put_object(Bucket="scenes", Key="2026/a b.tif", Body=body, Metadata={"platform": "s2"})
    s3.put_object(Bucket="scenes", Key="notes.txt", Body=b"no image")
    s3.put_object(Bucket="scenes", Key="broken.tif", Body=b"no image either")
    item = Catalogue(s3).wait_for({"2026/a b.tif"})["2026/a b.tif"]
    assert item.bbox == pytest.approx(BOUNDS)
    assert item.assets["data"].href == "s3://scenes/2026/a b.tif"
    assert item.properties["platform"] == "s2"

    first.kill()  # and what happens now waits for it
    s3.put_object(Bucket="scenes", Key="b.tiff", Body=body)
    s3.delete_object(Bucket="scenes", Key="2026/a b.tif")
    listener()
    Catalogue(s3).wait_for({"b.tiff"})
    assert {each["Key"] for each in s3.list_objects_v2(Bucket="scenes-stac")["Contents"]} == {
        "catalog.json",
        f"items/{Catalogue(s3).items()['b.tiff'].id}.json",
    }

    # An older version that goes is no loss of its object; a delete marker that goes brings it back.
    s3.put_bucket_versioning(Bucket="scenes", VersioningConfiguration={"Status": "Enabled"})
    older = s3.put_object(Bucket="scenes", Key="c.tif", Body=body)["VersionId"]
    s3.put_object(Bucket="scenes", Key="c.tif", Body=body)
    s3.delete_object(Bucket="scenes", Key="c.tif", VersionId=older)
    marker = s3.delete_object(Bucket="scenes", Key="b.tiff")["VersionId"]
    Catalogue(s3).wait_for({"c.tif"})
    s3.delete_object(Bucket="scenes", Key="b.tiff", VersionId=marker)
    Catalogue(s3).wait_for({"b.tiff", "c.tif"})
