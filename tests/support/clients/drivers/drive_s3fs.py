"""s3fs, asked line by line (tests/support/clients/driver.py)."""

from __future__ import annotations

import json
import sys

import s3fs


def answer(fs, do, bucket, key="", source="", file="", **more):
    """Do one request."""
    path = f"{bucket}/{key}"
    match do:
        case "make":
            return fs.mkdir(bucket)
        case "put":
            return fs.put_file(file, path, chunksize=5 << 20)
        case "get" if more:
            with open(file, "wb") as stream:
                start, end = more["range"]
                stream.write(fs.cat_file(path, start=start, end=end))
        case "get":
            return fs.get_file(path, file)
        case "keys":
            fs.invalidate_cache()
            return [found.removeprefix(f"{bucket}/") for found in fs.find(bucket)]
        case "copy":
            return fs.copy(f"{bucket}/{source}", path)
        case "url":
            return fs.sign(path)
        case "delete":
            return fs.rm_file(path)
    return None


def main():
    fs = s3fs.S3FileSystem()
    for line in sys.stdin:
        print(json.dumps({"ok": answer(fs, **json.loads(line))}, default=str), flush=True)


main()
