"""The command line of `propose`: prepare, take, check, publish; `run` around Codex."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mlactions import codex
from mlactions.ask.local import Call, call_codex, has_key
from mlactions.bundle import MANIFEST, digest
from mlactions.environment import caller_environment
from mlactions.errors import AgentError, Exit, UserError
from mlactions.propose.gates import allows
from mlactions.propose.model import TASKS, Rules
from mlactions.propose.prepare import Order, prepare
from mlactions.propose.render import WHY, facts, render
from mlactions.propose.take import take
from mlactions.propose.workspace import Context, Place, write_context
from mlactions.publish import out_folder, publish
from mlactions.runner import Runner
from mlactions.settings import Status, check_key, lines_option, option, parse_duration_minutes

WORD = "propose"
ALLOW = "*.py\n*.md\nconfigs/**\nconf/**"
"""Paths that a patch may change unless told otherwise: code, documents, configs."""

_ANYTHING = ("any/thing.sh", "Makefile.am", "a.bin", "any/b.py")
"""Paths that have nothing in common: a glob that matches all of them allows everything."""

_MOST = {"max_files": 200, "max_lines": 50_000, "max_bytes": 20_000_000}
_LAZY = {
    "check": ("mlactions.propose.check", "Run lint, tests and claims on a change."),
    "publish": ("mlactions.propose.publish", "Open a draft pull request of a checked change."),
}


class _Steps(click.Group):
    """A group that imports a step when it is called: only `publish` needs GitHub's client."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted({*super().list_commands(context), *_LAZY})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in _LAZY:
            command: click.Command = importlib.import_module(_LAZY[name][0]).command
            return command
        return super().get_command(context, name)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            rows = [(name, text) for name, (_, text) in _LAZY.items()]
            rows += [(name, step.get_short_help_str(80)) for name, step in self.commands.items()]
            formatter.write_dl(sorted(rows))


@click.group(name=WORD, cls=_Steps)
def command() -> None:
    """Let Codex do a code task; what comes of it is checked and becomes a draft pull request.

    Codex writes in a work tree that is thrown away, without a network. Git says what it changed,
    gates say whether that is allowed, your lint and tests whether it works.
    """


def _order(function: Any) -> Any:
    """Add the options that say what is asked for."""
    for one in reversed(_ORDER):
        function = one(function)
    return function


_ORDER = (
    option("--task", type=click.Choice(["", *TASKS]), default="", help="A task that ships."),
    option("--prompt-file", default="", help="Or a prompt of your own, on the default branch."),
    option("--request", default="", help="What exactly is wanted, in your words."),
    option("--slug", default="", help="Name of branch and result; the task's if empty."),
    option("--base", default="", help="Branch the change is for; the one of this run if empty."),
    lines_option("--bundle", metavar="FOLDER", help="Result that Codex reads; repeatable."),
    option("--repository", default=".", type=Path, help="Checkout that the work tree is made of."),
    lines_option("--allow", help=f"Globs that may change; default {ALLOW.split()}."),
    lines_option("--lock-files", help="Lock files that may change, by their path."),
    option("--max-files", default=20, type=click.IntRange(1, _MOST["max_files"]), help="Files."),
    option("--max-lines", default=1000, type=click.IntRange(1, _MOST["max_lines"]), help="Lines."),
    option(
        "--max-bytes",
        default=1_000_000,
        type=click.IntRange(1, _MOST["max_bytes"]),
        help="Bytes of the changed files.",
    ),
    option(
        "--require-tests",
        type=click.Choice(["auto", "true", "false"]),
        default="auto",
        help="Whether the change must bring tests; `auto` asks the task.",
    ),
    option("--model", default="", help="Model; Codex's own choice if empty."),
    option("--effort", default="", help="Reasoning effort; the model's own if empty."),
    option("--responses-api-endpoint", default="", help="Another Responses API, such as Azure's."),
    option("--out", type=Path, help="Folder for the task, outside the repository."),
)


@command.command(name="prepare")
@_order
@option("--has-key", type=bool, default=True, help="Whether an API key was given.")
@option("--codex-version", default=codex.TESTED_VERSION, help="Exact version of the Codex CLI.")
@option("--allow-users", default="", help="Accounts answered without write access.")
@option("--allow-bot-users", default="", help="Bots that are answered.")
@click.pass_obj
def prepare_command(runner: Runner, /, **given: Any) -> int:
    """Make the work tree and the question."""
    codex.check_version(given["codex_version"], field="codex-version")
    for name in ("allow_users", "allow_bot_users"):
        codex.check_accounts(given[name], field=name.replace("_", "-"))
    context, place = _prepare(runner, given)
    for name, value in (
        ("ask", "false" if context.reason else "true"),
        ("prompt-file", place.prompt),
        ("output-schema-file", place.schema),
        ("output-file", place.answer),
        ("codex-home", place.home),
        ("working-directory", place.tree.folder),
    ):
        runner.output(name, str(value))
    where = f"Task: {place.folder}"
    runner.say(f"Codex is not asked: {context.reason}." if context.reason else where)
    return Exit.PASS


@command.command(name="take")
@option("--out", type=Path, help="The folder that prepare wrote.")
@option("--codex-outcome", default="success", help="How the step that called Codex ended.")
@click.pass_obj
def take_command(runner: Runner, out: Path | None, codex_outcome: str) -> int:
    """Take what Codex changed, as git sees it, and hold it against the gates."""
    folder = out_folder(out, runner, WORD)
    return _finish(runner, Place(folder), take(folder, outcome=codex_outcome))


@command.command(name="run")
@_order
@option("--timeout-minutes", default="30", help="Time limit for Codex.")
@click.pass_obj
def run_command(runner: Runner, /, *, timeout_minutes: str, **given: Any) -> int:
    """Prepare, call the `codex` on the PATH, and take: on a laptop."""
    seconds = parse_duration_minutes(timeout_minutes, field="timeout-minutes")
    environ = caller_environment(runner.environ)
    program = shutil.which("codex", path=environ.get("PATH"))
    context, place = _prepare(runner, given, local=True)
    if not context.reason and not (program and has_key(environ)):
        missing = "no-login" if program else "no-codex"
        write_context(place, Context(**{**vars(context), "reason": missing}))
        context = Context(**{**vars(context), "reason": missing})
    outcome, said = "skipped", None
    if not context.reason and program:
        runner.say(f"Codex works, for at most {seconds / 60:g} minutes…")
        call = Call(given["model"], given["effort"], seconds=seconds)
        outcome, said = call_codex(place, call, program, environ, directory=place.tree.folder)
    return _finish(runner, place, take(place.folder, outcome=outcome, own=said))


def _prepare(
    runner: Runner, given: Mapping[str, Any], *, local: bool = False
) -> tuple[Context, Place]:
    codex.check_plain(given["model"], field="model")
    codex.check_plain(given["effort"], field="effort")
    address = given["responses_api_endpoint"]
    endpoint = codex.parse_endpoint(address, field="responses-api-endpoint") if address else None
    slug = check_key(given["slug"] or given["task"] or "own", field="slug")
    folder = out_folder(given["out"], runner, WORD)
    allowed = f"{given.get('allow_users', '')},{given.get('allow_bot_users', '')}"
    order = Order(
        task=given["task"],
        prompt_file=given["prompt_file"],
        request=given["request"],
        slug=slug,
        base=given["base"],
        bundles=[Path(name) for name in given["bundle"]],
        repository=given["repository"],
        out=folder,
        rules=_rules(given),
        has_key=given.get("has_key", True),
        answered=frozenset(name.strip().lower() for name in allowed.split(",")),
        endpoint=endpoint if local else None,
    )
    return prepare(order, runner.environ), Place(folder.resolve())


def _rules(given: Mapping[str, Any]) -> Rules:
    task = TASKS.get(given["task"])
    wanted = given["require_tests"]
    allow = given["allow"] or tuple(ALLOW.split("\n"))
    for glob in allow:
        if glob.lstrip("!/") == "" or all(allows(glob, path) for path in _ANYTHING):
            raise UserError(
                "bad input",
                f"`allow` has {glob!r}, which allows everything.",
                "Name folders, such as `src/**`, or endings, such as `*.py`.",
            )
    return Rules(
        allow=allow,
        lock_files=given["lock_files"],
        max_files=given["max_files"],
        max_lines=given["max_lines"],
        max_bytes=given["max_bytes"],
        plan_only=bool(task and task.plan_only),
        tests=bool(task and task.tests) if wanted == "auto" else wanted == "true",
    )


def _finish(runner: Runner, place: Place, document: Mapping[str, Any]) -> int:
    publish(runner, place.bundle, document, render, facts(document))
    usage = json.dumps(document["usage"], sort_keys=True, separators=(",", ":"))
    runner.output("usage", usage)
    runner.output("branch", document["branch"])
    runner.output("sha256", digest(place.bundle / MANIFEST))
    if document["status"] == Status.REFUSED:
        hint = "" if document["reason"] in WHY else "The step that called Codex says more."
        raise AgentError("no change", document["verdict"], hint)
    return Exit.PASS if document["status"] == Status.PASS else Exit.FAILED_CHECK
