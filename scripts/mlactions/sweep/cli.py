"""The command line of `sweep`: generate, and its commands `next` and `status`."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from mlactions.bundle import write_atomic, write_json
from mlactions.environment import caller_environment, user_environment
from mlactions.errors import Exit, UserError
from mlactions.publish import check_folder, empty_folder, out_folder, publish
from mlactions.runner import Annotation, Runner
from mlactions.settings import Sections, check_key
from mlactions.sweep.facts import facts
from mlactions.sweep.generate import generate
from mlactions.sweep.jobs import matrix, one_line, ranges, train_matrix
from mlactions.sweep.lookup import Known, Reuse, check_data, look_up, of_any_code
from mlactions.sweep.manifest import NAME, read_manifest
from mlactions.sweep.model import Space
from mlactions.sweep.options import options
from mlactions.sweep.render import render
from mlactions.sweep.result import document
from mlactions.sweep.scripts import BACKENDS
from mlactions.sweep.settings import Settings, read_space, sweep_name
from mlactions.sweep.user.sweep_trials import code_version, head_commit
from mlactions.user_python import without_credentials

ANSWER = "answer"
SPACE = "space.yaml"
MATRIX = "matrix.json"
TRAIN_MATRIX = "train-matrix.json"
WRITTEN = {ANSWER, SPACE, MATRIX, TRAIN_MATRIX}
"""What a run leaves beside its result."""

NOTHING: Mapping[str, Any] = {
    "tracking": "",
    "experiment": "",
    "runs": 0,
    "requests": 0,
    "code": "",
    "data": "",
}
_OPERATORS = frozenset(";<>|&")
_OVER_HTTP = ("http://", "https://")


class _Group(Sections, click.Group):
    """`sweep` alone generates; its other commands are imported when they are called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return ["next", "status"]

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        from mlactions.sweep import later

        return {"next": later.next_command, "status": later.status_command}.get(name)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by heading, and the commands below."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(
    "sweep",
    cls=_Group,
    invoke_without_command=True,
    subcommand_metavar="[next|status]",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> int:
    """Generate the trials of a search space. Nothing is executed.

    Exit code 0: generated. 1: refused, because it is above the budget. 2: the space, the config
    tree or MLflow cannot be used.
    """
    if context.invoked_subcommand is not None:
        return Exit.PASS
    runner: Runner = context.obj
    caller = caller_environment(runner.environ)
    out = out_folder(given["out"], runner, "sweep")
    settings = read_settings(given, caller)
    check_folder(out, "sweep", WRITTEN)
    result, left = run(settings, caller)
    empty_folder(out, "sweep", WRITTEN)  # a call that ends in an error leaves the earlier report
    finish(result, left, settings, out, runner)
    if given["ask"]:
        ask_about(out, settings, runner, caller)
    return Exit.FAILED_CHECK if result["refused"] else Exit.PASS


def ask_about(out: Path, settings: Settings, runner: Runner, caller: Mapping[str, str]) -> None:
    """Let Codex propose a better space, from what was found; the answer lands beside the result."""
    from mlactions.ask import ask_locally, tell_locally  # only who asks pays for it

    answer, folder = out / ANSWER, settings.folder
    checked = ask_locally(runner, [out], out=answer, repository=folder, always=True, environ=caller)
    tell_locally(runner, checked, answer)


def read_settings(given: Mapping[str, Any], caller: Mapping[str, str]) -> Settings:
    """Check what click parsed and could not check itself."""
    folder = Path(given["working_directory"])
    config_name = given["config_name"].removesuffix(".yaml")
    if not config_name:
        raise UserError("bad input", "`config-name` is missing.", "Write for example `train`.")
    backends = tuple(dict.fromkeys(given["backend"])) or ("shell",)
    for name in backends:
        if name not in BACKENDS:
            hint = f"There are {', '.join(BACKENDS)}."
            raise UserError("bad input", f"`backend` is {name!r}.", hint)
    return Settings(
        space=folder / given["space"],
        folder=folder,
        config_dir=given["config_dir"],
        config_name=config_name,
        backends=backends,
        name=given["name"],
        command=_command(given["command"]),
        python=given["python"],
        imports=given["import_module"],
        compose=_composing(given),
        files=not given["no_files"],
        replace=given["replace"],
        tracking_uri=tracking_uri(given["tracking_uri"], caller),
        experiment=_experiment(given["experiment"]),
        data=check_data(given["data_version"]),
        across_commits=given["reuse_across_commits"],
        max_jobs=given["max_jobs"],
        now_ms=datetime.now(UTC).timestamp() * 1000,
        key=check_key(given["key"], field="key"),
    )


def tracking_uri(given: str, caller: Mapping[str, str]) -> str:
    """Return the tracking URI, which is written into scripts and must hold no password."""
    uri = (given or caller.get("MLFLOW_TRACKING_URI", "")).strip()
    if "://" in uri and (urlsplit(uri).username or urlsplit(uri).password):
        hint = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead."
        raise UserError("bad input", "the tracking URI holds credentials.", hint)
    return uri


def _composing(given: Mapping[str, Any]) -> str:
    if given["compose_all"] and given["no_compose"]:
        raise UserError("bad input", "`compose-all` and `no-compose` exclude each other.")
    return "all" if given["compose_all"] else "none" if given["no_compose"] else "choices"


def _command(line: str) -> str:
    try:
        shlex.split(line)
    except ValueError as error:
        message = f"`command` cannot be read: {str(error).lower()}."
        raise UserError("bad input", message, "Close its quotes.") from None
    if "\n" in line.strip():
        raise UserError("bad input", "`command` has several lines.", "Write one command.")
    plain = re.sub(r"\\[;<>|&]", "_", line)
    words = shlex.shlex(plain, posix=False, punctuation_chars=True)
    for word in words:
        if set(word) <= _OPERATORS:
            hint = "Put it into a script, or write `bash -c '… \"$@\"' bash`."
            raise UserError("bad input", f"`command` holds `{word}`: no shell reads it.", hint)
    return line.strip()


def _experiment(name: str) -> str:
    if not name.isprintable():
        raise UserError("bad input", f"`experiment` is {name!r}.", "Write its name.")
    return name


def run(settings: Settings, caller: Mapping[str, str]) -> tuple[dict[str, Any], list[int]]:
    """Generate; return the result's document and the trials that are left."""
    folder = settings.folder
    code = code_version(str(folder), settings.own)
    known, lookup = ask_mlflow(settings, caller, code, read_space(settings))
    environ = without_credentials(user_environment(caller))
    plan = generate(settings, environ, known)
    reuse = Reuse(code, settings.data, plan.space.reuse_across_commits)
    plan.warnings += of_any_code(reuse, plan.states.get("finished", 0))
    return document(plan, settings, head_commit(str(folder)), lookup), plan.left


def ask_mlflow(
    settings: Settings, caller: Mapping[str, str], code: str, space: Space
) -> tuple[Known | None, Mapping[str, Any]]:
    """Ask what has run already, where an experiment is named."""
    if not settings.experiment:
        return None, {**NOTHING, "code": code, "data": settings.data}
    if not settings.tracking_uri:
        hint = "Write for example `https://mlflow.example.org`, or set MLFLOW_TRACKING_URI."
        raise UserError("bad input", "`experiment` is named and `tracking-uri` is not.", hint)
    reuse = Reuse(code, settings.data, settings.across_commits or space.reuse_across_commits)
    if _is_new_database(settings):
        return Known(), {**NOTHING, "tracking": settings.tracking_uri, "code": code}
    from mlactions.mlflow_store import open_store

    with open_store(absolute_uri(settings), caller) as store:
        metric = space.metric.name if space.metric else ""
        name = sweep_name(settings.name, space)
        known = look_up(store, settings.experiment, reuse, metric, name)
        lookup = {
            "tracking": settings.tracking_uri,
            "experiment": settings.experiment,
            "runs": sum(map(len, known.attempts.values())),
            "requests": store.counters.requests,
            "code": code,
            "data": settings.data,
        }
    return known, lookup


def _is_new_database(settings: Settings) -> bool:
    """Tell whether the first trial will make the database: then nothing has run."""
    path = _sqlite(settings)
    return path is not None and not path.exists()


def _sqlite(settings: Settings) -> Path | None:
    prefix = "sqlite:///"
    if not settings.tracking_uri.startswith(prefix):
        return None
    return settings.folder / settings.tracking_uri.removeprefix(prefix)


def absolute_uri(settings: Settings) -> str:
    """Return the URI with a database's path as seen from here, not from the project."""
    path = _sqlite(settings)
    return settings.tracking_uri if path is None else f"sqlite:///{os.path.abspath(path)}"  # noqa: PTH100  # links stay


def finish(
    result: Mapping[str, Any], left: Sequence[int], settings: Settings, out: Path, runner: Runner
) -> None:
    """Write result and reports, and set the outputs of the action, for the trials that are left."""
    write_json(out / "result.json", result)  # by it the next call knows the folder as ours
    for text in result["warnings"]:
        runner.mark(Annotation("warning", text.replace("`", ""), "sweep"))
    numbers = [] if result["refused"] else left
    found = one_line(matrix(numbers, max_jobs=settings.max_jobs))
    trainings = one_line(_trainings(result, settings, numbers))
    if "matrix" in result["backends"] or result["kind"] != "plan":
        write_atomic(out / MATRIX, found + "\n")
        write_atomic(out / TRAIN_MATRIX, trainings + "\n")
    if settings.space.is_file():
        write_atomic(out / SPACE, settings.space.read_bytes())
    runner.output("matrix", found)
    runner.output("train-matrix", trainings)
    runner.output("max-parallel", str(result["space"]["max_parallel"] or ""))
    runner.output("method", result["space"]["method"])
    runner.output("sweep", result["sweep"])
    runner.output("trials", ranges(numbers))
    runner.output("left", str(result["counts"]["left"]))
    runner.output("folder", str((settings.folder / result["folder"]).resolve()))
    publish(runner, out, result, render, facts(result))


def _trainings(
    result: Mapping[str, Any], settings: Settings, numbers: Sequence[int]
) -> dict[str, Any]:
    """Return the matrix for `train`; it is empty where trials have no files."""
    if not (settings.files and numbers):
        return {"include": []}
    made = read_manifest(settings.folder / result["folder"] / NAME)
    rows = (made.rows[number - 1] for number in numbers if made.header["files"])
    return train_matrix(made.header, rows, own=settings.own, max_jobs=settings.max_jobs)
