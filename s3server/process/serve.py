"""From settings to a running server: socket, lock, first start, supervisor."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable

from s3server.config import Config
from s3server.maintenance import initialise
from s3server.meta.owner import act_as_owner
from s3server.process import listen, state, systemd, tls
from s3server.process.supervisor import Supervisor


def serve(load: Callable[[], Config], *, on_ready: Callable[[str], None]) -> int:
    """Serve until told to stop; return the exit status.

    `load` returns the settings, and is called again at every SIGHUP; `on_ready` gets the URL once
    requests are served. Raises ListenError, StoreBusyError, and what keeps the store from opening.
    """
    config = load()
    allow_many_files()
    listeners = systemd.inherited_sockets() or [listen.bind(*config.server.address)]
    act_as_owner(config.storage.meta_dir)  # after ports that only root may listen on
    lock = state.lock(config.storage.meta_dir)
    return asyncio.run(_serve(config, load, listeners, lock, on_ready))


def allow_many_files() -> None:
    """Raise the soft limit of open files to the hard one; children inherit it (getrlimit(2)).

    The soft limit is 1024 by custom, for programs that use select(2); none of ours does.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(
    config: Config,
    load: Callable[[], Config],
    listeners: list[socket.socket],
    lock: int,
    on_ready: Callable[[str], None],
) -> int:
    await _prepare(config)
    url = listen.url(listeners[0], config.scheme)
    supervisor = Supervisor(
        load, listeners, lock=lock, prepare=_prepare, on_ready=lambda: on_ready(url)
    )
    return await supervisor.run()


async def _prepare(config: Config) -> None:
    """Refuse settings that no worker could start with; make what they ask for."""
    tls.context(config.tls)
    await initialise(config)
