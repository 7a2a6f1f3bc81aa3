"""The `ask` command: prepare and verify around codex-action, run where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mlactions import codex, terminal
from mlactions.ask.local import Call, ask_locally
from mlactions.ask.prepare import Question, prepare
from mlactions.ask.render import QUIET, render_report, sentence
from mlactions.ask.verify import SUGGESTED, verify
from mlactions.ask.workspace import Workspace, as_json
from mlactions.codex_home.request import URI, check_names, holds_password
from mlactions.codex_home.request import tracking_uri as absolute_uri
from mlactions.environment import caller_environment
from mlactions.errors import AgentError, Exit
from mlactions.publish import out_folder
from mlactions.runner import Annotation, Level, Runner
from mlactions.schema import read_text
from mlactions.settings import lines_option, option, parse_duration_minutes

WHEN = click.Choice(["problems", "always"])


class _Steps(click.Group):
    """A group that knows where an option belongs which was written too early."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the group's own options, which are few; point to `run` for one of its."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            if not any(name in option.opts for option in self.commands["run"].params):
                raise
            message = f"`ask` has no option {name}; `ask run` has: mlactions ask run {name} …"
            raise click.UsageError(message, ctx) from None


@click.group(name="ask", cls=_Steps)
def command() -> None:
    """Let Codex explain a result: why did this evaluation crash, why did this metric move.

    The verdict is computed before and does not change. Codex reads facts with ids and the
    repository, and every claim of its answer is checked. About a failed export it may suggest a
    diff, which is tried and not applied.
    """


@command.command(name="prepare")
@lines_option("--bundle", metavar="FOLDER", help="Result of a check; repeatable.")
@option("--repository", default=".", type=Path, help="Checkout that Codex reads.")
@option("--base-ref", default="", help="Base commit: for the diff and for AGENTS.md.")
@option("--out", type=Path, help="Folder for the question, outside the repository.")
@option("--when", default="problems", type=WHEN, help="Ask when something failed, or always.")
@option("--has-key", type=bool, default=True, help="Whether an API key was given.")
@option("--codex-version", default=codex.TESTED_VERSION, help="Exact version of the Codex CLI.")
@option("--model", default="", help="Model; Codex's own choice if empty.")
@option("--effort", default="", help="Reasoning effort; the model's own if empty.")
@option("--responses-api-endpoint", default="", help="Another Responses API, such as Azure's.")
@option("--allow-users", default="", help="Accounts answered without write access.")
@option("--allow-bot-users", default="", help="Bots that are answered.")
@lines_option("--mcp", help="MCP server for Codex: mlflow, huggingface or huggingface-stdio.")
@option("--tracking-uri", default="", help="Where MLflow is; MLFLOW_TRACKING_URI if empty.")
@click.pass_obj
def prepare_command(
    runner: Runner,
    /,
    *,
    bundle: tuple[str, ...],
    repository: Path,
    base_ref: str,
    out: Path | None,
    when: str,
    has_key: bool,
    mcp: tuple[str, ...],
    tracking_uri: str,
    **inputs: str,
) -> int:
    """Write the question: prompt, answer schema, facts and a Codex home, all without secrets."""
    _check_inputs(inputs)
    folder = out_folder(out, runner, "ask")
    servers, environ = check_names(mcp), caller_environment(runner.environ)
    uri = absolute_uri(tracking_uri, environ, Path.cwd()) if servers else ""
    question = Question(
        bundles=[Path(name) for name in bundle],
        repository=repository,
        base_ref=base_ref,
        out=folder,
        always=when == "always",
        has_key=has_key,
        answered=frozenset(f"{inputs['allow_users']},{inputs['allow_bot_users']}".split(",")),
        servers=servers,
        tracking_uri=uri,
    )
    context = prepare(question, runner, environ)
    workspace = Workspace(folder)
    for name, value in (
        ("ask", "false" if context.reason else "true"),
        ("status", "skipped" if context.reason else "pass"),
        ("prompt-file", workspace.prompt),
        ("output-schema-file", workspace.schema),
        ("output-file", workspace.answer),
        ("codex-home", workspace.home),
        ("working-directory", workspace.facts),
        # One with a password stays in the variable it came in.
        ("tracking-uri", "" if holds_password(uri) else uri),
    ):
        runner.output(name, str(value))
    runner.say(
        f"Codex is not asked: {context.reason}." if context.reason else f"Question: {folder}"
    )
    return Exit.PASS


@command.command(name="verify")
@option("--out", type=Path, help="The folder that prepare wrote.")
@option("--codex-outcome", default="success", help="How the step that called Codex ended.")
@option("--required", type=bool, default=False, help="Exit 3 if there is no usable answer.")
@option("--tracking-uri", default="", help="Where claims are looked up; or MLFLOW_TRACKING_URI.")
@click.pass_obj
def verify_command(
    runner: Runner, out: Path | None, codex_outcome: str, required: bool, tracking_uri: str
) -> int:
    """Check the answer claim by claim, and tell why there is none."""
    folder = out_folder(out, runner, "ask")
    environ = caller_environment(runner.environ)
    if tracking_uri.strip():
        environ[URI] = tracking_uri.strip()
    checked = verify(folder, outcome=codex_outcome, environ=environ)
    return _finish(runner, Workspace(folder).bundle, checked, required=required)


@command.command(name="run")
@lines_option("--bundle", metavar="FOLDER", help="Result of a check; repeatable.")
@option("--repository", default=".", type=Path, help="Checkout that Codex reads.")
@option("--base-ref", default="", help="Base commit: for the diff and for AGENTS.md.")
@option("--out", type=Path, help="Folder for the checked answer.")
@option("--when", default="problems", type=WHEN, help="Ask when something failed, or always.")
@option("--model", default="", help="Model; Codex's own choice if empty.")
@option("--effort", default="", help="Reasoning effort; the model's own if empty.")
@option("--responses-api-endpoint", default="", help="Another Responses API, such as Azure's.")
@option("--timeout-minutes", default="10", help="Time limit for Codex.")
@option("--required", type=bool, default=False, help="Exit 3 if there is no usable answer.")
@lines_option("--mcp", help="MCP server for Codex: mlflow, huggingface or huggingface-stdio.")
@option("--tracking-uri", default="", help="Where MLflow is; MLFLOW_TRACKING_URI if empty.")
@click.pass_obj
def run_command(
    runner: Runner,
    /,
    *,
    bundle: tuple[str, ...],
    repository: Path,
    base_ref: str,
    out: Path | None,
    when: str,
    timeout_minutes: str,
    required: bool,
    mcp: tuple[str, ...],
    tracking_uri: str,
    **inputs: str,
) -> int:
    """Do it all with the `codex` on the PATH: prepare, ask, verify."""
    _check_inputs(inputs)
    endpoint = inputs["responses_api_endpoint"]
    call = Call(
        model=inputs["model"],
        effort=inputs["effort"],
        endpoint=_endpoint(endpoint) if endpoint else None,
        seconds=parse_duration_minutes(timeout_minutes, field="timeout-minutes"),
        servers=check_names(mcp),
        tracking_uri=tracking_uri,
    )
    folder = out_folder(out, runner, "ask")
    checked = ask_locally(
        runner,
        [Path(name) for name in bundle],
        out=folder,
        repository=repository,
        base_ref=base_ref,
        always=when == "always",
        call=call,
    )
    return _finish(runner, folder, checked, required=required)


def _check_inputs(inputs: Mapping[str, str]) -> None:
    """Refuse what would weaken the call, before anything is written."""
    if "codex_version" in inputs:
        codex.check_version(inputs["codex_version"], field="codex-version")
    codex.check_plain(inputs["model"], field="model")
    codex.check_plain(inputs["effort"], field="effort")
    for name in ("allow_users", "allow_bot_users"):
        codex.check_accounts(inputs.get(name, ""), field=name.replace("_", "-"))
    if inputs["responses_api_endpoint"]:
        _endpoint(inputs["responses_api_endpoint"])


def _endpoint(text: str) -> codex.Endpoint:
    return codex.parse_endpoint(text, field="responses-api-endpoint")


def _patch_of(bundle: Path) -> str:
    """Return where a suggested patch that applies lies; nothing where there is none."""
    path = bundle / SUGGESTED
    return str(path) if path.is_file() else ""


def _finish(runner: Runner, bundle: Path, checked: Mapping[str, Any], *, required: bool) -> int:
    """Set the outputs, show the report, and end as the verdict is: untouched."""
    outputs = {
        "status": checked["status"],
        "bundle": bundle,
        "result": bundle / "checked-answer.json",
        "report": bundle / "report.md",
        "usage": as_json(checked["usage"]),
        "patch": _patch_of(bundle),
    }
    for name, value in outputs.items():
        runner.output(name, str(value))
    runner.summary(read_text(bundle / "report.md"))
    if not runner.on_github:
        terminal.show(render_report(checked), runner.stream, runner.environ)
        runner.say(f"report: {bundle / 'report.md'}")
    said = sentence(checked)
    if checked["status"] != "answered":
        if required:
            raise AgentError("no usable answer", f"{checked['reason']}. {said}", checked["detail"])
        level: Level = "notice" if checked["reason"] in QUIET else "warning"
        runner.mark(Annotation(level, f"{said} {checked['detail']}".strip(), "ask"))
    runner.say(f"{checked['status'].upper()}: {said}")
    return Exit.PASS
