"""What systemd and the supervisor tell each other; without systemd nothing happens."""

from __future__ import annotations

import contextlib
import socket

from s3server import settings

FIRST = 3  # descriptor of the first socket passed, sd_listen_fds(3)


def inherited_sockets() -> tuple[list[socket.socket], list[socket.socket]]:
    """Return the listening sockets that systemd passed, non-blocking: for S3, for certificates.

    The latter are those of a unit with FileDescriptorName=certificates.
    """
    found: tuple[list[socket.socket], list[socket.socket]] = ([], [])
    for index, name in enumerate(settings.systemd_sockets()):
        listener = socket.socket(fileno=FIRST + index)
        listener.setblocking(False)
        found[name == "certificates"].append(listener)
    return found


def notify(state: str) -> None:
    """Send a state such as "READY=1" (sd_notify(3)); a systemd that does not listen is no error."""
    address = settings.systemd_notify_socket()
    if not address:
        return
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel,
    ):
        channel.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
