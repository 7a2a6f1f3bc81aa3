"""How fast a server answers: latencies and throughput at several numbers of clients."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from mlactions.export.serving.client import FAILURES, Address, Client

REQUEST_SECONDS = 60.0


@dataclass(frozen=True)
class Load:
    """One level: milliseconds of a request, and requests a second of all clients together.

    `failed` counts answers other than 200 and connections that broke; the rest is of the others.
    """

    concurrency: int
    requests: int
    failed: int
    seconds: float
    p50_ms: float | None
    p95_ms: float | None
    requests_per_second: float
    failure: str = ""


@dataclass
class _Level:
    """What the clients of one level share."""

    body: bytes
    limit: int
    deadline: float
    stop: threading.Event
    count: itertools.count[int] = field(default_factory=itertools.count)
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def goes_on(self) -> bool:
        """Take one of the requests left; False when there is none, or no time."""
        over = self.stop.is_set() or time.perf_counter() >= self.deadline
        return not over and next(self.count) < self.limit


def measure_load(
    address: Address,
    body: bytes,
    *,
    concurrency: int,
    requests: int,
    seconds: float,
    stop: threading.Event,
) -> Load:
    """Send `body` from that many clients until enough requests or seconds have passed."""
    level = _Level(body, requests, time.perf_counter() + seconds, stop)
    clients = [
        threading.Thread(target=_ask, args=(address, level), daemon=True)
        for _ in range(concurrency)
    ]
    started = time.perf_counter()
    for client in clients:
        client.start()
    try:
        for client in clients:
            client.join()
    except BaseException:
        stop.set()
        raise
    return _summary(concurrency, level, time.perf_counter() - started)


def _ask(address: Address, level: _Level) -> None:
    with Client(address, REQUEST_SECONDS) as client:
        while level.goes_on():
            try:
                answer = client.send(address.infer, level.body)
            except FAILURES as error:
                level.failures.append(f"{type(error).__name__}: {error}")
                continue
            if answer.status == 200:  # noqa: PLR2004  # HTTP's OK
                level.seconds.append(answer.seconds)
            else:
                text = answer.body[:200].decode(errors="replace")
                level.failures.append(f"{answer.status}: {text}")


def _summary(concurrency: int, level: _Level, seconds: float) -> Load:
    answered = sorted(level.seconds)
    return Load(
        concurrency=concurrency,
        requests=len(answered),
        failed=len(level.failures),
        seconds=seconds,
        p50_ms=_milliseconds(answered, 0.50),
        p95_ms=_milliseconds(answered, 0.95),
        requests_per_second=len(answered) / seconds,
        failure=level.failures[0] if level.failures else "",
    )


def _milliseconds(ordered: Sequence[float], share: float) -> float | None:
    """Return a percentile by nearest rank: a time that was really taken."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000
