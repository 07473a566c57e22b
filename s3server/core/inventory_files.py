"""The data files of an inventory: CSV in gzip, and Parquet through pyarrow, an optional extra."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any, Protocol
from urllib.parse import quote

from s3server.core.inventory import Value, kind_of

_MESSAGE = {"time": "int64 {} (TIMESTAMP_MILLIS)", "flag": "boolean {}", "number": "int64 {}"}
_TEXT = "binary {} (UTF8)"
_REQUIRED = frozenset({"Bucket", "Key"})
_SPECIAL = {"ETag": "e_tag"}


class Writer(Protocol):
    """Takes the rows of one file."""

    ending: str

    def add(self, rows: Sequence[dict[str, Value]]) -> None: ...

    def finish(self) -> bytes:
        """Return the file. May take seconds: it belongs in a thread."""
        ...


def has_parquet() -> bool:
    """Return whether Parquet can be written here."""
    return find_spec("pyarrow") is not None


def writer(form: str, fields: Sequence[str]) -> Writer:
    """Return a writer of "CSV" or "Parquet"."""
    return CsvWriter(fields) if form == "CSV" else ParquetWriter(fields)


def schema(form: str, fields: Sequence[str]) -> str:
    """Return the `fileSchema` of a manifest."""
    if form == "CSV":
        return ", ".join(fields)
    columns = " ".join(
        f"{'required' if field in _REQUIRED else 'optional'} "
        f"{_MESSAGE.get(kind_of(field), _TEXT).format(column(field))};"
        for field in fields
    )
    return f"message s3.inventory {{ {columns} }}"


def column(field: str) -> str:
    """Return the name that a field has in Parquet: `last_modified_date`."""
    if field in _SPECIAL:
        return _SPECIAL[field]
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in field).lstrip("_")


class CsvWriter:
    """Every field in quotes, keys URL-encoded, no header."""

    ending = "csv.gz"

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields, self._text = fields, io.StringIO(newline="")
        self._csv = csv.writer(self._text, quoting=csv.QUOTE_ALL, lineterminator="\n")

    def add(self, rows: Sequence[dict[str, Value]]) -> None:
        self._csv.writerows(
            [_csv_text(name, row.get(name)) for name in self._fields] for row in rows
        )

    def finish(self) -> bytes:
        return gzip.compress(self._text.getvalue().encode(), mtime=0)


def _csv_text(field: str, value: Value) -> str:
    if value is None:
        return ""
    if field == "Key":
        return quote(str(value), safe="/~")
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind_of(field) == "time":
        moment = datetime.fromtimestamp(int(value) / 1000, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


class ParquetWriter:
    """Columns by the field's names in lower case, keys as they are."""

    ending = "parquet"

    def __init__(self, fields: Sequence[str]) -> None:
        self._columns: dict[str, list[Value]] = {field: [] for field in fields}

    def add(self, rows: Sequence[dict[str, Value]]) -> None:
        for field, values in self._columns.items():
            values += [row.get(field) for row in rows]

    def finish(self) -> bytes:
        import pyarrow as pa  # noqa: PLC0415 (an optional extra, and slow to load)
        from pyarrow import parquet  # noqa: PLC0415

        types: dict[str, Any] = {
            "time": pa.timestamp("ms", tz="UTC"),
            "flag": pa.bool_(),
            "number": pa.int64(),
            "text": pa.string(),
        }
        columns = [
            pa.field(column(field), types[kind_of(field)], nullable=field not in _REQUIRED)
            for field in self._columns
        ]
        made = pa.table(list(self._columns.values()), schema=pa.schema(columns))
        file = io.BytesIO()
        parquet.write_table(made, file, compression="snappy")
        return file.getvalue()
