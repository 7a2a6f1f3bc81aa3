"""What to write: the templates that fit, filled in, and why the others do not. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mlactions.compare.suggest import direction
from mlactions.init import templates as fill
from mlactions.init.address import check_open, is_loopback
from mlactions.init.agents import agents_text
from mlactions.init.commands import evaluation_command, hydra_choice, in_environment
from mlactions.init.model import Asked, File, Findings, Plan

FOLDER = ".github/workflows"
BASELINE = "configs/baseline.yaml"
SEEDS = "0,1,2,3,4"

Template = Callable[[str], str]
"""Returns the text of a template of this library by its word."""


@dataclass(frozen=True)
class Fit:
    """A word's workflow: its text and why it fits, or only why it does not."""

    word: str
    reason: str
    text: str = ""


def make_plan(
    found: Findings,
    asked: Asked,
    template: Template,
    present: Mapping[str, bool],
    keys: Sequence[str] = (),
) -> Plan:
    """Return what fits this repository; files in `present` are left as they are."""
    told = found.recalled
    given = asked.command
    asked = replace(
        asked,
        command=asked.command or told.command,
        configs=asked.configs or told.configs or found.configs,
        install=asked.install or told.install or found.packages.install,
        python=asked.python or told.python_version or found.packages.python,
        tracking_uri=asked.tracking_uri or told.tracking_uri,
    )
    if given and asked.install == found.packages.install:
        asked = replace(asked, command=in_environment(given, found.packages))
    wrapped = bool(given) and asked.command != given
    command, why = (asked.command, "") if asked.command else evaluation_command(found, keys)
    if command and not asked.command and asked.configs:
        command = hydra_choice(command, found.script("evaluate"), asked.configs[0])
    if command and not asked.configs:
        command, why = "", "no model config was found in configs/, conf/ or the like"
    asked = replace(asked, command=command)
    files: list[File] = []
    kept: list[tuple[str, str]] = []
    left_out: list[tuple[str, str]] = []
    blocked: list[str] = []
    for fit in _fits(found, asked, template, why):
        path = _free(fit.word, present)
        user = _used_by(found, fit.word)
        if not fit.text and not user:
            left_out.append((fit.word, fit.reason))
        elif user:
            own = user == f"{FOLDER}/{fit.word}.yml"
            kept.append((user, "is there already" if own else f"uses `{fit.word}` already"))
        elif path in present:
            reason = f"its file name is taken: rename {path}, or write the job into it"
            left_out.append((fit.word, reason))
            blocked.append(fit.word)
        else:
            text = fill.introduced(fill.on_branch(fit.text, asked.branch))
            text = fill.pinned(text, asked.pin, asked.version)
            files.append(File(path, text, fit.reason))
    agents = File(
        "AGENTS.md",
        agents_text(found, asked, has_baseline=bool(command) or BASELINE in present),
        "conventions found in the code",
    )
    if present.get(agents.path) is None:
        files.append(agents)
    else:
        kept.append((agents.path, "is there already"))
    written = {file.path for file in files}
    has_gate = bool(written & {f"{FOLDER}/gate.yml", f"{FOLDER}/mlactions-gate.yml"})
    has_gate = has_gate or bool(_used_by(found, "gate"))
    steps = tuple(_steps(command, present, asked, has_gate=has_gate))
    if wrapped:
        source = found.packages.source
        steps = (
            f"The evaluation starts in the environment that {source} makes: see above.",
            *steps,
        )
    return Plan(
        files=tuple(files),
        kept=tuple(kept),
        left_out=tuple(left_out),
        command=command,
        configs=asked.configs,
        steps=steps,
        blocked=tuple(blocked),
    )


def _used_by(found: Findings, word: str) -> str:
    same = {"baseline-update": {"compare/update"}, "gate": {"gate", "compare"}}.get(word, {word})
    users = (path for path, words in found.workflows.items() if same & words)
    return next(users, "")


def _free(word: str, present: Mapping[str, bool]) -> str:
    """Return where a workflow is written: beside a file by its name that does not use the word."""
    path = f"{FOLDER}/{word}.yml"
    return f"{FOLDER}/mlactions-{word}.yml" if path in present else path


def _fits(found: Findings, asked: Asked, template: Template, why: str) -> Iterator[Fit]:
    advice = "give `--command` with {config} and {output}, and `--configs`"
    if asked.command:
        yield Fit(
            "gate", "evaluates the models that a pull request changes", _gate(asked, template)
        )
        reason = "measures the baseline anew each month, as a pull request"
        yield Fit("baseline-update", reason, _baseline(asked, template))
    else:
        yield Fit("gate", f"{why}: {advice}")
    train = found.script("train")
    if train is not None and found.sources:
        reason = f"what keeps {train.path} from giving the same result twice"
        yield Fit("audit", reason, _audit(found, template))
    yield from _tracked(found, asked, template)
    yield from _to_copy(found, asked)
    yield Fit("doctor", "checks this set-up each week", template("doctor"))


def _to_copy(found: Findings, asked: Asked) -> Iterator[Fit]:
    """Yield the words whose workflow only its owner can fill in, and what each is for."""
    train = found.script("train") is not None
    words = {
        "train": (train, "long trainings on runners of yours, over several attempts"),
        "sweep": (train and "Hydra" in found.frameworks, "searches over Hydra's settings"),
        "note": (bool(asked.configs), "a written hypothesis with every new experiment"),
        "export": (found.script("export") is not None, "a checkpoint as a checked ONNX file"),
        "drift": ("MLflow" in found.frameworks, "what is served, held against what was measured"),
        "propose": (bool(found.scripts), "a task for Codex, as a checked draft pull request"),
    }
    for word, (fits, purpose) in words.items():
        if fits:
            yield Fit(word, f"{purpose}: copy `workflows/{word}.yml` of this library")


def _gate(asked: Asked, template: Template) -> str:
    text = fill.with_value(template("gate"), "command", asked.command)
    text = fill.with_value(text, "configs", asked.configs)
    text = fill.with_value(text, "install", asked.install)
    entries = [("python-version", asked.python)]
    if "{seed}" in asked.command:
        entries.append(("seeds", "0,1,2"))
    return fill.after(text, "configs", entries)


def _baseline(asked: Asked, template: Template) -> str:
    text = fill.with_value(template("baseline-update"), "command", asked.command)
    text = fill.with_value(text, "configs", asked.configs)
    text = fill.with_value(text, "python-version", asked.python)
    if "{seed}" not in asked.command:
        text = fill.without(text, "seeds")
    if not asked.install:
        return fill.without_step(text, "Install")
    return text.replace(
        "run: python -m pip install -r requirements.txt\n", f"run: {fill.spelled(asked.install)}\n"
    )


def _audit(found: Findings, template: Template) -> str:
    """Fill the rules' part; the two runs need a smoke training that only its owner can name."""
    text = fill.with_value(template("audit"), "paths", found.sources)
    text = text.replace("mlactions audit src scripts", f"mlactions audit {' '.join(found.sources)}")
    text = text.replace(
        "rules over the code, two runs of the smoke training, one", "rules over the code, one"
    )
    return fill.without(text, "double-run", "python-version", "install")


def _tracked(found: Findings, asked: Asked, template: Template) -> Iterator[Fit]:
    """Yield what reads MLflow: it needs a server's address, which no code should hold."""
    if "MLflow" not in found.frameworks:
        return
    where = str(found.frameworks["MLflow"])
    if not asked.tracking_uri:
        yield Fit("analyze", f"MLflow is used ({where}): give `--tracking-uri` of your server")
        return
    text = fill.with_value(template("diagnose"), "tracking-uri", asked.tracking_uri)
    yield Fit("diagnose", f"MLflow is used ({where})", text)
    experiment, metric = found.names.get("experiment"), found.names.get("metric")
    if experiment is None or metric is None:
        missing = "experiment" if experiment is None else "metric"
        yield Fit(
            "analyze",
            f"no `mlflow` call names the {missing} by a literal: copy `workflows/analyze.yml` of"
            f" this library and set `{missing}`",
        )
        return
    for evidence in (experiment, metric):
        check_open(str(evidence), evidence.what)
    text = fill.with_value(template("analyze"), "tracking-uri", asked.tracking_uri)
    text = fill.with_value(text, "experiment", experiment.what)
    text = fill.with_value(text, "metric", metric.what)
    text = fill.with_value(text, "direction", direction(metric.what))
    yield Fit("analyze", f"`{experiment.what}` is logged to MLflow ({experiment})", text)


def _steps(
    command: str, present: Mapping[str, bool], asked: Asked, *, has_gate: bool
) -> Iterator[str]:
    """Yield what is left to do, in order."""
    if command and BASELINE not in present:
        yield (
            "Measure the first baseline: `mlactions init --evaluate` here, or once it is on the"
            " default branch *Run workflow* of Baseline update."
        )
    if has_gate:
        yield "Require the check `gate / compare` in the rules of your default branch."
    if command:
        yield (
            "Allow GitHub Actions to create pull requests (Settings, Actions, General): Baseline"
            " update opens one."
        )
    yield "For explanations, add the secret OPENAI_API_KEY. Everything else works without it."
    if is_loopback(asked.tracking_uri):
        yield (
            f"`{asked.tracking_uri}` is reached by this machine alone: name a server that runners"
            " reach, or give your own runners."
        )
    if asked.tracking_uri:
        yield "Add MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD where your server asks."
    yield "Commit, then check the set-up: `mlactions doctor`."
