"""A proxy that ends TLS, as nginx before the server does: clients behave differently over https."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from bench.tls_front import certificate

ADDRESS = "127.0.0.1"


@contextlib.contextmanager
def tls_proxy(port: int, directory: Path) -> Iterator[tuple[str, Path]]:
    """Serve a port of this machine by https; give the URL and the certificate to trust."""
    trusted = certificate(directory)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(trusted, trusted.with_name("key.pem"))
    started: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    streams: set[asyncio.StreamWriter] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        above, below = await asyncio.open_connection(ADDRESS, port)
        streams.update((writer, below))
        await asyncio.gather(_copy(reader, below), _copy(above, writer))
        streams.difference_update((writer, below))

    async def serve() -> None:
        server = await asyncio.start_server(relay, ADDRESS, 0, ssl=context)
        started.put_nowait(server.sockets[0].getsockname()[1])
        await stop.wait()
        server.close()
        for stream in streams:
            with contextlib.suppress(AttributeError):  # of asyncio's, where it has just closed
                stream.transport.abort()
        relays = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*relays)

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    found = asyncio.run_coroutine_threadsafe(started.get(), loop).result(60)
    try:
        yield f"https://{ADDRESS}:{found}", trusted
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(1 << 18):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
