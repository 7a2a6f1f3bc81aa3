"""How each target is started on loopback, from the files that were written for it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mlactions.bundle import write_atomic
from mlactions.errors import UserError
from mlactions.export.serving.client import Address
from mlactions.export.serving.torchserve import STORE, on_loopback

HOST = "127.0.0.1"
_KEYS = "key_file.json"
_MODULES = ("ts", "torch", "onnxruntime", "yaml")
_KEEP = ("PATH", "JAVA_HOME", "LANG", "LC_ALL", "TZ")


@dataclass(frozen=True)
class Launch:
    """A command, where it runs, and where it will answer.

    `address` returns None as long as the server has not yet said how it wants to be asked.
    """

    target: str
    arguments: tuple[str, ...]
    folder: Path
    environ: Mapping[str, str]
    address: Callable[[], Address | None]


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def protocol_address(host: str, port: int, name: str) -> Address:
    """Return where a server of the Open Inference Protocol answers."""
    model = f"/v2/models/{name}"
    return Address(host, port, f"{model}/infer", f"{model}/ready", model)


def start_onnxruntime(place: Path, name: str, scratch: Path) -> Launch:
    """Run our server in place, in the Python that runs us: nothing is installed for it."""
    for module in ("uvicorn", "starlette", "onnxruntime"):
        if importlib.util.find_spec(module) is None:
            raise UserError(
                "cannot start the server",
                f"{module} is not installed.",
                "Install the extras `export` and `serving` of this package.",
            )
    (port,) = free_ports(1)
    environ = {
        **_environment(scratch),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "MODEL_SERVER_HOST": HOST,
        "MODEL_SERVER_PORT": str(port),
    }
    address = protocol_address(HOST, port, name)
    arguments = (sys.executable, "-m", "model_server")
    return Launch("onnxruntime", arguments, place, environ, lambda: address)


def start_torchserve(place: Path, name: str, scratch: Path, python: Path) -> Launch:
    """Run TorchServe from another Python, its ports and folders ours, its tokens on."""
    if reason := torchserve_missing(python):
        raise UserError("cannot start TorchServe", f"{reason}.", _SERVING_HINT)
    inference, *others = free_ports(3)
    written = (place / "config.properties").read_text(encoding="utf-8")
    write_atomic(scratch / "config.properties", on_loopback(written, (inference, *others)))
    environ = {**_environment(scratch), "ORT_DISABLE_TELEMETRY": "1", "TEMP": str(scratch)}
    # `torchserve --start` puts itself in the background; in front, it dies with its group.
    arguments = [str(python), "-m", "ts.model_server", "--start", "--foreground", "--ncs"]
    arguments += ["--model-store", str(place / STORE)]
    arguments += ["--ts-config", str(scratch / "config.properties")]
    bare = Address(HOST, inference, f"/predictions/{name}", "/ping")
    return Launch(
        "torchserve", tuple(arguments), scratch, environ, lambda: _with_token(bare, scratch / _KEYS)
    )


_SERVING_HINT = (
    "Name with `serving-python` a Python that has torchserve, torch and onnxruntime, and have "
    "Java 11 or later on PATH or in JAVA_HOME."
)


def torchserve_missing(python: Path) -> str:
    """Say why TorchServe cannot be started here; nothing where it can."""
    java = os.environ.get("JAVA_HOME", "") and str(Path(os.environ["JAVA_HOME"]) / "bin/java")
    if shutil.which(java or "java") is None:
        return "there is no Java"
    code = f"import importlib.util as u; print(*[n for n in {_MODULES} if not u.find_spec(n)])"
    try:
        found = subprocess.run(
            [str(python), "-c", code], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"{python.name} does not run: {type(error).__name__}"
    return f"{python.name} has no module {found.stdout.strip()}" if found.stdout.strip() else ""


def _with_token(bare: Address, keys: Path) -> Address | None:
    try:
        token = json.loads(keys.read_text(encoding="utf-8"))["inference"]["key"]
    except (OSError, ValueError, KeyError):
        return None
    return replace(bare, headers={"Authorization": f"Bearer {token}"})


def _environment(scratch: Path) -> dict[str, str]:
    """Return a bare environment: what is tested is what was written, not what lies around."""
    kept = {name: os.environ[name] for name in _KEEP if name in os.environ}
    return {**kept, "HOME": str(scratch), "TMPDIR": str(scratch)}
