"""The command lines of `note`: new, check, close."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

import click

from mlactions.bundle import write_atomic
from mlactions.compare.baseline import parse_baseline
from mlactions.compare.candidate import read_candidate
from mlactions.compare.model import Baseline
from mlactions.compare.rules import Git, git_in
from mlactions.errors import Exit, UserError
from mlactions.evaluate.globs import selects
from mlactions.note.check import Change, check
from mlactions.note.composed import composed
from mlactions.note.judge import judge_note
from mlactions.note.model import CONFIGS, NOTES
from mlactions.note.parse import parse_note
from mlactions.note.render import render
from mlactions.note.result import check_document, close_document, facts, rows_of, said
from mlactions.note.write import closed, drafted_rules, file_name, next_id, scaffold, table
from mlactions.own_files import own_files
from mlactions.publish import empty_folder, out_folder, publish
from mlactions.runner import Annotation, Level, Runner
from mlactions.schema import read_text
from mlactions.settings import Status, check_key, lines_option, option, path_below

BASELINE = "configs/baseline.yaml"
ANSWER = "answer"
MAX_NOTES = 2000
BOM = b"\xef\xbb\xbf"
_LEVELS: Mapping[str, Level] = {"fail": "error", "warn": "warning"}

folder_option = option("--working-directory", default=".", help="Folder that paths start at.")
notes_option = option("--notes", default=NOTES, show_default=True, help="Folder of notes.")
baseline_option = option("--baseline", default=BASELINE, show_default=True, help="Baseline YAML.")
out_option = option("--out", type=click.Path(path_type=Path), help="Folder for the reports.")


@click.group("note", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Experiment notes: what is expected before a run, and whether it came about."""


@command.command("new", short_help="Write a note to fill in.")
@click.argument("title", envvar="INPUT_TITLE")
@lines_option("--config", metavar="FILE", required=True, help="The experiment's configs.")
@notes_option
@baseline_option
@folder_option
@click.pass_obj
def new(runner: Runner, /, **given: Any) -> int:
    """Write a note to fill in, with what the baseline asks of the config's model as a start."""
    folder = Path(given["working_directory"])
    for name in given["config"]:
        if not path_below(folder, name, field="config").is_file():
            message = f"`config` has {name!r}: there is no such file."
            raise UserError("bad input", message, "Write it first, or mend the path.")
    notes = path_below(folder, given["notes"], field="notes")
    taken = [path.name for path in notes.glob("*.md")] if notes.is_dir() else []
    number = next_id(taken)
    title = " ".join(given["title"].split())
    models = [PurePosixPath(name).stem for name in given["config"]]
    rules = drafted_rules(read_baseline(folder, given["baseline"]), models)
    path = notes / file_name(number, title)
    write_atomic(path, scaffold(number, title, given["config"], rules))
    runner.say(f"wrote {path}: fill in the hypothesis and when to roll back, then run")
    given = {name: given[name] for name in ("notes", "working_directory")}
    usual = {"notes": NOTES, "working_directory": "."}
    places = [f"--{n.replace('_', '-')}={v}" for n, v in given.items() if v != usual[n]]
    runner.say(f"  {shlex.join(['mlactions', 'note', 'check', *places, '--out', 'build/note'])}")
    return Exit.PASS


@command.command("check", short_help="Check that changed configs have one.")
@option("--base-ref", metavar="REF", help="The commit that the change starts from.")
@lines_option("--configs", metavar="GLOB", help=f"Default: {' '.join(CONFIGS)}.")
@notes_option
@baseline_option
@folder_option
@option("--key", default="note", help="Name of the comment and the artifact.")
@out_option
@option("--ask", is_flag=True, help="Let the codex on the PATH draft the notes that are missing.")
@click.pass_obj
def check_command(runner: Runner, /, **given: Any) -> int:
    """Check that every changed experiment config has a note that can be judged.

    A file that a config composes, such as an option of a Hydra group, counts as a part of it.
    Exit code 0: it has. 1: a note is missing, or is not whole. 2: bad input.
    """
    out = out_folder(given["out"], runner, "note")
    key = check_key(given["key"], field="key")
    folder = Path(given["working_directory"])
    notes = path_below(folder, given["notes"], field="notes")
    empty_folder(out, "note", {ANSWER})
    git = git_in(folder)
    change = None
    if given["base_ref"]:
        globs = (*(given["configs"] or CONFIGS), f"!{normpath(given['baseline'])}")
        change = read_change(git, folder, given["base_ref"], globs, given["notes"])
    checked = check(read_notes(notes, given["notes"]), change)
    configs = change.configs if change else ()
    parts = change.composed if change else {}
    baseline = read_baseline(folder, given["baseline"])
    commit = git("rev-parse", "--verify", "--quiet", "HEAD").stdout.decode().strip()
    result = check_document(
        checked, configs, composed=parts, commit=commit, key=key, baseline=baseline
    )
    _publish(result, out, runner)
    if given["ask"]:
        from mlactions.compare.explain import explain  # only who asks pays for it

        base = given["base_ref"] or ""
        explain(runner, out, (), base, out=out / ANSWER, repository=folder)
    return Exit.FAILED_CHECK if result["status"] == Status.FAIL else Exit.PASS


@command.command("close", short_help="Say whether the hypothesis held.")
@option(
    "--note", metavar="FILE", required=True, help="The note, such as experiments/0007-wider.md."
)
@lines_option("--metrics", metavar="PATH", required=True, help="What was measured.")
@option("--write/--no-write", default=True, help="Write the result into the note.")
@option("--today", metavar="DAY", help="Day that waivers are judged by; default: now.")
@folder_option
@option("--key", default="note-close", help="Name of the comment and the artifact.")
@out_option
@click.pass_obj
def close(runner: Runner, /, **given: Any) -> int:
    """Say whether a note's hypothesis held, by what was measured, and write that into the note.

    Exit code 0: it is said, whatever came out. 1: the rollback criteria are met. 2: bad input.
    """
    from mlactions.compare.cli import checked_day  # with compare's statistics

    out = out_folder(given["out"], runner, "note-close")
    key = check_key(given["key"], field="key")
    folder = Path(given["working_directory"])
    path = path_below(folder, given["note"], field="note")
    note = parse_note(exact_text(path), file=given["note"])
    if note.state == "closed":
        runner.say(f"{given['note']} is closed already, as {note.outcome}: it is judged anew.")
    candidate = read_candidate(tuple(map(Path, given["metrics"])))
    judged = judge_note(note, candidate, checked_day(given["today"]))
    empty_folder(out, "note", {ANSWER})
    if given["write"]:
        text = closed(note, judged.outcome, table(rows_of(judged), said(note, judged)))
        write_atomic(path, text.encode())
    result = close_document(note, judged, commit=candidate.commit, key=key)
    _publish(result, out, runner)
    return Exit.FAILED_CHECK if result["status"] == Status.FAIL else Exit.PASS


def exact_text(path: Path) -> str:
    """Return a note's text with its line ends, and a byte order mark, as they are."""
    text = read_text(path)
    with path.open("rb") as stream:
        marked = stream.read(len(BOM)) == BOM
    return f"\ufeff{text}" if marked else text


def read_notes(folder: Path, name: str) -> dict[str, str]:
    """Return the texts of all notes by path; a folder that is not there holds none."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError("bad input", f"`notes` is {name!r}, which is no folder.")
    paths = sorted(folder.glob("*.md")) if folder.is_dir() else []
    if len(paths) > MAX_NOTES:
        raise UserError("too many notes", f"more than {MAX_NOTES:,} in {name}.")
    return {
        (PurePosixPath(name) / path.name).as_posix(): exact_text(_no_link(path))
        for path in paths
        if path.name.lower() not in {"readme.md", "index.md"}
    }


def _no_link(path: Path) -> Path:
    if path.is_symlink():
        message = "a note must be a file of its own, and this is a link."
        raise UserError("link", message, "Write the note itself.", str(path))
    return path


def read_baseline(folder: Path, name: str) -> Baseline | None:
    """Return the baseline, where there is one."""
    path = path_below(folder, name, field="baseline")
    return parse_baseline(read_text(path), name=name) if path.is_file() else None


def read_change(git: Git, folder: Path, base: str, globs: tuple[str, ...], notes: str) -> Change:
    """Return which configs and notes differ from where the change began; new files count.

    A file that a config composes counts too, such as an option of a Hydra group.
    """
    begin = git("merge-base", "--end-of-options", base, "HEAD")
    if begin.returncode:
        message = f"`base-ref` is {base!r}, which this clone does not have in common with HEAD."
        raise UserError("no such commit", message, "Check out with `fetch-depth: 0`.")
    commit = begin.stdout.decode().strip()
    changed = _listed(
        git, "diff", "--name-only", "--no-renames", "--relative", "--diff-filter=d", "-z", commit
    )
    changed |= _listed(git, "ls-files", "--others", "--exclude-standard", "-z")
    prefix = f"{PurePosixPath(notes).as_posix()}/"
    own = frozenset(name for name in changed if name.startswith(prefix) and name.endswith(".md"))
    aside = {*own, *own_files(changed, globs)}
    configs = {name for name in changed if selects(name, globs) and name not in aside}
    listed = _listed(git, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    parts = composed(folder, listed, changed - aside, globs)
    before = {}
    for name in own:
        shown = git("show", f"{commit}:./{name}")
        if not shown.returncode:
            before[name] = shown.stdout.decode("utf-8", "replace")
    there = tuple(name for name in sorted(configs | set(parts)) if (folder / name).is_file())
    return Change(there, own, before, parts)


def _listed(git: Git, *arguments: str) -> set[str]:
    done = git(*arguments)
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()[:300]
        raise UserError("git failed", message or "it gave no reason.")
    return {name for name in done.stdout.decode(errors="replace").split("\0") if name}


def _publish(result: Mapping[str, Any], out: Path, runner: Runner) -> None:
    for item in result["findings"]:
        if item["level"] in _LEVELS:
            text = f"{item['message']} {item['hint']}".strip().replace("`", "")
            runner.mark(
                Annotation(_LEVELS[item["level"]], text, item["reason"], item["file"], item["line"])
            )
    publish(runner, out, result, render, facts(result))
