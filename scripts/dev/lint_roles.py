"""Lint rules for the four roles: who measures has no key, who asks runs no user code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dev.lint_actors import (
    ASK,
    BEFORE_ASK,
    BESIDE_WRITER,
    CALLERS,
    CODEX,
    DECIDE,
    OWN_TOKEN,
    READS_HUB,
    READS_MLFLOW,
    WRITER_SCRIPTS,
    asks,
    decides,
    measures,
    runs_user_code,
    writes,
)
from dev.lint_hygiene import HOSTED, Findings, Rule, first_line, rule, workflow_jobs
from dev.lint_model import Document, Step, as_mapping, texts

ROLES: list[Rule] = []

_HARMLESS_WRITES = {"pull-requests", "issues"}
_VERIFIES = re.compile(r'/scripts/run" (ask verify|propose take)$', re.MULTILINE)
_EXACT = re.compile(r"\d+\.\d+\.\d+")
_SECRET = re.compile(r"secrets(\.[\w-]++|\[[^]]+\])(?!\s*+[!=]=\s*'')")
_MLFLOW_SECRET = re.compile(
    r"\$\{\{ (?:\([\w.=' |-]+\) && )?secrets\.mlflow[-_]tracking[-_]\w+(?: \|\| '')? \}\}",
    re.IGNORECASE,
)
_OWN_TOKEN = re.compile(r"\$\{\{ secrets\.SETUP_TOKEN \}\}")
_HUB_SECRET = re.compile(r"\$\{\{ secrets\.hf[-_]token \}\}", re.IGNORECASE)
# `checkpoint-key` is a place in a file.
_SECRET_INPUT = re.compile(r"(^|-)(token|secret|password)$|(?<!^checkpoint)-key$")
_ALWAYS = re.compile(r"always\(\)|\$\{\{ always\(\) \}\}")
_UNSAFE = re.compile(
    r"danger-full-access|dangerously-|--yolo|safety-strategy:\s*['\"]?(unsafe|read-only)|--trust\b"
)
_STRANGER = re.compile(
    r"github\.(head_ref|event\.(issue|comment|review|discussion|head_commit\.message)"
    r"|event\.pull_request\.(title|body|head\.(ref|label)))"
)


@rule("ask-permissions", "what reads untrusted text must have nothing to give away", into=ROLES)
def _ask_permissions(document: Document) -> Findings:
    for job in workflow_jobs(document):
        if asks(job) and job.permissions != {"contents": "read"}:
            yield job.line, f"job `{job.name}` asks Codex: grant `contents: read` and nothing else"


@rule("ask-hosted", "codex-action takes sudo away from the machine for good", into=ROLES)
def _ask_hosted(document: Document) -> Findings:
    for job in workflow_jobs(document):
        if asks(job) and not HOSTED.fullmatch(str(job.data.get("runs-on", ""))):
            yield job.line, "ask on a GitHub-hosted runner, named literally"


@rule("ask-alone", "code that runs beside the key can read it from /proc", into=ROLES)
def _ask_alone(document: Document) -> Findings:
    for job in workflow_jobs(document):
        if not asks(job):
            continue
        for step in job.steps:
            if step.script:
                yield step.line, f"job `{job.name}` asks Codex: it must run no script"
            allowed = (*BEFORE_ASK, "actions/upload-artifact", *ASK)
            if step.uses and not step.runs_action(*allowed):
                yield step.line, f"job `{job.name}` asks Codex: `{step.uses}` does not belong there"


@rule("ask-last", "a step after Codex runs on a machine that Codex used", into=ROLES)
def _ask_last(document: Document) -> Findings:
    for job in document.jobs:
        positions = [i for i, step in enumerate(job.steps) if step.runs_action(*ASK)]
        if len(positions) > 1:
            yield job.line, "one call of Codex a job: a second one breaks on the first one's home"
        for step in job.steps[positions[0] + 1 :] if positions else ():
            verifies = document.is_action and _VERIFIES.search(step.script)
            if not verifies and not step.runs_action("actions/upload-artifact"):
                yield step.line, "after Codex only the check of its answer and an upload may follow"


@rule("ask-timeout", "nothing else bounds a hanging Codex", into=ROLES)
def _ask_timeout(document: Document) -> Findings:
    for job in workflow_jobs(document):
        limit = str(job.data.get("timeout-minutes", "360"))
        if asks(job) and not (limit.isdigit() and int(limit) <= 60):  # noqa: PLR2004  # an hour
            yield job.line, f"job `{job.name}` asks Codex: at most an hour, as a number"


@rule(
    "one-codex-step", "checks of the answer hold only where the one action calls Codex", into=ROLES
)
def _one_codex_step(document: Document) -> Findings:
    for _, step in document.steps():
        if step.uses == CODEX and document.name not in CALLERS:
            yield step.line, "call Codex through actions/ask or actions/propose"


@rule("codex-version", "an empty or floating version installs whatever is newest today", into=ROLES)
def _codex_version(document: Document) -> Findings:
    for _, step in document.steps():
        if step.runs_action(*ASK) and "codex-version" in step.given:
            yield from _exact(document, step)
        elif step.uses == CODEX:
            yield step.line, "name an exact `codex-version`"


def _exact(document: Document, step: Step) -> Findings:
    version = step.given["codex-version"]
    name = re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", version)
    if name:
        version = _default(document, name[1])
    if not _EXACT.fullmatch(version):
        yield first_line(step, "codex-version"), f"`{version}` is no exact version"


def _default(document: Document, name: str) -> str:
    call = document.data.get("on", {})
    owner = document.data if document.is_action else call.get("workflow_call", {})
    return str(owner.get("inputs", {}).get(name, {}).get("default", ""))


@rule("codex-sandbox", "without its sandbox Codex runs what a pull request tells it to", into=ROLES)
def _codex_sandbox(document: Document) -> Findings:
    for number, text in enumerate(document.text.splitlines(), start=1):
        if _UNSAFE.search(text.partition("#")[0]):
            yield number, "Codex keeps its sandbox, and sudo is dropped"
    for _, step in document.steps():
        wanted = CALLERS.get(document.name, "read-only")
        if step.uses == CODEX and step.given.get("sandbox") != wanted:
            yield step.line, f"set `sandbox: {wanted}`"


@rule("codex-actors", "a wildcard lets everybody spend the key", into=ROLES)
def _codex_actors(document: Document) -> Findings:
    for _, step in document.steps():
        for name in ("allow-users", "allow-bots", "allow-bot-users"):
            if "*" in step.given.get(name, "") or step.given.get("allow-bots") == "true":
                yield first_line(step, name), "name each account that may call Codex"
                break


@rule("codex-prompt", "text pasted into a prompt speaks with the prompt's voice", into=ROLES)
def _codex_prompt(document: Document) -> Findings:
    for _, step in document.steps():
        if step.uses != CODEX:
            continue
        for name in ("prompt", "output-schema"):
            if name in step.given:
                yield first_line(step, name), f"use `{name}-file`"
        for name in ("prompt-file", "output-schema-file", "output-file", "codex-home"):
            if not step.given.get(name):
                yield step.line, f"name a `{name}`"
        if step.data.get("continue-on-error") != "true":
            yield step.line, "`continue-on-error: true`: the answer's check says what went wrong"


@rule("stranger-text", "titles, bodies and branch names are written by anybody", into=ROLES)
def _stranger_text(document: Document) -> Findings:
    for _, step in document.steps():
        for line, text in texts(step.data.get("with"), step.line):
            if _STRANGER.search(text):
                yield line, "read it from the event file and treat it as data"


@rule("key-place", "the key belongs to the one step that calls Codex", into=ROLES)
def _key_place(document: Document) -> Findings:
    for job in document.jobs:
        for step in job.steps:
            if step.runs_action(*ASK):
                continue
            for line, text in texts(step.data, step.line):
                if step.runs_action(*READS_MLFLOW) and _MLFLOW_SECRET.fullmatch(text):
                    continue
                if step.runs_action(*READS_HUB) and _HUB_SECRET.fullmatch(text):
                    continue
                if (document.name, job.name) == OWN_TOKEN and _OWN_TOKEN.fullmatch(text):
                    continue
                if _SECRET.search(text):
                    yield line, "a secret is given to the step that calls Codex and to no other"
            if "openai-api-key" in step.given:
                yield first_line(step, "openai-api-key"), f"`{step.uses}` takes no key"


@rule("measure-no-key", "user code can read every key and token of its job", into=ROLES)
def _measure_no_key(document: Document) -> Findings:
    for job in document.jobs:
        if not measures(job):
            continue
        if writes(job):
            yield job.line, f"job `{job.name}` runs user code: it must not write"
        if asks(job) or any(step.runs_action("actions/comment") for step in job.steps):
            yield job.line, f"job `{job.name}` runs user code: ask and comment in other jobs"
        yield from _secret_inputs(document)


def _secret_inputs(document: Document) -> Iterator[tuple[int, str]]:
    if not document.is_action:
        return
    for name, line in as_mapping(document.data.get("inputs")).lines.items():
        if _SECRET_INPUT.search(name):
            yield line, f"an action that runs user code takes no `{name}`"


@rule("writer-alone", "who can write must run neither code nor an agent", into=ROLES)
def _writer_alone(document: Document) -> Findings:
    for job in workflow_jobs(document):
        can_write = writes(job) or (document.name, job.name) == OWN_TOKEN
        if not can_write or "uses" in job.data:
            continue
        for step in job.steps:
            if step.uses and not step.runs_action(*BESIDE_WRITER):
                yield step.line, f"job `{job.name}` can write: `{step.uses}` belongs in another job"
            if step.script and (document.name, job.name) not in WRITER_SCRIPTS:
                yield step.line, f"job `{job.name}` can write: no script, unless the rule lists it"


@rule("comment-permissions", "a comment needs one permission", into=ROLES)
def _comment_permissions(document: Document) -> Findings:
    for job in workflow_jobs(document):
        comments = any(step.runs_action("actions/comment") for step in job.steps)
        if comments and writes(job) not in (["pull-requests"], ["issues"]):
            message = "grant `pull-requests: write`, or for an issue `issues: write`, only"
            yield job.line, f"job `{job.name}` comments: {message}"


@rule("propose-dispatch", "what writes code starts when a person says what", into=ROLES)
def _propose_dispatch(document: Document) -> Findings:
    for _, step in document.steps():
        if document.is_action or not step.runs_action("actions/propose", "actions/propose/publish"):
            continue
        if not document.triggers <= {"workflow_dispatch", "workflow_call"}:
            yield step.line, "start it with `workflow_dispatch` only"


_OWN_EVENTS = {"workflow_dispatch", "schedule", "push"}


@rule(
    "cache-mode",
    "a cache filled by code under review would be restored by what trusts it",
    into=ROLES,
)
def _cache_mode(document: Document) -> Findings:
    for job in workflow_jobs(document):
        if "uses" in job.data:
            continue
        mode = job.data.get("cache-mode", document.data.get("cache-mode"))
        reads = any(step.runs_action(*DECIDE, "actions/comment") for step in job.steps)
        if (reads or asks(job) or writes(job)) and mode != "none":
            yield job.line, f"job `{job.name}` needs no cache: write `cache-mode: none`"
        elif document.name.startswith("workflows/") and mode not in ("none", "read"):
            # What only the default branch's own events fill, no pull request can poison.
            if mode == "write" and document.triggers <= _OWN_EVENTS:
                continue
            yield job.line, f"job `{job.name}` is copied by users: write `cache-mode: read`"


@rule("workflow-run-inert", "it runs with the repository's rights on a stranger's data", into=ROLES)
def _workflow_run_inert(document: Document) -> Findings:
    if "workflow_run" not in document.triggers:
        return
    for job in document.jobs:
        for name in sorted(set(writes(job)) - _HARMLESS_WRITES):
            message = f"`{name}: write` could turn a check green or change the repository"
            yield job.permissions.lines[name], message
        for step in job.steps:
            fetches = step.runs_action("actions/checkout", *ASK) or runs_user_code(step)
            if fetches or _SECRET.search(str(step.data)):
                yield step.line, "neither code nor a key belongs in a `workflow_run`"


@rule("required-check", "a job that is skipped counts as passed", into=ROLES)
def _required_check(document: Document) -> Findings:
    for job in workflow_jobs(document):
        if not any(decides(step) for step in job.steps):
            continue
        needs = job.data.get("needs", [])
        needs = [needs] if isinstance(needs, str) else needs
        condition = job.data.get("if", "")
        if (needs or condition) and not _ALWAYS.fullmatch(condition):
            yield job.line, f"job `{job.name}` decides: run it under `if: always()`, exactly"
        for name in needs:
            if not any(_fails_without(step, name) for step in job.steps):
                yield job.line, f"job `{job.name}` decides: a step fails on `needs.{name}.result`"


def _fails_without(step: Step, job: str) -> bool:
    """Tell whether a step's script reads how another job ended, and can turn this one red."""
    result = re.compile(rf"\$\{{\{{ needs\.{re.escape(job)}\.result \}}\}}")
    names = [
        name for name, text in as_mapping(step.data.get("env")).items() if result.fullmatch(text)
    ]
    read = any(re.search(rf"\$\{{?{name}\b", step.script) for name in names)
    return read and "exit 1" in step.script and not {"if", "continue-on-error"} & set(step.data)
