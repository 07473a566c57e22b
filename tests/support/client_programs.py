"""The clients that are programs: aws cli, s3cmd, s5cmd, rclone; and s3fs, which runs in its own
virtual environment."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.client_tools import program, run, run_python


class AwsCli:
    """aws cli; its parts are 8 MiB."""

    def __init__(self, environment: dict[str, str], home: Path) -> None:
        self._path, self._environment = program("aws"), environment

    def _run(self, *arguments: str) -> str:
        return run([self._path, *arguments], self._environment).decode()

    def upload(self, directory: Path, bucket: str) -> None:
        self._run("s3", "cp", "--recursive", "--quiet", str(directory), f"s3://{bucket}/")

    def keys(self, bucket: str) -> set[str]:
        lines = self._run("s3", "ls", "--recursive", f"s3://{bucket}").splitlines()
        return {line[31:] for line in lines}

    def download(self, bucket: str, directory: Path) -> None:
        self._run("s3", "sync", "--quiet", f"s3://{bucket}", str(directory))

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._run("s3", "cp", "--quiet", f"s3://{bucket}/{source}", f"s3://{bucket}/{target}")

    def delete(self, bucket: str, key: str) -> None:
        self._run("s3", "rm", f"s3://{bucket}/{key}")

    def delete_all(self, bucket: str) -> None:
        objects = json.dumps({"Objects": [{"Key": key} for key in sorted(self.keys(bucket))]})
        self._run("s3api", "delete-objects", "--bucket", bucket, "--delete", objects)


class S3cmd:
    """s3cmd, configured as `s3server client-config s3cmd` says."""

    signature_v2 = False

    def __init__(self, environment: dict[str, str], home: Path) -> None:
        self._path, self._environment = program("s3cmd"), environment
        host = environment["AWS_S3_ENDPOINT"]
        self._file = home / "s3cfg"
        self._file.write_text(
            "[default]\n"
            f"access_key = {environment['AWS_ACCESS_KEY_ID']}\n"
            f"secret_key = {environment['AWS_SECRET_ACCESS_KEY']}\n"
            f"host_base = {host}\nhost_bucket = {host}\nuse_https = False\n"
            f"bucket_location = {environment['AWS_REGION']}\nmultipart_chunk_size_mb = 5\n"
            f"signature_v2 = {self.signature_v2}\n"
        )

    def _run(self, *arguments: str) -> str:
        command = [self._path, "--config", str(self._file), "--no-progress", *arguments]
        return run(command, self._environment).decode()

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

    def delete(self, bucket: str, key: str) -> None:
        self._run("del", f"s3://{bucket}/{key}")

    def delete_all(self, bucket: str) -> None:
        self._run("del", "--recursive", "--force", f"s3://{bucket}/")


class S3cmdVersion2(S3cmd):
    """s3cmd with signatures of version 2."""

    signature_v2 = True


class S5cmd:
    """s5cmd: the AWS SDK for Go, version 1."""

    def __init__(self, environment: dict[str, str], home: Path) -> None:
        self._path = program("s5cmd")
        self._environment = environment | {"S3_ENDPOINT_URL": environment["AWS_ENDPOINT_URL"]}

    def _run(self, *arguments: str) -> str:
        command = [self._path, "--json", "--retry-count", "0", *arguments]
        return run(command, self._environment).decode()

    def upload(self, directory: Path, bucket: str) -> None:
        self._run("cp", "--part-size", "5", f"{directory}/", f"s3://{bucket}/")

    def keys(self, bucket: str) -> set[str]:
        entries = map(json.loads, self._run("ls", f"s3://{bucket}/*").splitlines())
        return {entry["key"].removeprefix(f"s3://{bucket}/") for entry in entries}

    def download(self, bucket: str, directory: Path) -> None:
        self._run("cp", "--part-size", "5", f"s3://{bucket}/*", f"{directory}/")

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._run("cp", f"s3://{bucket}/{source}", f"s3://{bucket}/{target}")

    def delete(self, bucket: str, key: str) -> None:
        self._run("rm", f"s3://{bucket}/{key}")

    def delete_all(self, bucket: str) -> None:
        self._run("rm", f"s3://{bucket}/*")


class Rclone:
    """rclone: the AWS SDK for Go, version 2."""

    def __init__(self, environment: dict[str, str], home: Path) -> None:
        self._path = program("rclone")
        (home / "rclone.conf").touch()
        self._environment = environment | {
            "RCLONE_CONFIG": str(home / "rclone.conf"),
            "RCLONE_CONFIG_SITE_TYPE": "s3",
            "RCLONE_CONFIG_SITE_PROVIDER": "Other",
            "RCLONE_CONFIG_SITE_ENV_AUTH": "true",
            "RCLONE_CONFIG_SITE_ENDPOINT": environment["AWS_ENDPOINT_URL"],
            "RCLONE_CONFIG_SITE_REGION": environment["AWS_REGION"],
            "RCLONE_S3_UPLOAD_CUTOFF": "5Mi",
            "RCLONE_S3_CHUNK_SIZE": "5Mi",
            "RCLONE_RETRIES": "1",
            "RCLONE_LOW_LEVEL_RETRIES": "1",
        }

    def _run(self, *arguments: str) -> str:
        return run([self._path, *arguments], self._environment).decode()

    def upload(self, directory: Path, bucket: str) -> None:
        self._run("copy", str(directory), f"site:{bucket}")
        self._run("check", "--download", str(directory), f"site:{bucket}")

    def keys(self, bucket: str) -> set[str]:
        return set(self._run("lsf", "-R", "--files-only", f"site:{bucket}").splitlines())

    def download(self, bucket: str, directory: Path) -> None:
        self._run("copy", f"site:{bucket}", str(directory))

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._run("copyto", f"site:{bucket}/{source}", f"site:{bucket}/{target}")

    def delete(self, bucket: str, key: str) -> None:
        self._run("deletefile", f"site:{bucket}/{key}")

    def delete_all(self, bucket: str) -> None:
        self._run("delete", f"site:{bucket}")


class S3fs:
    """s3fs, in Python of its own: it needs another botocore than ours."""

    def __init__(self, environment: dict[str, str], home: Path) -> None:
        self._environment = environment

    def _run(self, statement: str, *arguments: str) -> str:
        source = f"import s3fs, sys\nfs = s3fs.S3FileSystem()\nargs = sys.argv[1:]\n{statement}"
        return run_python(source, self._environment, *arguments)

    def upload(self, directory: Path, bucket: str) -> None:
        put = "fs.put(args[0] + '/', args[1] + '/', recursive=True, chunksize=5 << 20)"
        self._run(put, str(directory), bucket)

    def keys(self, bucket: str) -> set[str]:
        found = self._run("import json; print(json.dumps(fs.find(args[0])))", bucket)
        return {path.removeprefix(f"{bucket}/") for path in json.loads(found)}

    def download(self, bucket: str, directory: Path) -> None:
        self._run("fs.get(args[0] + '/', args[1] + '/', recursive=True)", bucket, str(directory))

    def copy(self, bucket: str, source: str, target: str) -> None:
        self._run("fs.copy(args[0], args[1])", f"{bucket}/{source}", f"{bucket}/{target}")

    def delete(self, bucket: str, key: str) -> None:
        self._run("fs.rm_file(args[0])", f"{bucket}/{key}")

    def delete_all(self, bucket: str) -> None:
        self._run("fs.rm(fs.find(args[0]))", bucket)
