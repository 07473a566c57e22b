"""Requests whose framing two parsers could read in two ways: hardening reference, 4.5.

The table there says what httptools and h11 make of each; ours must refuse it and close.
"""

from __future__ import annotations


def request(
    extra: str = "",
    method: str = "GET",
    target: str = "/",
    body: bytes = b"",
    *,
    host: str = "Host: localhost\r\n",
    version: str = "1.1",
) -> bytes:
    """Return a request with further header lines."""
    head = f"{method} {target} HTTP/{version}\r\n{host}{extra}\r\n"
    return head.encode("latin-1") + body


def chunked(body: bytes) -> bytes:
    """Return a request with a chunked body as given, to be refused before anything is read."""
    fields = "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n"
    return request(fields, "POST", body=body)


REFUSED: dict[str, bytes] = {
    "length and chunked": request("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    "chunked and length": request("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    "two lengths": request("Content-Length: 5\r\nContent-Length: 6\r\n"),
    "same length twice": request("Content-Length: 5\r\nContent-Length: 5\r\n"),
    "length that is a list": request("Content-Length: 5, 5\r\n"),
    "folded": request("X-A: 1\r\n 2\r\n"),
    "folded with a tab": request("X-A: 1\r\n\t2\r\n"),
    "lines that end in LF": b"GET / HTTP/1.1\nHost: localhost\n\n",
    "one line that ends in LF": b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: 1\nX-B: 2\r\n\r\n",
    "chunk size that ends in LF": chunked(b"5\nabcde\r\n0\r\n\r\n"),
    "chunk that ends in LF": chunked(b"5\r\nabcde\n0\r\n\r\n"),
    "hexadecimal chunk size with 0x": chunked(b"0x5\r\nabcde\r\n0\r\n\r\n"),
    "signed chunk size": chunked(b"+5\r\nabcde\r\n0\r\n\r\n"),
    "negative chunk size": chunked(b"-5\r\nabcde\r\n0\r\n\r\n"),
    "empty chunk size": chunked(b"\r\nabcde\r\n0\r\n\r\n"),
    "chunk size beyond 64 bits": chunked(b"1" * 17 + b"\r\nabcde\r\n0\r\n\r\n"),
    "chunk longer than its size": chunked(b"5\r\nabcdef\r\n0\r\n\r\n"),
    "two hosts": request("Host: other\r\n"),
    "same host twice": request("Host: localhost\r\n"),
    "no host": request(host=""),
    "absolute target of another host": request(target="http://evil/b"),
    "HTTP/1.0 and chunked": request("Transfer-Encoding: chunked\r\n", version="1.0"),
    "signed length": request("Content-Length: +5\r\n"),
    "negative length": request("Content-Length: -1\r\n"),
    "length with underscore": request("Content-Length: 1_0\r\n"),
    "hexadecimal length": request("Content-Length: 0x5\r\n"),
    "empty length": request("Content-Length: \r\n"),
    "endless length": request("Content-Length: " + "1" * 23 + "\r\n"),
    "blank before colon": request("Content-Length : 5\r\n"),
    "blank before colon of chunked": request("Transfer-Encoding : chunked\r\n"),
    "field without colon": request("X-A\r\n"),
    "field without name": request(": 1\r\n"),
    "blank in a name": request("X A: 1\r\n"),
    "nul in a name": request("X\0A: 1\r\n"),
    "nul in a value": request("X-A: a\x00b\r\n"),
    "carriage return in a value": request("X-A: a\rb\r\n"),
    "unknown transfer coding": request("Transfer-Encoding: xchunked\r\n"),
    "chunked that is not last": request("Transfer-Encoding: chunked, gzip\r\n"),
    "chunked twice": request("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    "raw UTF-8 in the target": "GET /\xc3\xa9 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(
        "latin-1"
    ),
    "raw byte in the target": request(target="/\xff"),
    "nul in the target": request(target="/\x00"),
    "blank in the target": request(target="/a b"),
    "tab in the request line": b"GET\t/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "unknown version": request(version="9.9"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "only a method": b"GET\r\n\r\n",
    "no method": b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "unknown method": request(method="FROB"),
    "tunnel": request(method="CONNECT", target="localhost:1"),
}
TOO_LARGE: dict[str, bytes] = {
    "header section of 9 KiB": request("X-A: " + "a" * 9_000 + "\r\n"),
    "header section of 200 KiB": request("X-A: " + "a" * 200_000 + "\r\n"),
    "101 headers": request("".join(f"X-{number}: 1\r\n" for number in range(101))),
    "10,000 headers": request("".join(f"X-{number}: 1\r\n" for number in range(10_000))),
    "target of 9 KiB": request(target="/" + "a" * 9_000),
    "header section without end": request("X-A: " + "a" * (2 << 20))[:-2],
}
SMUGGLED = b"0\r\n\r\nGET /-/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
