"""Contract tests of the HTTP protocol: raw bytes to a real server, raw bytes back."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from s3server.config import quickstart_config
from s3server.process import listen, protocol
from s3server.process.worker import WorkerServer

HOST = b"Host: s3.example\r\n"


class App:
    """Answers by path, and remembers what it saw."""

    def __init__(self) -> None:
        self.failed = threading.Event()
        self.scopes: list[dict] = []
        self.bodies: list[bytes] = []
        self.events: list[str] = []
        self.release: asyncio.Event = asyncio.Event()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def asgi(self, scope, receive, send) -> None:
        self.scopes.append(scope)
        path = scope["path"]
        status, headers, body = 200, [], path.encode()
        if path.startswith("/read"):
            parts = []
            while True:
                event = await receive()
                self.events.append(event["type"])
                parts.append(event.get("body", b""))
                if not event.get("more_body", False):
                    break
            self.bodies.append(b"".join(parts))
            if self.events[-1] == "http.disconnect":
                status = 400
            body = b"%d" % len(self.bodies[-1])
        elif path == "/denied":
            status, body = 403, b"no"
        elif path == "/wait":
            await self.release.wait()
        elif path == "/injected":
            headers = [(b"x-a", b"1\r\nx-b: 2")]
        elif path == "/large":
            body = b"x" * (32 << 20)
        if path != "/stream":
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Running:
    """A worker's server in a thread, over one listening socket."""

    def __init__(self, directory: Path) -> None:
        self.app = App()
        self.listener = listen.bind("127.0.0.1", 0)
        self.address = self.listener.getsockname()
        config = quickstart_config(
            directory, access_key="AKIATEST", secret_key="x" * 20, server={"drain_s": 2}
        )
        self.server = WorkerServer(self.app, config)
        self.started = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        assert self.started.wait(10)

    def _run(self) -> None:
        async def serve() -> None:
            self.loop = asyncio.get_running_loop()
            self.loop.call_soon(self.started.set)
            await self.server._serve([self.listener])

        uvloop.run(serve())

    def connections(self) -> list[protocol.S3Protocol]:
        return list(self.server.server_state.connections)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.app.release.set)
        self.server.should_exit = True
        self.thread.join(10)
        assert not self.thread.is_alive()

    def connect(self) -> Client:
        return Client(self.address)

    def ask(self, data: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        with self.connect() as client:
            client.send(data)
            return client.answer()


class Client:
    """A raw connection."""

    def __init__(self, address) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self.rest = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _more(self) -> None:
        data = self.socket.recv(1 << 20)
        if not data:
            raise EOFError(self.rest)
        self.rest += data

    def answer(self, *, has_body: bool = True) -> tuple[int, dict[bytes, bytes], bytes]:
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines)
        length = int(headers.get(b"content-length", 0)) if has_body else 0
        while len(self.rest) < length:
            self._more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(status.split()[1]), headers, body

    def is_closed(self) -> bool:
        """Wait for the server to close its side, dropping what comes before."""
        with contextlib.suppress(ConnectionResetError):
            while self.socket.recv(1 << 20):
                pass
        return True


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.stop()


def code(body: bytes) -> bytes:
    return re.search(rb"<Code>(\w+)</Code>", body)[1]


def get(path: bytes = b"/", extra: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + extra + b"\r\n"


def put(path: bytes, body: bytes, extra: bytes = b"") -> bytes:
    head = b"PUT " + path + b" HTTP/1.1\r\n" + HOST + extra
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


# --- requests as the application sees them ------------------------------------------------------


def test_scope_has_the_raw_path_and_query_as_sent(server: Running) -> None:
    server.ask(get(b"//bucket//a/../b%2Fc+d%20e?prefix=a%2Fb&acl"))

    scope = server.app.scopes[0]
    assert (scope["raw_path"], scope["query_string"]) == (
        b"//bucket//a/../b%2Fc+d%20e",
        b"prefix=a%2Fb&acl",
    )


def test_responses_carry_date_and_the_server_header_once(server: Running) -> None:
    _, headers, _ = server.ask(get())

    assert headers[b"server"] == b"s3server"
    assert headers[b"date"].endswith(b"GMT")


def test_connection_is_kept_for_the_next_request(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/1"))
        first = client.answer()
        client.send(get(b"/2"))
        second = client.answer()

    assert (first[2], second[2]) == (b"/1", b"/2")
    assert b"connection" not in first[1]


def test_pipelined_requests_are_answered_in_order(server: Running) -> None:
    with server.connect() as client:
        client.send(b"".join(get(b"/%d" % number) for number in range(50)))
        bodies = [client.answer()[2] for _ in range(50)]

    assert bodies == [b"/%d" % number for number in range(50)]


def test_bodies_arrive_whole_whatever_pieces_they_come_in(server: Running) -> None:
    body = bytes(range(256)) * 20_000
    request = put(b"/read", body)
    with server.connect() as client:
        for start in range(0, 3000, 7):
            client.send(request[start : start + 7])
        client.send(request[start + 7 :])
        assert client.answer()[2] == b"%d" % len(body)

    assert server.app.bodies == [body]


def test_chunked_body_is_decoded_and_its_trailers_stay_out_of_the_headers(server: Running) -> None:
    _, _, body = server.ask(
        b"PUT /read HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n4\r\ndefg\r\n0\r\nAuthorization: evil\r\n\r\n"
    )

    assert (body, server.app.bodies) == (b"7", [b"abcdefg"])
    assert b"authorization" not in dict(server.app.scopes[0]["headers"])


def test_response_without_length_is_chunked(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/stream"))
        _, headers, _ = client.answer()
        while not client.rest.endswith(b"0\r\n\r\n"):
            client._more()

    assert headers[b"transfer-encoding"] == b"chunked"
    assert client.rest == b"7\r\n/stream\r\n0\r\n\r\n"


def test_response_without_length_ends_with_the_connection_for_http_1_0(server: Running) -> None:
    with server.connect() as client:
        client.send(b"GET /stream HTTP/1.0\r\n\r\n")
        _, headers, _ = client.answer()
        with contextlib.suppress(EOFError):
            while True:
                client._more()

    assert headers[b"connection"] == b"close"
    assert client.rest == b"/stream"


def test_head_has_the_length_and_no_body(server: Running) -> None:
    with server.connect() as client:
        client.send(b"HEAD /large HTTP/1.1\r\n" + HOST + b"\r\n" + get(b"/next"))
        _, headers, _ = client.answer(has_body=False)
        after = client.answer()[2]

    assert (headers[b"content-length"], after) == (b"33554432", b"/next")


def test_large_response_arrives_whole(server: Running) -> None:
    _, _, body = server.ask(get(b"/large"))

    assert body == b"x" * (32 << 20)


def test_control_characters_never_reach_a_response_header(server: Running) -> None:
    status, headers, _ = server.ask(get(b"/injected"))

    assert (status, b"x-b" in headers) == (500, False)


# --- limits of the header section ---------------------------------------------------------------


@pytest.mark.parametrize(
    "extra",
    [
        b"X-A: " + b"a" * 9000 + b"\r\n",
        b"".join(b"X-%d: %s\r\n" % (n, b"a" * 90) for n in range(90)),
        b"Range: bytes=" + b"1-2," * 8300 + b"1-2\r\n",
        b"".join(b"X-%d: a\r\n" % n for n in range(101)),
        b"X-A: " + b"a" * 200_000 + b"\r\n",
    ],
    ids=["one field", "many bytes", "range", "many fields", "200 kB"],
)
def test_too_large_header_section_is_refused(server: Running, extra: bytes) -> None:
    with server.connect() as client:
        client.send(get(b"/", extra))
        status, headers, body = client.answer()
        assert client.is_closed()

    assert (status, code(body)) == (400, b"RequestHeaderSectionTooLarge")
    assert headers[b"connection"] == b"close"
    assert server.app.scopes == []


def test_endless_header_is_refused_before_it_fills_memory(server: Running) -> None:
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"X-A: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                client.send(b"a" * (1 << 20))
        status, _, body = client.answer()

    assert (status, code(body)) == (400, b"RequestHeaderSectionTooLarge")


def test_endless_trailer_ends_the_connection(server: Running) -> None:
    with server.connect() as client:
        client.send(
            b"PUT /read HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: "
        )
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                client.send(b"a" * (1 << 20))
        status, _, _ = client.answer()

    assert status == 400
    assert server.app.events == ["http.disconnect"]


@pytest.mark.parametrize(
    "extra",
    [
        b"X-A: " + b"a" * 8000 + b"\r\n",
        b"Range: bytes=" + b"1-2," * 8100 + b"1-2\r\n",
        b"".join(b"X-%d: a\r\n" % n for n in range(99)),
    ],
    ids=["8 KiB", "range of 32 KiB", "100 fields"],
)
def test_header_section_within_the_limits_is_served(server: Running, extra: bytes) -> None:
    assert server.ask(get(b"/ok", extra))[2] == b"/ok"


# --- what cannot be understood in one way only --------------------------------------------------


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET http://other.example/ HTTP/1.1\r\n" + HOST + b"\r\n",
        b"PUT / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0",
        b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\nabcde",
        b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length : 5\r\n\r\nabcde",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\n" + HOST + b"\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A: a\x00b\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT other.example:443 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"FROB / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_malformed_request_is_answered_400_and_closed(
    server: Running, request_bytes: bytes
) -> None:
    with server.connect() as client:
        client.send(request_bytes)
        status, headers, body = client.answer()
        assert client.is_closed()

    assert (status, code(body)) == (400, b"BadRequest")
    assert headers[b"content-type"] == b"application/xml"
    assert server.app.scopes == []


def test_absolute_target_of_the_same_host_is_served(server: Running) -> None:
    request = b"GET http://s3.example:9000/a HTTP/1.1\r\nHost: s3.example:9000\r\n\r\n"

    assert server.ask(request)[2] == b"/a"


def test_request_smuggled_behind_a_refused_one_is_not_answered(server: Running) -> None:
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\n\r\n" + get(b"/secret"))
        client.answer()
        assert client.is_closed()

    assert server.app.scopes == []


def test_broken_chunk_disconnects_the_application_and_answers_400(server: Running) -> None:
    status, _, body = server.ask(
        b"PUT /read HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX"
    )

    assert (status, code(body)) == (400, b"BadRequest")


def test_broken_request_behind_another_leaves_that_one_its_answer(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/wait") + b"GET / HTTP/1.1\r\n\r\n")
        server.loop.call_soon_threadsafe(server.app.release.set)
        status, _, body = client.answer()
        assert client.is_closed()

    assert (status, body) == (200, b"/wait")
    assert len(server.app.scopes) == 1


def test_request_to_upgrade_is_served_as_http_1_1_and_the_connection_closed(
    server: Running,
) -> None:
    with server.connect() as client:
        client.send(get(b"/a", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"))
        _, headers, body = client.answer()
        assert client.is_closed()

    assert (body, headers[b"connection"]) == (b"/a", b"close")


# --- bodies that nobody reads -------------------------------------------------------------------


def test_expect_is_answered_with_100_once_the_body_is_wanted(server: Running) -> None:
    with server.connect() as client:
        client.send(put(b"/read", b"", b"Expect: 100-continue\r\n").replace(b": 0", b": 5"))
        while b"\r\n\r\n" not in client.rest:
            client._more()
        interim, client.rest = client.rest, b""
        client.send(b"abcde")
        status, headers, _ = client.answer()

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (status, server.app.bodies) == (200, [b"abcde"])
    assert b"connection" not in headers


@pytest.mark.parametrize("body", [b"", b"abcde"], ids=["empty", "already sent"])
@pytest.mark.parametrize("path", [b"/read", b"/denied"])
def test_expect_is_answered_with_100_even_where_the_body_needs_none(
    server: Running, path: bytes, body: bytes
) -> None:
    with server.connect() as client:
        client.send(put(path, body, b"Expect: 100-continue\r\n"))
        while client.rest.count(b"\r\n\r\n") < 2:
            client._more()
        interim, found, client.rest = client.rest.partition(b"HTTP/1.1 100 Continue\r\n\r\n")
        status, headers, _ = client.answer()

    assert (b"", b"HTTP/1.1 100 Continue\r\n\r\n") == (interim, found)
    assert {b"/read": 200, b"/denied": 403}[path] == status
    assert b"connection" not in headers


def test_final_answer_to_expect_without_reading_closes_the_connection(server: Running) -> None:
    with server.connect() as client:
        client.send(put(b"/denied", b"", b"Expect: 100-continue\r\n").replace(b": 0", b": 5"))
        status, headers, _ = client.answer()
        assert client.is_closed()

    assert (status, headers[b"connection"]) == (403, b"close")


def test_small_unread_body_is_dropped_and_the_connection_kept(server: Running) -> None:
    with server.connect() as client:
        client.send(put(b"/denied", b"x" * 500_000)[:1000])
        status, headers, _ = client.answer()
        client.send(put(b"/denied", b"x" * 500_000)[1000:])
        client.send(get(b"/next"))
        after = client.answer()

    assert (status, after[2]) == (403, b"/next")
    assert b"connection" not in headers


def test_client_that_sends_a_large_body_first_still_reads_the_early_answer(
    server: Running,
) -> None:
    with server.connect() as client:
        client.send(put(b"/denied", b"x" * (40 << 20)))
        status, headers, body = client.answer()

    assert (status, headers[b"connection"], body) == (403, b"close", b"no")


def test_unread_chunked_body_closes_the_connection(server: Running) -> None:
    status, headers, _ = server.ask(
        b"PUT /denied HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    )

    assert (status, headers[b"connection"]) == (403, b"close")


def test_body_that_ends_early_is_a_disconnect_that_can_still_be_answered(server: Running) -> None:
    with server.connect() as client:
        client.send(put(b"/read", b"abcdef")[:-3])
        client.socket.shutdown(socket.SHUT_WR)
        status, _, _ = client.answer()
        assert client.is_closed()

    assert (status, server.app.events[-1]) == (400, "http.disconnect")


def test_half_closed_connection_is_still_answered(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/a"))
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer()[2] == b"/a"
        assert client.is_closed()


def test_upload_that_is_not_read_stops_being_received(server: Running) -> None:
    with server.connect() as client:
        client.socket.setblocking(False)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        request = put(b"/wait", b"").replace(b": 0", b": 1000000000")
        sent = client.socket.send(request)
        client.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while sent < 64 << 20:
                sent += client.socket.send(b"x" * (1 << 16))
        cycle = server.connections()[0].cycle

        assert protocol.WRITE_BUFFER <= cycle.buffered <= 2 * protocol.WRITE_BUFFER
        assert sent < 32 << 20


# --- deadlines ----------------------------------------------------------------------------------


def expire(server: Running, seconds: float) -> None:
    """Let the server believe that so much time has passed."""
    done = threading.Event()

    def sweep() -> None:
        for connection in server.connections():
            connection.expire(server.loop.time() + seconds)
        done.set()

    server.loop.call_soon_threadsafe(sweep)
    assert done.wait(5)


def until_connected(server: Running, check=lambda connection: True) -> None:
    """Return once the server's only connection is as wanted."""
    for _ in range(1000):
        found = server.connections()
        if found and check(found[0]):
            return
        threading.Event().wait(0.005)
    raise AssertionError("the server did not get that far")


def test_connection_that_sends_nothing_is_closed(server: Running) -> None:
    with server.connect() as client:
        until_connected(server)
        expire(server, protocol.HEADER_S - 1)
        assert len(server.connections()) == 1
        expire(server, protocol.HEADER_S)
        assert client.is_closed()


def test_half_sent_header_is_answered_with_request_timeout(server: Running) -> None:
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: ")
        until_connected(server, lambda connection: connection._in_message)
        expire(server, protocol.HEADER_S)
        status, _, body = client.answer()

    assert (status, code(body)) == (400, b"RequestTimeout")


def test_stalled_body_is_answered_with_request_timeout(server: Running) -> None:
    with server.connect() as client:
        client.send(put(b"/read", b"abcdef")[:-3])
        until_connected(server, lambda connection: connection._served is not None)
        expire(server, protocol.STALL_S - 1)
        assert len(server.connections()) == 1
        expire(server, protocol.STALL_S)
        status, _, body = client.answer()

    assert (status, code(body)) == (400, b"RequestTimeout")


def test_idle_connection_is_kept_for_75_seconds(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/1"))
        client.answer()
        expire(server, protocol.KEEP_ALIVE_S - 1)
        client.send(get(b"/2"))
        assert client.answer()[2] == b"/2"
        expire(server, protocol.KEEP_ALIVE_S)
        assert client.is_closed()


def test_request_that_takes_long_in_the_application_has_no_deadline(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/wait"))
        until_connected(server, lambda connection: connection._deadline == math.inf)
        expire(server, 10_000)
        server.loop.call_soon_threadsafe(server.app.release.set)
        assert client.answer()[2] == b"/wait"


def test_client_that_does_not_take_its_response_is_cut_off(server: Running) -> None:
    with server.connect() as client:
        client.send(get(b"/large"))
        until_connected(server, lambda connection: connection.flow.write_paused)
        expire(server, protocol.STALL_S)
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while data := client.socket.recv(1 << 20):
                received += len(data)

    assert received < 32 << 20


# --- the end ------------------------------------------------------------------------------------


def test_stop_serves_what_has_begun_and_closes(server: Running) -> None:
    with server.connect() as client, server.connect() as idle:
        idle.send(get(b"/1"))
        idle.answer()
        client.send(get(b"/wait"))
        until_connected(server, lambda connection: len(server.app.scopes) == 2)
        server.server.should_exit = True
        assert idle.is_closed()
        server.loop.call_soon_threadsafe(server.app.release.set)
        _, headers, body = client.answer()
        assert client.is_closed()

    assert (body, headers[b"connection"]) == (b"/wait", b"close")
