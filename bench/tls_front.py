"""nginx in front of a server, for HTTPS, with a certificate that is made for the occasion."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.endpoint import Endpoint
from bench.servers import ServerError, free_port, running

_NGINX = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream s3 {{ server 127.0.0.1:{behind}; keepalive 64; }}
    server {{ listen 127.0.0.1:{plain}; return 204; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {directory}/certificate.pem;
        ssl_certificate_key {directory}/key.pem;
        client_max_body_size 0;
        location / {{
            proxy_pass http://s3;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_buffers 32 64k;
            proxy_buffer_size 64k;
        }}
    }}
}}
"""


def certificate(directory: Path, *names: str) -> Path:
    """Write certificate.pem and key.pem, valid for a day; return the former.

    They are for 127.0.0.1 and these names, and the certificate is its own authority.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    alternatives: list[x509.GeneralName] = [x509.IPAddress(ip_address("127.0.0.1"))]
    alternatives += [x509.DNSName(one) for one in names]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "certificate.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (directory / "key.pem").write_bytes(private)
    return path


@contextmanager
def https(behind: int, directory: Path, region: str) -> Iterator[Endpoint]:
    """Start nginx before a server on a port of this machine. ServerError where there is none."""
    command = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if command is None:
        raise ServerError("nginx is not installed")
    (directory / "nginx").mkdir()
    trusted = certificate(directory / "nginx")
    port, plain = free_port(), free_port()  # the plain one tells when it is there
    configuration = directory / "nginx.conf"
    configuration.write_text(
        _NGINX.format(directory=directory / "nginx", behind=behind, port=port, plain=plain)
    )
    with running("nginx", f"{command} -c {configuration}", directory, plain):
        yield Endpoint("https", "127.0.0.1", port, region, str(trusted))
