"""The edge of doctor: a repository in, a report and an exit code out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import click

from mlactions import markdown, terminal
from mlactions.doctor.check import Checkup, check
from mlactions.doctor.render import document, render, status_of
from mlactions.environment import caller_environment
from mlactions.errors import Exit
from mlactions.init.command import find_repository, reader
from mlactions.init.packages import find_packages
from mlactions.init.pins import choose_pin
from mlactions.runner import Annotation, Level, Runner
from mlactions.schema import resource
from mlactions.settings import Status, option

_LEVELS: Mapping[str, Level] = {"fail": "error", "warn": "warning"}


@click.command("doctor", context_settings={"help_option_names": ["-h", "--help"]})
@option(
    "--pin", default="", metavar="SHA", help="Commit that workflows should be at; default: ours."
)
@option("--fail-on", type=click.Choice(["fail", "warn"]), default="fail", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout instead of a report.")
@click.pass_obj
def command(runner: Runner, /, **given: Any) -> int:
    """Check this repository's workflows, baseline and configs, and say what to do. Runs nothing.

    Exit code 0: all is well, or there are warnings. 1: something is to be mended. 2: bad input.
    """
    git = find_repository(Path.cwd())
    own, _ = choose_pin(given["pin"])
    files, read = git.files(), reader(git.root)
    packages = find_packages(frozenset(files), read, [])
    checkup = check(files, read, load=_own_file, own=own, packages=packages)
    if given["as_json"]:
        click.echo(json.dumps(document(checkup), indent=2))  # names that are no text too
    else:
        _show(checkup, runner)
    status = status_of(checkup)
    failed = status is Status.FAIL or (status is Status.WARN and given["fail_on"] == "warn")
    return Exit.FAILED_CHECK if failed else Exit.PASS


def _show(checkup: Checkup, runner: Runner) -> None:
    report = render(checkup, _tools(runner.environ))
    for problem in checkup.problems:
        message = f"{problem.message} {problem.fix}"
        level = _LEVELS[problem.severity]
        runner.mark(Annotation(level, message, problem.rule, problem.file, problem.line))
    terminal.show(report, runner.stream, runner.environ)
    runner.summary(markdown.render(report))


def _own_file(path: str) -> str | None:
    """Return a file of this library; a path that a user wrote leads nowhere else."""
    parts = PurePosixPath(path).parts
    if ".." in parts or path.startswith("/"):
        return None
    found = resource(path)
    return found.read_text(encoding="utf-8") if found.is_file() else None


def _tools(environ: Mapping[str, str]) -> dict[str, bool]:
    """Say which of the programs that our words start are on this machine."""
    search = caller_environment(environ).get("PATH")
    return {name: shutil.which(name, path=search) is not None for name in ("git", "uv")}
