"""The options of `sweep`, as `--help` has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mlactions.settings import lines_option, option
from mlactions.sweep.jobs import MAX_JOBS

WHAT, HOW = "What is tried", "How it is written"
CHECKED, DONE = "How it is checked", "What is done already"
_JOBS = click.IntRange(1, MAX_JOBS)

_OPTIONS = (
    option(
        "--space",
        section=WHAT,
        metavar="FILE",
        default="configs/sweep.yaml",
        show_default=True,
        help="The search space.",
    ),
    option(
        "--config-dir",
        section=WHAT,
        metavar="DIR",
        default="configs",
        show_default=True,
        help="Hydra's config tree.",
    ),
    option(
        "--config-name",
        section=WHAT,
        metavar="NAME",
        default="",
        help="The config that trials change, such as train.",
    ),
    option(
        "--command", section=WHAT, default="", metavar="LINE", help="Trains; default: the file's."
    ),
    option(
        "--name", section=WHAT, metavar="NAME", default="", help="The sweep's; default: the file's."
    ),
    lines_option(
        "--backend",
        section=HOW,
        metavar="NAME",
        help="Any of shell, matrix, slurm, ray, hydra; default: shell.",
    ),
    option(
        "--max-jobs",
        section=HOW,
        metavar="COUNT",
        type=_JOBS,
        default=MAX_JOBS,
        help="Of a matrix.",
    ),
    option(
        "--no-files", section=HOW, is_flag=True, help="The manifest only, for millions of trials."
    ),
    option(
        "--replace", section=HOW, is_flag=True, help="Write over another sweep of the same name."
    ),
    option(
        "--python",
        section=CHECKED,
        metavar="PROGRAM",
        default="python",
        show_default=True,
        help="The project's, that has Hydra.",
    ),
    lines_option(
        "--import-module",
        section=CHECKED,
        metavar="NAME",
        help="Registers resolvers or ConfigStore.",
    ),
    option(
        "--compose-all", section=CHECKED, is_flag=True, help="Every trial, not one of each kind."
    ),
    option("--no-compose", section=CHECKED, is_flag=True, help="Do not ask Hydra at all."),
    option(
        "--experiment",
        section=DONE,
        metavar="NAME",
        default="",
        help="Of MLflow, where trials are recorded; without it nothing is asked.",
    ),
    option(
        "--tracking-uri",
        section=DONE,
        metavar="URI",
        default="",
        help="Where MLflow is; default: MLFLOW_TRACKING_URI.",
    ),
    option(
        "--data-version", section=DONE, metavar="TEXT", default="", help="As you name your data."
    ),
    option(
        "--reuse-across-commits", section=DONE, is_flag=True, help="Take results of other code."
    ),
    option("--ask", is_flag=True, help="Let the codex on the PATH propose a better space."),
    option("--working-directory", metavar="DIR", default=".", help="The project; default: here."),
    option("--key", metavar="NAME", default="sweep", help="Of the comment and the artifact."),
    option("--out", metavar="DIR", type=click.Path(path_type=Path), help="For result and reports."),
)


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare them."""
    for declare in reversed(_OPTIONS):
        function = declare(function)
    return function
