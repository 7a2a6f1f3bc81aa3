"""The commands after generating: `sweep status` says how it went, `sweep next` proposes trials."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mlactions.environment import caller_environment, user_environment
from mlactions.errors import Exit
from mlactions.publish import check_folder, empty_folder, out_folder
from mlactions.runner import Runner
from mlactions.settings import Status, check_key, option
from mlactions.sweep.cli import WRITTEN, ask_about, finish, tracking_uri
from mlactions.sweep.extend import extend
from mlactions.sweep.jobs import MAX_JOBS
from mlactions.sweep.lookup import check_data
from mlactions.sweep.manifest import NAME, write_manifest
from mlactions.sweep.settings import Settings
from mlactions.sweep.standing import analysed, document, held, rows
from mlactions.user_python import without_credentials


def _options(function: Any) -> Any:
    """Declare the options that both commands have."""
    for decorate in reversed(
        (
            option("--space", metavar="FILE", default="configs/sweep.yaml", help="The space."),
            option("--config-dir", metavar="DIR", default="configs", help="Config tree."),
            option("--name", default="", help="The sweep's name; default: the file's."),
            option("--tracking-uri", metavar="URI", default="", help="Default: the sweep's."),
            option("--experiment", metavar="NAME", default="", help="Default: the sweep's."),
            option("--data-version", metavar="TEXT", default="", help="Default: the sweep's."),
            option("--reuse-across-commits", is_flag=True, help="Take results of other commits."),
            option("--max-jobs", type=click.IntRange(1, MAX_JOBS), default=MAX_JOBS, help="Jobs."),
            option("--working-directory", default=".", help="Folder that paths are relative to."),
            option("--key", default="sweep", help="Name of the comment and the artifact."),
            option("--out", type=click.Path(path_type=Path), help="Folder for the reports."),
        )
    ):
        function = decorate(function)
    return function


@click.command("status")
@_options
@option("--no-analysis", is_flag=True, help="Leave out what `analyze` says of the runs.")
@option("--ask", is_flag=True, help="Let the codex on the PATH propose a narrower space.")
@click.pass_obj
def status_command(runner: Runner, /, **given: Any) -> int:
    """Say which trials are finished, which are best, and what mattered.

    Exit code 0: read. 1: trials failed for good. 2: bad input, or MLflow cannot be read.
    """
    caller = caller_environment(runner.environ)
    out = out_folder(given["out"], runner, "sweep")
    settings = _settings(given, caller)
    check_folder(out, "sweep", WRITTEN)
    with held(settings, caller) as seen:
        write_manifest(seen.folder / NAME, seen.manifest.header, rows(seen))
    empty_folder(out, "sweep", WRITTEN)
    analysis = None if given["no_analysis"] else analysed(seen, caller)
    result = document(seen, "status", analysis=analysis)
    finish(result, seen.left, seen.settings, out, runner)
    if given["ask"]:
        ask_about(out, settings, runner, caller)
    return Exit.FAILED_CHECK if result["status"] == Status.FAIL else Exit.PASS


@click.command("next")
@_options
@option("--count", type=click.IntRange(1, 1000), default=1, help="Configurations to add.")
@option("--python", default="python", show_default=True, help="The project's Python, for Hydra.")
@option("--no-compose", is_flag=True, help="Do not ask Hydra whether trials compose.")
@click.pass_obj
def next_command(runner: Runner, /, **given: Any) -> int:
    """Add the trials that TPE proposes, given those that are finished.

    Exit code 0: added, or the target or `run_cap` is reached. 1: refused, above the budget. 2: bad
    input, or MLflow cannot be read.
    """
    caller = caller_environment(runner.environ)
    out = out_folder(given["out"], runner, "sweep")
    settings = _settings(given, caller)
    check_folder(out, "sweep", WRITTEN)
    environ = without_credentials(user_environment(caller))
    with held(settings, caller) as seen:
        result, left = extend(seen, environ, count=given["count"])
    empty_folder(out, "sweep", WRITTEN)
    finish(result, left, seen.settings, out, runner)
    return Exit.FAILED_CHECK if result["refused"] else Exit.PASS


def _settings(given: Mapping[str, Any], caller: Mapping[str, str]) -> Settings:
    folder = Path(given["working_directory"])
    return Settings(
        space=folder / given["space"],
        folder=folder,
        config_dir=given["config_dir"],
        config_name="",
        backends=("matrix",),
        name=given["name"],
        python=given.get("python", "python"),
        compose="none" if given.get("no_compose") else "choices",
        tracking_uri=tracking_uri(given["tracking_uri"], caller),
        experiment=given["experiment"],
        data=check_data(given["data_version"]),
        across_commits=given["reuse_across_commits"],
        max_jobs=given["max_jobs"],
        now_ms=datetime.now(UTC).timestamp() * 1000,
        key=check_key(given["key"], field="key"),
    )
