"""A proxy that ends TLS, as nginx before the server does: clients behave differently over https."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ADDRESS = "127.0.0.1"


@contextlib.contextmanager
def tls_proxy(port: int, directory: Path) -> Iterator[tuple[str, Path]]:
    """Serve a port of this machine by https; give the URL and the certificate to trust."""
    certificate, key = _certificate(directory)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
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
            stream.transport.abort()
        relays = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*relays)

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    found = asyncio.run_coroutine_threadsafe(started.get(), loop).result(10)
    try:
        yield f"https://{ADDRESS}:{found}", certificate
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


def _certificate(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ADDRESS)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(ADDRESS))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    files = directory / "proxy.pem", directory / "proxy.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files
