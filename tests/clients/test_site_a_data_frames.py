"""Site A's slides: pandas, Dask and GeoPandas through s3fs, GDAL, and DuckDB on what they wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client_tools import over_http_and_https, run_python

pytestmark = pytest.mark.clients
duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed: make test installs it")

PANDAS = """
import sys
import pandas as pd

bucket = sys.argv[1]
frame = pd.DataFrame({"DATE": pd.date_range("2020-01-01", periods=1000), "TEMP": range(1000)})
frame.to_csv(f"s3://{bucket}/98755099999_2020.csv", index=False)

df = pd.read_csv(f"s3://{bucket}/98755099999_2020.csv", parse_dates=["DATE"], index_col="DATE")
df2 = df[df.TEMP >= 990]
df2.to_csv(f"s3://{bucket}/results.csv")
print(len(df), df.index.max().date(), df.TEMP.sum(), len(pd.read_csv(f"s3://{bucket}/results.csv")))
"""

DASK = """
import sys
import dask
import dask.dataframe as dd
import pandas as pd

bucket = sys.argv[1]
for year in range(4):
    part = pd.DataFrame({"DATE": ["2020-01-01"] * 500, "TEMP": [year] * 500})
    part.to_csv(f"s3://{bucket}/data/01262099999/{year}.csv", index=False)
pd.DataFrame({"DATE": ["x"], "TEMP": [999]}).to_csv(f"s3://{bucket}/data/other.csv", index=False)

dask.config.set(scheduler="threads")
dask.config.set(num_workers=4)
df = dd.read_csv(f"s3://{bucket}/data/01262099999/*.csv")
df["DATE"] = df.DATE.astype("datetime64[ns]")
df = df.persist()
print(len(df), df.TEMP.sum().compute(), df.DATE.dtype.kind)
"""

GEOPANDAS = """
import sys
import geopandas as gpd
import pandas as pd

gpd.options.io_engine = "pyogrio"
bucket = sys.argv[1]
df = pd.DataFrame({"LONGITUDE": [3.1, 3.2, 2.35], "LATITUDE": [45.7, 45.8, 48.85]})
gdf = gpd.GeoDataFrame(
    df, geometry=gpd.points_from_xy(df.LONGITUDE, df.LATITUDE), crs="EPSG:4326"
)
gdf.to_parquet(f"s3://{bucket}/gdf.parquet")
back = gpd.read_parquet(f"s3://{bucket}/gdf.parquet")
print(back.equals(gdf), back.geometry.iloc[2].wkt, back.crs.to_epsg())
"""

GDAL = """
import sys
import fsspec
import geopandas as gpd

bucket = sys.argv[1]
gdf = gpd.read_parquet(f"s3://{bucket}/gdf.parquet")
with fsspec.open(f"s3://{bucket}/deep/gdf.geojson", "w") as stream:
    stream.write(gdf.to_json())
back = gpd.read_file(f"/vsis3/{bucket}/deep/gdf.geojson", engine="pyogrio")
print(len(back), back.geometry.iloc[0].wkt)
"""


@over_http_and_https
def test_pandas_reads_and_writes_csv(environment: dict[str, str], bucket: str) -> None:
    assert "1000 2022-09-26 499500 10" == run_python(PANDAS, environment, bucket)


@over_http_and_https
def test_dask_reads_all_files_of_a_glob(environment: dict[str, str], bucket: str) -> None:
    assert "2000 3000 M" == run_python(DASK, environment, bucket)


@over_http_and_https
def test_geopandas_writes_parquet_that_gdal_and_duckdb_read(
    environment: dict[str, str], bucket: str, sql: duckdb.DuckDBPyConnection
) -> None:
    assert "True POINT (2.35 48.85) 4326" == run_python(GEOPANDAS, environment, bucket)

    secure = "YES" if "AWS_CA_BUNDLE" in environment else "NO"
    environment |= {"AWS_HTTPS": secure, "AWS_VIRTUAL_HOSTING": "FALSE"}
    assert "3 POINT (3.1 45.7)" == run_python(GDAL, environment, bucket)

    found = sql.sql(f"SELECT COUNT(*) FROM read_parquet('s3://{bucket}/gdf.parquet');")
    assert [(3,)] == found.fetchall()


@over_http_and_https
def test_duckdb_writes_and_reads_globs(bucket: str, sql: duckdb.DuckDBPyConnection) -> None:
    for year in (2023, 2024):
        sql.sql(
            f"COPY (SELECT range AS value, {year} AS year FROM range(200000))"
            f" TO 's3://{bucket}/parts/year={year}/data 1.parquet' (FORMAT parquet)"
        )
    found = sql.sql(
        "SELECT year, COUNT(*), SUM(value)::BIGINT"
        f" FROM read_parquet('s3://{bucket}/parts/*/*.parquet', hive_partitioning=true)"
        " GROUP BY year ORDER BY year"
    )
    assert [(2023, 200_000, 19_999_900_000), (2024, 200_000, 19_999_900_000)] == found.fetchall()


@pytest.fixture
def sql(environment: dict[str, str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the secret of the slides; path style, and whether there is TLS, are ours."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    for name in ("httpfs", "aws"):
        package = pytest.importorskip(f"duckdb_extension_{name}")
        (file,) = Path(package.__file__).parent.rglob(f"{name}.duckdb_extension")
        connection.load_extension(str(file))
    authority = environment.get("AWS_CA_BUNDLE")
    if authority is not None:
        connection.sql(f"SET ca_cert_file = '{authority}'")
    connection.sql(f"""CREATE SECRET secret (TYPE S3,
        PROVIDER CREDENTIAL_CHAIN, CHAIN 'env',
        ENDPOINT '{environment["AWS_S3_ENDPOINT"]}',
        USE_SSL {authority is not None}, URL_STYLE 'path');""")
    yield connection
    connection.close()
