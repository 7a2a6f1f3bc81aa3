"""Under what conditions numbers came about: interpreter, hardware, and the two hashes."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.evaluate.template import Template
from mlactions.schema import canonical

PROBE_SECONDS = 60

# Runs in the user's interpreter, which may be older than ours. torch is not imported: seconds.
_PROBE = """
import json, platform, sys
try:
    from importlib.metadata import version
    torch = version("torch")
except Exception:
    torch = None
paths = [path for path in sys.path if path]
for finder in sys.meta_path:
    module = sys.modules.get(getattr(finder, "__module__", ""), None)
    for path in (getattr(module, "MAPPING", None) or {}).values():
        paths.append(path.rpartition("/")[0])
print(json.dumps({"python": platform.python_version(), "torch": torch, "paths": paths}))
"""


@dataclass(frozen=True)
class Environment:
    """What ran the evaluations. None where the user's interpreter could not be asked.

    `paths` is where that interpreter imports from; it matters where a second work tree is used.
    """

    python: str | None
    torch: str | None
    hardware: str
    paths: tuple[str, ...] = ()


def probe(template: Template, *, folder: Path, environ: Mapping[str, str]) -> Environment:
    """Ask the interpreter that the command uses for its version and torch's; never raises."""
    answer: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as empty:
        for python in _interpreters(template, folder, environ):
            # An empty folder: `-c` imports from the current one first. `uv run` needs its project.
            where = empty if len(python) == 1 else folder
            answer = _ask([*python, "-c", _PROBE], Path(where), environ)
            if answer:
                break
    return Environment(
        python=_text(answer.get("python")),
        torch=_text(answer.get("torch")),
        hardware=f"cpu:{_cpu()};gpu:{_gpu(environ)}",
        paths=tuple(path for path in answer.get("paths", ()) if isinstance(path, str)),
    )


def _interpreters(
    template: Template, folder: Path, environ: Mapping[str, str]
) -> Iterable[tuple[str, ...]]:
    """Yield where to ask: the command's own interpreter, the one beside its program, PATH's."""
    search = environ.get("PATH")
    named = template.python()
    if named is not None:
        first = Path(folder, named[0]) if "/" in named[0] else named[0]
        yield (str(first), *named[1:])
    program = find_program(template.arguments[0], folder=folder, environ=environ)
    if named is None and program is not None and (program.parent / "python").exists():
        # torchrun and friends live beside their interpreter.
        yield (str(program.parent / "python"),)
    for name in ("python", "python3"):
        if shutil.which(name, path=search):
            yield (name,)


def find_program(name: str, *, folder: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the program that a command's first argument would start, None if there is none."""
    if "/" in name:
        found = shutil.which(str(folder / name))
    else:
        found = shutil.which(name, path=environ.get("PATH"))
    return Path(found) if found else None


def _ask(arguments: list[str], folder: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            arguments,
            cwd=folder,
            env=dict(environ),
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=PROBE_SECONDS,
        )
        answer = json.loads(done.stdout.decode(errors="replace").strip().splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _text(value: Any) -> str | None:
    return value[:100] if isinstance(value, str) else None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()[:200]
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpu(environ: Mapping[str, str]) -> str:
    """Return the first GPU's name, with a count when there are more of them."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            env=dict(environ),
            capture_output=True,
            check=False,
            text=True,
            timeout=PROBE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "none"
    names = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode != 0 or not names:
        return "none"
    return f"{names[0]}{f' x{len(names)}' if len(names) > 1 else ''}"[:200]


def protocol_hash(template: Template, files: Mapping[str, bytes]) -> str:
    """Return the hash of how numbers are measured: the command, and the files named for it.

    The config is no part of it: a change that tunes a config must stay comparable.
    """
    document = {
        "command": list(template.arguments),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    return sha256(canonical(document))


def sha256(text: str) -> str:
    """Return `sha256:…` of a text."""
    return f"sha256:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"
