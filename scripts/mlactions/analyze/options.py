"""The options of `analyze`, as `--help` groups them."""

from __future__ import annotations

from pathlib import Path

import click

from mlactions.settings import Function, lines_option, option

MAX_TOP = 100

RUNS, READING = "Which runs", "How they are read"
VERDICT, OUTPUT = "Verdict", "Output"
EXAMPLE = """
Example:

\b
  mlactions analyze --experiment digits --metric val_accuracy \\
    --tracking-uri sqlite:///mlflow.db --out build/analyze
"""

_OPTIONS = (
    option("--experiment", section=RUNS, metavar="NAME", required=True, help="By name or id."),
    option("--tracking-uri", section=RUNS, metavar="URI", help="Default: MLFLOW_TRACKING_URI."),
    option("--sweep", section=RUNS, metavar="NAME", default="", help="Only those of this sweep."),
    option(
        "--filter",
        section=RUNS,
        metavar="EXPRESSION",
        default="",
        help="Only those that match: `metrics.val_accuracy > 0.82`.",
    ),
    option(
        "--metric",
        section=READING,
        metavar="NAME",
        required=True,
        help="The metric that says how good a run is.",
    ),
    option(
        "--direction",
        section=READING,
        type=click.Choice(["higher", "lower"]),
        default="higher",
        show_default=True,
        help="Which values of it are better.",
    ),
    option(
        "--range", section=READING, metavar="LOW..HIGH", default="", help="What it can be: 0..1."
    ),
    option(
        "--top",
        section=READING,
        metavar="N",
        type=click.IntRange(1, MAX_TOP),
        default=5,
        show_default=True,
        help="How many of the best to show.",
    ),
    lines_option(
        "--seed-params",
        section=READING,
        metavar="NAME",
        help="Default: those called seed and the like; repeatable.",
    ),
    lines_option(
        "--rename", section=READING, metavar="OLD=NEW", help="A parameter has another name now."
    ),
    lines_option("--ignore", section=READING, metavar="GLOB", help="Parameters to leave out."),
    lines_option(
        "--curve", section=READING, metavar="METRIC", help="Read its learning curves, too."
    ),
    option(
        "--price-per-hour",
        section=READING,
        metavar="NUMBER",
        default="",
        help="What an hour costs.",
    ),
    lines_option(
        "--require",
        section=VERDICT,
        metavar="CONDITION",
        help="Fail unless it holds: `best >= 0.9`, `finished >= 20`, `failed-share <= 0.1`.",
    ),
    option(
        "--fail-on",
        section=VERDICT,
        type=click.Choice(["fail", "warn"]),
        default="fail",
        show_default=True,
        help="What makes the exit code 1.",
    ),
    option(
        "--previous",
        section=VERDICT,
        metavar="PATH",
        default="",
        help="An earlier bundle or result.json: say what changed since.",
    ),
    option(
        "--today", section=VERDICT, metavar="DAY", help="Judge running runs by it; default: now."
    ),
    option(
        "--out",
        section=OUTPUT,
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="Folder for result and reports; needed outside of GitHub Actions.",
    ),
    option("--key", section=OUTPUT, default="analyze", help="Name of the issue and the artifact."),
    option("--verbose", section=OUTPUT, is_flag=True, help="Unfold the whole report here."),
    option("--ask", section=OUTPUT, is_flag=True, help="Let the codex on the PATH explain it."),
)


def with_options(function: Function) -> Function:
    """Give a command the options."""
    for add in reversed(_OPTIONS):
        function = add(function)
    return function
