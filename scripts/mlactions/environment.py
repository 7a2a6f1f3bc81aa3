"""The environment of whoever called us, for the commands that run the user's own programs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

# Files and services through which a step talks to the runner, and what would let user code
# speak in our name. Dropping them prevents accidents; a separate job is the boundary.
_RUNNER_ONLY = (
    "GITHUB_ENV",
    "GITHUB_PATH",
    "GITHUB_OUTPUT",
    "GITHUB_STATE",
    "GITHUB_STEP_SUMMARY",
    "GITHUB_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
    "ACTIONS_RUNTIME_URL",
    "ACTIONS_RESULTS_URL",
    "ACTIONS_CACHE_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "BASH_ENV",
)


def caller_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's variables: from the launcher's descriptor, else our own.

    The launcher keeps its own environment to an allow-list, so a user's CUDA_VISIBLE_DEVICES or
    PYTHONPATH arrives here and nowhere else. The descriptor can be read once, so what it said of
    our own process is kept.
    """
    number = environ.get("MLACTIONS_CALLER_FD")
    if number is None:
        return dict(environ)
    return dict(_own(number)) if environ is os.environ else _read(number)


@cache
def _own(number: str) -> Mapping[str, str]:
    return _read(number)


def _read(number: str) -> dict[str, str]:
    with os.fdopen(int(number), "rb") as stream:
        pairs = stream.read().decode(errors="surrogateescape").split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def user_environment(caller: Mapping[str, str]) -> dict[str, str]:
    """Return what a user's command gets: everything but the runner's files and tokens."""
    inputs = ("INPUT_", "MLACTIONS_")
    return {
        name: value
        for name, value in caller.items()
        if name not in _RUNNER_ONLY and not name.startswith(inputs)
    }
