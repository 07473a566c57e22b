"""s3cmd, configured as `s3server client-config s3cmd` says."""

from __future__ import annotations

from pathlib import Path

from tests.support.client_tools import program, run
from tests.support.clients.client import Client


class S3cmd(Client):
    """Each call is a process."""

    signature_v2 = False

    def open(self) -> None:
        self._path = program("s3cmd")
        self._file = self.home / "s3cfg"
        self._file.write_text(
            "[default]\n"
            f"access_key = {self.access_key}\nsecret_key = {self.secret_key}\n"
            f"host_base = {self.host}\nhost_bucket = {self.host}\nuse_https = {self.is_tls}\n"
            f"signurl_use_https = {self.is_tls}\n"
            f"ca_certs_file = {self.authority or ''}\n"
            f"bucket_location = {self.region}\nmultipart_chunk_size_mb = 5\n"
            f"signature_v2 = {self.signature_v2}\n"
        )

    def _run(self, *arguments: str) -> str:
        command = [self._path, "--config", str(self._file), "--no-progress", *arguments]
        return run(command, self.environment).decode()

    def make(self, bucket: str) -> None:
        self._run("mb", f"s3://{bucket}")

    def upload(self, directory: Path, bucket: str) -> None:
        self._run("put", "--recursive", f"{directory}/", f"s3://{bucket}/")

    def keys(self, bucket: str) -> set[str]:
        prefix = f"s3://{bucket}/"
        lines = self._run("ls", "--recursive", f"s3://{bucket}").splitlines()
        return {line[line.index(prefix) + len(prefix) :] for line in lines}

    def download(self, bucket: str, directory: Path) -> None:
        directory.mkdir()
        self._run("get", "--recursive", f"s3://{bucket}/", f"{directory}/")

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._run("cp", f"s3://{bucket}/{source}", f"s3://{bucket}/{target}")

    def url(self, bucket: str, key: str) -> str:
        return self._run("signurl", f"s3://{bucket}/{key}", "+300").strip()

    def delete(self, bucket: str, key: str) -> None:
        self._run("del", f"s3://{bucket}/{key}")

    def delete_all(self, bucket: str) -> None:
        self._run("del", "--recursive", "--force", f"s3://{bucket}/")


class S3cmdVersion2(S3cmd):
    """s3cmd with signatures of version 2."""

    signature_v2 = True
