"""Options of the smoke test, checked before anything is started."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlactions.errors import UserError
from mlactions.export.serving.smoke import Plan
from mlactions.settings import parse_duration_minutes

_MOST_CLIENTS = 256


@dataclass(frozen=True)
class SmokeSettings:
    """What to start, from where, and how hard to press it. No target: each that can be started."""

    targets: tuple[str, ...]
    plan: Plan
    serving_python: Path | None
    url: tuple[str, int] | None


def read_smoke_settings(given: Mapping[str, Any], known: Sequence[str]) -> SmokeSettings:
    """Return the settings of the command's options."""
    targets = tuple(dict.fromkeys(given["target"]))
    for target in targets:
        if target not in known:
            raise _bad("target", target, f"Use {', '.join(known)}.")
    url = _url(given["url"])
    if url is not None and len(targets) != 1:
        raise UserError("bad input", "`url` needs one `target`.", "Say which server it is.")
    plan = Plan(
        ready_seconds=given["ready_seconds"],
        total_seconds=parse_duration_minutes(given["timeout_minutes"], field="timeout-minutes"),
        concurrency=_clients(given["concurrency"]),
        requests=given["requests"],
        level_seconds=given["level_seconds"],
    )
    return SmokeSettings(targets, plan, find_serving_python(given["serving_python"]), url)


def _clients(text: str) -> tuple[int, ...]:
    try:
        found = tuple(dict.fromkeys(int(part) for part in text.replace("\n", ",").split(",")))
    except ValueError:
        found = (0,)
    if not all(1 <= count <= _MOST_CLIENTS for count in found):
        raise _bad("concurrency", text, f"Write for example 1,8,32, up to {_MOST_CLIENTS}.")
    return found


def find_serving_python(text: str) -> Path | None:
    """Return where the Python with torchserve is; None where none is named."""
    if not text:
        return None
    found = shutil.which(text)
    if found is None:
        raise _bad("serving-python", text, "Name a Python that has torchserve.")
    # Not resolved: through a link's target a virtual environment would be left behind.
    return Path(found).absolute()


def _url(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host = None
    if not host or parts.scheme != "http" or parts.path.strip("/") or parts.query or parts.username:
        raise _bad("url", text, "Write for example http://127.0.0.1:8000.")
    return host, port


def _bad(field: str, value: str, hint: str) -> UserError:
    return UserError("bad input", f"`{field}` is {value!r}.", hint)
