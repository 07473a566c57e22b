"""What to paste so that a client reaches this server: one block per tool.

The blocks are tested by running them (`tests/clients`); the path style that they choose needs no
DNS.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """Where the server is, and as whom to come."""

    endpoint: str  # URL without a slash at its end
    access_key: str
    secret_key: str
    region: str

    @property
    def is_tls(self) -> bool:
        """Whether the endpoint is an https URL."""
        return self.endpoint.startswith("https://")

    @property
    def host(self) -> str:
        """The endpoint as HOST:PORT."""
        return self.endpoint.partition("://")[2]


def render(tool: str, access: Access) -> str:
    """Return the block for a tool of TOOLS; raises KeyError for another."""
    return TOOLS[tool].format(
        endpoint=access.endpoint,
        host=access.host,
        access_key=access.access_key,
        secret_key=access.secret_key,
        region=access.region,
        tls=str(access.is_tls).lower(),
        tls_python=access.is_tls,
        scheme="https" if access.is_tls else "http",
    )


_AWS = """\
export AWS_ACCESS_KEY_ID={access_key}
export AWS_SECRET_ACCESS_KEY={secret_key}
export AWS_ENDPOINT_URL={endpoint}
export AWS_DEFAULT_REGION={region}
aws s3 mb s3://my-bucket
aws s3 ls
"""

_BOTO3 = """\
import boto3

s3 = boto3.client(
    "s3",
    endpoint_url="{endpoint}",
    aws_access_key_id="{access_key}",
    aws_secret_access_key="{secret_key}",
    region_name="{region}",
)
print([bucket["Name"] for bucket in s3.list_buckets()["Buckets"]])
"""

_RCLONE = """\
export RCLONE_CONFIG_S3SERVER_TYPE=s3
export RCLONE_CONFIG_S3SERVER_PROVIDER=Other
export RCLONE_CONFIG_S3SERVER_ENDPOINT={endpoint}
export RCLONE_CONFIG_S3SERVER_REGION={region}
export RCLONE_CONFIG_S3SERVER_ACCESS_KEY_ID={access_key}
export RCLONE_CONFIG_S3SERVER_SECRET_ACCESS_KEY={secret_key}
rclone lsd s3server:
"""

_S3CMD = """\
cat > s3server.s3cfg <<'END'
[default]
access_key = {access_key}
secret_key = {secret_key}
host_base = {host}
host_bucket = {host}
bucket_location = {region}
use_https = {tls_python}
END
s3cmd --config s3server.s3cfg ls
"""

_DUCKDB = """\
CREATE OR REPLACE SECRET s3server (
    TYPE s3, ENDPOINT '{host}', URL_STYLE 'path', USE_SSL {tls},
    KEY_ID '{access_key}', SECRET '{secret_key}', REGION '{region}'
);
-- SELECT * FROM read_parquet('s3://my-bucket/my-file.parquet');
"""

_S5CMD = """\
export AWS_ACCESS_KEY_ID={access_key}
export AWS_SECRET_ACCESS_KEY={secret_key}
export AWS_REGION={region}
export S3_ENDPOINT_URL={endpoint}
s5cmd ls
"""

_S3FS = """\
import s3fs

fs = s3fs.S3FileSystem(
    key="{access_key}",
    secret="{secret_key}",
    endpoint_url="{endpoint}",
    client_kwargs={{"region_name": "{region}"}},
)
print(fs.ls(""))
"""

_PANDAS = """\
storage_options = {{
    "key": "{access_key}",
    "secret": "{secret_key}",
    "client_kwargs": {{"endpoint_url": "{endpoint}", "region_name": "{region}"}},
}}
# the same for dask.dataframe and geopandas:
# pandas.read_parquet("s3://my-bucket/my-file.parquet", storage_options=storage_options)
"""

_MINIO_PY = """\
from minio import Minio

client = Minio(
    "{host}",
    access_key="{access_key}",
    secret_key="{secret_key}",
    region="{region}",
    secure={tls_python},
)
print([bucket.name for bucket in client.list_buckets()])
"""

_OBSTORE = """\
from obstore.store import S3Store

store = S3Store(
    "my-bucket",
    endpoint="{endpoint}",
    access_key_id="{access_key}",
    secret_access_key="{secret_key}",
    region="{region}",
    virtual_hosted_style_request=False,
    client_options={{"allow_http": True}},
)
"""

_MC = """\
export MC_HOST_s3server={scheme}://{access_key}:{secret_key}@{host}
mc ls s3server
"""

_GDAL = """\
export AWS_ACCESS_KEY_ID={access_key}
export AWS_SECRET_ACCESS_KEY={secret_key}
export AWS_S3_ENDPOINT={host}
export AWS_REGION={region}
export AWS_VIRTUAL_HOSTING=FALSE
export AWS_HTTPS={tls}
# gdalinfo /vsis3/my-bucket/my-file.tif
"""

TOOLS = {
    "aws": _AWS,
    "boto3": _BOTO3,
    "rclone": _RCLONE,
    "s3cmd": _S3CMD,
    "duckdb": _DUCKDB,
    "s5cmd": _S5CMD,
    "s3fs": _S3FS,
    "pandas": _PANDAS,
    "minio-py": _MINIO_PY,
    "obstore": _OBSTORE,
    "mc": _MC,
    "gdal": _GDAL,
}
