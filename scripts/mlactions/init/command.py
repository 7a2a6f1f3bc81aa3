"""The edge of init: options in, files written, an exit code out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from mlactions import markdown, terminal
from mlactions.errors import Exit, UserError
from mlactions.evaluate.git import Git
from mlactions.evaluate.globs import selects
from mlactions.evaluate.tree import MAX_SOURCE_BYTES, resolved
from mlactions.init.address import PASSWORD_IN_URL, check_address, check_open
from mlactions.init.commands import check_command
from mlactions.init.look import look
from mlactions.init.model import Asked, Findings, Plan
from mlactions.init.pins import choose_pin
from mlactions.init.plan import BASELINE, make_plan
from mlactions.init.show import render
from mlactions.init.templates import OWN, ZEROS
from mlactions.init.write import write_new
from mlactions.own_files import own_files
from mlactions.runner import Runner
from mlactions.schema import parse_yaml, resource
from mlactions.settings import lines_option, option
from mlactions.text import plural

MAX_FILES = 200_000


@click.command("init", context_settings={"help_option_names": ["-h", "--help"]})
@option("--pin", default="", metavar="SHA", help=f"Commit of {OWN} to use; default: our own.")
@option("--command", default="", help="Evaluates one config: with {config} {seed} {output}.")
@lines_option("--configs", metavar="GLOB", help="Globs of the model configs.")
@option("--install", default="", help="Command that installs what the evaluation needs.")
@option("--python-version", default="", metavar="3.X", help="Python for the workflows.")
@option("--tracking-uri", default="", metavar="URI", help="MLflow server, for what reads it.")
@option("--evaluate", is_flag=True, help="Run the evaluation, and write a baseline from it.")
@option("--seeds", default="0,1,2,3,4", show_default=True, help="Seeds for --evaluate.")
@click.option("--yes", "-y", is_flag=True, help="Write without asking.")
@click.option(
    "--dry-run", is_flag=True, help="Show everything that would be written; write nothing."
)
@click.pass_obj
def command(runner: Runner, /, **given: Any) -> int:
    """Look at this repository, and write the workflows that fit it. Nothing is overwritten.

    Only files are read; nothing of the repository is run, but with --evaluate the evaluation.
    """
    git = find_repository(Path.cwd())
    for name in ("pin", "command", "configs", "install", "python_version"):
        given_lines = [given[name]] if isinstance(given[name], str) else given[name]
        for line in given_lines:
            check_open(f"--{name.replace('_', '-')}", line)
    pin, version = choose_pin(given["pin"])
    if given["command"]:
        check_command(given["command"])
    asked = Asked(
        pin=pin or ZEROS,
        version=version,
        branch=default_branch(git.root),
        command=given["command"],
        configs=given["configs"],
        install=given["install"],
        python=given["python_version"],
        tracking_uri=check_address(given["tracking_uri"]),
    )
    found, plan = examine(git, asked)
    _check_files(plan)
    if plan.files and not given["dry_run"]:
        _check_answer(pin, yes=given["yes"])
    report = render(found, plan, pin=pin)
    unfold = "--dry-run shows all"
    terminal.show(report, runner.stream, runner.environ, verbose=given["dry_run"], unfold=unfold)
    runner.summary(markdown.render(render(found, plan, pin=pin, listings=False)))
    if given["dry_run"]:
        runner.say("\nNothing was written: this was a dry run.")
        return Exit.PASS
    if plan.files and (given["yes"] or _agreed(plan)):
        write_new(git.root, plan.files)
        runner.say(f"\nWrote {', '.join(file.path for file in plan.files)}.")
    elif plan.files:
        runner.say("\nNothing was written.")
        return Exit.PASS
    if not given["evaluate"]:
        return Exit.PASS
    # What was given is run as it was: the caller's own environment is active here.
    plan = replace(plan, command=given["command"] or plan.command)
    return measure(plan, git.root, runner, given["seeds"])


def find_repository(folder: Path) -> Git:
    """Return the repository around a folder. Raises UserError where there is none."""
    git = Git.find(folder)
    if git is None:
        hint = "Change to your repository, or begin one: git init."
        raise UserError("not a repository", f"{folder} is in no git repository.", hint)
    return git


def examine(git: Git, asked: Asked) -> tuple[Findings, Plan]:
    """Return what is found, and the plan that follows from it."""
    files = git.files()
    if len(files) > MAX_FILES:
        raise UserError("too many files", f"more than {MAX_FILES:,} in {git.root}.")
    read = reader(git.root)
    found = look(files, read)
    if asked.configs:
        found = replace(found, config_files=_selected(files, asked.configs))
    present = dict.fromkeys(files, True) | _links(git.root)
    keys = _primary_keys(found, read)
    return found, make_plan(found, asked, _template, present, keys)


def _selected(files: Sequence[str], globs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the configs that were asked for. Raises UserError where there are none."""
    found = [path for path in files if selects(path, globs)]
    kept = tuple(path for path in found if path not in own_files(found, globs))
    if not kept:
        message = f"--configs matches no file of the repository: {' '.join(globs)}."
        raise UserError("bad input", message, "Write a glob from the repository's root.")
    return kept


def reader(root: Path) -> Callable[[str], str | None]:
    """Return a function that reads a repository's text files; links that lead out are not read."""
    real = resolved(root)

    def read(path: str) -> str | None:
        place = root / path
        try:
            if not resolved(place).is_relative_to(real) or not place.is_file():
                return None
            if place.stat().st_size > MAX_SOURCE_BYTES:
                return None
            return place.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            return None

    return read


def _links(root: Path) -> dict[str, bool]:
    """Return what stands in the way though git does not list it: ignored, or a broken link."""
    folder = root / ".github" / "workflows"
    below = (
        [f".github/workflows/{path.name}" for path in folder.glob("*")] if folder.is_dir() else []
    )
    own = [name for name in ("AGENTS.md", BASELINE) if os.path.lexists(root / name)]
    return dict.fromkeys([*below, *own], True)


def _primary_keys(found: Findings, read: Callable[[str], str | None]) -> tuple[str, ...]:
    script = found.script("evaluate")
    if script is None or script.hydra is None:
        return ()
    path = f"{script.hydra.folder}/{script.hydra.name}.yaml".lstrip("/")
    try:
        document = parse_yaml(read(path) or "", name=path)
    except UserError:
        return ()
    return tuple(map(str, document)) if isinstance(document, dict) else ()


def default_branch(root: Path) -> str:
    """Return the remote's default branch as this clone knows it, else the one checked out."""
    for reference in ("refs/remotes/origin/HEAD", "HEAD"):
        done = subprocess.run(
            ["git", "symbolic-ref", "--short", "--quiet", reference],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        name = done.stdout.strip().removeprefix("origin/")
        if done.returncode == 0 and (reference != "HEAD" or name in {"main", "master"}):
            return name
    return "main"


def _template(word: str) -> str:
    return resource(f"workflows/{word}.yml").read_text(encoding="utf-8")


def _check_files(plan: Plan) -> None:
    """Refuse to show or write an address with a password, wherever it came from."""
    for file in plan.files:
        if PASSWORD_IN_URL.search(file.text):
            message = f"{file.path} would hold an address with a password, from your files."
            raise UserError("bad input", message, "Take it out of them: everybody reads it there.")


def _check_answer(pin: str, *, yes: bool) -> None:
    """Refuse to write a pin that is not known, and to ask where nobody can answer."""
    if not pin:
        message = "The commit of this library is not known here, and workflows are pinned to it."
        raise UserError("bad input", message, "Give `--pin` with the 40 digits of a commit.")
    if not yes and not sys.stdin.isatty():
        message = "Nobody is here to be asked."
        raise UserError("bad input", message, "Give `--yes` to write, `--dry-run` to look.")


def _agreed(plan: Plan) -> bool:
    question = f"\nWrite {plural(len(plan.files), 'file')}?"
    return click.confirm(question, default=False, err=True)


def measure(plan: Plan, root: Path, runner: Runner, seeds: str) -> int:
    """Run the evaluation, and write the first baseline from it with `compare update`."""
    from mlactions.__main__ import run  # it knows the words, this one among them

    if not plan.command:
        message = "No evaluation command is known."
        raise UserError("bad input", message, "Give `--command` and `--configs`.")
    if os.path.lexists(root / BASELINE):
        runner.say(
            f"{BASELINE} is there already: left alone. `mlactions compare update` renews it."
        )
        return Exit.PASS
    # Its report stays there for whoever wants to read it.
    measured = Path(tempfile.mkdtemp(prefix="mlactions-init-")) / "evaluate"
    folder = f"--working-directory={os.path.relpath(root)}"
    arguments = ["evaluate", f"--command={plan.command}", "--select=all", f"--out={measured}"]
    arguments += [folder, *(f"--configs={glob}" for glob in plan.configs)]
    arguments += [f"--seeds={seeds}"] if "{seed}" in plan.command else []
    code = run(arguments, runner)
    if code != Exit.PASS:
        runner.say("No baseline was written: the evaluation did not end well.")
        return code
    return run(["compare", "update", f"--metrics={measured}", "--add", folder], runner)
