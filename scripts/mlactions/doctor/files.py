"""Rules about files: configs, scripts, baseline, search space, Python. They are read, never run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator

from mlactions.compare.baseline import parse_baseline
from mlactions.compare.model import Baseline
from mlactions.doctor.model import Problem, Severity, Use, Workflow
from mlactions.errors import UserError
from mlactions.evaluate.globs import selects
from mlactions.evaluate.naming import name_models
from mlactions.evaluate.template import parse_template
from mlactions.init.model import Packages, Read
from mlactions.own_files import SPACE, own_files

BASELINE, SWEEP = "configs/baseline.yaml", SPACE
_EVALUATES = re.compile(r"(^|/)(evaluate/action|gate)\.yml$|^action\.yml$")


def evaluations(workflows: Collection[Workflow]) -> tuple[Use, ...]:
    """Return every use that evaluates configs."""
    used = (use for workflow in workflows for use in workflow.used if use.is_ours)
    return tuple(use for use in used if _EVALUATES.search(use.own_path))


def evaluation(use: Use, files: Collection[str]) -> Iterator[Problem]:
    """Yield globs that match nothing and commands that cannot run."""
    folder = posixpath.normpath(str(use.given.get("working-directory", ".")))
    globs = tuple(
        line.strip() for line in str(use.given.get("configs", "configs/*.yaml")).splitlines()
    )
    inside = _below(folder, files)
    where = use.line("with", "configs")
    for glob in filter(None, globs):
        if "${{" in glob or glob.startswith("!"):
            continue
        if not any(selects(path, (glob,)) for path in inside):
            message = f"`configs` has `{glob}`, which matches no file: the check refuses to run."
            fix = "Mend the glob; it is relative to `working-directory`."
            yield Problem(use.workflow.path, where, "no-config", "fail", message, fix)
    command = str(use.given.get("command", ""))
    if command and "${{" not in command:
        yield from _command(use, command, inside)


def _command(use: Use, command: str, inside: Collection[str]) -> Iterator[Problem]:
    line = use.line("with", "command")
    try:
        template = parse_template(command)
    except UserError as error:
        yield Problem(use.workflow.path, line, "command", "fail", error.message, error.hint)
        return
    for argument in template.arguments:
        script = posixpath.normpath(argument)
        relative = not argument.startswith(("/", "-")) and "{" not in argument
        if argument.endswith(".py") and relative and script not in inside:
            message = f"`command` starts `{argument}`, which is no file of the repository."
            fix = "Mend the path; it is relative to `working-directory`."
            yield Problem(use.workflow.path, line, "command", "fail", message, fix)


def _below(folder: str, files: Collection[str]) -> frozenset[str]:
    if folder == ".":
        return frozenset(files)
    return frozenset(p.removeprefix(f"{folder}/") for p in files if p.startswith(f"{folder}/"))


def baselines(uses: Collection[Use], files: Collection[str], read: Read) -> Iterator[Problem]:
    """Yield baselines that are missing, not valid, or about models that are gone."""
    wanted = {_baseline_of(use): use for use in reversed(tuple(uses))}
    if not wanted and BASELINE in files:
        yield from _parsed(BASELINE, read)[1]
    for path, use in sorted(wanted.items()):
        if path not in files:
            message = f"There is no baseline `{path}`: pull requests fail until there is one."
            fix = "Make it: `mlactions init --evaluate`, or run the workflow Baseline update."
            yield Problem(use.workflow.path, use.line(), "no-baseline", "warn", message, fix)
            continue
        baseline, problems = _parsed(path, read)
        yield from problems
        if baseline is not None:
            yield from _gone(path, baseline, use, files)


def _baseline_of(use: Use) -> str:
    folder = str(use.given.get("working-directory", "."))
    return posixpath.normpath(f"{folder}/{use.given.get('baseline', BASELINE)}")


def _parsed(path: str, read: Read) -> tuple[Baseline | None, tuple[Problem, ...]]:
    try:
        return parse_baseline(read(path) or "", name=path), ()
    except UserError as error:
        return None, (_of_error(error, path, "baseline"),)


def _gone(path: str, baseline: Baseline, use: Use, files: Collection[str]) -> Iterator[Problem]:
    folder = posixpath.normpath(str(use.given.get("working-directory", ".")))
    globs = tuple(str(use.given.get("configs", "configs/*.yaml")).split())
    inside = _below(folder, files)
    wanted = [path for path in inside if selects(path, globs)]
    models = {c.model for c in name_models(set(wanted) - {*own_files(wanted, globs)})}
    for model in baseline.models:
        if models and model not in models:
            message = f"The baseline has rules for `{model}`, which no config is named after."
            fix = "Take them out, or mend the name: a model is named after its config."
            line = (baseline.marked.line(("models", model)) if baseline.marked else None) or 1
            yield Problem(path, line, "baseline-model", "warn", message, fix)


def sweeps(files: Collection[str], read: Read) -> Iterator[Problem]:
    """Yield what is wrong with a search space."""
    if SWEEP not in files:
        return
    try:
        from mlactions.sweep.space import parse_space  # only who has one pays

        parse_space(read(SWEEP) or "", file=SWEEP)
    except UserError as error:
        yield _of_error(error, SWEEP, "sweep")
    except ImportError as error:
        message = f"It was not checked: Hydra's strings are in it, and {error.name} is not here."
        fix = "Install this library with its extra `hydra`, or run `mlactions sweep`."
        yield Problem(SWEEP, 1, "sweep-not-checked", "warn", message, fix)


def _of_error(error: UserError, path: str, rule: str, severity: Severity = "fail") -> Problem:
    message = f"{error.title}: {error.message}"
    fix = error.hint or "Mend the file."
    return Problem(path, error.line or 1, f"{rule}-not-valid", severity, message, fix)


def pythons(uses: Collection[Use], packages: Packages) -> Iterator[Problem]:
    """Yield workflows that set up an older Python than the project asks for."""
    wanted = _minor(packages.python) if packages.python_source else None
    for use in uses:
        given = _minor(str(use.given.get("python-version", "")))
        if wanted and given and given < wanted:
            message = (
                f"`python-version` is 3.{given}; {packages.python_source} asks for"
                f" {packages.python} or newer."
            )
            fix = f'Write `python-version: "{packages.python}"`.'
            line = use.line("with", "python-version")
            yield Problem(use.workflow.path, line, "python-version", "fail", message, fix)


def _minor(text: str) -> int | None:
    found = re.search(r"3\.(\d{1,2})", text)
    return int(found[1]) if found else None
