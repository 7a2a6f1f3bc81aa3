"""The command line of `drift`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from mlactions.bundle import write_json
from mlactions.compare.rules import Git, git_in
from mlactions.confidential import is_secret
from mlactions.drift.code import code, head_of, root_of
from mlactions.drift.comparison import compare
from mlactions.drift.config import config_document, read_config, values_of
from mlactions.drift.deployed import check_scope, find_deployed, parse_selector
from mlactions.drift.facts import facts
from mlactions.drift.findings import FILE, marks, sarif_document
from mlactions.drift.hashes import data, model_file
from mlactions.drift.history import with_history
from mlactions.drift.model import (
    Config,
    Deployed,
    Row,
    Rules,
    Settings,
    UndeterminedError,
    Verdict,
)
from mlactions.drift.packages import packages
from mlactions.drift.render import render
from mlactions.drift.result import Context, document, judge, undetermined
from mlactions.drift.rules import DEFAULT, Read, read_rules
from mlactions.environment import caller_environment, user_environment
from mlactions.errors import Exit, UserError
from mlactions.mlflow_store import Store, StoreError, caution, open_store
from mlactions.publish import empty_folder, out_folder, publish
from mlactions.runner import Annotation, Runner
from mlactions.settings import Sections, Status, check_key, lines_option, option

ANSWER = "answer"

# Hydra runs in the user's Python, which needs none of these.
_CREDENTIALS = ("MLFLOW_", "DATABRICKS_", "AWS_", "AZURE_", "GOOGLE_", "OPENAI_", "CODEX_", "HF_")


PRODUCTION, DEPLOYED = "What is in production", "What was deployed"
VERDICT, OUTPUT = "Verdict", "Output"
EXAMPLE = """
Example:

\b
  mlactions drift --config configs/production.yaml --experiment digits \\
    --tracking-uri https://mlflow.example.org --out build/drift
"""


@click.command("drift", cls=Sections, epilog=EXAMPLE)
@option("--config", section=PRODUCTION, metavar="FILE", required=True, help="Plain YAML or Hydra.")
@option("--config-root", section=PRODUCTION, metavar="DIR", help="Hydra's folder, if another.")
@lines_option("--overrides", section=PRODUCTION, metavar="OVERRIDE", help="Hydra's, repeatable.")
@option(
    "--python",
    section=PRODUCTION,
    metavar="PROGRAM",
    default="python",
    show_default=True,
    help="The project's Python, which has Hydra.",
)
@option(
    "--requirements",
    section=PRODUCTION,
    metavar="FILE",
    help="Default: a lock file or requirements.txt.",
)
@option(
    "--model-file",
    section=PRODUCTION,
    metavar="FILE",
    help="The model's own file: is it the registered one?",
)
@option(
    "--working-directory",
    section=PRODUCTION,
    metavar="DIR",
    default=".",
    show_default=True,
    help="Folder that paths are relative to.",
)
@option("--tracking-uri", section=DEPLOYED, metavar="URI", help="Default: MLFLOW_TRACKING_URI.")
@option(
    "--deployed",
    section=DEPLOYED,
    metavar="WHICH",
    default="tag:deployed=true",
    show_default=True,
    help="Or alias:NAME@champion, or run:ID.",
)
@option("--experiment", section=DEPLOYED, metavar="NAME", help="Where the tagged run is.")
@option("--model", section=DEPLOYED, metavar="NAME", help="Or whose version or run is tagged.")
@option("--model-artifact", section=DEPLOYED, metavar="PATH", help="The file's path there.")
@option("--rules", section=VERDICT, metavar="FILE", help=f"Default: {DEFAULT}, if it is there.")
@option("--base-ref", section=VERDICT, metavar="REF", help="Take the rules from this commit.")
@option(
    "--fail-on",
    section=VERDICT,
    type=click.Choice(["fail", "warn"]),
    help="What makes the exit code 1.  [default: fail]",
)
@option(
    "--out",
    section=OUTPUT,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder for result and reports; needed outside of GitHub Actions.",
)
@option("--key", section=OUTPUT, default="drift", help="Name of the issue and the artifact.")
@option("--verbose", section=OUTPUT, is_flag=True, help="Unfold the whole report here.")
@option("--ask", section=OUTPUT, is_flag=True, help="Let the codex on the PATH explain the drift.")
@click.pass_obj
def command(runner: Runner, /, **given: Any) -> int:
    """Check a production config against the run behind the deployed model.

    \b
    Exit code 0: no drift, perhaps with warnings.
              1: drift, or no or several deployed runs.
              2: bad input, or MLflow cannot be read.
    """  # noqa: D301  # \b is for click: these lines stay as they are
    caller = caller_environment(runner.environ)
    out = out_folder(given["out"], runner, "drift")
    settings = read_settings(given, caller)
    empty_folder(out, "drift", {FILE, ANSWER})
    return run(settings, out, runner, caller, ask=given["ask"], verbose=given["verbose"])


def read_settings(given: Mapping[str, Any], caller: Mapping[str, str]) -> Settings:
    """Check what click parsed and could not check itself."""
    uri = (given["tracking_uri"] or caller.get("MLFLOW_TRACKING_URI", "")).strip()
    if not uri:
        hint = "Write for example `https://mlflow.example.org`, or set MLFLOW_TRACKING_URI."
        raise UserError("bad input", "`tracking-uri` is missing.", hint)
    names = ("experiment", "model", "config_root", "rules", "base_ref", "requirements")
    texts = {name: given[name] or "" for name in (*names, "model_file", "model_artifact")}
    settings = Settings(
        config=given["config"],
        folder=Path(given["working_directory"]),
        selector=parse_selector(given["deployed"]),
        tracking_uri=uri,
        overrides=given["overrides"],
        python=given["python"],
        key=check_key(given["key"], field="key"),
        fail_on_warn=given["fail_on"] == "warn",
        **texts,
    )
    check_scope(settings)
    return settings


def run(
    settings: Settings,
    out: Path,
    runner: Runner,
    caller: Mapping[str, str],
    *,
    ask: bool = False,
    verbose: bool = False,
) -> int:
    """Compare, publish, and return the exit code."""
    git = git_in(settings.folder)
    rules = read_rules(settings.rules, folder=settings.folder, base_ref=settings.base_ref, git=git)
    environ = user_environment(caller)
    own = {
        key: value
        for key, value in environ.items()
        if not (key.startswith(_CREDENTIALS) or is_secret(key))
    }
    config = read_config(settings, own)
    if found := caution(settings.tracking_uri, caller):
        runner.annotate(Annotation("warning", found, "credentials in the clear"))
    with open_store(settings.tracking_uri, caller) as store:
        context = _context(rules, config, store, git)
        try:
            deployed = find_deployed(settings, store)
            rows = _rows(settings, config, deployed, store, rules=rules.rules, git=git)
            verdict, code = judge(rows, deployed), Exit.PASS
            context = replace(context, deployed=deployed)
        except UndeterminedError as error:
            verdict, code = undetermined(error.state, error.message), Exit.FAILED_CHECK
            context = replace(context, candidates=error.candidates)
        except StoreError as error:
            told = f"{error.title}: {error.message} {error.hint}".strip()
            verdict, code = undetermined(error.state, told), error.exit_code
    result = document(verdict, settings, context)
    _publish(result, out, runner, root=root_of(git), verbose=verbose)
    if ask:
        _ask(runner, out, settings, caller)
    return code or _exit_code(verdict, settings)


def _rows(
    settings: Settings, config: Config, deployed: Deployed, store: Store, *, rules: Rules, git: Git
) -> tuple[Row, ...]:
    return (
        *with_history(compare(config, deployed.params, rules), settings.folder, git),
        code(deployed, git, rules),
        *packages(settings, deployed, store, rules),
        *data(settings, deployed, values_of(config), rules),
        *model_file(settings, deployed, store, rules),
    )


def _context(rules: Read, config: Config, store: Store, git: Git) -> Context:
    return Context(
        config=config_document(config),
        rules={
            "file": rules.rules.name,
            "from": rules.origin,
            "ref": rules.ref,
            "diff": rules.diff,
        },
        tracking=store.uri,
        commit=head_of(git),
    )


def _publish(
    result: Mapping[str, Any], out: Path, runner: Runner, *, root: Path, verbose: bool
) -> None:
    for annotation in marks(result, root):
        runner.mark(annotation)
    write_json(out / FILE, sarif_document(result, root))
    runner.output("sarif", str(out / FILE))
    publish(runner, out, result, render, facts(result), verbose=verbose)


def _ask(runner: Runner, out: Path, settings: Settings, caller: Mapping[str, str]) -> None:
    """Let Codex explain; the verdict stands whatever it says, or fails to say."""
    from mlactions.ask import ask_locally, tell_locally  # only who asks pays for it

    answer = out / ANSWER
    base = settings.base_ref
    checked = ask_locally(runner, [out], out=answer, base_ref=base, environ=caller)
    tell_locally(runner, checked, answer)


def _exit_code(verdict: Verdict, settings: Settings) -> int:
    failed = verdict.status is Status.FAIL
    warned = verdict.status is Status.WARN and settings.fail_on_warn
    return Exit.FAILED_CHECK if failed or warned else Exit.PASS
