"""From settings to a running server: socket, lock, first start, supervisor."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import structlog

from s3server.config import Config
from s3server.maintenance import initialise
from s3server.meta.owner import act_as_owner
from s3server.process import listen, state, systemd, tls
from s3server.process.supervisor import Supervisor

log = structlog.get_logger()


def serve(load: Callable[[], Config], *, on_ready: Callable[[str], None]) -> int:
    """Serve until told to stop; return the exit status.

    `load` returns the settings, and is called again at every SIGHUP; `on_ready` gets the URL once
    requests are served. Raises ListenError, StoreBusyError, and what keeps the store from opening.
    """
    config = load()
    allow_many_files()
    sockets = _sockets(config)
    act_as_owner(config.storage.meta_dir)  # after ports that only root may listen on
    lock = state.lock(config.storage.meta_dir)
    return asyncio.run(_serve(config, load, sockets, lock, on_ready))


def _sockets(config: Config) -> tuple[list[socket.socket], list[socket.socket]]:
    """Return those for S3 and those for certificates: systemd's, or new ones."""
    listeners, for_certificates = systemd.inherited_sockets()
    if not listeners:
        listeners = [listen.bind(*config.server.address)]
    if not for_certificates and config.certificates.address is not None:
        for_certificates = [listen.bind(*config.certificates.address)]
    return listeners, for_certificates


def allow_many_files() -> None:
    """Raise the soft limit of open files to the hard one; children inherit it (getrlimit(2)).

    The soft limit is 1024 by custom, for programs that use select(2); none of ours does.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(
    config: Config,
    load: Callable[[], Config],
    sockets: tuple[list[socket.socket], list[socket.socket]],
    lock: int,
    on_ready: Callable[[str], None],
) -> int:
    listeners, for_certificates = sockets
    prepare = partial(_prepare, with_certificates=bool(for_certificates))
    held = await prepare(config)
    url = listen.url(listeners[0], config.scheme)
    supervisor = Supervisor(
        load,
        listeners,
        lock=lock,
        prepare=prepare,
        on_ready=lambda: on_ready(url),
        held=held,
        for_certificates=for_certificates,
    )
    return await supervisor.run()


async def _prepare(config: Config, *, with_certificates: bool) -> tls.Held:
    """Refuse settings that no worker could start with; make what they ask for."""
    held = tls.Held(config.tls)
    if tls.is_over(config.tls, datetime.now(UTC)):  # refused, nothing would be served at a start
        log.warning("certificate is over: renew it, then SIGHUP", file=str(config.tls.certificate))
    if with_certificates:
        tls.context_for_certificates(config)
    await initialise(config)
    return held
