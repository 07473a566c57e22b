"""Keep a STAC catalogue of the GeoTIFFs in a bucket, told of changes by AMQP.

    python catalogue.py --amqp amqp://localhost:5672 --exchange fairease-s3-events --catalogue stac

Endpoint and keys are taken from the environment, as by every AWS SDK (AWS_ENDPOINT_URL, ...).
Events come at least once and may come late: each item remembers the sequencer of the event that it
was made from, and an older event changes nothing. An event is acknowledged once its change is
stored, so that whatever ends this program, the broker brings the event again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

import boto3
import pika
import pystac
import rasterio
from botocore.exceptions import ClientError
from rasterio.warp import transform_bounds

SUFFIXES = (".tif", ".tiff")
ROOT = "catalog.json"
WGS84 = "EPSG:4326"
# A URL that is signed for GET answers no HEAD, and nothing lies beside it.
GDAL = {"CPL_VSIL_CURL_USE_HEAD": "NO", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}


class Catalogue:
    """A static STAC catalogue in a bucket: catalog.json, and one document per item."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def update(self, source: str, key: str, sequencer: str) -> bool:
        """Make the catalogue say of a key what the bucket does, unless it knows better.

        An event says that a key has changed, and the bucket what it is now: where there are
        versions, the removal of one may leave, or bring back, another one. Returns whether there
        is an image.
        """
        name = hashlib.sha256(f"{source}/{key}".encode()).hexdigest()[:32]
        document = f"items/{name}.json"
        known = self._read(document)
        if known is not None and known["properties"]["s3:sequencer"] >= sequencer:
            return True
        item = self._describe(name, source, key)
        if item is None:
            self._s3.delete_object(Bucket=self._bucket, Key=document)
        else:
            item.properties["s3:sequencer"] = sequencer
            self._write(document, item.to_dict(include_self_link=False))
        self._link(document, key if item is not None else None)
        return item is not None

    def _describe(self, name: str, source: str, key: str) -> pystac.Item | None:
        """Return the item of a GeoTIFF; None where it is gone, or is none."""
        try:
            head = self._s3.head_object(Bucket=source, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        where = {"Bucket": source, "Key": key}
        url = self._s3.generate_presigned_url("get_object", Params=where, ExpiresIn=600)
        try:
            # Reads the header by byte ranges, not the file.
            with rasterio.Env(**GDAL), rasterio.open(url) as image:
                bounds = transform_bounds(image.crs, WGS84, *image.bounds)
                size = [image.height, image.width]
        except (rasterio.errors.RasterioError, TypeError):
            return None
        west, south, east, north = bounds
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        item = pystac.Item(
            id=name,
            geometry={"type": "Polygon", "coordinates": [ring]},
            bbox=list(bounds),
            datetime=head["LastModified"].astimezone(UTC),
            properties={"title": key, "proj:shape": size, **head["Metadata"]},
        )
        item.add_asset(
            "data", pystac.Asset(f"s3://{source}/{key}", media_type=pystac.MediaType.GEOTIFF)
        )
        return item

    def _link(self, document: str, title: str | None) -> None:
        """Add the link to an item, or remove it."""
        root = self._read(ROOT) or pystac.Catalog("bucket", "GeoTIFFs of a bucket").to_dict()
        links = [link for link in root["links"] if link["href"] != f"./{document}"]
        if title is not None:
            kind = pystac.MediaType.GEOJSON
            links.append({"rel": "item", "href": f"./{document}", "type": kind, "title": title})
        root["links"] = links
        self._write(ROOT, root)

    def _read(self, key: str) -> dict[str, Any] | None:
        try:
            return json.load(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"])
        except self._s3.exceptions.NoSuchKey:
            return None

    def _write(self, key: str, document: dict[str, Any]) -> None:
        body = json.dumps(document, indent=2, default=str).encode()
        self._s3.put_object(
            Bucket=self._bucket, Key=key, Body=body, ContentType=pystac.MediaType.GEOJSON
        )


def changes(body: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield (bucket, key, sequencer) of an event message."""
    for record in json.loads(body).get("Records", ()):  # a test event has none
        s3 = record["s3"]
        key = unquote_plus(s3["object"]["key"])
        if key.lower().endswith(SUFFIXES):
            yield s3["bucket"]["name"], key, s3["object"]["sequencer"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--amqp", default="amqp://localhost:5672")
    parser.add_argument("--exchange", required=True)
    parser.add_argument("--queue", default="stac-catalogue")
    parser.add_argument("--catalogue", required=True, metavar="BUCKET")
    arguments = parser.parse_args()

    catalogue = Catalogue(boto3.client("s3"), arguments.catalogue)
    channel = pika.BlockingConnection(pika.URLParameters(arguments.amqp)).channel()
    channel.exchange_declare(arguments.exchange, exchange_type="fanout", durable=True)
    channel.queue_declare(arguments.queue, durable=True)  # it fills while we are away
    channel.queue_bind(arguments.queue, arguments.exchange)
    channel.basic_qos(prefetch_count=1)
    print(f"{datetime.now(UTC):%H:%M:%S} waiting for events", flush=True)

    def on_message(ch: Any, method: Any, _properties: Any, body: bytes) -> None:
        for source, key, sequencer in changes(body):
            is_there = catalogue.update(source, key, sequencer)
            print(f"{'there' if is_there else 'gone'}: s3://{source}/{key}", flush=True)
        ch.basic_ack(method.delivery_tag)

    channel.basic_consume(arguments.queue, on_message)
    channel.start_consuming()


if __name__ == "__main__":
    main()
