"""Under what conditions numbers came about: interpreter, hardware, and the two hashes."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from mlactions.evaluate.listen import listen
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


def probe(
    template: Template, *, folder: Path, environ: Mapping[str, str], stop: Event | None = None
) -> Environment:
    """Ask the interpreter that the command uses for its version and torch's; never raises.

    Once `stop` is set, nobody is asked any more, and what is not known yet stays unknown.
    """
    stop = stop or Event()
    answer: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as empty:
        for python in _interpreters(template, folder, environ):
            # An empty folder: `-c` imports from the current one first. `uv run` needs its project.
            where = empty if len(python) == 1 else folder
            answer = _ask([*python, "-c", _PROBE], Path(where), environ, stop)
            if answer or stop.is_set():
                break
    return Environment(
        python=_text(answer.get("python")),
        torch=_text(answer.get("torch")),
        hardware=hardware(environ, stop),
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


def _ask(
    arguments: list[str], folder: Path, environ: Mapping[str, str], stop: Event
) -> dict[str, Any]:
    said = listen(arguments, folder=folder, environ=environ, seconds=PROBE_SECONDS, stop=stop)
    try:
        answer = json.loads((said or "").strip().splitlines()[-1])
    except (ValueError, IndexError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _text(value: Any) -> str | None:
    return value[:100] if isinstance(value, str) else None


def hardware(environ: Mapping[str, str], stop: Event | None = None) -> str:
    """Return the names of this machine's processor and GPU: `cpu:…;gpu:…`."""
    return f"cpu:{processor()};gpu:{_gpu(environ, stop or Event())}"


def processor() -> str:
    """Return the name of this machine's processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()[:200]
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpu(environ: Mapping[str, str], stop: Event) -> str:
    """Return the first GPU's name, with a count when there are more of them."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    said = listen(query, folder=Path("/"), environ=environ, seconds=PROBE_SECONDS, stop=stop)
    names = [line.strip() for line in (said or "").splitlines() if line.strip()]
    if not names:
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
