"""Generate a sweep: plan, check, write beside, move into place. No training is started."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.schema import read_text
from mlactions.sweep import compose as hydra
from mlactions.sweep.commands import command_of, without_hydra
from mlactions.sweep.compose_checks import Files, Samples, check
from mlactions.sweep.cost import Estimate, Spent, beyond_budget, estimate, over_budget
from mlactions.sweep.coverage import Coverage
from mlactions.sweep.folder import (
    existing,
    install,
    locked,
    remove_others,
    staging,
    write_files,
    write_scripts,
)
from mlactions.sweep.identity import search_hash
from mlactions.sweep.lookup import Known, finished_elsewhere, key_of
from mlactions.sweep.manifest import NAME, Manifest, read_manifest, row_text, write_manifest
from mlactions.sweep.model import Space, Trial
from mlactions.sweep.overrides import Writer
from mlactions.sweep.scripts import Job, scripts
from mlactions.sweep.settings import Settings, read_space, sweep_name
from mlactions.sweep.tree import config_names, group_options
from mlactions.sweep.trials import Bases, make_trials, resolve_globs, size

MAX_FILES = 200_000
MAX_TRIALS = 10_000_000
_NOT_PLANNED = frozenset({"finished", "running", "failed"})


@dataclass
class Plan:
    """A sweep as it was planned. `left` are the numbers that have to be run."""

    name: str
    space: Space
    bases: Bases
    folder: Path
    coverage: Coverage
    samples: Samples
    known: Known | None
    width: int = 4
    trials: int = 0
    elsewhere: list[Trial] = field(default_factory=list)
    configurations: int = 0
    states: dict[str, int] = field(default_factory=dict)
    left: list[int] = field(default_factory=list)
    done: list[Trial] = field(default_factory=list)
    begun: list[Trial] = field(default_factory=list)
    """Trials that are left and have runs."""

    warnings: list[str] = field(default_factory=list)
    composed: int = 0
    refused: list[str] = field(default_factory=list)
    estimate: Estimate | None = None
    scripts: tuple[str, ...] = ()


def project_of(settings: Settings, environ: Mapping[str, str]) -> hydra.Project:
    """Return the config tree, and the Python that composes it."""
    if not settings.configs.is_dir():
        hint = "It is the folder of the configs, relative to `working-directory`."
        raise UserError("bad input", f"`config-dir` is {settings.config_dir!r}.", hint)
    # Modules may put it into the ConfigStore: then Hydra says whether it is there.
    if not settings.imports and not any(
        (settings.configs / f"{settings.config_name}{end}").is_file() for end in (".yaml", ".yml")
    ):
        found = config_names(settings.configs, settings.space)
        hint = f"There are {', '.join(found[:20])}." if found else "There is none."
        message = f"`config-name` is {settings.config_name!r}, which is no config there."
        raise UserError("bad input", message, hint)
    return hydra.Project(
        settings.folder,
        settings.configs,
        settings.config_name,
        settings.python,
        settings.imports,
        environ,
    )


def prepare(
    settings: Settings, environ: Mapping[str, str], known: Known | None
) -> tuple[Plan, hydra.Composed | None]:
    """Read the space and compose what trials change."""
    space = read_space(settings)
    if settings.across_commits:
        space = replace(space, reuse_across_commits=True)
    if settings.files:
        command_of(settings.command, settings.python, space)
    project = project_of(settings, environ)
    composed = None
    if settings.compose == "none":
        options = group_options(settings.configs, space)
        space = resolve_globs(space, options)
        bases = Bases(frozenset(options))
    else:
        space, composed = hydra.compose(project, space)
        bases = hydra.bases_of(composed, space)
    name = sweep_name(settings.name, space)
    plan = Plan(
        name,
        space,
        bases,
        settings.configs / "sweeps" / name,
        Coverage(space),
        Samples(bases.groups),
        known,
        warnings=without_hydra(settings.command, space, settings.folder),
    )
    most = size(space) * max(len(space.seeds), 1)
    _check_size(most, settings, space)
    plan.width = max(4, len(str(most)))
    return plan, composed


def _check_size(most: int, settings: Settings, space: Space) -> None:
    if most > MAX_TRIALS:
        message = f"it has up to {most:,} trials, more than {MAX_TRIALS:,}."
        hint = "Write `run_cap`, or choose `method: random` or `sobol`."
        raise UserError("too many trials", message, hint, space.file)
    if settings.files and most > MAX_FILES:
        message = f"it has up to {most:,} trials, more than {MAX_FILES:,} files."
        hint = "Write `run_cap`, or keep to the manifest with `--no-files`."
        raise UserError("too many trials", message, hint, space.file)


def generate(settings: Settings, environ: Mapping[str, str], known: Known | None) -> Plan:
    """Generate a sweep; above the budget nothing is left behind. Raises UserError."""
    plan, composed = prepare(settings, environ, known)
    project = project_of(settings, environ)
    with locked(plan.folder):
        before = existing(plan.folder, replace=settings.replace)
        with staging(plan.folder) as stage:
            _write_trials(plan, stage, settings, before)
            if composed is not None:
                files_of = _files_to_compose(plan, stage, settings)
                plan.warnings += check(project, plan.space, composed, plan.samples, files_of)
            if plan.known is not None and (text := finished_elsewhere(plan.known, plan.elsewhere)):
                plan.warnings.append(text)
            _judge(plan)
            if plan.refused:
                return plan
            if settings.files:
                files = scripts(_job(plan, settings), plan.space, settings.backends)
                plan.scripts = tuple(sorted(files))
                write_scripts(stage, files)
            install(stage, plan.folder)
        if settings.replace:
            made = read_manifest(plan.folder / NAME).rows if settings.files else ()
            names = {row["name"] for row in made}
            remove_others(plan.folder, names, plan.scripts)
    return plan


def _write_trials(plan: Plan, stage: Path, settings: Settings, before: Manifest | None) -> None:
    """Make every trial once, and write its file and its row as it comes."""
    writer = Writer(plan.space, plan.bases.groups)
    trials = _noted(plan, make_trials(plan.space, plan.bases), before)
    header = header_of(plan, settings)

    def rows() -> Iterator[str]:
        for trial in trials:
            status = _state(plan, trial, settings.now_ms)
            if settings.files:
                pending.append((f"{trial.name(plan.width)}.yaml", writer.text(trial, plan.name)))
                if len(pending) == 1000:  # noqa: PLR2004  # a batch
                    write_files(stage, pending)
                    pending.clear()
            yield row_text(trial, plan.width, status)

    pending: list[tuple[str, str]] = []
    write_manifest(stage / NAME, header, rows())
    write_files(stage, pending)
    if not plan.trials:
        message = "no trial is left: `exclude` and `when` rule out all of them."
        raise UserError("empty search space", message, file=plan.space.file)


def _noted(plan: Plan, trials: Iterable[Trial], before: Manifest | None) -> Iterator[Trial]:
    """Note trials as they pass; what was generated before has to be the beginning, or the whole."""
    old = list(before.trials()) if before else []
    last = ""
    for trial in trials:
        if plan.trials < len(old) and not _same(old[plan.trials], trial):
            raise _other_sweep(plan, old[plan.trials], trial)
        plan.trials += 1
        if trial.hash != last:
            last = trial.hash
            plan.configurations += 1
        plan.samples.note(trial)
        plan.coverage.note(trial)
        yield trial
    if plan.trials < len(old):
        if plan.space.method != "tpe":
            raise _other_sweep(plan, old[plan.trials], None)
        for trial in old[plan.trials :]:  # proposed by `sweep next`
            plan.trials += 1
            plan.coverage.note(trial)
            yield trial


def _same(first: Trial, second: Trial) -> bool:
    return first.hash == second.hash and first.seed == second.seed


def _other_sweep(plan: Plan, old: Trial, new: Trial | None) -> UserError:
    now = "no more" if new is None else f"{new.name(plan.width)} with seed {new.seed}"
    message = (
        f"there is another sweep of this name: its trial {old.number} is {old.name(plan.width)},"
        f" now it would be {now}."
    )
    hint = "The space, or the config it changes, was edited: choose another `name`, or `--replace`."
    raise UserError("sweep exists", message, hint, str(plan.folder))


def _state(plan: Plan, trial: Trial, now_ms: float) -> str:
    """Return a trial's state, and note whether it is left to run."""
    name = "planned"
    if plan.known is not None:
        name = plan.known.state(trial, plan.space.retry, now_ms).name
    plan.states[name] = plan.states.get(name, 0) + 1
    if name not in _NOT_PLANNED:
        plan.left.append(trial.number)
    if plan.known is not None and plan.known.has(key_of(trial)):
        (plan.done if name in _NOT_PLANNED else plan.begun).append(trial)
    if plan.known is not None and name != "finished" and key_of(trial) in plan.known.elsewhere:
        plan.elsewhere.append(trial)
    return name


def _files_to_compose(plan: Plan, stage: Path, settings: Settings) -> Files:
    """Return one override file for each choice of groups, or every one."""
    if not settings.files:
        return Files("")
    chosen = list(plan.samples.files.values())
    if settings.compose == "all":
        chosen = list(make_trials(plan.space, plan.bases))
    plan.composed = len(chosen)
    named = [(trial.name(plan.width), trial) for trial in chosen]
    return Files(f"sweeps/{stage.name}", named)


def _judge(plan: Plan) -> None:
    spent = plan.known.taken(plan.done, plan.begun) if plan.known else Spent()
    plan.estimate = estimate(plan.space, len(plan.left), spent)
    plan.refused = over_budget(plan.space, plan.estimate)
    plan.warnings += beyond_budget(plan.space, plan.estimate)


def header_of(plan: Plan, settings: Settings) -> dict[str, Any]:
    """Return what a manifest says beside its trials."""
    metric, text = plan.space.metric, read_text(settings.space)
    return {
        "version": 1,
        "sweep": plan.name,
        "space": {
            "file": settings.space_name,
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "search": search_hash(read_space(settings)),
        },
        "method": plan.space.method,
        "metric": None
        if metric is None
        else {"name": metric.name, "goal": metric.goal, "target": metric.target},
        "config_name": settings.config_name,
        "imports": list(settings.imports),
        "seed_parameter": plan.space.seed_parameter,
        "retry": plan.space.retry,
        "reuse_across_commits": plan.space.reuse_across_commits,
        "experiment": settings.experiment,
        "tracking_uri": settings.tracking_uri,
        "data": settings.data,
        "width": plan.width,
        "files": settings.files,
    }


def _job(plan: Plan, settings: Settings) -> Job:
    return Job(
        sweep=plan.name,
        config_name=settings.config_name,
        config_dir=Path(settings.config_dir).as_posix(),
        command=command_of(settings.command, settings.python, plan.space),
        python=settings.python,
        tracking_uri=settings.tracking_uri,
        experiment=settings.experiment,
    )
