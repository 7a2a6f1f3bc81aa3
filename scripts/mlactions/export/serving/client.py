"""Talk to a server under test: one keep-alive connection, the standard library alone."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

FAILURES = (OSError, http.client.HTTPException)
"""What a request that gets no answer raises."""


@dataclass(frozen=True)
class Address:
    """Where a server is, how it is asked for an inference, and what every request carries."""

    host: str
    port: int
    infer: str
    ready: str
    metadata: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Return where requests for inference go."""
        return f"http://{self.host}:{self.port}{self.infer}"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer and the seconds until its last byte."""

    status: int
    body: bytes
    seconds: float


class Client:
    """One connection, opened with the first request and again after one that broke."""

    def __init__(self, address: Address, timeout: float) -> None:
        self._connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout)
        self._headers = {"Content-Type": "application/json", **address.headers}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def send(self, path: str, body: bytes | None = None) -> Answer:
        """GET, or POST where there is a body."""
        started = time.perf_counter()
        try:
            method = "GET" if body is None else "POST"
            self._connection.request(method, path, body, self._headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except BaseException:
            self._connection.close()
            raise
        return Answer(answer.status, content, time.perf_counter() - started)
