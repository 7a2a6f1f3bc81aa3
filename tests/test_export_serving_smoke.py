"""The smoke test: real servers on loopback, good ones and ones that fail in each way there is."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlactions.evaluate.proctree import process_table
from mlactions.export.serving.client import FAILURES, Address, Client
from mlactions.export.serving.load import measure_load
from mlactions.export.serving.report import smoke_blocks, smoke_facts
from mlactions.export.serving.smoke import REASONS, Plan, Smoke, smoke, smoke_running
from mlactions.export.serving.start import (
    Launch,
    protocol_address,
    start_onnxruntime,
    start_torchserve,
    torchserve_missing,
)
from mlactions.html import render as html
from mlactions.markdown import render as markdown
from mlactions.report import Report
from mlactions.settings import Status
from tests.serving_support import ROOT, SERVING_PYTHON, Served, serve, write_all

QUICK = Plan(ready_seconds=30, total_seconds=60, concurrency=(1, 8), requests=20, level_seconds=5)
MISSING = torchserve_missing(SERVING_PYTHON)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return write_all(tmp_path_factory.mktemp("served"), ("onnxruntime", "torchserve"))


def launch_ours(served: Served, scratch: Path) -> Launch:
    scratch.mkdir(exist_ok=True)
    return start_onnxruntime(served.out / "serving/onnxruntime", "Embed", scratch)


def test_our_server_passes(served: Served, tmp_path: Path) -> None:
    launch = launch_ours(served, tmp_path / "scratch")
    found = smoke(launch, served.out, served.golden, QUICK, tmp_path / "log")
    assert (found.status, found.reason, found.message) == (Status.PASS, "", "")
    assert [asked.batch for asked in found.golden] == [1, 3, 7]
    for asked in found.golden:
        assert [row.output for row in asked.rows] == ["logits", "length"]
        assert all((row.scaled or 0) <= 1e-5 for row in asked.rows)
    assert [level.concurrency for level in found.load] == [1, 8]
    for level in found.load:
        assert (level.requests, level.failed) == (20, 0)
        assert level.p50_ms is not None
        assert level.p95_ms is not None
        assert 0 < level.p50_ms <= level.p95_ms
        assert level.requests_per_second == pytest.approx(20 / level.seconds)
    assert found.ready_seconds is not None
    assert (found.peak_memory_bytes or 0) > 10 << 20
    assert _gone(tmp_path)


@pytest.mark.skipif(bool(MISSING), reason=f"TorchServe cannot be started: {MISSING}")
def test_torchserve_passes_and_refuses_strangers(served: Served, tmp_path: Path) -> None:
    """The same golden requests as every other server; without its token nothing is answered."""
    (tmp_path / "scratch").mkdir()
    place = served.out / "serving/torchserve"
    launch = start_torchserve(place, "Embed", tmp_path / "scratch", SERVING_PYTHON)
    refused: list[tuple[int, str]] = []

    healthy: list[int] = []

    def health(port: int) -> int:
        command = [sys.executable, str(place / "healthy.py"), str(port)]
        return subprocess.run(command, cwd=tmp_path / "scratch", check=False).returncode

    def address() -> Address | None:
        """Let strangers in between the start and the test, once."""
        found = launch.address()
        if found is not None and not refused and _answers(found):
            healthy.append(health(found.port))
            refused.extend(_strangers(found, (served.out / served.golden[0].request).read_bytes()))
        return found

    plan = replace(QUICK, total_seconds=120, ready_seconds=90)
    launched = replace(launch, address=address)
    found = smoke(launched, served.out, served.golden, plan, tmp_path / "log")
    assert (found.status, found.reason, found.message) == (Status.PASS, "", "")
    assert [asked.passed for asked in found.golden] == [True, True, True]
    assert [level.requests for level in found.load] == [20, 20]
    assert found.url.endswith("/predictions/Embed")
    assert _gone(tmp_path)
    assert [*healthy, health(int(found.url.split(":")[2].partition("/")[0]))] == [0, 1]
    assert [status for status, _ in refused] == [400, 400, 400, 400]
    assert "InvalidKeyException" in refused[0][1]
    assert "input `tokens` is missing" in refused[1][1]
    assert "is INT64, not FP32" in refused[2][1]
    assert "no finite FP32" in refused[3][1]


def test_a_container_of_torchserve_stays_healthy_when_its_token_has_ended(
    served: Served, tmp_path: Path
) -> None:
    """TorchServe then answers /ping with 400, as it does without a token: seen with 0.12."""
    (tmp_path / "key_file.json").write_text('{"inference": {"key": "old"}}', "utf-8")
    message = json.dumps({"code": 400, "type": "InvalidKeyException", "message": "expired"})
    for body, code in ((message, 0), ('{"status": "Unhealthy"}', 1)):
        server = socketserver.TCPServer(("127.0.0.1", 0), _refusing(body))
        with server, contextlib.ExitStack() as stack:
            threading.Thread(target=server.handle_request).start()
            stack.callback(server.server_close)
            program = served.out / "serving/torchserve/healthy.py"
            command = [sys.executable, str(program), str(server.server_address[1])]
            assert subprocess.run(command, cwd=tmp_path, check=False).returncode == code


def _refusing(body: str) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(400)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    return Handler


def _answers(address: Address) -> bool:
    try:
        with Client(address, 5.0) as client:
            return client.send(address.ready).status == 200
    except FAILURES:
        return False


def _strangers(address: Address, body: bytes) -> Iterator[tuple[int, str]]:
    """Ask without the token, then with it what our own server would refuse too."""
    nan = re.sub(rb'"FP32",(.*)"data":\[[^,\]]+', rb'"FP32",\1"data":[NaN', body)
    assert b"NaN" in nan
    for one, content in (
        (replace(address, headers={}), body),
        (address, b'{"inputs": []}'),
        (address, body.replace(b"INT64", b"FP32")),
        (address, nan),
    ):
        with Client(one, 60.0) as client:
            answer = client.send(address.infer, content)
        yield answer.status, answer.body.decode()


_TRITON_CLIENT = """
import sys
import numpy as np
import tritonclient.http as client
connection = client.InferenceServerClient(sys.argv[1])
assert connection.is_server_live() and connection.is_model_ready("Embed")
assert connection.get_model_metadata("Embed")["outputs"][0]["shape"] == [-1, 4]
tokens = client.InferInput("tokens", [2, 5], "INT64")
tokens.set_data_from_numpy(np.ones((2, 5), np.int64), binary_data=len(sys.argv) < 3)
scale = client.InferInput("scale", [2, 1], "FP32")
scale.set_data_from_numpy(np.ones((2, 1), np.float32), binary_data=len(sys.argv) < 3)
answer = connection.infer("Embed", [tokens, scale], request_id="7")
assert answer.get_response()["id"] == "7"
print(answer.as_numpy("logits").shape, answer.as_numpy("length").tolist())
"""


@pytest.mark.skipif(not SERVING_PYTHON.exists(), reason="`make .tools/serving/ready` installs it")
def test_tritons_own_client_speaks_to_our_server(served: Served, tmp_path: Path) -> None:
    """The protocol is the one that others mean by it: with tensors as bytes, and as JSON."""
    with serve(served, tmp_path / "scratch") as launch:
        address = launch.address()
        assert address is not None
        for form in ([], ["json"]):
            ended = subprocess.run(
                [SERVING_PYTHON, "-c", _TRITON_CLIENT, f"127.0.0.1:{address.port}", *form],
                capture_output=True,
                text=True,
                check=False,
            )
            assert ended.returncode == 0, ended.stderr
            assert ended.stdout.strip() == "(2, 4) [5, 5]"


# Servers that fail

_NEVER_READY = "import time; print('loading weights'); time.sleep(600)"
_CRASHES = "import sys; print('no such device'); sys.exit(3)"
_FAKE = """
import http.server, os, re, socket, sys
mode, golden = sys.argv[1:3]
answer = open(golden, 'rb').read()
wrong = re.sub(rb'"data":.[^,]+', b'"data":[9.5', answer, count=1)
count = 0
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *a): pass
    def do_GET(self): self.reply(200, b'{}')
    def do_POST(self):
        global count
        self.rfile.read(int(self.headers['Content-Length']))
        count += 1
        if mode == 'wrong': return self.reply(200, wrong)
        if mode == 'shape': return self.reply(200, answer.replace(b'[1,4]', b'[4,1]', 1))
        if mode == 'missing': return self.reply(200, b'{"outputs": []}')
        if mode == 'garbage': return self.reply(200, b'<html>')
        if mode == 'nan': return self.reply(200, answer.replace(b'"data":[', b'"data":[NaN,', 1))
        if mode == 'refuses': return self.reply(500, b'{"error": "no memory"}')
        if mode == 'overload' and count > 4: return self.reply(503, b'busy')
        if mode == 'dies' and count > 4: os._exit(9)
        if mode == 'hangs-up': return self.connection.shutdown(socket.SHUT_RDWR)
        if mode == 'degrades' and count > 8:
            return self.reply(200, wrong)
        self.reply(200, answer)
    def reply(self, status, body):
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
Server(('127.0.0.1', int(os.environ['MODEL_SERVER_PORT'])), Handler).serve_forever()
"""


def _fails(served: Served, tmp_path: Path, code: str, *arguments: str, plan: Plan = QUICK) -> Smoke:
    launch = launch_ours(served, tmp_path / "scratch")
    launch = replace(launch, arguments=(sys.executable, "-u", "-c", code, *arguments))
    found = smoke(launch, served.out, served.golden[:1], plan, tmp_path / "log")
    assert found.status is Status.FAIL
    assert found.reason in REASONS
    assert found.message
    assert _gone(tmp_path)
    return found


def test_a_server_that_is_never_ready_fails_with_its_log(served: Served, tmp_path: Path) -> None:
    found = _fails(served, tmp_path, _NEVER_READY, plan=replace(QUICK, ready_seconds=0.8))
    assert found.reason == "never-ready"
    assert found.log_tail == ("loading weights",)


def test_a_server_that_ends_fails_at_once(served: Served, tmp_path: Path) -> None:
    started = time.monotonic()
    found = _fails(served, tmp_path, _CRASHES)
    assert found.reason == "server-ended"
    assert "exit code 3" in found.message
    assert found.log_tail == ("no such device",)
    assert time.monotonic() - started < 60


def test_a_server_that_cannot_be_started(served: Served, tmp_path: Path) -> None:
    launch = replace(launch_ours(served, tmp_path), arguments=("/nonexistent/python",))
    found = smoke(launch, served.out, served.golden, QUICK, tmp_path / "log")
    assert (found.status, found.reason) == (Status.FAIL, "server-ended")
    assert "could not be started" in found.message


@pytest.mark.parametrize(
    ("mode", "reason", "message"),
    [
        ("wrong", "parity", "output `logits` is not PyTorch's (parity)"),
        ("shape", "parity", "(output-shape)"),
        ("missing", "bad-answer", "the outputs are []"),
        ("garbage", "bad-answer", "no answer of the protocol"),
        ("nan", "bad-answer", "no answer of the protocol"),
        ("refuses", "bad-answer", "HTTP 500"),
        ("hangs-up", "bad-answer", "no answer"),
        ("overload", "load-failed", "503: busy"),
        ("dies", "load-failed", "failed at concurrency 1"),
        ("degrades", "server-degraded", "output `logits`"),
    ],
)
def test_servers_that_answer_wrongly(
    served: Served, tmp_path: Path, mode: str, reason: str, message: str
) -> None:
    expected = str(served.out / served.golden[0].expected)
    plan = replace(QUICK, concurrency=(1,), requests=7, total_seconds=20)
    found = _fails(served, tmp_path, _FAKE, mode, expected, plan=plan)
    assert found.reason == reason
    assert message in found.message


def test_the_same_server_without_a_fault_passes(served: Served, tmp_path: Path) -> None:
    """So that the faults above are what fails."""
    launch = launch_ours(served, tmp_path / "scratch")
    expected = str(served.out / served.golden[0].expected)
    launch = replace(launch, arguments=(sys.executable, "-c", _FAKE, "good", expected))
    found = smoke(launch, served.out, served.golden[:1], QUICK, tmp_path / "log")
    assert (found.status, found.message) == (Status.PASS, "")


def test_a_running_server_is_asked_by_its_address(served: Served, tmp_path: Path) -> None:
    with serve(served, tmp_path / "scratch") as launch:
        address = launch.address()
        assert address is not None
        found = smoke_running("triton", address, served.out, served.golden, QUICK)
        assert (found.status, found.target, found.log_tail) == (Status.PASS, "triton", ())
    nobody = protocol_address("127.0.0.1", address.port, "Embed")
    plan = replace(QUICK, ready_seconds=0.3)
    found = smoke_running("triton", nobody, served.out, served.golden, plan)
    assert (found.status, found.reason) == (Status.FAIL, "never-ready")


def test_load_is_bounded_by_requests_and_by_seconds(served: Served, tmp_path: Path) -> None:
    body = (served.out / served.golden[0].request).read_bytes()
    with serve(served, tmp_path / "scratch") as launch:
        address = launch.address()
        assert address is not None

        def measure(requests: int, seconds: float) -> Any:
            return measure_load(
                address,
                body,
                concurrency=3,
                requests=requests,
                seconds=seconds,
                stop=threading.Event(),
            )

        assert measure(10, 60.0).requests == 10
        long = measure(10**9, 0.5)
        assert long.failed == 0
        assert 0.4 < long.seconds < 30


# Interruption

_INTERRUPTED = """
import sys
from pathlib import Path
from mlactions.__main__ import _interrupt
import signal
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, _interrupt)
from dataclasses import replace
from mlactions.errors import Interrupted
from mlactions.export.serving.golden import read_golden
from mlactions.export.serving.smoke import Plan, smoke
from mlactions.export.serving.start import start_onnxruntime
out, scratch, code = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
name, golden = read_golden(out)
launch = start_onnxruntime(out / "serving/onnxruntime", name, scratch)
if code:
    launch = replace(launch, arguments=(sys.executable, "-u", "-c", code))
plan = Plan(ready_seconds=60, total_seconds=60, concurrency=(4,), requests=10**9, level_seconds=60)
try:
    smoke(launch, out, golden, plan, scratch / "log")
except Interrupted as stop:
    print("interrupted", stop.signal_number)
    sys.exit(128 + stop.signal_number)
"""


@pytest.mark.parametrize(
    ("code", "number"),
    [("", signal.SIGTERM), ("", signal.SIGINT), (_NEVER_READY, signal.SIGTERM)],
    ids=["under load", "under load, from the keyboard", "while it starts"],
)
def test_a_signal_leaves_no_process(
    served: Served, tmp_path: Path, code: str, number: signal.Signals
) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    process = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED, str(served.out), str(tmp_path), code],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    log = tmp_path / "log"
    text = "loading weights" if code else "ready: Embed"
    deadline = time.monotonic() + 30
    while not (log.is_file() and text in log.read_text("utf-8")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    assert _left(tmp_path), "the server is not found while it runs: the check would prove nothing"
    started = time.monotonic()
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert output == f"interrupted {int(number)}\n"
    assert time.monotonic() - started < 25
    assert _gone(tmp_path)


def _gone(scratch: Path) -> bool:
    """Say that no process is left; a large one that was killed takes a moment to end."""
    deadline = time.monotonic() + 3
    while left := _left(scratch):
        if time.monotonic() > deadline:
            print("left:", left)
            return False
        time.sleep(0.05)
    return True


def _left(scratch: Path) -> list[int]:
    """Return the processes whose environment names the test's own folder, but for ours."""
    found = []
    for pid, entry in process_table().items():
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        home = f"HOME={scratch}".encode()
        if not entry.zombie and pid != os.getpid() and home in variables:
            found.append(pid)
    return found


# What the report shows


def _document(**changes: Any) -> dict[str, Any]:
    row = {
        "output": "logits",
        "status": "pass",
        "mode": "scaled",
        "scaled": 2.5e-7,
        "max_absolute": 2e-6,
        "allowed": 1e-5,
    }
    asked = {"id": "batch-1-seed-0", "batch": 1, "request": "golden/batch-1.json", "message": ""}
    levels = [(1, 1200.0, 0.7), (8, 1500.0, 5.1), (32, 1480.0, 20.4)]
    load = [
        {
            "concurrency": clients,
            "requests": 500,
            "failed": 0,
            "seconds": 500 / rate,
            "p50_ms": p50,
            "p95_ms": 2 * p50,
            "requests_per_second": rate,
            "failure": "",
        }
        for clients, rate, p50 in levels
    ]
    return {
        "target": "onnxruntime",
        "status": "pass",
        "reason": "",
        "message": "",
        "url": "http://127.0.0.1:41234/v2/models/Embed/infer",
        "ready_seconds": 0.84,
        "peak_memory_bytes": 120 << 20,
        "golden": [{**asked, "milliseconds": 1.2, "rows": [row]}],
        "load": load,
        "log_tail": [],
        **changes,
    }


def _text(*documents: Mapping[str, Any]) -> str:
    report = Report("Export", Status.PASS, "Equal.", tuple(smoke_blocks(documents)))
    assert html(report, title="Export")
    return markdown(report)


def test_the_report_shows_answers_load_and_how_to_ask() -> None:
    url = "http://127.0.0.1:1/predictions/Embed"
    text = _text(_document(), _document(target="torchserve", url=url))
    assert "| `onnxruntime` |" in text
    assert "1 of 1 equal" in text
    assert "2.5e-7 | 1e-5" in text
    assert "1,200" in text
    assert "archived in August 2025" in text
    assert "xychart-beta" in text
    assert "curl http://127.0.0.1:8080/v2/models/Embed/infer" in text
    assert "--data @golden/batch-1.json" in text
    assert "41234" not in text


def test_the_report_shows_the_end_of_the_log() -> None:
    text = _text(
        _document(
            status="fail",
            reason="never-ready",
            message="the server was not ready after 120 s",
            golden=[],
            load=[],
            ready_seconds=None,
            log_tail=["loading", "| ::error:: <b>boom</b>"],
        )
    )
    assert "never-ready" in text
    assert "<b>boom" in text.partition("```")[2].partition("```")[0]


def test_the_report_says_what_was_not_tried() -> None:
    text = _text(
        _document(),
        _document(target="triton", status="skipped", message="it comes as a container", load=[]),
    )
    assert "`triton` was not tried: it comes as a container" in text
    (line,) = [line for line in text.splitlines() if "`triton` was not tried" in line]
    assert line.endswith(".")
    assert smoke_blocks([]) == []


def test_facts_name_every_number() -> None:
    facts = {fact.id: fact for fact in smoke_facts([_document()])}
    assert facts["export.smoke.onnxruntime.status"].value == "pass"
    assert facts["export.smoke.onnxruntime.load.8.p95"].value == 10.2
    assert facts["export.smoke.onnxruntime.load.32.rate"].value == 1480.0
    assert facts["export.smoke.onnxruntime.golden.batch-1-seed-0.logits"].value == 2.5e-7


def test_a_smoke_test_as_json_and_back(served: Served, tmp_path: Path) -> None:
    found = _fails(served, tmp_path, _CRASHES)
    document = json.loads(json.dumps(found.document(), allow_nan=False))
    assert document["status"] == "fail"
    assert smoke_blocks([document])


def test_the_scratch_folder_is_all_that_is_written(served: Served, tmp_path: Path) -> None:
    """Serving files are sealed in a bundle: a test that changes them would break it."""
    copied = tmp_path / "out"
    shutil.copytree(served.out, copied)
    launch = launch_ours(replace(served, out=copied), tmp_path / "scratch")
    before = sorted(path for path in copied.rglob("*"))
    smoke(launch, copied, served.golden, replace(QUICK, concurrency=(1,)), tmp_path / "log")
    assert sorted(path for path in copied.rglob("*")) == before
