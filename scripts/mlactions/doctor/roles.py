"""Rules about jobs: permissions, roles that must not mix, runners, forks, checkouts. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from mlactions.doctor.interface import CODE_WORKFLOWS, role_of
from mlactions.doctor.model import Problem, Use, Workflow, mapping, steps

HOSTED = (
    *("ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04", "ubuntu-24.04-arm", "ubuntu-22.04-arm"),
    *("ubuntu-slim", "windows-latest", "windows-2025", "windows-2022"),
    *("macos-latest", "macos-26", "macos-15", "macos-14"),
)
_STRANGERS = frozenset({"pull_request_target", "workflow_run", "issue_comment"})
_BY_HAND = frozenset({"workflow_dispatch", "workflow_call"})
_PROPOSES = re.compile(r"(actions/propose|\.github/workflows/propose)(/.*)?(\.yml)?")
_GUARD = re.compile(r"head\.repo\.(full_name|fork)")
_DECIDE = re.compile(r"actions/(compare|evaluate)/action\.yml|action\.yml")


def permissions(workflow: Workflow) -> Iterator[Problem]:
    """Yield defaults that grant too much: a token without `permissions` may write."""
    top = workflow.data.get("permissions")
    unset = [name for name, job in workflow.jobs.items() if job.get("permissions") is None]
    if "permissions" not in workflow.data and unset:
        message = f"No `permissions`: job `{unset[0]}` gets whatever the repository's default is."
        fix = "Write `permissions: {}` at the top, and grant each job what it needs."
        yield workflow.problem("permissions-missing", "warn", (), message, fix)
    places = [((), top), *((("jobs", n), j.get("permissions")) for n, j in workflow.jobs.items())]
    for keys, granted in places:
        if granted == "write-all":
            message = "`write-all` lets every step change the repository."
            fix = "Grant each job what it needs."
            yield workflow.problem(
                "permission-too-wide", "fail", (*keys, "permissions"), message, fix
            )


def roles(workflow: Workflow) -> Iterator[Problem]:
    """Yield jobs in which the key, or a token that writes, meets the repository's code."""
    for name, job in workflow.jobs.items():
        used = [use for use in workflow.uses_of(name) if not use.calls_workflow]
        by_role = {role_of(use.own_path): use for use in reversed(used) if use.is_ours}
        measures, asks, writes = (by_role.get(role) for role in ("measure", "ask", "write"))
        local = any(use.target.startswith("./") for use in used)
        scripts = any("run" in step for step in steps(job))
        if asks and (measures or local or scripts):
            message = f"Job `{name}` holds the key and runs code, which can read it from /proc."
            fix = "Ask in a job of its own, with checkout and download-artifact before it only."
            yield _mixed(asks, message, fix)
        granted = mapping(job.get("permissions") or workflow.data.get("permissions"))
        writable = sorted(key for key, level in granted.items() if level == "write")
        if measures and writable:
            listed = ", ".join(writable)
            message = f"Job `{name}` runs the repository's code and may write: {listed}."
            fix = "Grant it `contents: read`, and write in a job of its own."
            yield _mixed(measures, message, fix)
        # A script beside a checkout may start what was checked out.
        started = scripts and any(use.target == "actions/checkout" for use in used)
        if writes and (measures or asks or local or started):
            message = f"Job `{name}` writes beside what runs code or holds the key."
            fix = "Write in a job of its own, with download-artifact before it only."
            yield _mixed(writes, message, fix)


def _mixed(use: Use, message: str, fix: str) -> Problem:
    return Problem(use.workflow.path, use.line(), "roles-mixed", "fail", message, fix)


def events(workflow: Workflow) -> Iterator[Problem]:
    """Yield events that run strangers' code with secrets, and filters that hide a check."""
    code = [use for use in workflow.used if use.is_ours and _runs_code(use)]
    for event in sorted(workflow.triggers & _STRANGERS):
        if code:
            message = f"`{event}` runs with secrets for strangers, and `{code[0].name}` runs code."
            fix = "Use `pull_request`."
            yield workflow.problem("dangerous-event", "fail", ("on", event), message, fix)
    about = mapping(mapping(workflow.data.get("on")).get("pull_request"))
    for name in ("paths", "paths-ignore"):
        if name in about and code:
            message = f"`{name}` keeps the workflow from starting: a required check then waits."
            fix = "Leave it out; `evaluate` finds what a change affects."
            keys = ("on", "pull_request", name)
            yield workflow.problem("filtered-check", "warn", keys, message, fix)


def _runs_code(use: Use) -> bool:
    if use.calls_workflow:
        return use.own_path.rpartition("/")[2] in CODE_WORKFLOWS
    return role_of(use.own_path) == "measure"


def dispatch(workflow: Workflow) -> Iterator[Problem]:
    """Yield events beside a person's that start what writes code."""
    ours = (use for use in workflow.used if use.is_ours and _PROPOSES.fullmatch(use.own_path))
    use = next(ours, None)
    for event in sorted(workflow.triggers - _BY_HAND) if use else ():
        message = f"`{event}` starts Codex writing code: what it says may come from anybody."
        fix = "Start it by `workflow_dispatch` alone: it refuses everything else."
        yield workflow.problem("dispatch-only", "fail", ("on", event), message, fix)


def checkouts(workflow: Workflow) -> Iterator[Problem]:
    """Yield checkouts that leave a token behind, or that lack the history rules come from."""
    for name in workflow.jobs:
        used = list(workflow.uses_of(name))
        ours = [use for use in used if use.is_ours]
        for use in used:
            if use.target != "actions/checkout" or not ours:
                continue
            if str(use.given.get("persist-credentials", "true")).lower() != "false":
                message = (
                    f"Job `{name}` leaves a token in .git, where code of the checkout finds it."
                )
                fix = "Add `persist-credentials: false`."
                yield Problem(
                    workflow.path, use.line(), "persist-credentials", "warn", message, fix
                )
            judged = [other for other in ours if _DECIDE.fullmatch(other.own_path)]
            shallow = str(use.given.get("fetch-depth", "1")) != "0"
            if judged and shallow and "pull_request" in workflow.triggers:
                message = f"Job `{name}` has one commit; `{judged[0].name}` needs the merge base."
                fix = "Add `fetch-depth: 0`."
                yield Problem(workflow.path, use.line(), "fetch-depth", "warn", message, fix)


def runners(workflow: Workflow) -> Iterator[Problem]:
    """Yield runners that do not exist, or that run strangers' code."""
    for name, job in workflow.jobs.items():
        ours = [use for use in workflow.uses_of(name) if use.is_ours]
        if not ours:
            continue
        labels, keys = _labels(job), ["jobs", name, "runs-on"]
        if "uses" in job:
            given = ours[0].given.get("runner")
            keys = ["jobs", name, "with", "runner"]
            labels = _parsed(given)
            if given is not None and not labels and "${{" not in str(given):
                message = f"`runner` is {given!r}, which is no JSON."
                fix = """Write '"ubuntu-24.04"' or '["self-hosted", "gpu"]', quotes included."""
                yield workflow.problem("runner-label", "fail", keys, message, fix)
        yield from _label_problems(workflow, keys, labels)
        own = labels and not set(labels) <= set(HOSTED)
        guarded = _GUARD.search(str(job.get("if", ""))) or "uses" in job
        if own and "pull_request" in workflow.triggers and not guarded:
            message = f"Job `{name}` runs the code of forks on a machine of yours."
            fix = (
                "Add `if: ${{ !github.event.pull_request ||"
                " github.event.pull_request.head.repo.full_name == github.repository }}`."
            )
            yield workflow.problem("fork-guard", "fail", keys, message, fix)
        if own and "uses" in job:
            message = "A reusable workflow of another owner cannot use runners of yours."
            fix = "Copy `workflows/gate-jobs.yml`, or fork this library into your organisation."
            yield workflow.problem("runner-owner", "warn", keys, message, fix)


def _label_problems(
    workflow: Workflow, keys: list[str], labels: tuple[str, ...]
) -> Iterator[Problem]:
    if len(labels) != 1 or labels[0] in HOSTED or labels[0] == "self-hosted":
        return
    close = get_close_matches(labels[0], HOSTED, n=1, cutoff=0.8)
    if close:
        message = f"No runner of GitHub is called `{labels[0]}`: the job would wait for ever."
        fix = f"Did you mean `{close[0]}`?"
        yield workflow.problem("runner-label", "warn", keys, message, fix)


def _labels(job: Mapping[str, Any]) -> tuple[str, ...]:
    given = job.get("runs-on")
    if isinstance(given, dict):
        given = given.get("labels")
    listed = given if isinstance(given, list) else [given] if given else []
    return tuple(str(label) for label in listed if "${{" not in str(label))


def _parsed(text: Any) -> tuple[str, ...]:
    try:
        found = json.loads(str(text))
    except ValueError:
        return ()
    if isinstance(found, str):
        return (found,)
    return tuple(map(str, found)) if isinstance(found, list) else ()
