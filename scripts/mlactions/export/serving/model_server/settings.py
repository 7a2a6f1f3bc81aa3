"""What the operator may set, from variables that start with MODEL_SERVER_."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PREFIX = "MODEL_SERVER_"


@dataclass(frozen=True)
class Settings:
    """Limits and places; seconds and bytes. None: what the model's contract says."""

    host: str = "127.0.0.1"
    port: int = 8080
    threads: int = 0
    """Of ONNX Runtime for one request; 0: as many as there are processors for us."""
    running: int = 0
    """Requests computed at a time; 0: as many as there are processors for us."""
    waiting: int = 64
    """Requests that may queue for their turn; more are answered with 503 at once."""
    connections: int = 1024
    request_seconds: float = 30.0
    """From the last byte of a request to its answer."""
    body_seconds: float = 10.0
    """To send a request: its headers, and then its body."""
    shutdown_seconds: float = 20.0
    """For the requests under way when we are told to stop."""
    body_bytes: int | None = None
    log_level: str = "info"


class SettingError(ValueError):
    """A variable that cannot be used."""


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings; an unknown or unusable variable is an error."""
    given = {name[len(PREFIX) :]: text for name, text in environ.items() if name.startswith(PREFIX)}
    values: dict[str, int | float | str] = {}
    for name, text in sorted(given.items()):
        key = name.lower()
        if key not in Settings.__annotations__:
            known = ", ".join(PREFIX + known.upper() for known in Settings.__annotations__)
            raise SettingError(f"there is no {PREFIX}{name}; there is {known}")
        values[key] = _value(key, text)
    return Settings(**values)  # type: ignore[arg-type]  # each converted by its default's type


def _value(key: str, text: str) -> int | float | str:
    default = getattr(Settings, key)
    if isinstance(default, str):
        return text
    try:
        number = float(text) if isinstance(default, float) else int(text)
    except ValueError:
        number = -1
    if (
        not math.isfinite(number)
        or number < 0
        or (number == 0 and key not in {"threads", "running"})
    ):
        raise SettingError(f"{PREFIX}{key.upper()} is {text!r}, not a positive number")
    return number


def processors() -> int:
    """Return how many processors we may use: the affinity, and the control group's quota."""
    count = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return min(count, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return count
