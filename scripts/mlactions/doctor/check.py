"""The whole check-up: every rule over every workflow and file. Pure but for what `read` reads."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlactions.doctor import addresses, roles, uses
from mlactions.doctor import files as rules_of_files
from mlactions.doctor.interface import Interface, Load, read_interface
from mlactions.doctor.model import Problem, Severity, Workflow
from mlactions.errors import UserError
from mlactions.init.model import Packages, Read
from mlactions.yaml_lines import parse_marked

_WORKFLOW = re.compile(r"\.github/workflows/[^/]+\.ya?ml")
_MENTIONS = "codex-ml-actions/codex-ml-actions"


@dataclass(frozen=True)
class Checkup:
    """What was looked at and what is wrong; `secrets` are names by workflow, never values."""

    workflows: tuple[str, ...]
    actions: Mapping[str, int]
    secrets: Mapping[str, tuple[str, ...]]
    problems: tuple[Problem, ...]

    def count(self, severity: str) -> int:
        """Return how many problems have a severity."""
        return sum(problem.severity == severity for problem in self.problems)


def check(
    paths: Collection[str], read: Read, *, load: Load, own: str, packages: Packages
) -> Checkup:
    """Return everything that is wrong with a set-up, in the order of files and lines."""
    problems: list[Problem] = []
    workflows = tuple(_read(paths, read, problems))
    ours = tuple(workflow for workflow in workflows if workflow.is_ours)
    if not ours:
        message = "No workflow uses this library."
        fix = "Run `mlactions init`."
        problems.append(Problem(".github/workflows", 1, "not-set-up", "warn", message, fix))
    elif not any(use.is_ours for workflow in ours for use in workflow.used):
        message = "Only this check of the set-up is here: nothing looks at a model or at its code."
        fix = "Run `mlactions init --dry-run`: it says what it lacks, such as `--command`."
        problems.append(Problem(ours[0].path, 1, "no-model-checked", "warn", message, fix))
    interfaces: dict[str, Interface | None] = {}
    for workflow in ours:
        problems += _workflow(workflow, interfaces, load, own)
    for workflow in workflows:
        problems += uses.installed(workflow, own)
    problems += uses.mixed_pins(ours)
    evaluations = rules_of_files.evaluations(ours)
    for use in evaluations:
        problems += rules_of_files.evaluation(use, paths)
    problems += rules_of_files.baselines(evaluations, paths, read)
    problems += rules_of_files.sweeps(paths, read)
    problems += rules_of_files.pythons(evaluations, packages)
    return Checkup(
        workflows=tuple(workflow.path for workflow in ours),
        actions=_counted(ours),
        secrets={w.path: found for w in ours if (found := uses.named_secrets(w))},
        problems=tuple(sorted(set(problems))),
    )


def _read(paths: Collection[str], read: Read, problems: list[Problem]) -> Iterator[Workflow]:
    for path in sorted(path for path in paths if _WORKFLOW.fullmatch(path)):
        text = read(path)
        if text is None:
            message = "It cannot be read: a link that leads out, too large, or not UTF-8."
            problems.append(Problem(path, 1, "not-readable", "fail", message, "Write it anew."))
            continue
        try:
            yield Workflow(path, text, parse_marked(text, name=path))
        except UserError as error:
            severity: Severity = "fail" if _MENTIONS in text else "warn"
            message = f"{error.title}: {error.message}"
            fix = error.hint or "GitHub does not run it as it is."
            problems.append(
                Problem(path, error.line or 1, "not-valid-yaml", severity, message, fix)
            )


def _workflow(
    workflow: Workflow, interfaces: dict[str, Interface | None], load: Load, own: str
) -> Iterator[Problem]:
    for use in workflow.used:
        yield from uses.pins(use, own)
        if not use.is_ours:
            continue
        if use.own_path not in interfaces:
            interfaces[use.own_path] = read_interface(use.own_path, load)
        interface = interfaces[use.own_path]
        yield from uses.inputs(use, interface)
        yield from uses.secrets(use, interface)
        yield from uses.grants(use, interface)
    for rule in (
        uses.keys_in_text,
        uses.wide_keys,
        addresses.passwords,
        addresses.out_of_reach,
        roles.permissions,
        roles.roles,
        roles.events,
        roles.dispatch,
        roles.checkouts,
        roles.runners,
    ):
        yield from rule(workflow)


def _counted(workflows: Sequence[Workflow]) -> dict[str, int]:
    """Return how often each of our actions is used."""
    found: dict[str, int] = {}
    for workflow in workflows:
        for use in workflow.used:
            if use.is_ours:
                name = use.own_path.removesuffix("/action.yml")
                found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items()))
