"""The command line of `audit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mlactions.audit.baseline import read_baseline, split, write_document
from mlactions.audit.engine import audit
from mlactions.audit.facts import facts
from mlactions.audit.files import take_stock
from mlactions.audit.findings import FILE, marks, sarif_document
from mlactions.audit.render import render
from mlactions.audit.result import Context, document
from mlactions.audit.score import Point, counts, history, score
from mlactions.bundle import open_bundle, write_json
from mlactions.compare.rules import Git, git_in
from mlactions.environment import caller_environment, user_environment
from mlactions.errors import Exit, UserError
from mlactions.publish import empty_folder, out_folder, publish
from mlactions.runner import Runner
from mlactions.settings import (
    Lines,
    check_key,
    lines_option,
    option,
    parse_duration_minutes,
)

ANSWER = "answer"
MEASURED = "measured"
MAX_TREND = 100
_HELP = {"help_option_names": ["-h", "--help"]}


class _Group(click.Group):
    """`audit PATH…` checks; `audit measure` runs the user's command twice."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Put the word `check` in front of what is no other command."""
        if args[:1] not in (["measure"], ["check"]):
            args = ["check", *args]
        return super().parse_args(context, args)


class _Check(click.Command):
    """`audit --help` is the help of `check`: it says which other command there is."""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands beside this one."""
        with formatter.section("Commands"):
            formatter.write_dl([("measure", measure_command.get_short_help_str(80))])
        super().format_epilog(context, formatter)


@click.group("audit", cls=_Group, context_settings=_HELP)
def command() -> None:
    """Audit the reproducibility of training code."""


def _flatten(_context: Any, _parameter: Any, value: Any) -> tuple[str, ...]:
    return tuple(item for group in value for item in group)


@command.command("check", cls=_Check, context_settings=_HELP)
@click.argument("paths", nargs=-1, type=Lines(), envvar="INPUT_PATHS", callback=_flatten)
@option("--measured", type=click.Path(path_type=Path), help="What `audit measure` left.")
@option("--double-run", metavar="COMMAND", help="Run it twice here and compare.")
@option("--workers", default="0,2", show_default=True, help="Counts that {workers} stands for.")
@option("--python", default="python", show_default=True, help="Your Python, to read parameters.")
@option("--timeout-minutes", default="30", show_default=True, help="Of each run.")
@option("--sarif", metavar="FILE", help="Write the findings there too, as SARIF.")
@option("--baseline", metavar="FILE", help="Findings that are known and do not count.")
@option("--write-baseline", is_flag=True, help="Write the baseline from what is found now.")
@option("--base-ref", metavar="REF", help="Take the baseline from this commit.")
@lines_option("--exclude", metavar="GLOB", help="Files to leave out.")
@option("--include-tests", is_flag=True, help="Audit test files too.")
@option("--trend", default="0", show_default=True, help="Earlier commits to score.")
@option("--fail-on", type=click.Choice(["fail", "warn"]), help="What makes the check fail.")
@option("--key", default="audit", help="Name of the comment and the artifact.")
@option("--working-directory", default=".", help="Folder that paths are relative to.")
@option("--out", type=click.Path(path_type=Path), help="Folder for result and reports.")
@option("--ask", is_flag=True, help="Let the codex on the PATH judge what rules cannot.")
@click.pass_obj
def check(runner: Runner, /, **given: Any) -> int:
    """Audit the Python files and notebooks below PATH… (default: the whole folder).

    `audit measure` runs your command twice and compares; hand its folder over as --measured.
    Exit code 0: no error found. 1: an error, runs that differ, or nothing to audit. 2: bad input.
    """
    caller = caller_environment(runner.environ)
    out = out_folder(given["out"], runner, "audit")
    settings = read_settings(given)
    empty_folder(out, "audit", {FILE, ANSWER, MEASURED})
    git = git_in(settings.folder)
    commit = _line(git("rev-parse", "--verify", "--quiet", "HEAD"))
    measured = _measured(given, runner, out, settings.folder, caller=caller, commit=commit)
    result = _audit(settings, git, commit, measured)
    if given["write_baseline"]:
        runner.say(f"baseline: {given['baseline']}")
    for annotation in marks(result):
        runner.mark(annotation)
    sarif = sarif_document(result)
    write_json(out / FILE, sarif)
    if given["sarif"]:
        write_json(Path(given["sarif"]), sarif)
    runner.output("sarif", str(out / FILE))
    runner.output("score", f"{result['score']:g}")
    publish(runner, out, result, render, facts(result))
    if given["ask"]:
        _ask(runner, out, settings, caller)
    failed = result["status"] == "fail" or (result["status"] == "warn" and settings.fail_on_warn)
    return Exit.FAILED_CHECK if failed else Exit.PASS


@dataclass(frozen=True)
class Settings:
    """What the user chose. `paths` are relative to `folder`; `trend` counts earlier commits."""

    paths: tuple[str, ...]
    folder: Path
    baseline: str
    write_baseline: bool
    base_ref: str
    exclude: tuple[str, ...]
    tests: bool
    trend: int
    key: str
    fail_on_warn: bool


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Check what click parsed and could not check itself."""
    folder = Path(given["working_directory"])
    if not folder.is_dir():
        hint = "Name the folder of the ML project."
        raise UserError("bad input", "`working-directory` is no folder.", hint, str(folder))
    if given["write_baseline"] and not given["baseline"]:
        hint = "Write `--baseline audit-baseline.json --write-baseline`."
        raise UserError("bad input", "`--write-baseline` has no `--baseline`.", hint)
    trend = str(given["trend"])
    if not trend.isdigit() or int(trend) > MAX_TREND:
        raise UserError("bad input", f"`trend` is {trend!r}.", f"Write 0 to {MAX_TREND}.")
    return Settings(
        paths=given["paths"] or (".",),
        folder=folder,
        baseline=given["baseline"] or "",
        write_baseline=given["write_baseline"],
        base_ref=given["base_ref"] or "",
        exclude=given["exclude"],
        tests=given["include_tests"],
        trend=int(trend),
        key=check_key(given["key"], field="key"),
        fail_on_warn=given["fail_on"] == "warn",
    )


def _audit(
    settings: Settings, git: Git, commit: str, measured: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Read, judge, and return the result."""
    inventory = take_stock(
        settings.folder, settings.paths, exclude=settings.exclude, tests=settings.tests
    )
    found = audit(inventory)
    if settings.write_baseline:
        write_json(settings.folder / settings.baseline, write_document(found.findings))
    ref = "" if settings.write_baseline else settings.base_ref
    baseline = read_baseline(settings.baseline, folder=settings.folder, base_ref=ref, git=git)
    trend: tuple[Point, ...] = ()
    if settings.trend and commit:
        options = {"commits": settings.trend, "exclude": settings.exclude, "tests": settings.tests}
        trend = tuple(history(git, settings.paths, **options))  # type: ignore[arg-type]  # as named
        now = Point("now", "", score(found.findings), **counts(found.findings))
        trend = (*trend, now)
    context = Context(
        paths=settings.paths,
        key=settings.key,
        commit=commit,
        prefix=_line(git("rev-parse", "--show-prefix")),
        baseline=baseline,
        trend=trend,
        measured=measured,
    )
    return document(found, split(found.findings, baseline), context)


def _line(done: Any) -> str:
    """Return what git printed; nothing where there is no repository."""
    return "" if done.returncode else str(done.stdout.decode(errors="replace").strip())


def _measured(
    given: Mapping[str, Any],
    runner: Runner,
    out: Path,
    folder: Path,
    *,
    caller: Mapping[str, str],
    commit: str,
) -> Mapping[str, Any] | None:
    """Return the double run: one that was measured elsewhere, or one that is made here."""
    from mlactions.audit import measure

    if given["measured"] and given["double_run"]:
        hint = "Give one of them."
        raise UserError("bad input", "`--measured` and `--double-run` exclude each other.", hint)
    if given["measured"]:
        bundle = open_bundle(given["measured"], word=measure.WORD)
        found: Mapping[str, Any] = bundle.json(measure.FILE, schema="audit-measured")
        if found["commit"] and commit and found["commit"] != commit:
            message = f"it was measured at {found['commit'][:12]}, not at {commit[:12]}."
            raise UserError("wrong commit", message, "Measure again.", str(given["measured"]))
        return found
    if not given["double_run"]:
        return None
    asked = _asked(given)
    environ = user_environment(caller)
    return measure.run_measure(
        runner, out / MEASURED, asked, folder=folder, environ=environ, commit=commit
    )


def _asked(given: Mapping[str, Any]) -> Any:
    from mlactions.audit.measure import parse_command

    seconds = parse_duration_minutes(given["timeout_minutes"], field="timeout-minutes")
    return parse_command(
        given["double_run"] or "",
        workers=given["workers"],
        python=given["python"],
        seconds=seconds,
    )


@command.command("measure", context_settings=_HELP)
@option("--double-run", metavar="COMMAND", required=True, help="Your smoke training.")
@option("--workers", default="0,2", show_default=True, help="Counts that {workers} stands for.")
@option("--python", default="python", show_default=True, help="Your Python, to read parameters.")
@option("--timeout-minutes", default="30", show_default=True, help="Of each run.")
@option("--working-directory", default=".", help="Folder the command runs in.")
@option("--out", type=click.Path(path_type=Path), help="Folder for what was measured.")
@click.pass_obj
def measure_command(runner: Runner, /, **given: Any) -> int:
    """Run a command twice, and once with another number of workers, and compare."""
    from mlactions.audit import measure

    caller = caller_environment(runner.environ)
    out = out_folder(given["out"], runner, measure.WORD)
    asked = _asked(given)
    folder = Path(given["working_directory"])
    empty_folder(out, measure.WORD, {measure.FILE, "runs"})
    commit = _line(git_in(folder)("rev-parse", "--verify", "--quiet", "HEAD"))
    environ = user_environment(caller)
    found = measure.run_measure(runner, out, asked, folder=folder, environ=environ, commit=commit)
    return measure.publish_measure(runner, out, found)


def _ask(runner: Runner, out: Path, settings: Settings, caller: Mapping[str, str]) -> None:
    """Let Codex judge; the verdict stands whatever it says, or fails to say."""
    from mlactions.ask import ask_locally, tell_locally  # only who asks pays for it

    answer = out / ANSWER
    checked = ask_locally(
        runner,
        [out],
        out=answer,
        repository=settings.folder,
        base_ref=settings.base_ref,
        always=True,  # what no rule sees is asked for most where no rule found anything
        environ=caller,
    )
    tell_locally(runner, checked, answer)
