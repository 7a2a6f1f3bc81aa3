"""What the loopback servers share: a thread, a port, a record of every request."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

Json = Any


@dataclass(frozen=True)
class Request:
    """One request as it arrived; header names are lower-case, `at` is `time.monotonic()`."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float = field(compare=False)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Json:
        """The body as data, None where it is empty or not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True)
class Reply:
    """One answer: status, a JSON value (None: no body), headers."""

    status: int
    value: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Handler(BaseHTTPRequestHandler):
    """Reads a request, hands it to the server's owner and writes what the owner says."""

    protocol_version = "HTTP/1.1"
    # Small replies must not wait for the reader's acknowledgement of the headers.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - base class
        """Keep test output quiet; requests are recorded instead."""

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def serve(self) -> None:
        """Answer any method."""
        target = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=target.path,
            query=dict(parse_qsl(target.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self._read_body(),
            at=time.monotonic(),
        )
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.server.owner.respond(request, self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = serve  # noqa: N815 - base class

    def do_CONNECT(self) -> None:
        """Answer who takes us for a proxy: `headers["host"]` is where it wanted to go."""
        self.serve()
        self.close_connection = True

    def send(self, reply: Reply) -> None:
        """Write a JSON reply."""
        data = b"" if reply.value is None else json.dumps(reply.value).encode()
        self.send_response(reply.status)
        if data:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def drop(self) -> None:
        """Close the connection without an answer."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class Server(ThreadingHTTPServer):
    """A server that knows whose requests it takes."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, owner: Loopback) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *_: object) -> None:
        """Whatever a handler did not foresee is a defect, and fails the test."""
        self.owner.defects.append(traceback.format_exc())


class Loopback:
    """A server on 127.0.0.1 with a free port, alive within a `with` block.

    `defects` are faults of the server itself; leaving the block raises them, so that a test never
    passes on the word of a broken stand-in.
    """

    def __init__(self) -> None:
        self.defects: list[str] = []
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self._server = Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def port(self) -> int:
        """The port the server listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The address without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    def respond(self, request: Request, handler: Handler) -> None:
        """Answer one request."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self.defects and kind is None:
            raise AssertionError("the loopback server broke:\n" + "\n".join(self.defects))


def write_atomically(path: Path, text: str) -> None:
    """Readers see the old text or the new one, never a part."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    os.replace(file.name, path)  # noqa: PTH105 - atomic on purpose


@contextlib.contextmanager
def until_stopped() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    yield stop
