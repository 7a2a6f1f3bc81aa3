"""The smoke test: start a server for real, ask it the golden requests, measure, stop it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlactions.evaluate.logfile import tail
from mlactions.export.result import Parity
from mlactions.export.serving.answers import AnswerError, compare, read_outputs
from mlactions.export.serving.client import FAILURES, Address, Client
from mlactions.export.serving.golden import Golden
from mlactions.export.serving.load import REQUEST_SECONDS, Load, measure_load
from mlactions.export.serving.process import Server, running
from mlactions.export.serving.start import Launch
from mlactions.settings import Status

REASONS = ("server-ended", "never-ready", "bad-answer", "parity", "load-failed", "server-degraded")
"""Why a smoke test fails: in the order in which they are found."""

_POLL_SECONDS = 0.1
_OK = 200


@dataclass(frozen=True)
class Plan:
    """How long a server may take to be ready, and how hard it is pressed. Seconds."""

    ready_seconds: float = 120.0
    total_seconds: float = 900.0
    concurrency: tuple[int, ...] = (1, 8, 32)
    requests: int = 500
    level_seconds: float = 10.0


@dataclass(frozen=True)
class Asked:
    """One golden request: what came back, held against PyTorch's answer."""

    id: str
    batch: int
    request: str
    milliseconds: float
    rows: tuple[Parity, ...]
    message: str = ""

    @property
    def passed(self) -> bool:
        """True if it was answered, and every output is within its tolerance."""
        return not self.message and all(row.status is Status.PASS for row in self.rows)


@dataclass(frozen=True)
class Smoke:
    """How one target did. `reason` is one of REASONS, empty when it passed."""

    target: str
    status: Status
    reason: str = ""
    message: str = ""
    url: str = ""
    ready_seconds: float | None = None
    peak_memory_bytes: int | None = None
    golden: tuple[Asked, ...] = ()
    load: tuple[Load, ...] = ()
    log_tail: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return what result.json holds of it."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        return plain


@dataclass
class _Found:
    """What is known so far; a failure on the way keeps what was found before it."""

    reason: str = ""
    message: str = ""
    url: str = ""
    ready_seconds: float | None = None
    golden: tuple[Asked, ...] = ()
    load: list[Load] = field(default_factory=list)


class _FailedError(Exception):
    """The test ends here: a reason and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason, self.message = reason, message


def smoke(launch: Launch, folder: Path, golden: Sequence[Golden], plan: Plan, log: Path) -> Smoke:
    """Start the server, test it, stop it. `folder` holds what `golden` names."""
    found = _Found()
    try:
        with running(launch, log, plan.total_seconds) as server:
            address = _wait(launch, server, plan, found)
            _test(address, folder, golden, plan, found)
            _check_alive(server)
    except _FailedError as failure:
        found.reason, found.message = failure.reason, failure.message
    lines = tuple(tail(log)) if found.reason and log.is_file() else ()
    peak = server.ended.peak_memory if server.ended is not None else None
    return _smoke(launch.target, found, peak, lines)


def smoke_running(
    target: str, address: Address, folder: Path, golden: Sequence[Golden], plan: Plan
) -> Smoke:
    """Test a server that somebody else has started."""
    found = _Found()
    try:
        _wait_for(address, plan)
        found.url = address.url
        _test(address, folder, golden, plan, found)
    except _FailedError as failure:
        found.reason, found.message = failure.reason, failure.message
    return _smoke(target, found, None, ())


def _smoke(target: str, found: _Found, peak: int | None, lines: tuple[str, ...]) -> Smoke:
    return Smoke(
        target=target,
        status=Status.FAIL if found.reason else Status.PASS,
        reason=found.reason,
        message=found.message,
        url=found.url,
        ready_seconds=found.ready_seconds,
        peak_memory_bytes=peak,
        golden=found.golden,
        load=tuple(found.load),
        log_tail=lines,
    )


def _wait(launch: Launch, server: Server, plan: Plan, found: _Found) -> Address:
    """Return where the server answers once it says that it is ready."""
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < plan.ready_seconds:
        if not server.runs():
            raise _FailedError("server-ended", _how_it_ended(server))
        address = launch.address()
        if address is not None and _is_ready(address):
            found.ready_seconds, found.url = time.monotonic() - started, address.url
            return address
        time.sleep(min(_POLL_SECONDS, plan.ready_seconds - elapsed))
    raise _FailedError("never-ready", f"the server was not ready after {plan.ready_seconds:.0f} s")


def _wait_for(address: Address, plan: Plan) -> None:
    deadline = time.monotonic() + plan.ready_seconds
    while not _is_ready(address):
        if time.monotonic() > deadline:
            raise _FailedError("never-ready", f"nothing was ready at {address.url} in time")
        time.sleep(_POLL_SECONDS)


def _check_alive(server: Server) -> None:
    if not server.runs():
        raise _FailedError("server-ended", "the server ended by itself during the test")


def _how_it_ended(server: Server) -> str:
    if server.ended is None:
        return f"the server could not be started: {server.error}"
    memory = ", out of memory" if server.ended.out_of_memory else ""
    return f"the server ended with exit code {server.ended.code}{memory} before it was ready"


def _is_ready(address: Address) -> bool:
    try:
        with Client(address, 5.0) as client:
            return client.send(address.ready).status == _OK
    except FAILURES:
        return False


def _test(
    address: Address, folder: Path, golden: Sequence[Golden], plan: Plan, found: _Found
) -> None:
    found.golden = _ask_all(address, folder, golden)
    _hold(found.golden, "parity")
    body = (folder / golden[0].request).read_bytes()
    for concurrency in plan.concurrency:
        level = measure_load(
            address,
            body,
            concurrency=concurrency,
            requests=max(plan.requests, concurrency),
            seconds=plan.level_seconds,
            stop=threading.Event(),
        )
        found.load.append(level)
        if level.failed or not level.requests:
            count = f"{level.failed} of {level.failed + level.requests} requests"
            message = f"{count} failed at concurrency {concurrency}: {level.failure}"
            raise _FailedError("load-failed", message)
    _hold(_ask_all(address, folder, golden), "server-degraded")


def _hold(asked: Sequence[Asked], reason: str) -> None:
    for one in asked:
        if one.message:
            raise _FailedError("bad-answer", f"{one.id}: {one.message}")
        for row in one.rows:
            if row.status is not Status.PASS:
                raise _FailedError(reason, f"{one.id}: {_off(row)}")


def _off(row: Parity) -> str:
    where = f" at {list(row.index)}: {row.value} instead of {row.reference}" if row.index else ""
    return f"output `{row.output}` is not PyTorch's ({row.reason}){where}"


def _ask_all(address: Address, folder: Path, golden: Sequence[Golden]) -> tuple[Asked, ...]:
    with Client(address, REQUEST_SECONDS) as client:
        return tuple(_ask(client, address, folder, item) for item in golden)


def _ask(client: Client, address: Address, folder: Path, golden: Golden) -> Asked:
    rows: tuple[Parity, ...] = ()
    message, milliseconds = "", 0.0
    try:
        answer = client.send(address.infer, (folder / golden.request).read_bytes())
        milliseconds = answer.seconds * 1000
        if answer.status == _OK:
            expected = read_outputs((folder / golden.expected).read_bytes())
            rows = compare(golden, expected, read_outputs(answer.body))
        else:
            message = f"HTTP {answer.status}: {answer.body[:300].decode(errors='replace')}"
    except FAILURES as error:
        message = f"no answer: {type(error).__name__}: {error}"
    except AnswerError as error:
        message = str(error)
    return Asked(golden.id, golden.batch, golden.request, milliseconds, rows, message)
