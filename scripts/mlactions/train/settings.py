"""What a caller may set, checked before anything runs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from mlactions.errors import UserError
from mlactions.evaluate.template import split_arguments
from mlactions.settings import check_key, parse_duration_minutes
from mlactions.train.model import CHECKS, SOURCES, Settings, Source

_PER_NODE = re.compile(r"[1-9]\d{0,3}|gpu|cpu|auto")
_CONFIG_HASH = re.compile(r"[A-Za-z0-9:._-]{1,200}")
_GIB = 1024**3


def read_settings(given: Mapping[str, Any], *, folder: Path) -> Settings:
    """Return the settings of a call; `folder` is where the caller stands."""
    work = (folder / given["working_directory"]).resolve()
    if not work.is_dir():
        raise _refusal("working-directory", given["working_directory"], "no such folder")
    preflight_only = given["preflight_only"]
    return Settings(
        arguments=_arguments(given["command"], optional=preflight_only),
        folder=work,
        checkpoints=(work / given["checkpoints"]).resolve(),
        checkpoints_name=given["checkpoints"],
        preflight_only=preflight_only,
        skip_checks=frozenset(_names(given["skip_checks"], CHECKS, "skip-checks")),
        require_gpus=given["require_gpus"],
        min_gpu_memory=_gibibytes(given["min_gpu_memory_gb"], "min-gpu-memory-gb"),
        min_disk=_gibibytes(given["min_disk_gb"], "min-disk-gb"),
        min_memory=_gibibytes(given["min_memory_gb"], "min-memory-gb"),
        data=tuple(work / path for path in given["data"]),
        tracking_uri=(given["tracking_uri"] or "").strip(),
        heartbeat=frozenset(
            cast(Source, name) for name in _names(given["heartbeat"], SOURCES, "heartbeat")
        )
        or frozenset(SOURCES),
        stalled_after=parse_duration_minutes(
            given["stalled_after_minutes"], field="stalled-after-minutes"
        ),
        soft_limit=_optional(given["soft_limit_minutes"], _minutes("soft-limit-minutes")),
        grace=_seconds(given["grace_seconds"]),
        resume=given["resume"],
        config_hash=_config_hash(given["config_hash"] or ""),
        allow_change=given["allow_change"],
        nproc_per_node=_per_node(given["nproc_per_node"] or ""),
        nnodes=given["nnodes"],
        attempt=given["attempt"],
        max_attempts=given["max_attempts"],
        price=_optional(given["price_per_gpu_hour"], _price),
        key=check_key(given["key"], field="key"),
    )


def _refusal(field: str, value: object, why: str, hint: str = "") -> UserError:
    return UserError("bad input", f"`{field}` is {value!r}: {why}.", hint)


def _arguments(text: str | None, *, optional: bool) -> tuple[str, ...]:
    if not (text or "").strip() and optional:
        return ()
    return split_arguments(text or "", wanted="trains, such as `python scripts/train.py`")


def _names(given: Sequence[str], known: Sequence[str], field: str) -> tuple[str, ...]:
    """Accept names of a list, also several in a line."""
    names = tuple(name for line in given for name in re.split(r"[\s,]+", line) if name)
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            told = f"Did you mean `{close[0]}`?" if close else f"There are {', '.join(known)}."
            raise UserError("bad input", f"`{field}` names {name!r}, which there is not.", told)
    return names


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _gibibytes(text: str, field: str) -> int:
    value = _number(text)
    if not 0 <= value <= 1e6:  # noqa: PLR2004  # a petabyte: more is a slip
        raise _refusal(field, text, "not a number of gibibytes", "Write for example 20.")
    return round(value * _GIB)


def _seconds(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 86_400:  # noqa: PLR2004  # a day: longer is a slip
        raise _refusal("grace-seconds", text, "not 0 to 86400 seconds", "Write for example 300.")
    return value


def _price(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1e6:  # noqa: PLR2004  # an amount of money: more is a slip
        raise _refusal("price-per-gpu-hour", text, "not an amount", "Write for example 2.50.")
    return value


def _minutes(field: str) -> Callable[[str], float]:
    return lambda text: parse_duration_minutes(text, field=field)


def _optional(text: str | None, read: Callable[[str], float]) -> float | None:
    return read(text) if text else None


def _per_node(text: str) -> str:
    if text and not _PER_NODE.fullmatch(text):
        hint = "Write for example 4, or `gpu` for one process on each GPU."
        raise _refusal("nproc-per-node", text, "no number of processes", hint)
    return text


def _config_hash(text: str) -> str:
    if text and not _CONFIG_HASH.fullmatch(text):
        hint = "Use letters, digits, colons, dots, dashes and underscores."
        raise _refusal("config-hash", text, "not the name of a configuration", hint)
    return text
