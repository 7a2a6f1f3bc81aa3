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
from mlactions.propose.options import ALLOW, EXAMPLE, with_order
from mlactions.propose.prepare import Order, prepare
from mlactions.propose.render import WHY, facts, render
from mlactions.propose.take import take
from mlactions.propose.workspace import Context, Place, write_context
from mlactions.publish import out_folder, publish
from mlactions.runner import Runner
from mlactions.settings import (
    Sections,
    Status,
    check_key,
    option,
    parse_duration_minutes,
)

WORD = "propose"
_ANYTHING = ("any/thing.sh", "Makefile.am", "a.bin", "any/b.py")
"""Paths that have nothing in common: a glob that matches all of them allows everything."""

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


@command.command(name="prepare", cls=Sections)
@with_order
@option("--has-key", section="Codex", type=bool, default=True, help="Whether an API key was given.")
@option(
    "--codex-version",
    section="Codex",
    default=codex.TESTED_VERSION,
    help="Exact version of the Codex CLI.",
)
@option(
    "--allow-users", section="Codex", default="", help="Accounts answered without write access."
)
@option("--allow-bot-users", section="Codex", default="", help="Bots that are answered.")
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


@command.command(name="run", cls=Sections, epilog=EXAMPLE)
@with_order
@option("--timeout-minutes", section="Codex", default="30", help="Time limit for Codex.")
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
