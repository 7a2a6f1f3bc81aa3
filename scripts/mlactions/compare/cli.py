"""The command line of `compare`."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mlactions.compare import fields
from mlactions.compare.candidate import read_candidate
from mlactions.compare.commits import checked, other_commit
from mlactions.compare.facts import facts
from mlactions.compare.gate import assess
from mlactions.compare.judge import policy
from mlactions.compare.model import (
    Baseline,
    Candidate,
    Finding,
    Settings,
    Verdict,
)
from mlactions.compare.paired import gather
from mlactions.compare.places import places_of
from mlactions.compare.predictions import below
from mlactions.compare.presence import expected_models
from mlactions.compare.removed import followed, removed_models
from mlactions.compare.renames import renames
from mlactions.compare.reporting import render
from mlactions.compare.result import Context, HeadRules, Place, document
from mlactions.compare.rules import AbsentAtBaseError, Rules, git_in, read_rules
from mlactions.compare.shapes import check_shape
from mlactions.compare.suggest import notices, paste, without_rule
from mlactions.errors import Exit, UserError
from mlactions.publish import check_folder, empty_folder, out_folder, publish
from mlactions.runner import Annotation, Level, Runner
from mlactions.settings import Status, check_key, lines_option, option

_ANNOTATED: dict[str, Level] = {"fail": "error", "warn": "warning"}
MAX_ANNOTATED = 50
BASELINE = "configs/baseline.yaml"
INCONCLUSIVE = (
    "What a change does that is larger than allowed but inside the noise of the seeds."
    " Default: fail; the report says how many seeds would settle it."
)
REQUIRE = (
    "Pass only what is shown to be no worse than allowed (the whole interval within it), not what"
    " merely fails to look worse. Needs several seeds."
)
PROPOSAL = "calibration.yaml"
ANSWER = "answer"
"""What `calibrate` and `--ask` leave in the folder of results."""


@dataclass(frozen=True)
class Options:
    """The command line, read and checked. `name` is the baseline's path in the repository."""

    baseline: Path
    folder: Path
    name: str
    metrics: tuple[Path, ...]
    out: Path
    base_ref: str
    bootstrap: bool
    predictions: Path | None
    key: str
    fail_on_warn: bool
    ask: bool
    verbose: bool
    settings: Settings


class _Group(click.Group):
    """`compare` alone compares; its two other commands are imported when they are called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return ["calibrate", "update"]

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        from mlactions.compare import maintain

        return {"calibrate": maintain.calibrate, "update": maintain.update}.get(name)


@click.group(
    "compare",
    cls=_Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@option("--baseline", metavar="FILE", default=BASELINE, show_default=True, help="Baseline YAML.")
@lines_option("--metrics", metavar="PATH", help="Bundle, folder of <model>.json, or one JSON file.")
@option("--out", type=click.Path(path_type=Path), help="Folder for result and reports.")
@option("--base-ref", metavar="REF", help="Take the rules from this commit.")
@option(
    "--bootstrap",
    type=click.Choice(["none", "head"]),
    help="Where the base has no baseline yet: fail, or use the head's.",
)
@lines_option("--expected", metavar="MODEL", help="Models that must have been measured.")
@option("--predictions", type=click.Path(path_type=Path), help="Folder with base/ and head/.")
@option("--fail-on", type=click.Choice(["fail", "warn"]), help="What makes the check fail.")
@option("--on-inconclusive", type=click.Choice(["fail", "warn"]), help=INCONCLUSIVE)
@option("--require", type=click.Choice(["non-inferior"]), help=REQUIRE)
@option("--max-age-days", type=click.IntRange(1, 36_500), help="Warn of older baselines.")
@option("--key", default="compare", help="Name of the comment and the artifact.")
@option("--working-directory", default=".", help="Folder that --baseline is relative to.")
@option("--today", metavar="DAY", help="Day that waivers and ages are judged by; default: now.")
@option("--verbose", is_flag=True, help="Unfold the whole report in the terminal.")
@option("--ask", is_flag=True, help="Let the codex on the PATH explain what failed.")
@click.pass_context
def command(context: click.Context, /, **given: Any) -> int:
    """Check metrics against a baseline YAML.

    Exit code 0: every rule holds (warnings allowed, unless --fail-on warn). 1: a rule fails, or
    something was not measured. 2: the baseline or a metrics file cannot be used.
    """
    if context.invoked_subcommand is not None:
        return Exit.PASS
    runner: Runner = context.obj
    # Thousands of rules hold no cycles: looking for some takes a tenth of the time.
    gc.disable()
    try:
        return run(read_options(given, runner), runner)
    finally:
        gc.enable()


def read_options(given: Mapping[str, Any], runner: Runner) -> Options:
    """Check what click parsed and could not check itself."""
    folder = Path(given["working_directory"])
    return Options(
        baseline=folder / given["baseline"],
        folder=folder,
        name=(folder / given["baseline"]).as_posix(),
        metrics=tuple(map(Path, given["metrics"])),
        out=results_folder(given["out"], runner),
        base_ref=given["base_ref"] or "",
        bootstrap=given["bootstrap"] == "head",
        predictions=given["predictions"],
        key=check_key(given["key"], field="key"),
        fail_on_warn=given["fail_on"] == "warn",
        ask=given["ask"],
        verbose=given["verbose"],
        settings=Settings(
            today=checked_day(given["today"]),
            on_inconclusive=given["on_inconclusive"],
            non_inferior=given["require"] is not None,
            max_age_days=given["max_age_days"],
            expected=frozenset(given["expected"]) or None,
        ),
    )


def results_folder(given: Path | None, runner: Runner) -> Path:
    """Return the folder to write to; a file in its place is refused before anything is done."""
    out = out_folder(given, runner, "compare")
    file = next((path for path in (out, *out.parents) if path.is_file()), None)
    if file is not None:
        raise UserError(
            "bad input",
            f"`--out` leads to {given}, and {file.name} is a file.",
            "Name a folder; it is made where it does not exist.",
        )
    return out


def checked_day(given: str | None) -> str:
    """Return the day to judge by, as an ISO date; without one, today in UTC."""
    if not given:
        return datetime.now(tz=UTC).date().isoformat()
    hint = fields.day(given)
    if hint is not None:
        raise UserError("bad input", f"`--today` is {given!r}.", hint)
    return given


def run(options: Options, runner: Runner) -> int:
    """Compare, publish, and return the exit code."""
    forget(options.out, options.metrics)
    candidate = read_candidate(options.metrics)
    if options.predictions is not None:
        candidate = below(options.predictions, candidate)
    try:
        rules = read_rules(
            options.baseline,
            folder=options.folder,
            name=options.name,
            base_ref=options.base_ref,
            bootstrap=options.bootstrap,
            git=git_in(options.folder),
        )
    except AbsentAtBaseError as absent:
        rules = Rules(Baseline(options.name, ""), "base", absent.commit)
        verdict = Verdict(Status.FAIL, (), (absent.finding(),))
    else:
        if options.settings.expected is None:
            check_shape(options.metrics, candidate, rules.baseline.models)
        settings = replace(options.settings, still_ruled=_still_ruled(rules))
        against = checked(candidate, git_in(options.folder), runner.environ)
        early = tuple(other_commit(candidate, against))
        verdict = weigh(rules.baseline, candidate, settings, early)
        rules = replace(rules, baseline=followed(rules.baseline, candidate, settings))
    context = _context(rules, candidate, verdict, options)
    result = document(verdict, rules.baseline, candidate, context)
    annotate(verdict.findings, context.places, runner)
    publish(runner, options.out, result, render, facts(result), verbose=options.verbose)
    if options.ask:
        from mlactions.compare.explain import explain  # only who asks pays for it

        answer = options.out / ANSWER
        explain(runner, options.out, options.metrics, options.base_ref, out=answer)
        runner.say(f"{verdict.status.upper()}: {result['verdict']}")
    failed = verdict.status is Status.FAIL
    warned = verdict.status is Status.WARN and options.fail_on_warn
    return Exit.FAILED_CHECK if failed or warned else Exit.PASS


def forget(out: Path, metrics: Sequence[Path]) -> None:
    """Remove an earlier verdict, so that nobody takes it for the one that is not reached now.

    Raises UserError for a folder that holds anything else.
    """
    if any(path.resolve() == out for path in metrics):
        raise UserError("bad input", "`--out` is what `--metrics` names.", "Name another folder.")
    check_folder(out, "compare", {PROPOSAL, ANSWER})
    if (out / ANSWER).exists():
        from mlactions.ask.proposal import answer_files  # only who asked pays for it

        empty_folder(out / ANSWER, "ask", answer_files(out / ANSWER))
    empty_folder(out, "compare", {PROPOSAL, ANSWER})


def weigh(
    baseline: Baseline, candidate: Candidate, settings: Settings, early: tuple[Finding, ...] = ()
) -> Verdict:
    """Judge what was measured by one set of rules, and add the notices to what is known `early`."""
    known = (*early, *removed_models(baseline, candidate, settings))
    baseline = followed(baseline, candidate, settings)
    paired = gather(baseline, candidate, lambda rule: policy(rule, baseline, settings))
    verdict = assess(baseline, candidate, settings, paired, known)
    expected = expected_models(candidate, settings.expected)
    renamed = renames(baseline, candidate, expected).values()
    found = notices(without_rule(baseline, candidate), baseline, renamed)
    return replace(verdict, findings=(*verdict.findings, *found))


def _still_ruled(rules: Rules) -> frozenset[str] | None:
    """Return the models that the head's baseline has rules for; unread, it lets go of none."""
    return None if rules.head is None else frozenset(rules.head.models)


def _context(rules: Rules, candidate: Candidate, verdict: Verdict, options: Options) -> Context:
    return Context(
        key=options.key,
        rules_from=rules.origin,
        ref=rules.ref,
        paste=paste(without_rule(rules.baseline, candidate), candidate),
        head_rules=_head_rules(rules, candidate, options),
        places=places_of(verdict.findings, rules.baseline, rules.shown),
    )


def _head_rules(rules: Rules, candidate: Candidate, options: Options) -> HeadRules | None:
    if rules.head is None:
        return HeadRules(rules.diff, None, rules.head_error) if rules.head_error else None
    return HeadRules(rules.diff, weigh(rules.head, candidate, options.settings))


def annotate(findings: Sequence[Finding], places: Sequence[Place], runner: Runner) -> None:
    """Show failures and warnings beside the lines of the baseline, the worst first."""
    both = zip(findings, places, strict=True)
    shown = sorted((pair for pair in both if pair[0].level in _ANNOTATED), key=_severity)
    for finding, place in shown[:MAX_ANNOTATED]:
        message = finding.message.replace("`", "")
        level = _ANNOTATED[finding.level]
        runner.mark(Annotation(level, message, finding.reason, place.file, place.line))


def _severity(pair: tuple[Finding, Place]) -> int:
    return list(_ANNOTATED).index(pair[0].level)
