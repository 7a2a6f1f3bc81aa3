"""What is asked of Codex, as options; `--help` groups them."""

from __future__ import annotations

from pathlib import Path

import click

from mlactions.propose.model import TASKS
from mlactions.settings import Function, lines_option, option

EXAMPLE = """
Example:

\b
  mlactions propose run --task backbone --request "Put a frozen ResNet-18 in front of the head." \\
    --out /tmp/propose
  mlactions propose check --bundle /tmp/propose/bundle --tests pytest --out build/checked
"""
ALLOW = "*.py\n*.md\nconfigs/**\nconf/**"
"""Paths that a patch may change unless told otherwise: code, documents, configs."""

_MOST = {"max_files": 200, "max_lines": 50_000, "max_bytes": 20_000_000}


def with_order(function: Function) -> Function:
    """Add the options that say what is asked for."""
    for one in reversed(_ORDER):
        function = one(function)
    return function


_ORDER = (
    option(
        "--task",
        section="The task",
        type=click.Choice(["", *TASKS]),
        default="",
        metavar="TASK",
        help=f"One that ships: {', '.join(TASKS)}.",
    ),
    option(
        "--prompt-file",
        section="The task",
        metavar="FILE",
        default="",
        help="Or a prompt of your own, on the default branch.",
    ),
    option(
        "--request",
        section="The task",
        metavar="TEXT",
        default="",
        help="What exactly is wanted, in your words.",
    ),
    option(
        "--slug",
        section="The task",
        metavar="NAME",
        default="",
        help="Name of branch and result; the task's if empty.",
    ),
    option(
        "--base",
        section="The task",
        metavar="BRANCH",
        default="",
        help="Branch the change is for; the one of this run if empty.",
    ),
    lines_option(
        "--bundle",
        section="The task",
        metavar="FOLDER",
        help="Result that Codex reads; repeatable.",
    ),
    option(
        "--repository",
        section="The task",
        default=".",
        type=Path,
        help="Checkout that the work tree is made of.",
    ),
    lines_option(
        "--allow",
        section="What may change",
        metavar="GLOB",
        help=f"Default: {' '.join(ALLOW.split())}.",
    ),
    lines_option(
        "--lock-files",
        section="What may change",
        metavar="FILE",
        help="Lock files that may change.",
    ),
    option(
        "--max-files",
        section="What may change",
        metavar="N",
        default=20,
        type=click.IntRange(1, _MOST["max_files"]),
        help="Files at most.",
    ),
    option(
        "--max-lines",
        section="What may change",
        metavar="N",
        default=1000,
        type=click.IntRange(1, _MOST["max_lines"]),
        help="Lines at most.",
    ),
    option(
        "--max-bytes",
        section="What may change",
        default=1_000_000,
        type=click.IntRange(1, _MOST["max_bytes"]),
        help="Bytes of the changed files.",
    ),
    option(
        "--require-tests",
        section="What may change",
        type=click.Choice(["auto", "true", "false"]),
        default="auto",
        help="Whether the change must bring tests; `auto` asks the task.",
    ),
    option(
        "--model",
        section="Codex",
        metavar="NAME",
        default="",
        help="Model; Codex's own choice if empty.",
    ),
    option(
        "--effort",
        section="Codex",
        metavar="LEVEL",
        default="",
        help="Reasoning effort; the model's own if empty.",
    ),
    option(
        "--responses-api-endpoint",
        section="Codex",
        metavar="URL",
        default="",
        help="Another Responses API, such as Azure's.",
    ),
    option("--out", type=Path, help="Folder for the task, outside the repository."),
)
