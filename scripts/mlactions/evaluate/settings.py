"""What a caller may set, checked before anything runs."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlactions.errors import UserError
from mlactions.evaluate.process import Limits
from mlactions.evaluate.template import Template, parse_template
from mlactions.settings import check_key, parse_duration_minutes, path_below

CONFIGS = "configs/*.yaml"
BASELINE = "configs/baseline.yaml"

MAX_SHARDS = 256
"""GitHub runs at most this many jobs of one matrix."""


@dataclass(frozen=True)
class Settings:
    """The inputs of `evaluate`. Globs and `working_directory` are relative to the caller's folder.

    `seeds` is (None,) where the command takes no seed.
    """

    template: Template
    configs: tuple[str, ...]
    select: Literal["changed", "all"]
    base_ref: str
    depends: tuple[str, ...]
    protocol_files: tuple[str, ...]
    seeds: tuple[int | None, ...]
    limits: Limits
    jobs: int
    max_configs: int
    folder: Path
    also_base: bool
    share: tuple[str, ...]
    cache: Path | None
    only: tuple[str, ...]
    matrix_only: bool
    max_shards: int
    report_file: str
    baseline: str
    key: str


def read_settings(given: dict[str, Any], *, folder: Path) -> Settings:
    """Return the settings of a call; `folder` is where the caller stands."""
    template = parse_template(given["command"])
    work = (folder / given["working_directory"]).resolve()
    if not work.is_dir():
        raise UserError(
            "bad input", f"`working-directory` is {given['working_directory']!r}: no such folder."
        )
    return Settings(
        template=template,
        configs=given["configs"],
        select=given["select"],
        base_ref=given["base_ref"],
        depends=given["depends"],
        protocol_files=given["protocol_files"],
        seeds=_seeds_for(template, parse_seeds(given["seeds"])),
        limits=Limits(
            timeout=parse_duration_minutes(given["timeout_minutes"], field="timeout-minutes"),
            grace=_grace(given["grace_seconds"]),
        ),
        jobs=given["jobs"],
        max_configs=given["max_configs"],
        folder=work,
        also_base=given["also_base"],
        share=given["share"],
        cache=Path(given["cache_dir"]).resolve() if given["cache_dir"] else None,
        only=given["only"],
        matrix_only=given["matrix_only"],
        max_shards=given["max_shards"],
        report_file=given["report_file"],
        baseline=given["baseline"],
        key=check_key(given["key"], field="key"),
    )


def report_place(folder: Path, text: str, *, out: Path) -> Path | None:
    """Return where else the report goes; None for nowhere.

    Raises UserError for a place that cannot take it: before anything is measured, not after.
    """
    if not text:
        return None
    path = path_below(folder, text, field="report-file")
    if path.is_dir() or text.endswith("/"):
        why = "is a folder"
    elif path.is_relative_to(out.resolve()):
        why = "lies in `out`, which holds the results and nothing else"
    elif path.exists() and not path.is_file():
        why = "is no regular file"
    else:
        parent = next(parent for parent in path.parents if parent.exists())
        if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK):
            return path
        why = "cannot be written" if parent.is_dir() else f"lies below {parent.name!r}, a file"
    raise UserError(
        "bad input", f"`report-file` is {text!r}, which {why}.", "Write for example eval_report.md."
    )


def parse_seeds(lines: Sequence[str]) -> tuple[int, ...]:
    """Read seeds separated by commas, spaces or lines; duplicates are refused."""
    words = [word for line in lines for word in re.split(r"[\s,]+", line) if word]
    for word in words:
        if not re.fullmatch(r"[+-]?\d{1,18}", word):
            raise UserError(
                "bad input",
                f"`seeds` holds {word!r}, not a whole number.",
                "Write each seed: 0,1,2,3,4.",
            )
    seeds = tuple(int(word) for word in words)
    if len(set(seeds)) != len(seeds):
        raise UserError("bad input", "`seeds` names a seed twice.", "Each seed runs once.")
    return seeds


def _seeds_for(template: Template, seeds: tuple[int, ...]) -> tuple[int | None, ...]:
    if template.uses("seed"):
        return seeds or (0,)
    if seeds:
        raise UserError(
            "bad input",
            "`seeds` is given, but `command` has no {seed}.",
            "Add {seed} to the command, or leave `seeds` out.",
        )
    return (None,)


def _grace(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= 3600:  # noqa: PLR2004  # an hour: longer is a slip
        raise UserError(
            "bad input",
            f"`grace-seconds` is {text!r}, not 0 to 3600 seconds.",
            "Write for example 10.",
        )
    return seconds
