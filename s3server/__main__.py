"""`python -m s3server`, and the command `s3server`: the command line, or a process of a server."""

from __future__ import annotations

import sys


def main() -> None:
    """Run what the arguments name; end with its exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] in (["worker"], ["jobs"]):  # started by the supervisor, not by people
        from s3server.process import child  # noqa: PLC0415 (each command loads only its own)

        sys.exit(child.main(arguments))
    from s3server import logs  # noqa: PLC0415
    from s3server.admin import cli  # noqa: PLC0415

    logs.configure()  # what is logged must not get between the results on stdout
    sys.exit(cli.run(arguments))


if __name__ == "__main__":
    main()
