"""What a client under test can do: what all can, and what only some."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from tests.support.clients.trees import files_of

# Legal keys that no tree of files has, and that URL libraries like to tidy up.
ODD_KEYS = ("a//b", "/lead", "trail/", "./dot", "x/../up", "..", ".", "100% +1?#&;=")


class Client:
    """A client; parts of an upload are 5 MiB where it lets us choose."""

    odd_keys: ClassVar[tuple[str, ...]] = ODD_KEYS  # that it can name
    parts: ClassVar[tuple[str, ...]] = ("2", "3")  # in how many 12 MB go up; "" is whole

    def __init__(self, environment: dict[str, str], home: Path) -> None:
        self.environment, self.home = environment, home
        self.endpoint = environment["AWS_ENDPOINT_URL"]
        self.host = environment["AWS_S3_ENDPOINT"]
        self.access_key = environment["AWS_ACCESS_KEY_ID"]
        self.secret_key = environment["AWS_SECRET_ACCESS_KEY"]
        self.region = environment["AWS_REGION"]
        self.authority = environment.get("AWS_CA_BUNDLE")  # of the server's certificate
        self.open()

    def spell(self, key: str) -> str:
        """Return what this client can name in place of a key of the tree."""
        return key

    def open(self) -> None:
        """Connect, or start what is to run; skip the test where it is not installed."""

    def close(self) -> None:
        """Let go of connections, processes and threads."""

    @property
    def is_tls(self) -> bool:
        return self.authority is not None

    def upload(self, directory: Path, bucket: str) -> None:
        """Store every file of a directory under its path."""
        raise NotImplementedError

    def keys(self, bucket: str) -> set[str]:
        """List all keys."""
        raise NotImplementedError

    def download(self, bucket: str, directory: Path) -> None:
        """Bring all objects back as files."""
        raise NotImplementedError

    def delete(self, bucket: str, key: str) -> None:
        """Delete one object."""
        raise NotImplementedError

    def delete_all(self, bucket: str) -> None:
        """Delete what is left, many in a request where the tool knows how."""
        raise NotImplementedError


class Library(Client):
    """A client that handles one object at a time; what is done to trees is made of that."""

    def put(self, bucket: str, key: str, file: Path) -> None:
        """Store a file, in parts where it is large."""
        raise NotImplementedError

    def get(self, bucket: str, key: str, file: Path) -> None:
        """Bring an object back."""
        raise NotImplementedError

    def upload(self, directory: Path, bucket: str) -> None:
        for key, file in files_of(directory):
            self.put(bucket, key, file)

    def download(self, bucket: str, directory: Path) -> None:
        for key in self.keys(bucket):
            (directory / key).parent.mkdir(parents=True, exist_ok=True)
            self.get(bucket, key, directory / key)

    def delete_all(self, bucket: str) -> None:
        for key in self.keys(bucket):
            self.delete(bucket, key)


@runtime_checkable
class MakesBuckets(Protocol):
    def make(self, bucket: str) -> None:
        """Make a bucket."""


@runtime_checkable
class Copies(Protocol):
    def copy(self, bucket: str, source: str, target: str) -> None:
        """Copy on the server."""


@runtime_checkable
class ReadsRanges(Protocol):
    def read(self, bucket: str, key: str, start: int, stop: int) -> bytes:
        """Read a range of an object."""


@runtime_checkable
class Signs(Protocol):
    def url(self, bucket: str, key: str) -> str:
        """Sign a URL by which anybody reads an object."""
