"""Which configs are evaluated, which are not, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.evaluate.affected import Project, explain
from mlactions.evaluate.configs import find_configs
from mlactions.evaluate.git import Change, Git
from mlactions.evaluate.records import Choice, Config, Removed
from mlactions.evaluate.removed import find_removed, say_removed
from mlactions.evaluate.settings import Settings
from mlactions.text import one_line


@dataclass(frozen=True)
class Base:
    """The commit a change is measured from, or why there is none."""

    commit: str | None
    problem: str = ""


@dataclass(frozen=True)
class Plan:
    """Every config with its choice, what the reader should know, and what the change touched.

    Those `elsewhere` are to be evaluated too, by other jobs.
    """

    choices: tuple[Choice, ...]
    notes: tuple[str, ...]
    base: str | None
    changes: tuple[Change, ...] = ()
    removed: tuple[Removed, ...] = ()
    elsewhere: tuple[Config, ...] = ()

    @property
    def selected(self) -> tuple[Choice, ...]:
        """The choices that are evaluated."""
        return tuple(choice for choice in self.choices if choice.selected)

    @property
    def skipped(self) -> tuple[Choice, ...]:
        """The others."""
        return tuple(choice for choice in self.choices if not choice.selected)


def make_plan(
    settings: Settings,
    git: Git | None,
    environ: Mapping[str, str],
    *,
    ours: Sequence[Path] = (),
) -> Plan:
    """Choose the configs to evaluate. Where anything is in doubt, a config is evaluated.

    `ours` are the paths that we write ourselves: they are no part of the change.
    """
    configs, notes = find_configs(settings)
    base = find_base(settings.base_ref, git, environ)
    changes: tuple[Change, ...] = ()
    removed: tuple[Removed, ...] = ()
    folder = _folder(settings, git)
    if git is not None and base.commit is not None:
        changes = _without(git.changes(base.commit), git.root.resolve(), ours)
        removed = find_removed(changes, settings, folder, configs)
    if git is not None and base.commit is not None and settings.select == "changed":
        choices = _changed(settings, configs, git, changes, environ)
        plan = Plan(choices, (), base.commit, changes)
    else:
        plan = _unasked(settings, configs, base)
    notes = (*plan.notes, *say_removed(removed, folder), *notes)
    plan = _only(replace(plan, notes=notes, removed=removed), settings)
    return _limit(_on_one_line(plan), settings)


def _folder(settings: Settings, git: Git | None) -> str:
    """Return the working directory below the repository, "" for its root."""
    below = settings.folder.relative_to(git.root.resolve()).as_posix() if git else "."
    return "" if below == "." else below


def _on_one_line(plan: Plan) -> Plan:
    """Make all that is said printable: a path may hold a line break, or bytes that are no text."""
    choices = tuple(replace(choice, reason=one_line(choice.reason)) for choice in plan.choices)
    return replace(plan, choices=choices, notes=tuple(map(one_line, plan.notes)))


def _unasked(settings: Settings, configs: tuple[Config, ...], base: Base) -> Plan:
    """Choose every config: because that is wanted, or because nothing tells what changed."""
    wanted = "`select` is `all`" if settings.select == "all" else "named by `only`"
    if settings.select == "all" or settings.only:
        # Without the base nothing is missing here, unless it is to be measured itself.
        notes = (base.problem,) if settings.also_base and base.problem else ()
        return Plan(_all(configs, wanted), notes, base.commit if settings.also_base else None)
    note = f"{base.problem} Every config is evaluated."
    return Plan(_all(configs, f"in doubt: {base.problem}"), (note,), None)


def _all(configs: Iterable[Config], reason: str) -> tuple[Choice, ...]:
    return tuple(Choice(config, selected=True, reason=reason) for config in configs)


def _changed(
    settings: Settings,
    configs: tuple[Config, ...],
    git: Git,
    changes: tuple[Change, ...],
    environ: Mapping[str, str],
) -> tuple[Choice, ...]:
    project = Project(
        root=git.root.resolve(),
        folder=_folder(settings, git),
        template=settings.template,
        depends=settings.depends,
        files=frozenset(git.files()),
        aliases=git.aliases(),
        python_path=tuple(filter(None, environ.get("PYTHONPATH", "").split(":"))),
        workflow=_workflow(environ),
    )
    return explain(project, configs, changes)


def _without(changes: Iterable[Change], root: Path, ours: Sequence[Path]) -> tuple[Change, ...]:
    """Leave out what an earlier run of ours wrote into the work tree."""
    return tuple(
        change
        for change in changes
        if not any((root / change.path).is_relative_to(path.resolve()) for path in ours)
    )


def _workflow(environ: Mapping[str, str]) -> str:
    """Return the path of the workflow that runs us: `owner/name/PATH@ref`."""
    path = environ.get("GITHUB_WORKFLOW_REF", "").partition("@")[0]
    return "/".join(path.split("/")[2:])


def find_base(ref: str, git: Git | None, environ: Mapping[str, str]) -> Base:
    """Return the merge base of HEAD and `ref`, or else of what GitHub names as the base.

    Raises UserError for a `ref` that a whole clone on a laptop does not have.
    """
    if git is None:
        return Base(None, "This is no git repository, so there is nothing to compare with.")
    name = ref or _event_base(environ)
    if not name:
        return Base(None, "`base-ref` is not given.")
    candidates = (name, f"origin/{name}", f"refs/remotes/origin/{name}")
    commit = next(filter(None, map(git.commit, candidates)), None)
    shallow = " The clone is shallow: check out with `fetch-depth: 0`." if git.is_shallow() else ""
    if commit is None and ref and not shallow and environ.get("GITHUB_ACTIONS") != "true":
        # Nobody fetches here: it is a slip of the pen, and everything would run because of it.
        message = f"`base-ref` is {ref!r}, and there is no such commit in this clone."
        raise UserError("base commit not found", message, git.close_ref(ref))
    if commit is None:
        return Base(None, f"The base `{name}` is not in this clone.{shallow}")
    merge_base = git.merge_base(commit)
    if merge_base is None:
        return Base(None, f"HEAD and `{name}` have no common ancestor here.{shallow}")
    return Base(merge_base)


def _event_base(environ: Mapping[str, str]) -> str:
    """Return what a pull request merges into, or where a push started; "" elsewhere."""
    if name := environ.get("GITHUB_BASE_REF"):
        return f"origin/{name}"
    try:
        text = Path(environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8")
        event: Any = json.loads(text)
    except (KeyError, OSError, ValueError):
        return ""
    before = event.get("before") if isinstance(event, dict) else None
    return before if isinstance(before, str) and before.strip("0") else ""


def _only(plan: Plan, settings: Settings) -> Plan:
    """Keep one shard's configs. They were chosen elsewhere, so each of them is evaluated."""
    if not settings.only:
        return plan
    wanted = set(settings.only)
    if unknown := sorted(wanted - {choice.config.path for choice in plan.choices}):
        raise UserError(
            "bad input",
            f"`only` names {unknown[0]!r}, which `configs` does not match.",
            "Pass it a `configs` of the `matrix` output.",
        )
    kept = tuple(
        choice if choice.selected else replace(choice, selected=True, reason="named by `only`")
        for choice in plan.choices
        if choice.config.path in wanted
    )
    unchanged = tuple(c for c in plan.skipped if c.config.path not in wanted)
    others = tuple(c.config for c in plan.selected if c.config.path not in wanted)
    return replace(plan, choices=kept + unchanged, elsewhere=others)


def _limit(plan: Plan, settings: Settings) -> Plan:
    count = len(plan.selected)
    if count > settings.max_configs and not settings.matrix_only:
        raise UserError(
            "too many configs",
            f"{count} configs are to be evaluated, and `max-configs` is {settings.max_configs}.",
            "Raise it, narrow `configs`, or fan out with `matrix-only`.",
        )
    return plan


def shards(paths: Sequence[str], most: int) -> dict[str, list[dict[str, str]]]:
    """Return a GitHub matrix: at most `most` jobs, each with its configs, one a line."""
    count = min(len(paths), most)
    groups = [paths[number::count] for number in range(count)]
    include = [
        {"shard": str(number), "configs": "\n".join(group)}
        for number, group in enumerate(groups, 1)
    ]
    return {"include": include}
