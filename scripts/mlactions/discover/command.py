"""The command line of `discover`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mlactions.bundle import write_atomic
from mlactions.compare.rules import git_in
from mlactions.discover.conventions import read_conventions
from mlactions.discover.counts import parse_count
from mlactions.discover.facts import facts
from mlactions.discover.hub import open_hub
from mlactions.discover.model import Constraints, Hub, Settings
from mlactions.discover.render import render
from mlactions.discover.result import bibliography, document
from mlactions.discover.search import discover, judge
from mlactions.drift.code import head_of
from mlactions.environment import caller_environment
from mlactions.errors import Exit, UserError
from mlactions.publish import empty_folder, out_folder, publish
from mlactions.runner import Runner
from mlactions.settings import Sections, Status, check_key, lines_option, option

ANSWER = "answer"
CITATIONS = "citations.bib"
MAX_TASK = 500
MAX_LIMIT = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SPLIT = re.compile(r"[\w.-]{1,64}")


WANTED, CONSTRAINTS, OUTPUT = "What to look for", "What it must hold to", "Output"
EXAMPLE = """
Example:

\b
  mlactions discover --task "image classification of handwritten digits" \\
    --licence apache-2.0,mit --max-parameters 100M --out build/discover
"""


@click.command("discover", cls=Sections, epilog=EXAMPLE)
@option("--task", section=WANTED, metavar="WORDS", required=True, help="What it is for, in words.")
@option(
    "--kind",
    section=WANTED,
    type=click.Choice(["model", "dataset"]),
    default="model",
    show_default=True,
    help="A model or a data set.",
)
@option("--library", section=WANTED, metavar="NAME", help="What loads it, such as timm.")
@option(
    "--limit",
    section=WANTED,
    metavar="N",
    type=int,
    default=20,
    show_default=True,
    help="Repositories to look up at most.",
)
@option(
    "--working-directory",
    section=WANTED,
    metavar="DIR",
    default=".",
    show_default=True,
    help="The project whose conventions the code follows.",
)
@lines_option("--licence", section=CONSTRAINTS, metavar="ID", help="One of: apache-2.0,mit.")
@option(
    "--not-gated/--gated-too",
    section=CONSTRAINTS,
    default=False,
    help="Readable by everybody.",
)
@option("--max-parameters", section=CONSTRAINTS, metavar="COUNT", help="Models: such as 100M.")
@option(
    "--safetensors-only/--any-format",
    section=CONSTRAINTS,
    default=False,
    help="Models: weights as safetensors.",
)
@option("--min-samples", section=CONSTRAINTS, metavar="COUNT", help="Data sets: such as 10k.")
@lines_option("--splits", section=CONSTRAINTS, metavar="NAME", help="Data sets: it has them.")
@option(
    "--fail-on",
    section=OUTPUT,
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
@option("--key", section=OUTPUT, default="discover", help="Name of the artifact and the comment.")
@option("--ask", section=OUTPUT, is_flag=True, help="Let the codex on the PATH rank, too.")
@click.pass_obj
def command(runner: Runner, /, **given: Any) -> int:
    """Find models or data sets on the Hugging Face Hub that hold to constraints.

    Every candidate is looked up and pinned to a commit.

    \b
    Exit code 0: some hold, perhaps with warnings.
              1: none does.
              2: bad input, or the Hub cannot be asked.
    """  # noqa: D301  # \b is for click: these lines stay as they are
    caller = caller_environment(runner.environ)
    out = out_folder(given["out"], runner, "discover")
    settings = read_settings(given)
    empty_folder(out, "discover", {CITATIONS, ANSWER})
    hub = open_hub(caller)
    code, warned = run(settings, hub, out, runner, Path(given["working_directory"]))
    if given["ask"]:
        _ask(runner, out, caller)
    return code or (Exit.FAILED_CHECK if warned and given["fail_on"] == "warn" else Exit.PASS)


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Check what click parsed and could not check itself."""
    task, kind = " ".join(given["task"].split()), given["kind"]
    if not task or len(task) > MAX_TASK:
        message = f"`task` has {len(task)} characters."
        raise UserError("bad input", message, f"Say it in 1 to {MAX_TASK} characters.")
    if not 1 <= given["limit"] <= MAX_LIMIT:
        raise UserError("bad input", f"`limit` is {given['limit']}, not 1 to {MAX_LIMIT}.")
    return Settings(
        kind=kind,
        task=task,
        constraints=_constraints(given, kind),
        limit=given["limit"],
        key=check_key(given["key"], field="key"),
    )


def _constraints(given: Mapping[str, Any], kind: str) -> Constraints:
    """Read the constraints; one that says nothing about this kind is a mistake, not ignored."""
    others = {
        "model": ("min_samples", "splits"),
        "dataset": ("max_parameters", "safetensors_only"),
    }
    for name in others[kind]:
        if given[name]:
            message = f"`{name.replace('_', '-')}` says nothing about a {kind}."
            raise UserError("bad input", message, "Leave it out, or set `kind`.")
    most, least = given["max_parameters"], given["min_samples"]
    return Constraints(
        licences=_names(given["licence"], "licence", _NAME, lower=True),
        library="".join(_names((given["library"] or "",), "library", _NAME)[:1]),
        max_parameters=parse_count(most, field="max-parameters") if most else None,
        min_samples=parse_count(least, field="min-samples") if least else None,
        splits=_names(given["splits"], "splits", _SPLIT),
        safetensors_only=given["safetensors_only"],
        not_gated=given["not_gated"],
    )


def _names(
    items: tuple[str, ...], field: str, form: re.Pattern[str], *, lower: bool = False
) -> tuple[str, ...]:
    """Return names, one a line or parted by commas."""
    parts = [part.strip() for item in items for part in item.split(",")]
    names = [part.lower() if lower else part for part in parts if part]
    for name in names:
        if not form.fullmatch(name):
            message = f"`{field}` has {name!r}, which is no name on the Hub."
            raise UserError("bad input", message, "Write for example apache-2.0, timm or train.")
    return tuple(dict.fromkeys(names))


def run(settings: Settings, hub: Hub, out: Path, runner: Runner, folder: Path) -> tuple[int, bool]:
    """Search, publish, and return the exit code and whether the verdict is a warning."""
    outcome = discover(settings, hub, read_conventions(folder), runner.say)
    verdict = judge(outcome, settings.kind)
    result = document(
        verdict, outcome, settings, endpoint=hub.endpoint, commit=head_of(git_in(folder))
    )
    if result["candidates"]:
        write_atomic(out / CITATIONS, bibliography(result["candidates"]))
    runner.output("citations", str(out / CITATIONS) if result["candidates"] else "")
    publish(runner, out, result, render, facts(result))
    if outcome.error is not None:
        return outcome.error.exit_code, False
    code = Exit.FAILED_CHECK if verdict.status is Status.FAIL else Exit.PASS
    return code, verdict.status is Status.WARN


def _ask(runner: Runner, out: Path, caller: Mapping[str, str]) -> None:
    """Let Codex search and rank; whom it names is looked up like everybody."""
    from mlactions.ask import ask_locally, tell_locally  # only who asks pays for it
    from mlactions.ask.local import Call
    from mlactions.codex_home.request import HUB, has_other_hub

    answer = out / ANSWER
    call = Call(servers=() if has_other_hub(caller) else (HUB,))
    checked = ask_locally(runner, [out], out=answer, always=True, environ=caller, call=call)
    tell_locally(runner, checked, answer)
