"""The command line of `diagnose`: reads a run, publishes what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mlactions.bundle import open_bundle
from mlactions.compare.rules import git_in
from mlactions.diagnose.difference import against
from mlactions.diagnose.facts import facts
from mlactions.diagnose.model import Against, Settings, Training
from mlactions.diagnose.render import render
from mlactions.diagnose.result import Answers, diagnose, document
from mlactions.diagnose.sources import read_log, read_mlflow, read_train
from mlactions.drift.result import run_url
from mlactions.environment import caller_environment
from mlactions.errors import Exit, UserError
from mlactions.mlflow_store import open_store
from mlactions.publish import empty_folder, out_folder, publish
from mlactions.runner import Annotation, Level, Runner
from mlactions.settings import Sections, Status, check_key, lines_option, option

ANSWER = "answer"
PROBES_FILE = "probes.json"
PROBE_WORD = "diagnose-probe"
EXAMPLE = """
Example:

\b
  mlactions diagnose --log train.log --config configs/small.yaml --out build/diagnose
"""
_LEVELS: Mapping[str, Level] = {"fail": "error", "warn": "warning"}
_NO_URI = "Write for example `https://mlflow.example.org`, or set MLFLOW_TRACKING_URI."


class _Group(click.Group, Sections):
    """`diagnose` alone diagnoses; `diagnose probe` runs user code, and is imported when called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return ["probe"]

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        from mlactions.diagnose.probe import probe

        return probe if name == "probe" else None


@click.group(
    "diagnose",
    cls=_Group,
    epilog=EXAMPLE,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@option("--run", section="The run", metavar="ID", help="An MLflow run.")
@option("--tracking-uri", section="The run", metavar="URI", help="Default: MLFLOW_TRACKING_URI.")
@option("--log", section="The run", type=click.Path(path_type=Path), help="A training log instead.")
@option(
    "--bundle",
    section="The run",
    type=click.Path(path_type=Path),
    help="The bundle of `train` instead.",
)
@option(
    "--config",
    section="The run",
    type=click.Path(path_type=Path),
    help="YAML or JSON the run was started with.",
)
@option(
    "--against",
    section="The run",
    metavar="RUN",
    default="",
    help="`last-good` or `run:ID`: what differs?",
)
@lines_option(
    "--metric",
    section="How it is judged",
    metavar="NAME",
    help="Metrics to judge by; default: found by name.",
)
@option(
    "--classes",
    section="How it is judged",
    type=click.IntRange(2),
    help="Number of classes, for the constant predictor.",
)
@option(
    "--constant-loss",
    section="How it is judged",
    metavar="NUMBER",
    default="",
    help="Loss of a constant predictor.",
)
@lines_option(
    "--probes", section="How it is judged", metavar="DIR", help="What `diagnose probe` wrote."
)
@option(
    "--fail-on",
    section="How it is judged",
    type=click.Choice(["fail", "warn"]),
    default="fail",
    help="Default: fail.",
)
@option("--key", default="diagnose", help="Name of the comment and the artifact.")
@option("--working-directory", default=".", help="Folder whose git history is compared.")
@option(
    "--out",
    section="What comes of it",
    type=click.Path(path_type=Path),
    help="Folder for result and reports.",
)
@option(
    "--verbose",
    section="What comes of it",
    is_flag=True,
    help="Unfold the whole report in the terminal.",
)
@option(
    "--ask",
    section="What comes of it",
    is_flag=True,
    help="Let the codex on the PATH explain the diagnosis.",
)
@click.pass_context
def command(context: click.Context, /, **given: Any) -> int | None:
    """Say what is wrong with a training run, by rules that cite what was measured.

    Exit code 0: nothing is wrong, or only doubtful. 1: the run is ill (or doubtful, with --fail-on
    warn). 2: bad input, or MLflow cannot be read.
    """
    if context.invoked_subcommand is not None:
        return None
    runner: Runner = context.obj
    caller = caller_environment(runner.environ)
    out = out_folder(given["out"], runner, "diagnose")
    settings = read_settings(given)
    answers = read_answers(given["probes"])
    empty_folder(out, "diagnose", {ANSWER})
    training, other, source = read(given, settings, caller)
    check_metrics(training, settings.metrics)
    found = diagnose(training, settings, answers)
    result = document(found, settings, other, answers, source)
    _publish(result, out, runner, verbose=given["verbose"])
    if given["ask"]:
        from mlactions.compare.explain import explain  # only who asks pays for it

        explain(runner, out, (), "", out=out / ANSWER, repository=settings.folder)
    warned = found.status is Status.WARN and settings.fail_on_warn
    return Exit.FAILED_CHECK if found.status is Status.FAIL or warned else Exit.PASS


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Check what click parsed and could not check itself."""
    if sum(bool(given[name]) for name in ("run", "log", "bundle")) != 1:
        hint = "Write `--run ID` with a tracking URI, `--log train.log`, or `--bundle DIR`."
        raise UserError("bad input", "name one of `run`, `log` and `bundle`.", hint)
    if given["against"] and not given["run"]:
        raise UserError("bad input", "`against` needs `run`: other runs are in MLflow.")
    return Settings(
        folder=Path(given["working_directory"]),
        metrics=given["metric"],
        classes=given["classes"],
        constant_loss=_number(given["constant_loss"]),
        key=check_key(given["key"], field="key"),
        fail_on_warn=given["fail_on"] == "warn",
    )


def _number(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(
            "bad input", f"`constant-loss` is {text!r}.", "Write a number, such as 2.3."
        )
    return value


def read(
    given: Mapping[str, Any], settings: Settings, caller: Mapping[str, str]
) -> tuple[Training, Against, dict[str, str]]:
    """Return the run, what differs from a good one, and where it was read from."""
    if given["log"]:
        return read_log(given["log"], given["config"]), Against(), {}
    if given["bundle"]:
        return read_train(given["bundle"], given["config"]), Against(), {}
    uri = (given["tracking_uri"] or caller.get("MLFLOW_TRACKING_URI", "")).strip()
    if not uri:
        raise UserError("bad input", "`tracking-uri` is missing.", _NO_URI)
    with open_store(uri, caller) as store:
        training = read_mlflow(store, given["run"])
        other = Against()
        if given["against"]:
            metric = settings.metrics[0] if settings.metrics else ""
            git = git_in(settings.folder)
            other = against(store, training, given["against"], metric, git)
        experiment = store.run(training.name).experiment_id
        url = run_url(store.uri, experiment, training.name)
        return training, other, {"tracking": store.uri, "url": url}


def check_metrics(training: Training, wanted: tuple[str, ...]) -> None:
    """Refuse a metric that the run lacks: judging by others would not be what was asked."""
    for name in wanted:
        if name not in training.series:
            hint = f"It has: {', '.join(sorted(training.series)[:12]) or 'none'}."
            raise UserError("no such metric", f"the run has no metric {name!r}.", hint)


def read_answers(paths: tuple[str, ...]) -> Answers:
    """Read what probes measured; a later folder's answer counts."""
    answers: dict[str, Mapping[str, Any]] = {}
    for path in paths:
        bundle = open_bundle(Path(path), word=PROBE_WORD)
        document_of = bundle.json(PROBES_FILE, schema="diagnose-probe")
        if document_of["failure"]:
            # What was asked for and not measured must not read like a probe that found nothing.
            why = {"outcome": "failed", "why": document_of["failure"]["message"]}
            answers |= dict.fromkeys(document_of["asked"], why)
        answers |= document_of["probes"]
    return answers


def _publish(result: Mapping[str, Any], out: Path, runner: Runner, *, verbose: bool) -> None:
    for cause in result["causes"]:
        if cause["level"] in _LEVELS and cause["strength"] != "possible":
            text = f"{cause['title']}. {cause['remedy']}".replace("`", "")
            runner.mark(Annotation(_LEVELS[cause["level"]], text, cause["code"]))
    runner.output("diagnosis", result["diagnosis"])
    publish(runner, out, result, render, facts(result), verbose=verbose)
