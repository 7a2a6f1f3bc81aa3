"""The edge of evaluate: options in, an exit code out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlactions.environment import caller_environment, user_environment
from mlactions.evaluate.git import Git
from mlactions.evaluate.session import Session
from mlactions.evaluate.settings import BASELINE, CONFIGS, MAX_SHARDS, read_settings, report_place
from mlactions.publish import out_folder
from mlactions.runner import Runner
from mlactions.settings import lines_option, option

_POSITIVE = click.IntRange(min=1)


@click.command("evaluate", context_settings={"help_option_names": ["-h", "--help"]})
@option("--command", required=True, help="With {config} {name} {seed} {output} {predictions}.")
@lines_option(
    "--configs",
    default=(CONFIGS,),
    show_default=True,
    help="Globs of the configs to evaluate, below the working directory.",
)
@option("--select", type=click.Choice(["changed", "all"]), default="changed", show_default=True)
@option("--base-ref", default="", help="Branch or commit the change is measured from.")
@lines_option("--depends", help="Globs of files that affect every config: locks, data manifests.")
@lines_option("--protocol-files", help="Globs of files that define how is measured; hashed.")
@lines_option("--seeds", help="Whole numbers: 0,1,2 or one a line.")
@option("--timeout-minutes", default="60", show_default=True, help="For one evaluation.")
@option("--grace-seconds", default="10", show_default=True, help="Between SIGTERM and SIGKILL.")
@option("--jobs", type=_POSITIVE, default=1, show_default=True, help="Evaluations at a time.")
@option("--max-configs", type=_POSITIVE, default=100, show_default=True)
@option("--working-directory", default=".", show_default=True, help="Where the command runs.")
@option("--also-base/--no-also-base", default=False, help="Evaluate the merge base as well.")
@lines_option("--share", help="Untracked paths that the base needs too: data, an environment.")
@option("--cache-dir", default="", help="Keep the base's results here, by commit and protocol.")
@lines_option("--only", help="Evaluate these configs of the matrix, whatever changed.")
@option("--matrix-only/--no-matrix-only", default=False, help="Plan; evaluate nothing.")
@option("--max-shards", type=click.IntRange(1, MAX_SHARDS), default=MAX_SHARDS, show_default=True)
@option("--report-file", default="", help="Write the report there too, in Markdown.")
@option(
    "--baseline",
    default=BASELINE,
    show_default=True,
    help="Names the metrics that progress lines and the report show first.",
)
@option("--key", default="evaluate", show_default=True, help="Tells this check from others.")
@option("--verbose", is_flag=True, help="Unfold the whole report in the terminal.")
@option("--out", type=click.Path(path_type=Path), help="Folder for the results.")
@click.pass_obj
def command(runner: Runner, /, **given: Any) -> int:
    """Run the evaluation of every model config that a change touches, and collect its metrics."""
    folder = Path.cwd()
    settings = read_settings(given, folder=folder)
    out = out_folder(given["out"], runner, "evaluate")
    session = Session(
        settings=settings,
        runner=runner,
        out=out,
        git=Git.find(settings.folder),
        environ=user_environment(caller_environment(runner.environ)),
        report_file=report_place(folder, settings.report_file, out=out),
        verbose=given["verbose"],
    )
    return session.run()
