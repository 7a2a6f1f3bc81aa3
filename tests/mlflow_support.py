"""A real MLflow server for tests, and a way to fill it: its own REST interface, nothing else."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.fakes.loopback import Handler, Loopback, Reply, Request

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / ".tools" / "mlflow" / "bin"
START_SECONDS = 120
_NUMBERS = count(1)


@dataclass(frozen=True)
class Mlflow:
    """A running server, the database behind it, and the folder its artifacts are kept in."""

    port: int
    folder: Path
    backend: str = ""
    name: str = field(default_factory=lambda: f"tests-{next(_NUMBERS)}")

    @property
    def uri(self) -> str:
        """The address over HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> str:
        """The address that goes around the server."""
        return self.backend or f"sqlite:///{self.folder / 'mlflow.db'}"

    def call(self, path: str, body: Mapping[str, Any], method: str = "POST") -> Any:
        """Ask the server for one change."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": "application/json"}
        client.request(method, f"/api/2.0/mlflow/{path}", json.dumps(body), headers)
        response = client.getresponse()
        answer = response.read().decode()
        client.close()
        assert response.status == 200, f"{path}: {answer}"
        return json.loads(answer)

    def experiment(self, name: str = "") -> str:
        """Create an experiment whose artifacts lie in a folder; return its id."""
        name = name or f"experiment-{next(_NUMBERS)}"
        body = {"name": name, "artifact_location": str(self.folder / "local" / quote(name, ""))}
        return str(self.call("experiments/create", body)["experiment_id"])

    def run(
        self,
        experiment: str,
        params: Mapping[str, str] | None = None,
        *,
        metrics: Mapping[str, Sequence[float | str]] | None = None,
        tags: Mapping[str, str] | None = None,
        name: str = "run",
        status: str = "FINISHED",
        start: int = 1_790_000_000_000,
    ) -> str:
        """Log a run as a training script does; `metrics` are values by step. Return its id."""
        body: dict[str, Any] = {"experiment_id": experiment, "run_name": name, "start_time": start}
        body["tags"] = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        run_id = str(self.call("runs/create", body)["run"]["info"]["run_id"])
        points = [
            {"key": key, "value": value, "timestamp": start + step, "step": step}
            for key, values in (metrics or {}).items()
            for step, value in enumerate(values)
        ]
        pairs = [{"key": key, "value": value} for key, value in (params or {}).items()]
        for begin in range(0, max(len(pairs), len(points), 1), 100):
            part = slice(begin, begin + 100)
            batch = {"run_id": run_id, "params": pairs[part], "metrics": points[part]}
            self.call("runs/log-batch", batch)
        if status != "RUNNING":
            end = {"run_id": run_id, "status": status, "end_time": start + 1000}
            self.call("runs/update", end)
        return run_id

    def dataset(self, run_id: str, name: str, digest: str, context: str = "training") -> None:
        """Log a data set as a run's input."""
        dataset = {"name": name, "digest": digest, "source_type": "local", "source": "data/x.csv"}
        tags = [{"key": "mlflow.data.context", "value": context}]
        body = {"run_id": run_id, "datasets": [{"tags": tags, "dataset": dataset}]}
        self.call("runs/log-inputs", body)

    def artifact(self, run_id: str, path: str, content: str | bytes) -> None:
        """Put a file among a run's artifacts."""
        info = self.call(f"runs/get?run_id={run_id}", {}, "GET")["run"]["info"]
        file = Path(info["artifact_uri"]) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def version(
        self,
        model: str,
        run_id: str,
        *,
        alias: str = "",
        tags: Mapping[str, str] | None = None,
        path: str = "model",
    ) -> str:
        """Register what lies in a run's artifact folder; return the version."""
        info = self.call(f"runs/get?run_id={run_id}", {}, "GET")["run"]["info"]
        found = self.call("registered-models/search", {}, "GET").get("registered_models", [])
        if all(item["name"] != model for item in found):
            self.call("registered-models/create", {"name": model})
        body: dict[str, Any] = {"name": model, "run_id": run_id}
        body["source"] = f"{info['artifact_uri']}/{path}"
        body["tags"] = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        version = str(self.call("model-versions/create", body)["model_version"]["version"])
        if alias:
            pointer = {"name": model, "alias": alias, "version": version}
            self.call("registered-models/alias", pointer)
        return version


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """Start one server for the whole test run; tests keep to experiments of their own."""
    with running(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@contextmanager
def running(folder: Path, backend: str = "") -> Iterator[Mlflow]:
    """Run a server over a database of its own: a new file in the folder, unless one is named."""
    program = TOOLS / "mlflow"
    assert program.exists(), "`make test` installs the MLflow server: scripts/dev/mlflow.sh"
    server = Mlflow(free_port(), folder, backend)
    environ = {
        "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    arguments = ["server", "--host", "127.0.0.1", "--port", str(server.port), "--workers", "1"]
    arguments += ["--backend-store-uri", server.database]
    arguments += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [str(program), *arguments],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait(process, server)
            yield server
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _wait(process: subprocess.Popen[bytes], server: Mlflow) -> None:
    """Wait until the server answers."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        try:
            client.request("GET", "/health")
            if client.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            client.close()
    raise AssertionError((server.folder / "server.log").read_text())


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Gatekeeper(Loopback):
    """A proxy before MLflow, as companies have it: it wants a header, or does something else.

    `authorization` is what it lets pass; `replies` are given first, whatever is asked (a `Reply`,
    a text that is no JSON, or None to hang up).
    """

    def __init__(self, server: Mlflow | None, authorization: str = "") -> None:
        super().__init__()
        self.server = server
        self.authorization = authorization
        self.replies: list[Reply | str | None] = []
        self.requests: list[Request] = []

    def respond(self, request: Request, handler: Handler) -> None:
        """Let a request pass to MLflow, or not."""
        self.requests.append(request)
        if self.replies:
            self._reply(self.replies.pop(0), handler)
        elif self.authorization and request.headers.get("authorization") != self.authorization:
            handler.send(Reply(401, {"detail": "who are you?"}))
        else:
            self._pass_on(request, handler)

    def _reply(self, reply: Reply | str | None, handler: Handler) -> None:
        if reply is None:
            handler.drop()
        elif isinstance(reply, Reply):
            handler.send(reply)
        else:
            self._send(200, reply.encode(), handler)

    def _pass_on(self, request: Request, handler: Handler) -> None:
        assert self.server is not None
        client = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        headers = {"Content-Type": request.headers.get("content-type", "")}
        client.request(request.method, handler.path, request.body, headers)
        response = client.getresponse()
        self._send(response.status, response.read(), handler)
        client.close()

    def _send(self, status: int, body: bytes, handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


def main() -> None:
    """Run a server until stopped: `python -m tests.mlflow_support FOLDER`."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with running(folder) as server:
        print(server.uri, flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
