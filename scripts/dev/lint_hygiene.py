"""Lint rules for any workflow: permissions, pins, triggers, scripts, limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dev.lint_model import Document, Job, Step, texts

Findings = Iterator[tuple[int, str]]

HOSTED = re.compile(r"(ubuntu|windows|macos)-[a-z0-9.-]+")
SAME_REPOSITORY = "head.repo.full_name == github.repository"
_PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
_VERSION = re.compile(r"# v\d+\.\d+(\.\d+)?( .*)?$")
_ONE_EVENT = re.compile(r"github\.event_name != 'pull_request'")
_PULL_REQUEST_KEY = re.compile(r"pull_request\.number|inputs\.|github\.ref")
_OUTSIDERS = {
    "pull_request_target",
    "issue_comment",
    "issues",
    "workflow_run",
    "discussion",
    "discussion_comment",
}


@dataclass(frozen=True)
class Rule:
    """A named rule; `why` is what goes wrong without it."""

    name: str
    why: str
    check: Callable[[Document], Findings]


HYGIENE: list[Rule] = []


def rule(
    name: str, why: str, *, into: list[Rule] = HYGIENE
) -> Callable[[Callable[[Document], Findings]], Callable[[Document], Findings]]:
    """Register a check under its name."""

    def register(check: Callable[[Document], Findings]) -> Callable[[Document], Findings]:
        into.append(Rule(name, why, check))
        return check

    return register


@rule("top-permissions", "a job that forgets its own grants would get the repository's default")
def _top_permissions(document: Document) -> Findings:
    if not document.is_action and document.data.get("permissions") != {}:
        yield 1, "write `permissions: {}` at the top of the workflow"


@rule("job-permissions", "what a job may do is decided where the job is written")
def _job_permissions(document: Document) -> Findings:
    for job in workflow_jobs(document):
        if "permissions" not in job.data:
            yield job.line, f"job `{job.name}` has no `permissions:`"
        elif isinstance(job.data["permissions"], str):
            yield job.data.lines["permissions"], "name each permission; `read-all` grants too much"


@rule("permission-reason", "a grant nobody explains is never taken back")
def _permission_reason(document: Document) -> Findings:
    for job in workflow_jobs(document):
        for name, line in job.permissions.lines.items():
            if not re.search(r"# \S+", document.line_text(line)):
                yield line, f"say on the same line why the job needs `{name}`"


@rule("trigger", "these events run with secrets on behalf of strangers")
def _trigger(document: Document) -> Findings:
    found = document.triggers & _OUTSIDERS
    for name in sorted(found):
        allowed = name == "workflow_run" and re.search(
            r"# zizmor: ignore\[dangerous-triggers\] \S+", document.text
        )
        if not allowed:
            line = document.data.lines["on"]
            yield line, f"`{name}` is refused; `workflow_run` needs an ignore with its reason"


@rule("timeout", "a hanging job is paid for six hours")
def _timeout(document: Document) -> Findings:
    for job in workflow_jobs(document):
        if "uses" not in job.data and "timeout-minutes" not in job.data:
            yield job.line, f"job `{job.name}` has no `timeout-minutes`"


@rule("concurrency", "an older run must not overwrite the result of a newer one")
def _concurrency(document: Document) -> Findings:
    if not document.triggers & {"pull_request", "workflow_call"}:
        return
    groups = [
        (line, text)
        for scope in (document.data, *(job.data for job in document.jobs))
        if "concurrency" in scope
        for line, text in texts(scope["concurrency"], scope.lines["concurrency"])
    ]
    if not any(_PULL_REQUEST_KEY.search(text) for _, text in groups):
        yield 1, "set `concurrency` with the pull request's number in its group"


@rule("pinned", "a tag can be moved to other code; a commit cannot")
def _pinned(document: Document) -> Findings:
    for line, uses in _every_use(document):
        if uses.startswith("$/"):
            continue
        if not _PINNED.fullmatch(uses):
            yield line, f"pin `{uses}` to a commit of 40 hex digits, or write `$/…` for our own"
        elif not _VERSION.search(document.line_text(line)):
            yield line, f"say the version of `{uses}` as a comment: `# v1.2.3`"


@rule("script-expression", "an expression in a script is pasted in before the shell reads it")
def _script_expression(document: Document) -> Findings:
    for _, step in document.steps():
        if "${{" in step.script or "${{" in str(step.data.get("shell", "")):
            yield step.line, "hand the value over through `env:`"


@rule("runner-files", "what is written there changes every later step of the job")
def _runner_files(document: Document) -> Findings:
    for _, step in document.steps():
        for name in ("GITHUB_ENV", "GITHUB_PATH"):
            if name in step.script:
                yield step.line, f"use a step output instead of {name}"


@rule("persist-credentials", "a token left in .git/config is readable for every later step")
def _persist_credentials(document: Document) -> Findings:
    for _, step in document.steps():
        if step.uses != "actions/checkout":
            continue
        if step.given.get("persist-credentials") != "false":
            yield step.line, "checkout with `persist-credentials: false`"
        if "allow-unsafe-pr-checkout" in step.given:
            yield step.line, "`allow-unsafe-pr-checkout` runs a stranger's code with secrets"


@rule("fixed-head", "a branch name may point elsewhere by the time the job starts")
def _fixed_head(document: Document) -> Findings:
    if not document.triggers & {"pull_request", "workflow_call"}:
        return
    for _, step in document.steps():
        if step.uses == "actions/checkout" and "sha" not in step.given.get("ref", ""):
            yield step.line, "checkout a fixed commit: `ref: ${{ … head.sha || github.sha }}`"


@rule("secret-scope", "a secret in the environment of a job is in every step of it")
def _secret_scope(document: Document) -> Findings:
    for scope in (document.data, *(job.data for job in document.jobs)):
        for line, text in texts(scope.get("env"), scope.lines.get("env", 1)):
            if "secrets." in text or "secrets[" in text:
                yield line, "name the secret on the one step that needs it"
        if scope.get("secrets") == "inherit":
            yield scope.lines["secrets"], "`secrets: inherit` hands over every secret"


@rule("fork-guard", "code of a fork would run on a machine of yours")
def _fork_guard(document: Document) -> Findings:
    for job in workflow_jobs(document):
        if "runs-on" not in job.data or _is_hosted(job):
            continue
        line = job.data.lines["runs-on"]
        if SAME_REPOSITORY not in job.data.get("if", ""):
            yield line, f"guard the job: `if: … {SAME_REPOSITORY}`"
        if _ONE_EVENT.search(job.data.get("if", "")):
            yield line, "a review carries a fork's head too: write `!github.event.pull_request ||`"
        if "environment" not in job.data:
            yield line, "an own runner needs an `environment:` with reviewers"


@rule("artifact-name", "two runs of one workflow would overwrite each other's artifact")
def _artifact_name(document: Document) -> Findings:
    for _, step in document.steps():
        if step.uses == "actions/upload-artifact" and not step.given.get("name"):
            yield step.line, "name the artifact after the word and the key"


def workflow_jobs(document: Document) -> tuple[Job, ...]:
    """Return the jobs of a workflow; an action has none."""
    return () if document.is_action else document.jobs


def _is_hosted(job: Job) -> bool:
    labels = job.data["runs-on"]
    return all(
        HOSTED.fullmatch(label) for label in ([labels] if isinstance(labels, str) else labels)
    )


def _every_use(document: Document) -> Iterator[tuple[int, str]]:
    for job in document.jobs:
        if "uses" in job.data:
            yield job.data.lines["uses"], job.data["uses"]
    for _, step in document.steps():
        if "uses" in step.data:
            yield step.data.lines["uses"], step.data["uses"]


def first_line(step: Step, key: str) -> int:
    """Return the line of one input of a step, else that of the step."""
    return step.given.lines.get(key, step.line)
